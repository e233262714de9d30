//! The directory of one run, held by one process at a time.
//!
//! The lock is the kernel's (flock): it ends with the process, however that ends. What stands in the lock file only tells
//! others who holds it, and its time that the holder lives: a lock may not reach from one machine to another.

use super::error::RecordError;
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What is worth knowing of a run afterwards, with times.
pub const LOG_FILE: &str = "infomax.log";
/// The file in a run directory that is locked while the run lives.
pub const LOCK_FILE: &str = "run.lock";

/// Who holds a run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process; 0 where it can't be told.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it started, in UTC: `2026-01-31T23:59:59Z`.
    pub started: String,
}

impl Holder {
    fn this_process() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pid: std::process::id(), host: host_name(), started: utc(since.as_secs()) }
    }
}

/// What this machine calls itself.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "an unknown machine".to_owned(), |name| name.trim().to_owned())
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => f.write_str("another process"),
            pid => write!(f, "process {pid} on {}, started {}", self.host, self.started),
        }
    }
}

/// The directory of one run; unlocked when dropped.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    lock: File,
    /// What stood in the lock file, which comes back where nothing of the run is changed.
    before: String,
    is_accepted: Cell<bool>,
    /// Ends the signs of life when dropped.
    _beating: Sender<()>,
}

impl Drop for RunDirectory {
    /// Says that this process came to its end: a name that stays in the file is that of one that did not.
    fn drop(&mut self) {
        let _ = self.lock.set_len(0);
        if !self.is_accepted.get() && !self.before.is_empty() {
            let _ = self.lock.rewind().and_then(|()| self.lock.write_all(self.before.as_bytes()));
        }
    }
}

impl RunDirectory {
    /// Takes `parent/name` for a new run.
    ///
    /// # Errors
    /// A name or a symbolic link that leads elsewhere, a directory that another process holds or that is not empty.
    pub fn create(parent: &Path, name: &str) -> Result<Self, RecordError> {
        check_name(name)?;
        let path = parent.join(name);
        if path.is_symlink() {
            return Err(RecordError::Link { path });
        }
        fs::create_dir_all(&path).map_err(RecordError::file("make the folder", &path))?;
        Self::take(path, false)
    }

    /// Takes a directory `parent/<experiment>-<n>` that didn't exist.
    ///
    /// # Errors
    /// As [`RunDirectory::create`].
    pub fn create_numbered(parent: &Path, experiment: &str) -> Result<Self, RecordError> {
        check_name(experiment)?;
        fs::create_dir_all(parent).map_err(RecordError::file("make the folder", parent))?;
        for number in 1_u64.. {
            let path = parent.join(format!("{experiment}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Self::take(path, false),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RecordError::file("make the folder", &path)(error)),
            }
        }
        unreachable!("the numbers don't end")
    }

    /// Takes the directory of a run that is to go on.
    ///
    /// # Errors
    /// A directory that doesn't exist or that another process holds.
    pub fn resume(path: &Path) -> Result<Self, RecordError> {
        if !path.is_dir() {
            return Err(RecordError::Missing { path: path.to_path_buf() });
        }
        Self::take(path.to_path_buf(), true)
    }

    /// From here on the run is this process's: until then nothing of it has changed.
    pub fn accept(&self) {
        self.is_accepted.set(true);
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn take(path: PathBuf, may_hold_files: bool) -> Result<Self, RecordError> {
        let file = path.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW);
        let mut lock = options.open(&file).map_err(RecordError::file("write", &file))?;
        match locked(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecordError::Held { holder: holder(&mut lock), path }),
            Err(TryLockError::Error(error)) => return Err(RecordError::file("lock", &file)(error)),
        }
        if !may_hold_files {
            if !is_of_a_start(&path).map_err(RecordError::file("read", &path))? {
                return Err(RecordError::NotEmpty { path });
            }
            clear(&path).map_err(RecordError::file("empty", &path))?;
        }
        let mut before = String::new();
        let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut before));
        if let Ok(before) = serde_json::from_str::<Holder>(&before) {
            log::warn!("`{}` was held by {before}, which ended without a word; it is taken over", path.display());
        }
        let text = serde_json::to_string(&Holder::this_process()).expect("three plain fields");
        let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(text.as_bytes()));
        written.map_err(RecordError::file("write", &file))?;
        let beating = beat(std::path::absolute(&file).map_err(RecordError::file("find", &file))?);
        Ok(Self { path, lock, before, is_accepted: Cell::new(!may_hold_files), _beating: beating })
    }
}

