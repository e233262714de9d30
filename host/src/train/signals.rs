//! Signals: the first asks for an end after the step at hand, the second ends the process at once.

use crate::error::{Error, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    flag,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Exit code of a process that a second signal ended.
const AT_ONCE: i32 = 130;

/// Whether an end was asked for.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<AtomicBool>);

impl Signals {
    /// Listens to SIGINT, SIGTERM and SIGUSR1.
    ///
    /// # Errors
    /// The system's.
    pub fn listen() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            let register = || {
                flag::register_conditional_shutdown(signal, AT_ONCE, asked.clone())?;
                flag::register(signal, asked.clone())
            };
            register().map_err(Error::io("listen to signals of", Path::new("/proc/self")))?;
        }
        Ok(Self(asked))
    }

    /// Whether an end was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
