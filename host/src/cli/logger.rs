//! Where log lines go: warnings to standard error, more with `-v`, and everything from `info` on to a run's log file.

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
    file: Mutex<Option<File>>,
}

/// Starts logging.
pub fn start(verbose: u8) {
    let shown = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    let logger = LOGGER.get_or_init(|| Logger { shown, file: Mutex::new(None) });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(shown.max(LevelFilter::Info));
    }
}

/// Sends lines to a run's log too, from here on.
pub fn also_to(path: &Path) {
    if let (Some(logger), Ok(file)) = (LOGGER.get(), File::options().create(true).append(true).open(path)) {
        *logger.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }
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
        if record.target() == crate::console::TARGET {
            let _ = writeln!(std::io::stderr(), "note: {}", record.args());
        } else if record.level() <= self.shown {
            let _ = writeln!(std::io::stderr(), "{level}: {}", record.args());
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.as_mut().map(|file| writeln!(file, "{level} {}: {}", record.target(), record.args()));
        if let Some(Err(error)) = written {
            // Once: nothing more is written there.
            *file = None;
            let _ = writeln!(std::io::stderr(), "warn: the log can't be written, training goes on without it: {error}");
        }
    }

    fn flush(&self) {}
}
