//! What must not be below the server: versions with known faults.
//!
//! `deny.toml` has the whole list, for where the database of advisories can be reached.
//! These are the ones that have hurt servers like this one, held without a network.

use cargo_metadata::{MetadataCommand, semver::Version};

/// The first version without the fault, and what the fault was.
const AT_LEAST: &[(&str, &str, &str)] = &[
    (
        "diesel",
        "2.3.10",
        "values above 4 GiB smuggle protocol messages (RUSTSEC-2024-0365 and after)",
    ),
    (
        "h2",
        "0.4.16",
        "a client makes the peer hold memory without bound",
    ),
    (
        "tokio-postgres",
        "0.7.18",
        "a hostile server panics the driver (RUSTSEC-2026-0178 to 0180)",
    ),
    (
        "postgres-protocol",
        "0.6.12",
        "a hostile server panics the driver (RUSTSEC-2026-0178 to 0180)",
    ),
    (
        "rustls-webpki",
        "0.103.0",
        "certificates are checked against constraints that they do not have",
    ),
];

#[test]
fn nothing_is_used_that_is_known_to_be_faulty() {
    let metadata = MetadataCommand::new()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("the workspace has metadata");
    let mut old = Vec::new();
    for (name, first, fault) in AT_LEAST {
        let first = Version::parse(first).expect("a version");
        let mut packages = metadata.packages.iter().filter(|it| it.name == *name);
        old.extend(
            packages
                .by_ref()
                .filter(|package| package.version < first)
                .map(|package| format!("{name} {}: {fault}", package.version)),
        );
    }
    assert!(old.is_empty(), "{old:#?}");
    // A name that is gone from the tree would hold for ever.
    let is_there = |name: &str| metadata.packages.iter().any(|it| it.name == name);
    assert!(AT_LEAST.iter().all(|(name, ..)| is_there(name)));
}
