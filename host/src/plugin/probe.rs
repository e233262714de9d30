//! A library's constructors run before any check of its entry can. One that this user has not loaded before is therefore
//! loaded in a child process first: if it crashes or hangs there, it is refused here.

use super::{Candidate, PluginError};
use std::{
    env, fs,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(30); // libtorch itself takes a quarter of a second
const MOST_SAID: u64 = 1 << 20;
const POLL: Duration = Duration::from_millis(5);

/// What the child says at its end, beside the library's hash: an exit code alone may be the library's own.
pub const LOADED: &str = "loaded";
/// What the child says of a library that this host refuses.
pub const REFUSED: &str = "refused";

static PROBER: OnceLock<PathBuf> = OnceLock::new();

/// From now on, libraries that were never loaded before are loaded by `infomax plugin probe` first; `executable` is that
/// binary. A program that only links this library leaves it, and trusts its plugins.
pub fn probe_with(executable: PathBuf) {
    let _ = PROBER.set(executable);
}

/// Loads an unknown library in a child, where that was asked for.
pub(super) fn in_child(candidate: &Candidate) -> Result<(), PluginError> {
    let Some(executable) = PROBER.get() else { return Ok(()) };
    let known = known_file(&candidate.sha256);
    if known.as_ref().is_some_and(|known| known.exists()) {
        return Ok(());
    }
    let refuse = |reason: String| {
        PluginError::refused(&candidate.path, reason, "look at its static constructors, and at the libraries it links")
    };
    match try_in(executable, candidate) {
        // A refusal has its own words, which loading here finds again; a child that can't start proves nothing.
        Err(error) => log::warn!("{} was not tried in a child process: {error}", candidate.path.display()),
        Ok(None) => {
            let seconds = DEADLINE.as_secs();
            return Err(refuse(format!("it hangs while it is loaded: nothing after {seconds} s in a child process")));
        }
        Ok(Some((status, said))) => {
            if let Some(signal) = status.signal() {
                return Err(refuse(format!("it ends the process that loads it, by signal {signal}")));
            }
            let word = |word: &str| said.lines().any(|line| line == format!("{word} {}", candidate.sha256));
            match status.code() {
                Some(0) if word(LOADED) => known.iter().for_each(|known| remember(known)),
                Some(3) if word(REFUSED) => {}
                code => {
                    let code = code.unwrap_or_default();
                    return Err(refuse(format!("it ends the process that loads it, with exit code {code}")));
                }
            }
        }
    }
    Ok(())
}

/// How the child ended, and what it wrote; none where it hangs.
fn try_in(executable: &Path, candidate: &Candidate) -> std::io::Result<Option<(ExitStatus, String)>> {
    let mut command = Command::new(executable);
    // Whether its libtorch may be another one was settled when it became a candidate.
    command.args(["plugin", "probe", "--allow-torch-skew", &candidate.manifest.name]).arg(&candidate.path);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let stdout = child.stdout.take().expect("piped");
    // Read beside: what the library itself writes may fill the pipe.
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        let _ = stdout.take(MOST_SAID).read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let status = wait(child)?;
    Ok(status.map(|status| (status, reader.join().unwrap_or_default())))
}

fn wait(mut child: Child) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// The mark that a library was loaded before; none where the user has no cache folder.
fn known_file(sha256: &str) -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".cache"));
    Some(cache.or_else(home)?.join("infomax/loaded").join(sha256))
}

fn remember(known: &Path) {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(known.parent().expect("a file lies in a folder"))?;
        fs::write(known, "")
    };
    if let Err(error) = write() {
        log::debug!("{}: {error}; the library is tried in a child again next time", known.display());
    }
}
