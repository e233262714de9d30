//! `metrics.jsonl`: one JSON object a line, appended as the run goes.
//!
//! A line counts once its newline is written: a killed process leaves a torn last line, which readers drop and the next
//! writer removes.

use super::error::RecordError;
use infomax_metrics::{Row, rows, whole_lines};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Take, Write},
    path::{Path, PathBuf},
};

/// The file that a run appends its metrics to.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file, made where it isn't there; a torn last line is removed.
    ///
    /// # Errors
    /// A file that can't be read or written.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path).map_err(RecordError::file("write", path))?;
        let text = fs::read(path).map_err(RecordError::file("read", path))?;
        let whole = whole_lines(&text).len();
        if whole < text.len() {
            file.set_len(whole as u64).map_err(RecordError::file("shorten", path))?;
        }
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends a line. It is with the system when this returns, so it outlives the process; not a power cut.
    ///
    /// # Errors
    /// A full disk, or a file that can't be written.
    pub fn append(&mut self, row: &Row) -> Result<(), RecordError> {
        self.file.write_all(row.to_line().as_bytes()).map_err(RecordError::file("write", &self.path))
    }

    /// Removes every line of a later step, so that a resumed run doesn't say them twice.
    ///
    /// # Errors
    /// A file that can't be read or written, or holds something else.
    pub fn truncate_after(&mut self, step: u64) -> Result<(), RecordError> {
        let text = fs::read(&self.path).map_err(RecordError::file("read", &self.path))?;
        let mut kept = 0;
        for (number, line) in whole_lines(&text).split_inclusive(|&b| b == b'\n').enumerate() {
            let row = Row::from_line(line)
                .ok_or_else(|| RecordError::Metrics { path: self.path.clone(), line: number + 1 })?;
            if row.step > step {
                break;
            }
            kept += line.len();
        }
        self.file.set_len(kept as u64).map_err(RecordError::file("shorten", &self.path))
    }
}

/// All whole lines of a metrics file.
///
/// # Errors
/// A file that can't be read, or a whole line that is not one of metrics.
pub fn read_metrics(path: &Path) -> Result<Vec<Row>, RecordError> {
    match read_metrics_to_damage(path)? {
        (rows, None) => Ok(rows),
        (_, Some(damage)) => Err(damage),
    }
}

/// The whole lines of a metrics file up to one that is not of metrics, and what is wrong with that one.
///
/// # Errors
/// A file that can't be read.
pub fn read_metrics_to_damage(path: &Path) -> Result<(Vec<Row>, Option<RecordError>), RecordError> {
    let text = fs::read(path).map_err(RecordError::file("read", path))?;
    let (rows, damage) = rows(&text);
    Ok((rows, damage.map(|line| RecordError::Metrics { path: path.to_path_buf(), line })))
}

/// The whole lines of a metrics file one by one, so that a file of any length needs little memory. It ends after a line that is not one
/// of metrics.
#[derive(Debug)]
pub struct MetricsReader {
    path: PathBuf,
    /// None once it has ended.
    lines: Option<BufReader<Take<File>>>,
    line: Vec<u8>,
    number: usize,
    bytes: u64,
}

impl MetricsReader {
    /// Reads the file, but no further than its first `most` bytes.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn open(path: &Path, most: u64) -> Result<Self, RecordError> {
        let file = File::open(path).map_err(RecordError::file("read", path))?;
        let lines = Some(BufReader::new(file.take(most)));
        Ok(Self { path: path.to_path_buf(), lines, line: Vec::new(), number: 0, bytes: 0 })
    }

    /// The length of the lines so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Iterator for MetricsReader {
    type Item = Result<Row, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let lines = self.lines.as_mut()?;
        self.line.clear();
        let read = lines.read_until(b'\n', &mut self.line);
        self.number += 1;
        let row = match read {
            Err(error) => Err(RecordError::file("read", &self.path)(error)),
            Ok(_) if self.line.last() != Some(&b'\n') => {
                self.lines = None; // the end, or a line that is not whole
                return None;
            }
            Ok(length) => {
                self.bytes += length as u64;
                let damage = || RecordError::Metrics { path: self.path.clone(), line: self.number };
                Row::from_line(&self.line).ok_or_else(damage)
            }
        };
        if row.is_err() {
            self.lines = None;
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64) -> Row {
        let values = vec![("loss".to_owned(), 1.0 / (step + 1) as f64), ("loss/g2l_1t5".to_owned(), f64::NAN)];
        Row { step, epoch: step / 10, seconds: step as f64 * 0.1, values }
    }

    #[test]
    fn lines_read_back_and_nonfinite_values_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path).unwrap();
        (0..5).for_each(|step| file.append(&row(step)).unwrap());
        let rows = read_metrics(&path).unwrap();
        assert_eq!(rows.len(), 5);
        assert_eq!((rows[4].step, rows[4].get("loss"), rows[4].seconds), (4, Some(0.2), 0.4));
        assert!(rows[4].get("loss/g2l_1t5").unwrap().is_nan());
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            r#"{"step":0,"epoch":0,"seconds":0.0,"loss":1.0,"loss/g2l_1t5":null,"nonfinite":["loss/g2l_1t5"]}"#
        );
    }

    #[test]
    fn torn_tail_at_any_byte_is_dropped_and_no_step_is_said_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path).unwrap();
        (0..4).for_each(|step| file.append(&row(step)).unwrap());
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let lines = whole[..length].iter().filter(|&&b| b == b'\n').count();
            assert_eq!(read_metrics(&path).unwrap().len(), lines);
            let mut one_by_one = MetricsReader::open(&path, u64::MAX).unwrap();
            assert_eq!(one_by_one.by_ref().map(Result::unwrap).count(), lines);
            assert_eq!(one_by_one.bytes() as usize, whole_lines(&whole[..length]).len());
            let mut file = MetricsFile::open(&path).unwrap();
            file.truncate_after(1).unwrap();
            let next = read_metrics(&path).unwrap().len() as u64;
            (next..4).for_each(|step| file.append(&row(step)).unwrap());
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn garbage_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\": 1}\nnonsense\n{\"step\": 2}\n").unwrap();
        assert!(matches!(read_metrics(&path), Err(RecordError::Metrics { line: 2, .. })));
        let one_by_one: Vec<_> = MetricsReader::open(&path, u64::MAX).unwrap().collect();
        assert!(matches!(one_by_one[..], [Ok(_), Err(RecordError::Metrics { line: 2, .. })]));
    }
}
