//! The tests are `sql.rs` and `end_to_end/`; what they stand on is `stack/`.
