//! The program `usher`.

use std::process::ExitCode;

/// Chosen by `make bench`: the allocator of glibc takes a fifth of the time of a request, half
/// of it to wait for its own locks; mimalloc falls back with many connections.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    usher_server::run(std::env::args_os(), std::env::vars_os())
}
