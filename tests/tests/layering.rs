//! The allowed dependencies between crates, and the required fields of manifests.
//!
//! A new crate of the workspace needs an entry in [`RULES`].

use std::{
    collections::{BTreeSet, HashMap},
    env, fs,
    process::Command,
    sync::OnceLock,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// What a crate of the workspace may depend on.
struct Rule {
    name: &'static str,
    /// The crates of the workspace that it may depend on.
    allowed: &'static [&'static str],
    /// Further crates of the workspace that its tests may depend on.
    allowed_in_tests: &'static [&'static str],
    /// Crates that it must not depend on, even transitively.
    forbidden: &'static [&'static [&'static str]],
}

const RULES: &[Rule] = &[
    Rule {
        name: "usher-domain",
        allowed: &[],
        allowed_in_tests: &[],
        forbidden: &[ASYNC, DATABASE, WEB],
    },
    Rule {
        name: "usher-store",
        allowed: &["usher-domain"],
        allowed_in_tests: &[],
        forbidden: &[&["tokio"], DATABASE, WEB],
    },
    Rule {
        name: "usher-postgres",
        allowed: &["usher-domain", "usher-store"],
        allowed_in_tests: &["usher-local-postgres"],
        forbidden: &[WEB, &["usher-api-types"]],
    },
    Rule {
        name: "usher-api-types",
        allowed: &["usher-domain"],
        allowed_in_tests: &[],
        forbidden: &[ASYNC, DATABASE, &["axum", "hyper", "reqwest"]],
    },
    Rule {
        name: "usher-identity",
        allowed: &["usher-domain"],
        allowed_in_tests: &["usher-fake-provider"],
        forbidden: &[DATABASE, &["axum"]],
    },
    Rule {
        name: "usher-api",
        allowed: &[
            "usher-api-types",
            "usher-domain",
            "usher-identity",
            "usher-store",
        ],
        allowed_in_tests: &[],
        forbidden: &[DATABASE],
    },
    Rule {
        name: "usher-client",
        allowed: &["usher-api-types"],
        allowed_in_tests: &[],
        forbidden: &[DATABASE, &["axum", "usher-store"]],
    },
    Rule {
        name: "usher-notifier",
        allowed: &["usher-domain", "usher-store"],
        allowed_in_tests: &[],
        forbidden: &[DATABASE, &["usher-api-types"]],
    },
    Rule {
        name: "usher-console",
        allowed: &[],
        allowed_in_tests: &[],
        forbidden: &[DATABASE, &["reqwest", "utoipa"]],
    },
    Rule {
        name: "usher-local-postgres",
        allowed: &[],
        allowed_in_tests: &[],
        forbidden: &[&["axum", "diesel", "utoipa"]],
    },
    Rule {
        name: "usher-server",
        allowed: ALL,
        allowed_in_tests: OF_TESTS,
        forbidden: &[],
    },
    Rule {
        name: "usher-examples",
        allowed: LIBRARIES,
        allowed_in_tests: LIBRARIES,
        forbidden: &[],
    },
    Rule {
        name: "usher-bench",
        allowed: LIBRARIES,
        allowed_in_tests: LIBRARIES,
        forbidden: &[],
    },
    Rule {
        name: "usher-tests",
        allowed: OF_TESTS,
        allowed_in_tests: OF_TESTS,
        forbidden: &[],
    },
    Rule {
        name: "usher-fake-provider",
        allowed: &[],
        allowed_in_tests: &[],
        forbidden: &[DATABASE],
    },
    Rule {
        name: "usher-test-browser",
        allowed: &[],
        allowed_in_tests: &[],
        forbidden: &[DATABASE, WEB],
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

/// The libraries, and the crates that only the server uses.
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

/// All of that, and the crates for tests.
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
    "usher-test-browser",
];

#[test]
fn crates_depend_only_on_allowed_crates() {
    let mut wrong = Vec::new();
    for package in metadata().workspace_packages() {
        let name = package.name.as_str();
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            wrong.push(format!("{name} has no entry in RULES"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|it| it.path.is_some()) {
            let in_tests = dependency.kind == DependencyKind::Development;
            let other = dependency.name.as_str();
            if !(rule.allowed.contains(&other)
                || in_tests && rule.allowed_in_tests.contains(&other))
            {
                wrong.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_do_not_depend_on_forbidden_crates() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let rule = RULES.iter().find(|rule| rule.name == package.name.as_str());
        let forbidden = rule.map_or(&[] as &[_], |rule| rule.forbidden).concat();
        let used = transitive_dependencies(metadata, &package.id);
        for other in forbidden.iter().filter(|other| used.contains(**other)) {
            wrong.push(format!("{} depends on {other}", package.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn forbidden_crates_exist_in_the_dependency_tree() {
    let metadata = metadata();
    let server = transitive_dependencies(metadata, &package("usher-server").id);
    // A rule about a crate that is no longer used would always pass.
    for name in [ASYNC, DATABASE, WEB].concat() {
        let is_used_by_client_only = name == "reqwest";
        assert!(is_used_by_client_only || server.contains(name), "{name}");
    }
    let client = transitive_dependencies(metadata, &package("usher-client").id);
    assert!(client.contains("reqwest"));
}

#[test]
fn published_crates_have_complete_metadata() {
    let packages = metadata().workspace_packages().into_iter();
    let incomplete: Vec<_> = packages
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
        incomplete.is_empty(),
        "description, license, repository, rust-version, keywords or categories missing: {incomplete:?}"
    );
}

#[test]
fn versions_are_inherited_from_the_root_manifest() {
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

/// Crates with published vulnerabilities, and the first releases without them.
const FIXED_IN: [(&str, [u64; 3]); 5] = [
    ("diesel", [2, 3, 10]),
    ("h2", [0, 4, 16]),
    ("postgres-protocol", [0, 6, 12]),
    ("postgres-types", [0, 2, 14]),
    ("tokio-postgres", [0, 7, 18]),
];

#[test]
fn no_dependency_has_these_published_vulnerabilities() {
    for (name, [major, minor, patch]) in FIXED_IN {
        let found = metadata().packages.iter().filter(|it| it.name == name);
        for package in found {
            let version = &package.version;
            let release = (version.major, version.minor, version.patch);
            assert!(release >= (major, minor, patch), "{name} {version}");
        }
    }
}

/// Returns the metadata of the workspace for this platform only, since dependencies of
/// other platforms may not be fetched.
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

/// Returns the target triple of this machine.
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
    found.unwrap_or_else(|| panic!("{name} not found"))
}

/// Returns the names of all direct and transitive dependencies, except dev-dependencies.
fn transitive_dependencies(metadata: &Metadata, root: &PackageId) -> BTreeSet<String> {
    let resolve = metadata
        .resolve
        .as_ref()
        .expect("dependencies are resolved");
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::new();
    let mut queue = vec![root];
    while let Some(id) = queue.pop() {
        let dependencies = nodes[id].deps.iter().filter(|dependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind != DependencyKind::Development)
        });
        for dependency in dependencies {
            if seen.insert(&dependency.pkg) {
                queue.push(&dependency.pkg);
            }
        }
    }
    let names = seen.into_iter().map(|id| metadata[id].name.to_string());
    names.collect()
}

/// Returns all dependencies of a manifest, including those of tests, build scripts and
/// platforms.
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
