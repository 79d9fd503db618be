//! The program `usher`.

use std::process::ExitCode;

fn main() -> ExitCode {
    usher_server::run(std::env::args_os(), std::env::vars_os())
}
