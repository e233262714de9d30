//! A figure of the bench beside those of steps, and how figures are taken.

use crate::{
    error::{Error, Result},
    native::{
        memory::let_freed_memory_go,
        precision::device_memory,
        work::{Work, reset_peak},
    },
    record::peak_resident_bytes,
};
use serde::Serialize;
use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use tch::Device;

/// Who made a figure, where it is this program.
pub const OWN: &str = "infomax";

/// What was measured; a figure that makes no sense there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// `methods`, `data`, `loss`, `study` or `scale`.
    pub part: &'static str,
    pub what: String,
    /// `infomax`, or what it is compared with.
    pub by: String,
    pub images_per_second: Option<f64>,
    pub seconds: Option<f64>,
    /// Of memory, at most, beside what lay there before.
    pub bytes: Option<u64>,
    /// Why there is no figure, or what is behind it.
    pub note: Option<String>,
    /// Of a rank, in a step.
    pub work: Option<Work>,
}

/// Images a second that `threads` make together, each batch after batch until it is enough; one batch each at least.
///
/// # Errors
/// The first that `make` gives.
pub fn rate(threads: usize, enough: Duration, make: impl Fn(u64) -> Result<u64> + Sync) -> Result<f64> {
    make(0)?; // what is made on first use
    let (next, made) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    let work = || -> Result<()> {
        loop {
            let images = make(next.fetch_add(1, Ordering::Relaxed))?;
            made.fetch_add(images, Ordering::Relaxed);
            if began.elapsed() >= enough {
                return Ok(());
            }
        }
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)));
        ended.collect::<Result<()>>()
    })?;
    Ok(made.into_inner() as f64 / began.elapsed().as_secs_f64())
}

/// What memory a device held, to see what more is taken at most.
pub struct Held {
    device: Device,
    before: Option<u64>,
}

impl Held {
    /// Of now. Memory that was freed is given back first.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn now(device: Device) -> Result<Self> {
        let before = if device.is_cuda() {
            device_memory(device).map_err(Error::native("read the device's memory"))?.map(|memory| memory.allocated)
        } else {
            let_freed_memory_go();
            Self::forget_peak().then(peak_resident_bytes).flatten()
        };
        Ok(Self { device, before })
    }

    /// The most that `run` takes beside it.
    ///
    /// # Errors
    /// libtorch's message, and what `run` gives.
    pub fn more_during<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<(T, Option<u64>)> {
        let is_known = self.device.is_cuda() || Self::forget_peak();
        reset_peak(self.device).map_err(Error::native("read the device's memory"))?;
        let done = run()?;
        let more = self.more()?;
        Ok((done, more.filter(|_| is_known)))
    }

    /// The most that was taken beside it since then, or since the last [`Self::more_during`] began.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn more(&self) -> Result<Option<u64>> {
        let peak = if self.device.is_cuda() {
            device_memory(self.device).map_err(Error::native("read the device's memory"))?.map(|memory| memory.peak)
        } else {
            peak_resident_bytes()
        };
        Ok(peak.zip(self.before).map(|(peak, before)| peak.saturating_sub(before)))
    }

    /// The kernel's word for "forget the most that this process has held" (proc(5)).
    fn forget_peak() -> bool {
        fs::write("/proc/self/clear_refs", "5").is_ok()
    }
}
