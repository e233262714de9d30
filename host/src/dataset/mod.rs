//! Datasets: the foreign side, opening and reading with a policy for bad images, which labels may be seen, the order of
//! samples, the threads that make batches, and scanning.

mod batch;
mod foreign;
mod hashes;
mod labels;
mod order;
mod quarantine;
mod reading;
mod resident;
mod scan;
mod source;
mod told;
mod workers;

pub use batch::{BatchMaker, Drawn, EvalBatch, TrainBatch, Views};
pub use foreign::ForeignDataset;
pub use hashes::HashManifest;
pub use labels::{LabelChoice, labels, listed, read_list, share, tell_lacking};
pub use order::Order;
pub use quarantine::Quarantine;
pub use resident::{DeviceImages, HostImages, Reading as ResidentReading, Refused, Resident, Room};
pub use scan::{BadImage, Event as ScanEvent, Scan, scan};
pub use source::{Bad, Inspected, Pixels, Source, Stage};
pub use workers::OrderedWorkers;
