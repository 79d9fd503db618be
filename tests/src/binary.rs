//! The binary under test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};
use cargo_metadata::Message;

/// Returns the path of the `usher` binary, built from the current sources.
///
/// Cargo passes integration tests only the binaries of their own package, so this runs
/// `cargo build` once per test run. `USHER_BINARY` selects another binary, such as a release.
pub fn usher() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY
        .get_or_init(|| match env::var_os("USHER_BINARY") {
            Some(binary) => Ok(binary.into()),
            None => build().map_err(|error| format!("{error:#}")),
        })
        .as_deref()
        .map_err(|error| anyhow!("{error}"))
}

fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package=usher-server", "--bin=usher"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("cargo build")?;
    if !output.status.success() {
        bail!("cargo build: {}", output.status);
    }
    for message in Message::parse_stream(output.stdout.as_slice()) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == "usher"
            && let Some(binary) = artifact.executable
        {
            return Ok(binary.into());
        }
    }
    bail!("cargo build reported no usher binary")
}
