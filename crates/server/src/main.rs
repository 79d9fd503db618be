//! The program `usher`.

use std::process::ExitCode;

/// With glibc's allocator a request takes a quarter more CPU, much of it in lock contention;
/// mimalloc measured no faster. `.cargo/config.toml` sets the options.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    usher_server::run(std::env::args_os(), std::env::vars_os())
}
