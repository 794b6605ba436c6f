//! The program: everything is in the library, this only exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    ropeway::cli::main()
}
