//! The tests are in the other files of this folder. They run on the local parts in `stack/`.
