//! The program `ropeway`: everything is in the library.

fn main() {}
