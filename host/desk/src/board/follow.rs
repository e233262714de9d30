//! Follows folders: every run in brief, looked at again and again. What changed has a newer version.

use crate::{
    comparison::{Column, Figures, on_all_cores, read_figures},
    error::Result,
    hash::sha256,
    listing::{Found, Named, Place, StudySummary, Summary, columns_of, find},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(1500);
/// How long reading long metrics through may take in one look.
const READING: Duration = Duration::from_millis(300);
/// Points of curves that are kept for studies and for runs laid over one another: of 16 bytes each.
const KEPT: usize = 8 << 20;

/// A run in brief, and since which version it is so.
#[derive(Clone, Debug)]
pub struct Followed {
    pub run: Arc<Summary>,
    pub version: u64,
}

/// Everything as it was at the last look.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Newer where anything has changed.
    pub version: u64,
    /// Another one in each process: versions begin anew with it.
    pub word: u64,
    /// By name.
    pub runs: BTreeMap<String, Followed>,
    pub studies: Vec<StudySummary>,
    /// What was passed over.
    pub notes: Vec<String>,
    /// The settings in which runs differ, cells aside, and since which version they are so.
    pub columns: Vec<Column>,
    /// The same with cells.
    pub columns_with_cells: Vec<Column>,
    pub columns_version: u64,
    /// Of the last run that went away.
    pub gone_version: u64,
    /// Runs whose metrics are still to be read through.
    pub partial: usize,
}

/// What runs came to, by their folders, with the versions of which that is true.
#[derive(Debug, Default)]
struct Kept {
    figures: HashMap<PathBuf, (u64, Arc<Figures>)>,
    points: usize,
}

/// The folders and what was seen of them.
#[derive(Debug)]
pub struct Following {
    folders: Vec<Named>,
    seen: RwLock<Arc<Seen>>,
    figures: Mutex<Kept>,
}

impl Following {
    /// Looks at folders for the first time.
    pub fn new(folders: Vec<Named>) -> Self {
        let word = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let mut seen = Seen { word, ..Seen::default() };
        look(&mut seen, find(&folders));
        Self { folders, seen: RwLock::new(Arc::new(seen)), figures: Mutex::default() }
    }

    /// Looks again and again, on a thread of its own.
    ///
    /// # Errors
    /// The system's, where it gives no thread.
    pub fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let following = Arc::clone(self);
        let looks = move || {
            loop {
                thread::sleep(LOOK);
                following.look_again();
            }
        };
        thread::Builder::new().name("board".to_owned()).spawn(looks).map(drop)
    }

    fn look_again(&self) {
        let mut seen = Seen::clone(&self.seen());
        let before = seen.version;
        look(&mut seen, find(&self.folders));
        if seen.version != before {
            *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
        }
    }

    /// What was seen last.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a run of this version came to so far, read again only where another version is kept.
    ///
    /// # Errors
    /// A folder that holds no run any more.
    pub fn figures(&self, run: &Path, version: u64) -> Result<Arc<Figures>> {
        let kept = || self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own, figures)) = kept().figures.get(run)
            && *own == version
        {
            return Ok(Arc::clone(figures));
        }
        let figures = Arc::new(read_figures(run)?);
        let points = |figures: &Figures| {
            figures.clock.len() + figures.metrics.values().map(|metric| metric.curve.len()).sum::<usize>()
        };
        let mut all = kept();
        all.points += points(&figures);
        if all.points > KEPT {
            *all = Kept { points: points(&figures), ..Kept::default() };
        }
        if let Some((_, former)) = all.figures.insert(run.to_owned(), (version, Arc::clone(&figures))) {
            all.points = all.points.saturating_sub(points(&former));
        }
        Ok(figures)
    }
}

impl Seen {
    /// What a page has that shows the runs of these versions, and something else besides.
    pub fn stamp(&self, runs: impl Iterator<Item = (impl AsRef<str>, u64)>, besides: &str) -> String {
        let mut text = format!("{} {besides}", self.word);
        runs.for_each(|(name, version)| text += &format!(" {} {version}", name.as_ref()));
        sha256(text)[..20].to_owned()
    }

    /// A run by its name.
    pub fn run(&self, name: &str) -> Option<&Followed> {
        self.runs.get(name)
    }

    /// Runs that are no cells, or all.
    pub fn listed(&self, with_cells: bool) -> impl Iterator<Item = &Followed> {
        self.runs.values().filter(move |followed| with_cells || followed.run.place.cell.is_none())
    }
}

