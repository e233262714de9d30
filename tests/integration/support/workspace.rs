//! The workspace as built: the binary, the plugins that lie beside it, the folder of shared data.

use infomax::plugin::{Component, Kind, LoadComponent, Registry};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the workspace").to_owned()
}

/// Cargo as a user starts it: the one that runs the tests tells them about their own package, and build scripts that look at such
/// variables (ring's) would run again, with all that depends on them.
pub fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR", "RUSTC_BOOTSTRAP"]
            .iter()
            .any(|start| name.to_string_lossy().starts_with(start))
        {
            command.env_remove(name);
        }
    }
    command
}

/// `target/release` or `target/debug`, with everything built once per test run.
pub fn built() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let exe = env::current_exe().expect("a test has an executable");
        let folder = exe.ancestors().nth(2).expect("tests lie in target/<profile>/deps").to_owned();
        let mut cargo = cargo();
        cargo.args(["build", "--quiet", "--workspace", "--bins", "--lib"]).current_dir(root());
        cargo.env("CARGO_TARGET_DIR", folder.parent().expect("a profile lies in target"));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "building the plugins failed");
        folder
    });
    &BUILT
}

/// The reference plugins.
pub fn registry() -> Registry {
    Registry::search(vec![built().to_owned()], &[], None)
}

/// A component of a reference plugin, loaded.
pub fn component(kind: Kind, name: &str) -> Component {
    // Tests run side by side: one thread an operation, or they wait for each other's.
    infomax::native::set_threads(1);
    let (library, name) = registry().load(kind, name, None).unwrap_or_else(|error| panic!("{}", error.fault()));
    Component::new(library, kind, name)
}

/// The shared folder: `$INFOMAX_SHARED`, or `shared` beside the workspace; none, said loudly, where it is missing.
pub fn shared() -> Option<PathBuf> {
    let folder = env::var_os("INFOMAX_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {} is missing; set INFOMAX_SHARED to the folder with `golden` and `data`", folder.display());
    None
}
