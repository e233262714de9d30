//! Who works on a cell: at most one process of all machines that share the folder.
//!
//! A lease is a numbered file in the cell's folder. Taking one over means making the next number, which the file system grants
//! to one alone. Its holder keeps the file locked; on the holder's machine the kernel ends that with the processes that have it
//! open, the driver and the cell's own. Other machines go by the file's age, which the driver keeps young.

use crate::{
    error::{Error, Result},
    plain,
    record::{host_name, now},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Seek, Write},
    os::fd::{AsRawFd, RawFd},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const PREFIX: &str = "lease-";

/// Who holds a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    pub host: String,
    /// Tells machines of one name apart, and one machine before and after it went down.
    pub boot: String,
    pub pid: u32,
    /// In seconds since 1970.
    pub since: u64,
    /// Given back.
    pub released: bool,
}

impl fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

impl LeaseHolder {
    fn this_process() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { host: host_name(), boot: boot.trim().to_owned(), pid: std::process::id(), since: now(), released: false }
    }

    fn is_on(&self, other: &Self) -> bool {
        self.host == other.host && self.boot == other.boot
    }
}

/// A lease that this process holds; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
}

/// What asking for a lease gave.
#[derive(Debug)]
pub enum Asked {
    Taken(Lease),
    /// Somebody else has it.
    Held(LeaseHolder),
}

impl Lease {
    /// Asks for a cell; `lifetime`: how old the lease of another machine may be.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn ask(folder: &Path, lifetime: Duration) -> Result<Asked> {
        let own = LeaseHolder::this_process();
        let newest = numbers(folder)?.last().copied().unwrap_or(0);
        if newest > 0
            && let Some(holder) = holder_of(&path_of(folder, newest), &own, lifetime)?
        {
            return Ok(Asked::Held(holder));
        }
        let path = path_of(folder, newest + 1);
        let mut options = OpenOptions::new();
        let mut file = match options.read(true).write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Asked::Held(LeaseHolder::default())),
            Err(error) => return Err(Error::io("write", &path)(error)),
        };
        // Nobody else can have opened it for long: only to see who holds it.
        file.lock().map_err(Error::io("lock", &path))?;
        write(&mut file, &own).map_err(Error::io("write", &path))?;
        // Somebody who saw an older state of the folder may have made a number that was gone already.
        let numbers = numbers(folder)?;
        if numbers.last() != Some(&(newest + 1)) {
            let _ = fs::remove_file(&path);
            return Ok(Asked::Held(LeaseHolder::default()));
        }
        for number in numbers.into_iter().filter(|&number| number <= newest) {
            let _ = fs::remove_file(path_of(folder, number));
        }
        Ok(Asked::Taken(Self { file, path }))
    }

    /// Who holds a cell now.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn holder(folder: &Path, lifetime: Duration) -> Result<Option<LeaseHolder>> {
        match numbers(folder)?.last() {
            Some(&newest) => holder_of(&path_of(folder, newest), &LeaseHolder::this_process(), lifetime),
            None => Ok(None),
        }
    }

    /// Tells other machines that the holder lives; whether the lease is still its own. It is not where the holder was silent
    /// for so long that another took it over.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn keep(&self) -> Result<bool> {
        self.file.set_modified(SystemTime::now()).map_err(Error::io("write", &self.path))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        Ok(numbers(folder)?.last().is_some_and(|&newest| path_of(folder, newest) == self.path))
    }

    /// What a child must inherit for the lease to last as long as it does.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = write(&mut self.file, &LeaseHolder { released: true, ..LeaseHolder::this_process() });
    }
}

fn write(file: &mut File, holder: &LeaseHolder) -> std::io::Result<()> {
    let text = serde_json::to_string(holder).expect("plain fields");
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number}"))
}

/// The numbers of a folder's leases, in order.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let number = |name: &str| name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
    let mut numbers: Vec<u64> =
        entries.flatten().filter_map(|entry| number(&entry.file_name().to_string_lossy())).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Who holds this lease; none where it is free.