/// Locks a file for this process alone. Whoever looks whether a run is held has it locked for a moment.
fn locked(lock: &File) -> Result<(), TryLockError> {
    const LOOKS: usize = 20;
    for _ in 1..LOOKS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
    lock.try_lock()
}

/// Keeps a lock file young until what it gives is dropped.
fn beat(file: PathBuf) -> Sender<()> {
    let (beating, ended) = mpsc::channel();
    // Without the thread only other machines, to which the lock does not reach, take the run for lost.
    let _ = thread::Builder::new().name("signs of life".to_owned()).spawn(move || {
        while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let _ = File::open(&file).and_then(|file| file.set_modified(SystemTime::now()));
        }
    });
    beating
}

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// How long another machine's process counts as alive without one; clocks and shared folders may be behind by some of it.
const ALIVE: Duration = Duration::from_secs(60);

/// What the start of a run writes before it trains.
const OF_A_START: [&str; 9] = [
    LOCK_FILE,
    "config.toml",
    "hardware.json",
    "history.json",
    LOG_FILE,
    "metrics.jsonl",
    "origins.json",
    "plugins",
    "run.json",
];

/// Whether a directory holds no more than a start that never trained has left there.
fn is_of_a_start(path: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let has_metrics = name == "metrics.jsonl" && entry.metadata()?.len() > 0;
        let is_known = OF_A_START.iter().chain(&["ranks", "tensorboard"]).any(|known| name == *known);
        if !is_known || has_metrics {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes what such a start has left, but for the lock.
fn clear(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == LOCK_FILE {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Who wrote the lock file; the holder may be about to write it.
fn holder(lock: &mut File) -> Holder {
    for _ in 0..20 {
        if let Some(holder) = read_holder(lock) {
            return holder;
        }
        thread::sleep(Duration::from_millis(10));
    }
    Holder::default()
}

fn read_holder(lock: &mut File) -> Option<Holder> {
    let mut text = String::new();
    lock.rewind().and_then(|()| lock.read_to_string(&mut text)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether a process holds this run directory now: by the lock, and where that does not reach from the holder's machine to this one by
/// its signs of life.
pub fn is_held(run: &Path) -> bool {
    let Ok(mut lock) = File::open(run.join(LOCK_FILE)) else { return false };
    if matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return true;
    }
    let _ = lock.unlock();
    let is_elsewhere = read_holder(&mut lock).is_some_and(|holder| holder.host != host_name());
    is_elsewhere && lock.metadata().and_then(|facts| facts.modified()).is_ok_and(|then| is_young(then, ALIVE))
}

/// Whether another process holds this run directory now.
pub fn is_held_by_another(run: &Path) -> bool {
    let own = Holder::this_process();
    let holder = || read_holder(&mut File::open(run.join(LOCK_FILE)).ok()?);
    is_held(run) && holder().is_none_or(|holder| holder.pid != own.pid || holder.host != own.host)
}

/// Whether a time lies less than so long back, or ahead of this machine's clock.
fn is_young(then: SystemTime, age: Duration) -> bool {
    then.elapsed().map_or(true, |elapsed| elapsed < age)
}

fn check_name(name: &str) -> Result<(), RecordError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    if starts_well && name.len() <= 200 && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(RecordError::Name { name: name.to_owned() })
}

/// Seconds since 1970 to the minute, in UTC: `2026-01-31 23:59`.
pub fn minute(seconds: u64) -> String {
    utc(seconds).replace('T', " ").chars().take(16).collect()
}

/// Seconds since 1970 as a date, by Hinnant's days-to-civil algorithm.
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_learns_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunDirectory::create(folder.path(), "a").unwrap();
        for second in [RunDirectory::create(folder.path(), "a"), RunDirectory::resume(first.path())] {
            let Err(RecordError::Held { holder, .. }) = second else { panic!("taken twice") };
            assert_eq!(holder.pid, std::process::id());
        }
        drop(first);
        assert!(RunDirectory::create(folder.path(), "a").is_ok());
    }

    #[test]
    fn used_directory_is_refused_unless_resumed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/metrics.jsonl"), "{}").unwrap();
        assert!(matches!(RunDirectory::create(folder.path(), "a"), Err(RecordError::NotEmpty { .. })));
        assert!(RunDirectory::resume(&folder.path().join("a")).is_ok());
        assert!(matches!(RunDirectory::resume(&folder.path().join("b")), Err(RecordError::Missing { .. })));
    }

    #[test]
    fn a_start_that_never_trained_blocks_nothing_and_other_files_do() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a");
        fs::create_dir_all(run.join("plugins")).unwrap();
        for file in ["config.toml", "origins.json", "infomax.log", "metrics.jsonl", "plugins/lib.so"] {
            fs::write(run.join(file), "").unwrap();
        }
        drop(RunDirectory::create(folder.path(), "a").unwrap());
        assert_eq!(fs::read_dir(&run).unwrap().count(), 1, "the lock alone");
        for file in ["notes.txt", "encoder.safetensors"] {
            fs::write(run.join(file), "").unwrap();
            assert!(matches!(RunDirectory::create(folder.path(), "a"), Err(RecordError::NotEmpty { .. })));
            fs::remove_file(run.join(file)).unwrap();
        }
        fs::create_dir(run.join("checkpoints")).unwrap();
        assert!(matches!(RunDirectory::create(folder.path(), "a"), Err(RecordError::NotEmpty { .. })));
    }

    #[test]
    fn a_run_that_is_refused_has_its_lock_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("a").join(LOCK_FILE);
        drop(RunDirectory::create(folder.path(), "a").unwrap());
        let text = serde_json::to_string(&Holder { pid: 7, ..Holder::default() }).unwrap();
        fs::write(&lock, &text).unwrap();
        drop(RunDirectory::resume(&folder.path().join("a")).unwrap());
        assert_eq!(fs::read_to_string(&lock).unwrap(), text);
        let run = RunDirectory::resume(&folder.path().join("a")).unwrap();
        run.accept();
        drop(run);
        assert_eq!(fs::read_to_string(&lock).unwrap(), "");
    }

    #[test]
    fn a_process_of_another_machine_counts_while_it_gives_signs_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let age = |host: &str, seconds: u64| {
            let text = serde_json::to_string(&Holder { pid: 7, host: host.to_owned(), ..Holder::default() }).unwrap();
            fs::write(run.join(LOCK_FILE), text).unwrap();
            let file = File::options().write(true).open(run.join(LOCK_FILE)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
            is_held(run)
        };
        assert!(age("elsewhere", 10) && !age("elsewhere", 600));
        assert!(!age(&host_name(), 0), "here the lock tells");
        fs::write(run.join(LOCK_FILE), "").unwrap();
        assert!(!is_held(run), "it came to its end");
    }

    #[test]
    fn nobody_who_looks_keeps_a_run_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..50 {
            let name = n.to_string();
            let run = folder.path().join(&name);
            fs::create_dir_all(&run).unwrap();
            fs::write(run.join(LOCK_FILE), "").unwrap();
            thread::scope(|scope| {
                let looks = scope.spawn(|| (0..2000).filter(|_| is_held(&run)).count());
                drop(RunDirectory::create(folder.path(), &name).unwrap());
                looks.join().unwrap();
            });
        }
    }

    #[test]
    fn numbered_names_are_fresh_for_each_of_many_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let take = || RunDirectory::create_numbered(folder.path(), "shapes-demo").unwrap();
        let taken: Vec<RunDirectory> = thread::scope(|scope| {
            (0..20).map(|_| scope.spawn(take)).collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).collect()
        });
        let mut names: Vec<_> = taken.iter().map(|run| run.path().to_path_buf()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 20);
    }

    #[test]
    fn one_of_many_gets_a_named_directory() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let take = || RunDirectory::create(folder.path(), "a");
            let tried: Vec<_> = thread::scope(|scope| {
                (0..4).map(|_| scope.spawn(take)).collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(tried.iter().filter(|result| result.is_ok()).count(), 1);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../x", "a/b", "/x", "a\0", ".hidden", "-x", &"x".repeat(300), "a\nb", "ä"] {
            assert!(matches!(RunDirectory::create(folder.path(), name), Err(RecordError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn links_that_lead_elsewhere_are_refused() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for target in [outside.path().to_path_buf(), outside.path().join("nowhere")] {
            let link = folder.path().join("a");
            std::os::unix::fs::symlink(target, &link).unwrap();
            assert!(matches!(RunDirectory::create(folder.path(), "a"), Err(RecordError::Link { .. })));
            fs::remove_file(link).unwrap();
        }
        // A lock file that is a link would be written through.
        fs::create_dir(folder.path().join("b")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("lock"), folder.path().join("b").join(LOCK_FILE)).unwrap();
        assert!(RunDirectory::create(folder.path(), "b").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn dates_are_right() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(utc(4_102_444_799), "2099-12-31T23:59:59Z");
    }
}
