//! One cell's process: `infomax train` on the cell's config, with the builds that were planned, on its slot's device and cores.

use super::{file::Study, plan::Ready, slots::Slot};
use crate::{
    child::ends_with_this_process,
    config::shown,
    distributed::is_of_a_launcher,
    error::{Error, Result},
    plugin::lock::Lock,
    record::{STARTED_BY, Started, write_whole},
    train::held_for,
};
use infomax_desk::study::{Lease, OUTPUT, RUN, Store};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    iter,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

/// A cell under way.
pub struct Process {
    child: Child,
    pub lease: Lease,
    pub began: Instant,
}

impl Process {
    /// Starts a cell of a study, or goes on with it.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn start(
        study: &Study,
        store: &Store,
        cell: &Ready,
        slot: &Slot,
        lease: Lease,
        folders: &OsString,
    ) -> Result<Self> {
        let folder = store.folder(&cell.id);
        store.write_identity(&cell.id, &cell.identity)?;
        let run = store.run(&cell.id);
        let mut arguments: Vec<OsString> = vec!["train".into()];
        // A run that was killed before its config was written has nothing to go on with.
        if run.join("config.toml").exists() {
            arguments.extend(["--resume".into(), run.clone().into()]);
        } else {
            let _ = fs::remove_dir_all(&run);
            let config = folder.join("config.toml");
            write_whole(&config, cell.toml.as_bytes())?;
            arguments.push(config.into());
            Lock::write(&folder, &cell.libraries)?;
            arguments.push("--locked".into());
            let text = |value: &Path| shown(&value.to_string_lossy().into());
            for (key, value) in [("run_directory", text(&folder)), ("name", text(Path::new(RUN)))] {
                arguments.extend(["--set".into(), format!("record.{key}={value}").into()]);
            }
        }
        if let Some(device) = &slot.device {
            arguments.extend(["--set".into(), format!("train.device={device}").into()]);
        }
        let executable = infomax_desk::program::program().map_err(Error::io("find the executable of", "/proc/self"))?;
        let mut command = Command::new(&executable);
        command.args(arguments).env("INFOMAX_PLUGIN_PATH", folders);
        let files: Vec<PathBuf> = iter::once(study.file().to_owned()).chain(study.base.iter().cloned()).collect();
        command.env(STARTED_BY, Started::this(&files).to_variable());
        let of_configs =
            std::env::vars_os().map(|(name, _)| name).filter(|n| n.to_string_lossy().starts_with("INFOMAX__"));
        // A launcher's word would make the cell one of the launcher's own processes.
        let of_launchers = std::env::vars_os().map(|(name, _)| name).filter(|n| is_of_a_launcher(&n.to_string_lossy()));
        of_configs.chain(of_launchers).for_each(|name| {
            command.env_remove(name);
        });
        let path = folder.join(OUTPUT);
        let output = File::create(&path).map_err(Error::io("write", &path))?;
        let same = output.try_clone().map_err(Error::io("write", &path))?;
        command.stdin(Stdio::null()).stdout(Stdio::from(output)).stderr(Stdio::from(same));
        // Without its driver the cell ends as at any signal: its state is saved.
        ends_with_this_process(&mut command, libc::SIGTERM);
        held_for(&mut command);
        let (lock, cores) = (lease.descriptor(), core_set(&slot.cores));
        // SAFETY: between fork and exec the closure makes two system calls and touches no memory of other threads.
        unsafe {
            command.pre_exec(move || {
                // The lease lasts as long as the cell's process, even where the driver is killed.
                if libc::fcntl(lock, libc::F_SETFD, 0) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                if let Some(cores) = &cores {
                    libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cores); // slower where it fails, not wrong
                }
                Ok(())
            });
        }
        let child = command.spawn().map_err(Error::io("start", &executable))?;
        Ok(Self { child, lease, began: Instant::now() })
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// The system's.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(Error::io("wait for a cell of", "/proc/self"))
    }

    /// Asks the process to save its state and end.
    pub fn ask_to_end(&self) {
        // SAFETY: the child has not been waited for, so its number is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
    }

    /// Waits for the end.
    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn core_set(cores: &[usize]) -> Option<libc::cpu_set_t> {
    // SAFETY: an all-zero set is valid, and each core is below the set's size.
    (!cores.is_empty()).then(|| unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        cores.iter().for_each(|&core| libc::CPU_SET(core, &mut set));
        set
    })
}

/// The last line that a cell's process wrote; `from` bytes at its end are looked at.
pub fn last_line(output: &Path, from: u64) -> Option<String> {
    let mut file = File::open(output).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(from))).ok()?;
    let mut bytes = Vec::new();
    file.take(from).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// What a cell's process said of its failure: from the first line that is an error, or else its last lines.
pub fn last_words(output: &Path) -> String {
    const LINES: usize = 12;
    let bytes = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let start =
        lines.iter().rposition(|line| line.starts_with("error:")).unwrap_or_else(|| lines.len().saturating_sub(3));
    lines[start..].iter().take(LINES).copied().collect::<Vec<_>>().join("\n")
}
