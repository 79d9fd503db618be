//! The options of jemalloc in `.cargo/config.toml` reach the program.
#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn the_allocator_has_the_options_of_the_cargo_configuration() {
    let output = Command::new(env!("CARGO_BIN_EXE_usher"))
        .arg("version")
        .env("_RJEM_MALLOC_CONF", "stats_print:true")
        .output()
        .unwrap();

    let statistics = String::from_utf8(output.stderr).unwrap();
    for option in [
        "opt.background_thread: true",
        "opt.dirty_decay_ms: 1000",
        "opt.tcache_max: 4096",
    ] {
        assert!(statistics.contains(option), "{option}: {statistics}");
    }
}
