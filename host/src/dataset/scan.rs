//! Reading and decoding every image of a dataset, strictly and in parallel; in the dataset's order, whatever the number
//! of threads.

use super::{OrderedWorkers, Source};
use crate::error::Result;
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// Images that a thread takes at once: enough to make handing over cheap, few enough for the deadline.
const CHUNK: u64 = 16;

/// An image that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadImage {
    /// As the dataset says it.
    pub path: String,
    /// The split's name.
    pub split: String,
    /// The image's number in the split.
    pub index: u64,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scan {
    /// Images of all splits.
    pub images: u64,
    /// Those that can't be used.
    pub bad: Vec<BadImage>,
    /// Images with several frames, of which the first is used.
    pub animated: u64,
    /// 16-bit gray images, of which `dataset.gray16` decides.
    pub gray16: u64,
    /// Reads that had to be repeated.
    pub retried: u64,
}

/// What happens on the way.
pub enum Event<'a> {
    /// An image's location, and the SHA-256 of its file where it has one.
    Read(&'a str, Option<[u8; 32]>),
    /// The newest bad image.
    Bad(&'a BadImage),
    /// What was found so far, and how many images there are in all.
    Progress(&'a Scan, u64),
}

/// Reads every image.
///
/// # Errors
/// A plugin that panicked or broke the contract, a read that hangs, or what `tell` says.
pub fn scan(
    source: &Source,
    workers: usize,
    deadline: Duration,
    mut tell: impl FnMut(Event<'_>) -> Result<()>,
) -> Result<Scan> {
    let splits: Vec<usize> = (0..source.facts().splits.len()).collect();
    let stage = source.stage(&splits);
    let total = stage.len() as u64;
    let (of, samples) = (source.clone(), stage);
    let make = move |chunk: u64| {
        let end = ((chunk + 1) * CHUNK).min(total);
        let chunk = &samples[(chunk * CHUNK) as usize..end as usize];
        chunk.iter().map(|&(split, index)| examine(&of, split, index)).collect::<Result<Vec<_>>>()
    };
    let chunks = OrderedWorkers::start(Arc::new(make), 0..total.div_ceil(CHUNK), workers, 4, deadline);
    let mut scan = Scan::default();
    for chunk in chunks {
        for Examined { path, sha256, was_animated, was_gray16, bad } in chunk? {
            scan.images += 1;
            scan.animated += u64::from(was_animated);
            scan.gray16 += u64::from(was_gray16);
            tell(Event::Read(&path, sha256))?;
            if let Some(bad) = bad {
                tell(Event::Bad(&bad))?;
                scan.bad.push(bad);
            }
        }
        scan.retried = source.quarantine().retries();
        tell(Event::Progress(&scan, total))?;
    }
    Ok(scan)
}

struct Examined {
    path: String,
    sha256: Option<[u8; 32]>,
    was_animated: bool,
    was_gray16: bool,
    bad: Option<BadImage>,
}

fn examine(source: &Source, split: usize, index: u64) -> Result<Examined> {
    let inspected = source.inspect(split, index)?;
    let path = source.locate(split, index);
    let (was_animated, was_gray16, bad) = match inspected.pixels {
        Ok(pixels) => (pixels.was_animated, pixels.was_gray16, None),
        Err(bad) => {
            let (split, path) = (source.facts().splits[split].name.clone(), path.clone());
            (false, false, Some(BadImage { path, split, index, reason: bad.reason, hint: bad.hint }))
        }
    };
    Ok(Examined { path, sha256: inspected.sha256, was_animated, was_gray16, bad })
}