fn holder_of(path: &Path, own: &LeaseHolder, lifetime: Duration) -> Result<Option<LeaseHolder>> {
    let file = match plain::open(path) {
        Ok(file) => file,
        // Replaced this moment: whoever did that holds the next one.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(LeaseHolder::default())),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    if file.try_lock_shared().is_err() {
        // Locked here, by a process that may be writing it now.
        let holder = plain::read(path, plain::SMALL).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        return Ok(Some(holder.unwrap_or_default()));
    }
    let modified = file.metadata().and_then(|facts| facts.modified()).map_err(Error::io("read", path))?;
    let is_young = modified.elapsed().is_ok_and(|age| age < lifetime);
    let text = plain::read(path, plain::SMALL).map_err(Error::io("read", path))?;
    Ok(match serde_json::from_slice::<LeaseHolder>(&text) {
        Ok(holder) if holder.released || holder.is_on(own) => None, // nobody has it locked
        Ok(holder) => is_young.then_some(holder),
        // Made, and not yet written; or its holder was killed in between.
        Err(_) => is_young.then(LeaseHolder::default).filter(|_| modified.elapsed().is_ok_and(|age| age < UNWRITTEN)),
    })
}

/// How long a lease may be empty.
const UNWRITTEN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LIFETIME: Duration = Duration::from_secs(600);

    fn taken(folder: &Path) -> Option<Lease> {
        match Lease::ask(folder, LIFETIME).unwrap() {
            Asked::Taken(lease) => Some(lease),
            Asked::Held(_) => None,
        }
    }

    fn put(folder: &Path, number: u64, holder: &LeaseHolder, age: Duration) {
        let mut file = File::create(path_of(folder, number)).unwrap();
        write(&mut file, holder).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn one_of_many_gets_the_lease_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let all: Vec<Option<Lease>> = thread::scope(|scope| {
                let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| taken(folder.path()))).collect();
                asked.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(all.iter().flatten().count(), 1);
            assert_eq!(Lease::holder(folder.path(), LIFETIME).unwrap().unwrap().pid, std::process::id());
            drop(all);
            assert_eq!(Lease::holder(folder.path(), LIFETIME).unwrap(), None);
        }
        assert_eq!(numbers(folder.path()).unwrap(), [20], "old ones are removed");
        let first = taken(folder.path()).unwrap();
        assert!(first.keep().unwrap());
        put(folder.path(), 22, &LeaseHolder { pid: 7, ..LeaseHolder::this_process() }, Duration::ZERO);
        assert!(!first.keep().unwrap(), "taken over");
    }

    #[test]
    fn another_machines_lease_counts_until_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let other = LeaseHolder { host: "elsewhere".to_owned(), pid: 7, ..LeaseHolder::this_process() };
        put(folder.path(), 3, &other, LIFETIME / 2);
        assert!(
            matches!(Lease::ask(folder.path(), LIFETIME).unwrap(), Asked::Held(holder) if holder.host == "elsewhere")
        );
        put(folder.path(), 3, &other, LIFETIME * 2);
        assert!(taken(folder.path()).is_some());
        put(folder.path(), 9, &LeaseHolder { released: true, ..other }, Duration::ZERO);
        assert!(taken(folder.path()).is_some());
    }

    #[test]
    fn a_lease_of_this_machine_ends_with_its_processes() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), 1, &LeaseHolder::this_process(), Duration::ZERO);
        assert!(taken(folder.path()).is_some(), "nobody has it locked");
        put(folder.path(), 9, &LeaseHolder::this_process(), Duration::ZERO);
        let of_driver = File::open(path_of(folder.path(), 9)).unwrap();
        of_driver.lock().unwrap();
        let of_child = of_driver.try_clone().unwrap();
        drop(of_driver); // killed: nothing is given back
        assert!(taken(folder.path()).is_none());
        drop(of_child);
        assert!(taken(folder.path()).is_some());
    }

    #[test]
    fn an_empty_lease_is_free_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(path_of(folder.path(), 1)).unwrap();
        assert!(taken(folder.path()).is_none());
        file.set_modified(SystemTime::now() - UNWRITTEN * 2).unwrap();
        assert!(taken(folder.path()).is_some());
    }
}
