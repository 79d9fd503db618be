//! The program `usher`.

use std::process::ExitCode;

/// Chosen by `make bench`: the allocator of glibc takes a fifth of the CPU of a request, a good
/// part of it to wait for its own locks; mimalloc was no faster than this one.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What was freed is given back after a second, by a thread of its own, so that it is also when
/// nothing happens any more. Threads keep only what is small for themselves: each would have
/// buffers of up to 32 KiB to spare.
#[cfg(target_os = "linux")]
#[used]
#[expect(
    unsafe_code,
    reason = "the name, which nothing else has, is where jemalloc looks"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 84] =
    b"background_thread:true,max_background_threads:1,dirty_decay_ms:1000,tcache_max:4096\0";

fn main() -> ExitCode {
    usher_server::run(std::env::args_os(), std::env::vars_os())
}