/// Compares what lies there with what was seen.
fn look(seen: &mut Seen, found: Found) {
    let next = seen.version + 1;
    let mut is_new = seen.version == 0;
    let (known, fresh): (Vec<Place>, Vec<Place>) =
        found.runs.into_iter().partition(|place| seen.runs.get(&place.name).is_some_and(|own| own.run.place == *place));
    let gone = seen.runs.len() > known.len();
    if gone {
        seen.runs.retain(|name, _| known.binary_search_by(|place| place.name.cmp(name)).is_ok());
        seen.gone_version = next;
    }
    let mut has_other_settings = gone || !fresh.is_empty();
    for run in on_all_cores(&fresh, |place| Summary::read(place.clone())) {
        seen.runs.insert(run.place.name.clone(), Followed { run: Arc::new(run), version: next });
    }
    for place in known {
        let Some(followed) = seen.runs.get_mut(&place.name) else { continue };
        let mut run = Summary::clone(&followed.run);
        if run.update() {
            has_other_settings |= run.settings != followed.run.settings;
            *followed = Followed { run: Arc::new(run), version: next };
            is_new = true;
        }
    }
    is_new |= has_other_settings;
    is_new |= complete(seen, next);
    if has_other_settings {
        let of = |with_cells: bool| {
            let runs: Vec<&Summary> = seen.listed(with_cells).map(|followed| followed.run.as_ref()).collect();
            columns_of(&runs)
        };
        let (columns, all) = (of(false), of(true));
        if columns != seen.columns || all != seen.columns_with_cells {
            (seen.columns, seen.columns_with_cells, seen.columns_version) = (columns, all, next);
        }
    }
    let mut studies: Vec<StudySummary> =
        found.studies.iter().map(|place| StudySummary::read(place, &seen.studies)).collect();
    studies.iter_mut().for_each(|study| study.count(seen.runs.values().map(|followed| followed.run.as_ref())));
    if studies != seen.studies || found.notes != seen.notes {
        (seen.studies, seen.notes) = (studies, found.notes);
        is_new = true;
    }
    if is_new {
        seen.version = next;
    }
}

/// Reads long metrics through, as far as there is time; whether any was.
fn complete(seen: &mut Seen, next: u64) -> bool {
    let began = Instant::now();
    let mut is_new = false;
    seen.partial = 0;
    let is_first = seen.version == 0;
    let mut partial: Vec<&mut Followed> =
        seen.runs.values_mut().filter(|followed| followed.run.digest.is_partial).collect();
    // The newest are on top of the list.
    partial.sort_by_key(|followed| std::cmp::Reverse(followed.run.began));
    for followed in partial {
        if is_first || began.elapsed() > READING {
            seen.partial += 1;
            continue;
        }
        let mut run = Summary::clone(&followed.run);
        run.complete();
        *followed = Followed { run: Arc::new(run), version: next };
        is_new = true;
    }
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        listing::given,
        record::{MetricsFile, Row},
    };
    use std::fs;

    #[test]
    fn what_comes_changes_and_goes_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a");
        let following = Following::new(given(&[folder.path().to_owned()]).unwrap());
        let first = following.seen();
        assert!(first.runs.is_empty());
        fs::create_dir(&run).unwrap();
        fs::write(run.join("config.toml"), "[train]\nsteps = 9\n").unwrap();
        following.look_again();
        let second = following.seen();
        let name = second.runs.keys().next().unwrap().clone();
        assert!(second.version > first.version);
        following.look_again();
        assert_eq!(following.seen().version, second.version, "nothing has changed");
        let mut metrics = MetricsFile::open(&run.join("metrics.jsonl")).unwrap();
        let values = vec![("loss".to_owned(), 2.0), ("lr".to_owned(), 0.1)];
        metrics.append(&Row { step: 3, epoch: 0, seconds: 1.0, values }).unwrap();
        following.look_again();
        let third = following.seen();
        let followed = third.run(&name).unwrap();
        assert_eq!((followed.version, followed.run.digest.step, followed.run.planned), (third.version, 3, Some(9)));
        assert_eq!(following.figures(&followed.run.place.path, followed.version).unwrap().steps, 3);
        fs::remove_dir_all(&run).unwrap();
        following.look_again();
        assert!(following.seen().runs.is_empty() && following.seen().gone_version > third.version);
    }
}
