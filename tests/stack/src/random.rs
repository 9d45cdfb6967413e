//! Names and secrets that nobody else has.

use aws_lc_rs::rand;

/// Letters and digits, as random as a secret must be.
pub fn letters_and_digits(length: usize) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes).unwrap_or_default();
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
    bytes.into_iter().map(letter).collect()
}
