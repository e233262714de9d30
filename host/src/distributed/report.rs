//! How a rank ended, in a file that its supervisor reads: the first of many failures is the one to tell.

use crate::{
    error::{Error, Fault},
    record::write_whole,
};
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Where this process reports; none where nobody supervises it.
static FILE: OnceLock<PathBuf> = OnceLock::new();
/// Updates done plus one; 0 before the first step.
static STEP: AtomicU64 = AtomicU64::new(0);

/// How a rank ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Seconds since 1970.
    pub time: f64,
    pub exit_code: u8,
    /// The step under way.
    pub step: Option<u64>,
    /// Whether it only noticed that another one was gone.
    pub lost_peer: bool,
    pub faults: Vec<Fault>,
}

impl Report {
    fn new(exit_code: u8, lost_peer: bool, faults: Vec<Fault>) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { time, exit_code, step: step_under_way(), lost_peer, faults }
    }

    /// The report of a fault that ends the process at once.
    pub fn of_fault(exit_code: u8, fault: Fault) -> Self {
        Self::new(exit_code, false, vec![fault])
    }

    /// The report of an error.
    pub fn of(error: &Error) -> Self {
        let lost_peer = matches!(error, Error::Distributed { lost_peer: true, .. } | Error::Rank { .. });
        let report = Self::new(error.exit_code(), lost_peer, error.faults());
        if let Error::Interrupted { step, .. } = error { Self { step: Some(*step), ..report } } else { report }
    }

    /// Writes the report where a supervisor looks for it; whether there is one.
    pub fn deliver(&self) -> bool {
        let Some(file) = FILE.get() else { return false };
        let text = serde_json::to_vec(self).expect("a report is plain data");
        write_whole(file, &text).is_ok()
    }
}

/// Makes this process report how it ends, panics included.
pub fn report_to(file: PathBuf) {
    if FILE.set(file).is_err() {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A loader's panic is caught and told as an error; one on the main thread ends the process.
        if std::thread::current().name() == Some("main") {
            let place = panic.location().map(ToString::to_string);
            let payload = panic.payload();
            let message = payload.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message");
            let fault = Fault { message: format!("bug in infomax: {message}"), at: place, hint: None };
            Report::new(1, false, vec![fault]).deliver();
        }
        before(panic);
    }));
}

/// The step under way; none before the first.
pub fn step_under_way() -> Option<u64> {
    STEP.load(Ordering::Relaxed).checked_sub(1)
}

/// Remembers the step under way.
pub fn at_step(step: u64) {
    STEP.store(step + 1, Ordering::Relaxed);
}
