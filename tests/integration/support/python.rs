//! Python packages that read what the binary writes.

use std::{
    env,
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
};

/// A Python that has these modules: `$INFOMAX_PYTHON`, `$INFOMAX_TOOLS_PYTHON` (where tools that read runs may be installed, apart from
/// torch) or `python3`; none, said loudly, where neither does.
pub fn python_with(module: &str) -> Option<OsString> {
    let named = ["INFOMAX_PYTHON", "INFOMAX_TOOLS_PYTHON"].into_iter().filter_map(env::var_os);
    let has_it = |python: &OsString| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {module}")]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = named.chain([OsString::from("python3")]).find(has_it);
    if found.is_none() {
        eprintln!("SKIPPED: no Python that has `{module}`; set INFOMAX_PYTHON or INFOMAX_TOOLS_PYTHON to one");
    }
    found
}

/// What a script prints; it must come to its end.
pub fn printed(python: &OsString, script: &str, argument: &Path) -> String {
    let output = Command::new(python).args(["-c", script]).arg(argument).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
