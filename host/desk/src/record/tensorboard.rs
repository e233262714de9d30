//! TensorBoard's event files: every number of the metrics as a scalar, by its key.
//!
//! Each process that trains a run writes one file, which begins with all rows so far, and removes those of earlier processes: no
//! step is told twice. Its second record asks a TensorBoard that has read those to forget them. A wall time is the run's
//! beginning plus its own clock, so pauses between its parts don't show. A killed process may leave a torn last record, which
//! TensorBoard passes over.

use super::error::RecordError;
use infomax_metrics::Row;
use prost::Message;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".infomax";
/// TensorBoard reads every file whose name holds `tfevents`.
const UNFINISHED: &str = "unfinished";

/// `tensorflow/core/util/event.proto`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// What was read before and is of this step or a later one is void.
const START: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    /// Optional, so that zeros are written too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// The event file that a process appends to.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// Seconds since 1970.
    began: u64,
}

impl EventFile {
    /// Makes a file with these rows in a folder, in place of those that are there.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn create(folder: &Path, began: u64, rows: &[Row]) -> Result<Self, RecordError> {
        fs::create_dir_all(folder).map_err(RecordError::file("make the folder", folder))?;
        let earlier = earlier_files(folder);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // Later files have greater names: TensorBoard reads them in that order.
        let number = earlier.last().map_or(now, |&(last, _)| now.max(last + 1));
        let path = folder.join(format!("{PREFIX}{number:010}{SUFFIX}"));
        let beside = folder.join(UNFINISHED);
        let version =
            Event { wall_time: began as f64, file_version: Some("brain.Event:2".to_owned()), ..Event::default() };
        let forget =
            Event { wall_time: began as f64, session_log: Some(SessionLog { status: START }), ..Event::default() };
        let mut bytes = framed(&version);
        bytes.extend(framed(&forget));
        rows.iter().for_each(|row| bytes.extend(framed(&event(row, began))));
        let mut file = File::create(&beside).map_err(RecordError::file("write", &beside))?;
        let written = file.write_all(&bytes).and_then(|()| fs::rename(&beside, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&beside);
            return Err(RecordError::file("write", &path)(error));
        }
        for (_, path) in earlier {
            fs::remove_file(&path).map_err(RecordError::file("remove", &path))?;
        }
        Ok(Self { path, file, began })
    }

    /// Appends a row. It is with the system when this returns, so it outlives the process; not a power cut.
    ///
    /// # Errors
    /// A full disk, or a file that can't be written.
    pub fn append(&mut self, row: &Row) -> Result<(), RecordError> {
        self.file.write_all(&framed(&event(row, self.began))).map_err(RecordError::file("write", &self.path))
    }
}

/// The files that this module has written into a folder, by their numbers.
fn earlier_files(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok();
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path()))).collect();
    files.sort();
    files
}

/// The numbers of a row, as `metrics.jsonl` has them.
fn event(row: &Row, began: u64) -> Event {
    let own = [("epoch", row.epoch as f64), ("seconds", row.seconds)];
    let all = own.into_iter().chain(row.values.iter().map(|(name, value)| (name.as_str(), *value)));
    // That file has one word for all that is not finite.
    let number = |value: f64| if value.is_finite() { value as f32 } else { f32::NAN };
    let value = all.map(|(name, value)| Scalar { tag: name.to_owned(), simple_value: Some(number(value)) });
    let seconds = if row.seconds.is_finite() { row.seconds } else { 0.0 };
    Event {
        wall_time: began as f64 + seconds,
        step: row.step as i64,
        summary: Some(Summary { value: value.collect() }),
        ..Event::default()
    }
}

/// An event as TFRecord: its length, that length's checksum, its bytes, their checksum.
fn framed(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(data.len() + 16);
    bytes.extend(length);
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(&data);
    bytes.extend(masked(&data).to_le_bytes());
    bytes
}

/// `tensorflow/core/lib/hash/crc32c.h`: a checksum that may stand beside what it is of.
fn masked(bytes: &[u8]) -> u32 {
    const DELTA: u32 = 0xa282_ead8;
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, loss: f64) -> Row {
        Row { step, epoch: 0, seconds: step as f64 / 2.0, values: vec![("loss".to_owned(), loss)] }
    }

    /// The events of a folder's only file, every checksum checked.
    fn events(folder: &Path) -> Vec<Event> {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let bytes = fs::read(&files[0]).unwrap();
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(masked(&rest[..8]).to_le_bytes(), rest[8..12]);
            let data = &rest[12..12 + length];
            assert_eq!(masked(data).to_le_bytes(), rest[12 + length..16 + length]);
            events.push(Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    #[test]
    fn rows_come_back_and_an_earlier_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(folder.path(), 1000, &[]).unwrap();
        (1..=3).for_each(|step| first.append(&row(step, f64::INFINITY)).unwrap());
        let mut second = EventFile::create(folder.path(), 1000, &[row(1, 0.0)]).unwrap();
        second.append(&row(2, 0.1)).unwrap();
        let events = events(folder.path());
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(events[1].session_log, Some(SessionLog { status: START }));
        let told = |event: &Event| (event.step, event.wall_time, event.summary.clone().unwrap().value[2].clone());
        let loss = |value| Scalar { tag: "loss".to_owned(), simple_value: Some(value) };
        assert_eq!(told(&events[2]), (1, 1000.5, loss(0.0)));
        assert_eq!(told(&events[3]), (2, 1001.0, loss(0.1)));
        assert_eq!(events.len(), 4);
    }

    #[test]
    fn checksum_is_that_of_tensorflow() {
        // RFC 3720, B.4: 32 bytes of zeros have 0x8a9136aa.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }
}
