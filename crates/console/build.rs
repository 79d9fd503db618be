//! Generates the table of embedded assets, each with a gzip copy, and a version that is a
//! digest of all of them.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

const VERSION_BYTES: usize = 8;

fn main() -> io::Result<()> {
    let root =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it")).join("assets");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"));
    println!("cargo::rerun-if-changed=assets");

    let mut paths = Vec::new();
    find_files(&root, &mut paths)?;
    paths.sort();

    let mut digest = Sha256::new();
    let mut table = String::new();
    for (index, path) in paths.iter().enumerate() {
        let name = path.strip_prefix(&root).expect("below the root");
        let name = name
            .to_str()
            .expect("asset names are ASCII")
            .replace('\\', "/");
        let content = fs::read(path)?;
        digest.update(name.len().to_le_bytes());
        digest.update(&name);
        digest.update(content.len().to_le_bytes());
        digest.update(&content);
        let compressed = out.join(format!("{index}.gz"));
        fs::write(&compressed, compress(&content)?)?;
        let (path, compressed) = (path.to_string_lossy(), compressed.to_string_lossy());
        let row = format!(
            "Asset {{ name: {name:?}, content: include_bytes!({path:?}), gzip: include_bytes!({compressed:?}) }},"
        );
        writeln!(table, "{row}").expect("writing to a string succeeds");
    }
    let version = digest
        .finalize()
        .iter()
        .take(VERSION_BYTES)
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let code =
        format!("const VERSION: &str = {version:?};\nstatic ASSETS: &[Asset] = &[\n{table}];\n");
    fs::write(out.join("assets.rs"), code)
}

fn find_files(directory: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn compress(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}
