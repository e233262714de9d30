//! `history.json`: the parts in which a run was trained, one a process, and how each ended.

use super::{memory::Memory, run_directory::utc, whole_file::write_whole};
use crate::{
    error::{Error, Result},
    plain,
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

const FILE: &str = "history.json";

/// The parts of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// One for each time that it was begun or resumed.
    pub parts: Vec<Part>,
}

/// What one process did for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// In seconds since 1970.
    pub began: u64,
    /// Updates that had been done.
    pub from_step: u64,
    /// Updates planned, those of earlier parts among them; none where the budget is in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_step: Option<u64>,
    /// The command line that began or resumed it, word by word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The most that the process held, rank 0's of several; none where it could not tell any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// What was said last of CUDA graphs, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphs: Option<String>,
    /// None while it goes on, and where the process ended without a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// How a part ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// In seconds since 1970.
    pub at: u64,
    /// How.
    pub how: Ending,
    /// Updates that are saved, where it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// What was told where it did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// What was advised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// In which way a part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The budget is spent.
    Finished,
    /// A signal asked for it; the state is saved.
    Interrupted,
    /// Values were not finite, or the representation collapsed.
    Diverged,
    /// Anything else.
    Failed,
}

impl History {
    /// The history of a run; empty where it has none.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(run: &Path) -> Result<Self, String> {
        match plain::read(&run.join(FILE), plain::SMALL) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("`{FILE}` can't be read: {error}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("`{FILE}` can't be read: {error}")),
        }
    }

    /// When the run began, in seconds since 1970: now, where it has no history.
    pub fn began(&self) -> u64 {
        self.parts.first().map_or_else(now, |part| part.began)
    }

    /// Notes that a process trains from here on, `until` a step where that is known, started by a command line.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn begin(&mut self, run: &Path, step: u64, until: Option<u64>, command: &[String]) -> Result<()> {
        self.parts.push(Part {
            began: now(),
            from_step: step,
            until_step: until,
            command: command.to_vec(),
            memory: None,
            graphs: None,
            end: None,
        });
        self.write(run)
    }

    /// Updates that are known to be done by what the last part told at its end.
    pub fn step(&self) -> u64 {
        self.parts.last().and_then(|part| part.end.as_ref()?.step).unwrap_or(0)
    }

    /// The most memory that any part of the run has held; none where no part told.
    pub fn memory(&self) -> Option<Memory> {
        self.parts.iter().filter_map(|part| part.memory).reduce(Memory::max)
    }

    /// Notes how much memory the process held that trained since a time (in seconds since 1970), before its part is ended.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn note_memory(run: &Path, since: u64, memory: Memory) -> Result<()> {
        let mut history = Self::read(run).unwrap_or_default();
        let Some(part) = history.open_part(since) else { return Ok(()) };
        part.memory = Some(memory);
        history.write(run)
    }

    /// Notes what has become of CUDA graphs in the part that goes on.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn note_graphs(run: &Path, news: &str) -> Result<()> {
        let mut history = Self::read(run).unwrap_or_default();
        let Some(part) = history.open_part(0) else { return Ok(()) };
        part.graphs = Some(news.to_owned());
        history.write(run)
    }

    /// Notes how the part ended that was begun since a time (in seconds since 1970); a process that did not get so far as to train
    /// leaves no trace, unless it finds the run finished: then the part before was killed at its very end.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn end<T>(run: &Path, since: u64, result: &Result<T>) -> Result<()> {
        let mut history = Self::read(run).unwrap_or_default();
        // A run that is finished has no other process at work on it.
        let since = if result.is_ok() { 0 } else { since };
        let Some(part) = history.open_part(since) else { return Ok(()) };
        let how = match result.as_ref().map_err(Error::exit_code) {
            Ok(_) => Ending::Finished,
            Err(6) => Ending::Diverged,
            Err(75) => Ending::Interrupted,
            Err(_) => Ending::Failed,
        };
        let fault = result.as_ref().err().and_then(|error| error.faults().into_iter().next());
        let (told, hint) = fault.map_or((None, None), |fault| {
            let at = fault.at.map(|at| format!(" ({at})")).unwrap_or_default();
            (Some(fault.message + &at), fault.hint)
        });
        let step = match result {
            Err(Error::Interrupted { step, .. }) => Some(*step),
            _ => None,
        };
        part.end = Some(End { at: now(), how, step, told, hint });
        history.write(run)
    }

    /// The last part, where it goes on and was begun since a time.
    fn open_part(&mut self, since: u64) -> Option<&mut Part> {
        self.parts.last_mut().filter(|part| part.end.is_none() && part.began >= since)
    }

    fn write(&self, run: &Path) -> Result<()> {
        write_whole(&run.join(FILE), &serde_json::to_vec_pretty(self).expect("a history is plain data"))
    }
}

impl Part {
    /// When it began, in UTC.
    pub fn began_utc(&self) -> String {
        utc(self.began)
    }
}

/// In seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    #[test]
    fn parts_end_as_they_did_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let diverged = Err::<(), _>(Error::Diverged { fault: Fault::new("too large").at("step 3").hint("less") });
        History::end(run, 0, &diverged).unwrap();
        assert_eq!(History::read(run).unwrap(), History::default(), "it had not begun");
        let mut history = History::default();
        history.begin(run, 0, Some(5), &[]).unwrap();
        assert_eq!(History::read(run).unwrap().parts[0].end, None);
        History::end(run, u64::MAX, &diverged).unwrap();
        assert_eq!(History::read(run).unwrap().parts[0].end, None, "it is another process's");
        History::end(run, 0, &diverged).unwrap();
        History::end(run, 0, &Ok(())).unwrap();
        let end = History::read(run).unwrap().parts[0].end.clone().unwrap();
        assert_eq!((end.how, end.told.as_deref()), (Ending::Diverged, Some("too large (step 3)")));
        let mut history = History::read(run).unwrap();
        history.begin(run, 2, None, &["infomax".to_owned()]).unwrap();
        let memory = Memory { process_bytes: 7, device_bytes: None };
        History::note_memory(run, u64::MAX, Memory { process_bytes: 9, ..memory }).unwrap();
        History::note_memory(run, 0, memory).unwrap();
        History::end(run, 0, &Ok(())).unwrap();
        History::note_memory(run, 0, Memory { process_bytes: 8, ..memory }).unwrap();
        assert_eq!(History::read(run).unwrap().memory(), Some(memory), "another's and one told too late don't count");
        let parts = History::read(run).unwrap().parts;
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].command.len(), parts[1].command.len()), (0, 1));
        assert_eq!((parts[1].from_step, parts[1].end.as_ref().unwrap().how), (2, Ending::Finished));
    }
}
