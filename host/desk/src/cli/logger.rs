//! Where log lines go: warnings to standard error, more with `-v`, and everything from `info` on to a run's log file, with its time.

use crate::{
    console,
    record::{now, utc},
};
use log::{LevelFilter, Log, Metadata, Record};
use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

static LOGGER: OnceLock<Logger> = OnceLock::new();

struct Logger {
    shown: LevelFilter,
    to: Mutex<Sink>,
}

/// What becomes of a line.
enum Sink {
    /// Kept until there is a file; a run that goes on has its log back only once nothing speaks against it.
    Early(Vec<String>),
    File(File),
    /// The file could not be written.
    None,
}

/// Lines kept at most.
const MOST_EARLY: usize = 10_000;

/// Starts logging.
pub fn start(verbose: u8) {
    let shown = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    let logger = LOGGER.get_or_init(|| Logger { shown, to: Mutex::new(Sink::Early(Vec::new())) });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(shown.max(LevelFilter::Info));
    }
}

/// Sends lines to a run's log too, with those that came before.
pub fn also_to(path: &Path) {
    if let (Some(logger), Ok(mut file)) = (LOGGER.get(), File::options().create(true).append(true).open(path)) {
        let mut to = logger.to.lock().unwrap_or_else(PoisonError::into_inner);
        if let Sink::Early(lines) = &*to {
            // What fails here fails with the next line too, which says so.
            lines.iter().for_each(|line| drop(writeln!(file, "{line}")));
        }
        *to = Sink::File(file);
    }
}

/// A text of several lines as one: every line of the file has its time.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
}

/// Whether other crates' lines are wanted.
fn is_ours(target: &str) -> bool {
    target.starts_with("infomax") || !target.contains("::")
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && is_ours(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level().as_str().to_lowercase();
        match record.target() {
            console::TARGET => drop(writeln!(std::io::stderr(), "note: {}", record.args())),
            console::COURSE | console::MEANWHILE => {}
            _ if record.level() <= self.shown => drop(writeln!(std::io::stderr(), "{level}: {}", record.args())),
            _ => {}
        }
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{} {level} {}: {}", utc(now()), record.target(), one_line(&record.args().to_string()));
        let written = match &mut *to {
            Sink::Early(lines) if lines.len() < MOST_EARLY => {
                lines.push(line);
                Ok(())
            }
            Sink::File(file) => writeln!(file, "{line}"),
            Sink::Early(_) | Sink::None => Ok(()),
        };
        if let Err(error) = written {
            // Once: nothing more is written there.
            *to = Sink::None;
            let _ = writeln!(std::io::stderr(), "warn: the log can't be written, training goes on without it: {error}");
        }
    }

    fn flush(&self) {}
}
