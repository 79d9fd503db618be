//! Who may know whom: the direction of dependencies, and what every manifest must say.
//!
//! A crate that is new to the workspace needs a row in [`ROOMS`].

use std::{
    collections::{BTreeSet, HashMap},
    env, fs,
    process::Command,
    sync::OnceLock,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// A crate of the workspace, and what it may see.
struct Room {
    name: &'static str,
    /// The crates of the workspace that it is built on.
    knows: &'static [&'static str],
    /// Those that only its tests use.
    tests_with: &'static [&'static str],
    /// Crates that must not be below it, however far down.
    never: &'static [&'static [&'static str]],
}

const ROOMS: &[Room] = &[
    Room {
        name: "usher-domain",
        knows: &[],
        tests_with: &[],
        never: &[ASYNC, DATABASE, WEB],
    },
    Room {
        name: "usher-store",
        knows: &["usher-domain"],
        tests_with: &[],
        never: &[&["tokio"], DATABASE, WEB],
    },
    Room {
        name: "usher-postgres",
        knows: &["usher-domain", "usher-store"],
        tests_with: &["usher-local-postgres"],
        never: &[WEB, &["usher-api-types"]],
    },
    Room {
        name: "usher-api-types",
        knows: &["usher-domain"],
        tests_with: &[],
        never: &[ASYNC, DATABASE, &["axum", "hyper", "reqwest"]],
    },
    Room {
        name: "usher-identity",
        knows: &["usher-domain"],
        tests_with: &["usher-fake-provider"],
        never: &[DATABASE, &["axum"]],
    },
    Room {
        name: "usher-api",
        knows: &[
            "usher-api-types",
            "usher-domain",
            "usher-identity",
            "usher-store",
        ],
        tests_with: &[],
        never: &[DATABASE],
    },
    Room {
        name: "usher-client",
        knows: &["usher-api-types"],
        tests_with: &[],
        never: &[DATABASE, &["axum", "usher-store"]],
    },
    Room {
        name: "usher-notifier",
        knows: &["usher-domain", "usher-store"],
        tests_with: &[],
        never: &[DATABASE, &["usher-api-types"]],
    },
    Room {
        name: "usher-console",
        knows: &[],
        tests_with: &[],
        never: &[DATABASE, &["reqwest", "utoipa"]],
    },
    Room {
        name: "usher-local-postgres",
        knows: &[],
        tests_with: &[],
        never: &[&["axum", "diesel", "utoipa"]],
    },
    Room {
        name: "usher-server",
        knows: ALL,
        tests_with: OF_TESTS,
        never: &[],
    },
    Room {
        name: "usher-examples",
        knows: LIBRARIES,
        tests_with: LIBRARIES,
        never: &[],
    },
    Room {
        name: "usher-bench",
        knows: LIBRARIES,
        tests_with: LIBRARIES,
        never: &[],
    },
    Room {
        name: "usher-tests",
        knows: OF_TESTS,
        tests_with: OF_TESTS,
        never: &[],
    },
    Room {
        name: "usher-fake-provider",
        knows: &[],
        tests_with: &[],
        never: &[DATABASE],
    },
];

const ASYNC: &[&str] = &["async-trait", "futures-util", "tokio"];
const DATABASE: &[&str] = &["deadpool", "diesel", "diesel-async", "tokio-postgres"];
const WEB: &[&str] = &["axum", "hyper", "reqwest", "utoipa"];
const LIBRARIES: &[&str] = &[
    "usher-api",
    "usher-api-types",
    "usher-client",
    "usher-domain",
    "usher-identity",
    "usher-local-postgres",
    "usher-notifier",
    "usher-postgres",
    "usher-store",
];

/// The libraries, and what is made for the program alone.
const ALL: &[&str] = &[
    "usher-api",
    "usher-api-types",
    "usher-client",
    "usher-console",
    "usher-domain",
    "usher-identity",
    "usher-local-postgres",
    "usher-notifier",
    "usher-postgres",
    "usher-store",
];

/// All of that, and what is made for tests.
const OF_TESTS: &[&str] = &[
    "usher-api",
    "usher-api-types",
    "usher-client",
    "usher-console",
    "usher-domain",
    "usher-fake-provider",
    "usher-identity",
    "usher-local-postgres",
    "usher-notifier",
    "usher-postgres",
    "usher-store",
];

