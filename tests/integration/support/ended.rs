//! The real binary run to its end: exit code, both outputs, peak memory; as another user where asked.

use super::workspace::built;
use std::{env, io::Read, os::unix::process::CommandExt, path::Path, process::Command, process::Stdio, thread};

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; −1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The largest resident set.
    pub peak_mib: i64,
}

impl Ended {
    /// Everything a user sees.
    pub fn seen(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.out, self.err)
    }
}

/// Runs the binary; `timeout` ends it after two minutes (code 124).
pub fn infomax(folder: &Path, arguments: &[&str]) -> Ended {
    infomax_as(folder, arguments, None)
}

/// Runs the binary as another user.
#[expect(clippy::zombie_processes, reason = "`wait4` below waits for it: it tells the peak of memory too")]
pub fn infomax_as(folder: &Path, arguments: &[&str], user: Option<u32>) -> Ended {
    let mut command = Command::new("timeout");
    command.env("OMP_WAIT_POLICY", "passive"); // tests share the cores
    command.arg("120").arg(built().join("infomax")).args(arguments).current_dir(folder);
    env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INFOMAX_")).for_each(|(name, _)| {
        command.env_remove(name);
    });
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let (mut stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let err = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text).expect("text")
    });
    let mut out = String::new();
    stdout.read_to_string(&mut out).expect("text");
    let err = err.join().expect("text");
    let mut status = 0;
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child was spawned here and nobody else waits for it; both pointers are valid for writing.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, child.id() as libc::pid_t, "the child can be waited for");
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 };
    Ended { code, out, err, peak_mib: usage.ru_maxrss / 1024 }
}
