//! Random names, secrets and numbers.

use std::ops::Range;

use aws_lc_rs::rand;

/// Letters and digits, random enough for a secret.
pub fn letters_and_digits(length: usize) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    bytes(length).iter().map(letter).collect()
}

/// A number in the range.
pub fn within(range: Range<u16>) -> u16 {
    let number = bytes(2)
        .iter()
        .fold(0, |number, &byte| number << 8 | u16::from(byte));
    range.start + number % (range.end - range.start)
}

fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    #[expect(
        clippy::expect_used,
        reason = "a key that is not random must not be used"
    )]
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