#[test]
fn crates_know_only_those_below_them() {
    let mut wrong = Vec::new();
    for package in metadata().workspace_packages() {
        let name = package.name.as_str();
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            wrong.push(format!("{name} has no row in ROOMS"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|it| it.path.is_some()) {
            let in_tests = dependency.kind == DependencyKind::Development;
            let other = dependency.name.as_str();
            if !(room.knows.contains(&other) || in_tests && room.tests_with.contains(&other)) {
                wrong.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_stay_clear_of_what_is_not_their_business() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let room = ROOMS.iter().find(|room| room.name == package.name.as_str());
        let never = room.map_or(&[] as &[_], |room| room.never).concat();
        let below = below(metadata, &package.id);
        for other in never.iter().filter(|other| below.contains(**other)) {
            wrong.push(format!("{} has {other} below it", package.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_below_is_found_far_down() {
    let metadata = metadata();
    let server = package("usher-server");
    let below = below(metadata, &server.id);
    // Each is what some rule above forbids: a rule that looks for a name that is not there
    // any more would hold for ever.
    for name in [ASYNC, DATABASE, WEB].concat() {
        let is_of_the_client = name == "reqwest";
        assert!(is_of_the_client || below.contains(name), "{name}");
    }
    let client = package("usher-client");
    assert!(self::below(metadata, &client.id).contains("reqwest"));
}

#[test]
fn what_is_published_says_what_it_is() {
    let packages = metadata().workspace_packages().into_iter();
    let silent: Vec<_> = packages
        .filter(|package| package.publish.is_none())
        .filter(|package| {
            package.description.is_none()
                || package.license.is_none()
                || package.repository.is_none()
                || package.rust_version.is_none()
                || package.keywords.is_empty()
                || package.categories.is_empty()
        })
        .map(|package| package.name.as_str())
        .collect();
    assert!(
        silent.is_empty(),
        "description, license, repository, rust-version, keywords or categories: {silent:?}"
    );
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let mut wrong = Vec::new();
    for package in metadata().workspace_packages() {
        let text = fs::read_to_string(&package.manifest_path).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let own = manifest["package"].as_table().unwrap();
        for key in ["version", "edition", "rust-version", "license"] {
            if !is_inherited(own.get(key)) {
                wrong.push(format!("{}: package.{key}", package.name));
            }
        }
        if manifest
            .get("lints")
            .is_none_or(|lints| !is_inherited(Some(lints)))
        {
            wrong.push(format!("{}: lints", package.name));
        }
        for (name, dependency) in dependencies(&manifest) {
            if !is_inherited(Some(dependency)) {
                wrong.push(format!("{}: {name}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "not `workspace = true`: {wrong:#?}");
}

/// Crates with published faults that a hostile peer could use, and the releases without them.
const REPAIRED: [(&str, [u64; 3]); 5] = [
    ("diesel", [2, 3, 10]),
    ("h2", [0, 4, 16]),
    ("postgres-protocol", [0, 6, 12]),
    ("postgres-types", [0, 2, 14]),
    ("tokio-postgres", [0, 7, 18]),
];

#[test]
fn nothing_is_older_than_the_repair_of_its_published_faults() {
    for (name, [major, minor, patch]) in REPAIRED {
        let found = metadata().packages.iter().filter(|it| it.name == name);
        for package in found {
            let version = &package.version;
            let release = (version.major, version.minor, version.patch);
            assert!(release >= (major, minor, patch), "{name} {version}");
        }
    }
}

/// The workspace, with what is used on this machine: what other platforms need was never
/// fetched.
fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        MetadataCommand::new()
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .other_options([
                "--locked".to_owned(),
                format!("--filter-platform={}", host()),
            ])
            .exec()
            .unwrap()
    })
}

/// The platform that we are on, as the compiler calls it.
fn host() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("`rustc -vV` names the host").to_owned()
}

fn package(name: &str) -> &'static Package {
    let packages = metadata().workspace_packages();
    let found = packages.into_iter().find(|it| it.name.as_str() == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

/// The names of all crates that a crate is built on, however far down. What only tests use
/// does not count.
fn below(metadata: &Metadata, root: &PackageId) -> BTreeSet<String> {
    let resolve = metadata
        .resolve
        .as_ref()
        .expect("dependencies are resolved");
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::new();
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        let built_on = nodes[id].deps.iter().filter(|dependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind != DependencyKind::Development)
        });
        for dependency in built_on {
            if seen.insert(&dependency.pkg) {
                left.push(&dependency.pkg);
            }
        }
    }
    let names = seen.into_iter().map(|id| metadata[id].name.to_string());
    names.collect()
}

/// All dependencies of a manifest, those of tests, build scripts and platforms included.
fn dependencies(manifest: &toml::Table) -> impl Iterator<Item = (&String, &toml::Value)> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let of_platforms = platforms.into_iter().flat_map(toml::Table::values);
    std::iter::once(manifest)
        .chain(of_platforms.filter_map(toml::Value::as_table))
        .flat_map(|table| KINDS.into_iter().filter_map(|kind| table.get(kind)))
        .filter_map(toml::Value::as_table)
        .flatten()
}

fn is_inherited(value: Option<&toml::Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(toml::Value::as_bool)
        == Some(true)
}
