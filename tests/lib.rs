//! The tests are `sql/` and `end_to_end/`; what they stand on is `stack/`.
