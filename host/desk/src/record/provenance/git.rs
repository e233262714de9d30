//! The commit of a folder, asked of `git` beside other work and for a bounded time: a run neither fails nor waits where git is
//! missing, hangs, or knows nothing of the folder.

use super::super::home::without_home;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long after it was asked git is waited for.
pub const LONGEST: Duration = Duration::from_secs(2);

/// Between two looks at a process that has closed its output.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What git says of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit that is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether a file that git tracks differs from the commit, or a config is none of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
    /// Why neither is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl Git {
    fn unknown(reason: impl Into<String>) -> Self {
        Self { unknown: Some(without_home(&reason.into())), ..Self::default() }
    }
}

/// The process that is asked now.
type Current = Arc<Mutex<Option<Child>>>;

/// A question that git may still be at.
#[derive(Debug)]
pub struct Asked {
    answer: Mutex<Option<Receiver<Git>>>,
    current: Current,
    until: Instant,
}

impl Asked {
    /// Asks for the commit of a folder, and whether those of the files that lie in its repository are tracked.
    pub fn about(folder: &Path, files: &[PathBuf]) -> Self {
        let (send, answer) = channel();
        let current = Current::default();
        let (folder, files, held) = (folder.to_owned(), files.to_owned(), current.clone());
        let ask = move || drop(send.send(ask(&folder, &files, &held)));
        // Without the thread there is no sender, and no answer.
        let _ = thread::Builder::new().name("git".to_owned()).spawn(ask);
        Self { answer: Mutex::new(Some(answer)), current, until: Instant::now() + LONGEST }
    }

    /// What git said, or that it said nothing in time; then it is ended.
    pub fn answer(&self) -> Git {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let left = self.until.saturating_duration_since(Instant::now());
        answer.and_then(|answer| answer.recv_timeout(left).ok()).unwrap_or_else(|| {
            self.end();
            Git::unknown(format!("git did not answer within {} s", LONGEST.as_secs()))
        })
    }

    fn end(&self) {
        if let Some(child) = self.current.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // SAFETY: the child has not been waited for, so its number, which is its group's too, is still its own.
            unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.end();
    }
}

fn ask(folder: &Path, files: &[PathBuf], current: &Current) -> Git {
    let status = match output(folder, &["status", "--porcelain=v2", "--branch", "--untracked-files=no"], current) {
        Ok(status) => status,
        Err(reason) => return Git::unknown(reason),
    };
    let commit = status.lines().find_map(|line| line.strip_prefix("# branch.oid "));
    let Some(commit) = commit.filter(|commit| !commit.starts_with('(')) else {
        return Git::unknown("the repository has no commit yet");
    };
    let differs = status.lines().any(|line| !line.starts_with('#'));
    let is_new = has_untracked(folder, files, current).unwrap_or(false);
    Git { commit: Some(commit.to_owned()), dirty: Some(differs || is_new), unknown: None }
}

/// Whether one of the files that lie in the folder's repository is not tracked there.
fn has_untracked(folder: &Path, files: &[PathBuf], current: &Current) -> Result<bool, String> {
    let top = output(folder, &["rev-parse", "--show-toplevel"], current)?;
    let top = Path::new(top.trim_end_matches('\n'));
    let inside = |file: &PathBuf| {
        let whole = file.canonicalize().ok()?;
        Some(whole.strip_prefix(top).ok()?.to_string_lossy().into_owned())
    };
    let names: Vec<String> = files.iter().filter_map(inside).collect();
    if names.is_empty() {
        return Ok(false);
    }
    let mut arguments = vec!["--literal-pathspecs", "ls-files", "--others", "--"];
    arguments.extend(names.iter().map(String::as_str));
    Ok(!output(top, &arguments, current)?.is_empty())
}

/// What git prints; it takes no lock and asks nobody.
fn output(folder: &Path, arguments: &[&str], current: &Current) -> Result<String, String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"]).args(arguments);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name); // the folder counts
    }
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").process_group(0);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "git is not installed".to_owned(),
        _ => format!("git can't be started: {error}"),
    })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    let (told, complaint) = (read(out), read(err));
    if ended(current).is_some_and(|status| status.success()) {
        return Ok(told);
    }
    let line = complaint.lines().next().unwrap_or("nothing").trim_start_matches("fatal: ");
    Err(format!("git says: {line}"))
}

/// Waits for the end of the current process, which stays free to be ended meanwhile.
fn ended(current: &Current) -> Option<ExitStatus> {
    loop {
        let mut held = current.lock().unwrap_or_else(PoisonError::into_inner);
        let status = held.as_mut()?.try_wait();
        if !matches!(status, Ok(None)) {
            *held = None;
            return status.ok().flatten();
        }
        drop(held);
        thread::sleep(LOOK_AGAIN);
    }
}

fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn git(folder: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let status = Command::new("git").arg("-C").arg(folder).args(identity).args(arguments).output().unwrap().status;
        assert!(status.success(), "git {arguments:?}");
    }

    #[test]
    fn commit_and_changes_are_told_and_what_is_no_repository() {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("SKIPPED: git is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (folder, file) = (folder.path(), folder.path().join("a.toml"));
        let asked = || Asked::about(folder, std::slice::from_ref(&file)).answer();
        assert!(asked().unknown.unwrap().contains("not a git repository"));
        git(folder, &["init", "-q"]);
        assert!(asked().unknown.unwrap().contains("no commit"));
        fs::write(&file, "a = 1").unwrap();
        git(folder, &["add", "a.toml"]);
        git(folder, &["commit", "-qm", "a"]);
        let clean = asked();
        assert_eq!((clean.commit.as_ref().unwrap().len(), clean.dirty), (40, Some(false)));
        fs::write(folder.join("notes.txt"), "").unwrap();
        assert_eq!(asked(), clean, "files that take no part");
        fs::write(&file, "a = 2").unwrap();
        assert_eq!(asked(), Git { dirty: Some(true), ..clean.clone() });
        fs::write(&file, "a = 1").unwrap();
        let below = folder.join("below");
        fs::create_dir(&below).unwrap();
        let (other, elsewhere) = (below.join("b.toml"), tempfile::NamedTempFile::new().unwrap());
        fs::write(&other, "").unwrap();
        let files = [file.clone(), elsewhere.path().to_owned()];
        assert_eq!(Asked::about(folder, &files).answer(), clean, "what lies in no repository, or another");
        assert_eq!(Asked::about(folder, &[file, other]).answer().dirty, Some(true), "a config that is not tracked");
        assert!(Asked::about(Path::new("/nowhere/at/all"), &[]).answer().unknown.is_some());
    }
}
