//! The metrics of a run in brief, read as they grow: what was said last, the results, two short curves. Of a long file the
//! beginning and the end are read first, so that a thousand of them are told at once, and the rest later.

use super::curve::Curve;
use crate::{
    plain::open,
    record::Row,
    report::{Outcome, add_results, is_accuracy, is_training},
};
use memchr::{memchr, memmem::Finder, memrchr};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// A file up to this length is read at once.
const SHORT: u64 = 256 << 10;
/// What is read of a longer one at first: its end, which holds the last results of a run that is over.
const END: u64 = 48 << 10;
/// And its beginning, which holds the first.
const BEGINNING: u64 = 8 << 10;
/// What is read at once of a long file.
const BLOCK: usize = 1 << 20;
/// A longer line is not one of metrics.
const LONGEST: usize = 1 << 20;
/// Of a long file one training row in so many is looked at.
const STRIDE: u64 = 16;

/// A run's metrics in brief.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Digest {
    /// The last row of training.
    pub latest: Option<Row>,
    /// Updates done.
    pub step: u64,
    /// Time spent on training, tests included.
    pub seconds: Option<f64>,
    pub outcomes: Vec<Outcome>,
    pub loss: Curve,
    /// Of the first accuracy that a test gave.
    pub accuracy: Option<(String, Curve)>,
    /// A whole line that is none of metrics.
    pub is_damaged: bool,
    /// Whether only the ends of a long file were read: there are no curves, and the best result may be missing.
    pub is_partial: bool,
    /// Bytes that were read.
    offset: u64,
    /// The last line, which tells whether the file was shortened and written on.
    line: Vec<u8>,
    rows: u64,
}

impl Digest {
    /// Reads what a file of metrics has more than at the last look; all of it where it was shortened. Whether anything is new.
    ///
    /// # Errors
    /// The system's.
    pub fn update(&mut self, path: &Path) -> io::Result<bool> {
        let mut file = open(path)?;
        let length = file.metadata()?.len();
        let is_same = self.offset > 0 && length >= self.offset && self.still_ends(&mut file)?;
        if is_same && length == self.offset {
            return Ok(false);
        }
        if !is_same {
            *self = Self::default();
            if length > SHORT {
                file.rewind()?;
                self.read_ends(&mut file, length)?;
                return Ok(true);
            }
        }
        self.go_on(&mut file, 1)?;
        Ok(true)
    }

    /// Reads a file through of which only the ends were.
    ///
    /// # Errors
    /// The system's.
    pub fn complete(&mut self, path: &Path) -> io::Result<()> {
        let mut whole = Self::default();
        whole.go_on(&mut open(path)?, STRIDE)?;
        *self = whole;
        Ok(())
    }

    /// Whether the last line stands where it stood.
    fn still_ends(&self, file: &mut File) -> io::Result<bool> {
        let mut line = vec![0; self.line.len()];
        file.seek(SeekFrom::Start(self.offset - self.line.len() as u64))?;
        file.read_exact(&mut line)?;
        Ok(line == self.line)
    }

    /// Reads the first rows and the last ones; between them nothing is known.
    fn read_ends(&mut self, file: &mut File, length: u64) -> io::Result<()> {
        let mut block = Vec::new();
        // The untrained encoder's results are in the first row.
        file.by_ref().take(BEGINNING).read_to_end(&mut block)?;
        block
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
            .take(2)
            .for_each(|line| self.line(line));
        file.seek(SeekFrom::Start(length - END))?;
        self.offset = length - END;
        block.clear();
        file.by_ref().take(END).read_to_end(&mut block)?;
        let skipped = memchr(b'\n', &block).map_or(block.len(), |end| end + 1);
        self.offset += skipped as u64;
        self.block(&block[skipped..], 1);
        (self.loss, self.accuracy) = Default::default();
        self.is_partial = true;
        Ok(())
    }

    /// Reads from where the last look ended.
    fn go_on(&mut self, file: &mut File, stride: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut block = Vec::new();
        loop {
            let read = file.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
            let taken = self.block(&block, stride);
            block.drain(..taken);
            if block.len() > LONGEST {
                self.is_damaged = true;
                return Ok(());
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Takes the whole lines of a block; how many bytes they are.
    fn block(&mut self, block: &[u8], stride: u64) -> usize {
        let Some(end) = memrchr(b'\n', block) else { return 0 };
        let whole = &block[..=end];
        let last = memrchr(b'\n', &whole[..end]).map_or(0, |before| before + 1);
        let rate = Finder::new(b"\"lr\":");
        let mut from = 0;
        let mut passed_over = None;
        while let Some(length) = memchr(b'\n', &whole[from..]) {
            let line = &whole[from..=from + length];
            // Rows of training have a learning rate; there are many, and each says what the last one says better.
            let is_passed_over = stride > 1 && !self.rows.is_multiple_of(stride) && rate.find(line).is_some();
            match is_passed_over {
                true => passed_over = Some(line),
                false => self.line(line),
            }
            self.rows += 1;
            from += length + 1;
        }
        passed_over.into_iter().for_each(|line| self.line(line));
        self.line = whole[last..].to_vec();
        self.offset += whole.len() as u64;
        whole.len()
    }

    fn line(&mut self, line: &[u8]) {
        // What follows damage is left out, as everywhere.
        let Some(row) = Some(line).filter(|_| !self.is_damaged).and_then(Row::from_line) else {
            self.is_damaged = true;
            return;
        };
        self.step = self.step.max(row.step);
        let seconds = Some(row.seconds).filter(|seconds| seconds.is_finite());
        self.seconds = [self.seconds, seconds].into_iter().flatten().reduce(f64::max);
        if is_training(&row) {
            if self.latest.as_ref().is_some_and(|latest| latest.step > row.step) {
                return;
            }
            if let Some(loss) = row.get("loss") {
                self.loss.add(row.step, loss);
            }
            self.latest = Some(row);
            return;
        }
        add_results(&mut self.outcomes, &row);
        if self.accuracy.is_none() {
            let name = row
                .values
                .iter()
                .map(|(name, _)| name)
                .find(|name| is_accuracy(name) && !name.starts_with(crate::report::UNTRAINED));
            self.accuracy = name.map(|name| (name.clone(), Curve::default()));
        }
        if let Some((name, curve)) = &mut self.accuracy
            && let Some(value) = row.get(name)
        {
            curve.add(row.step, value);
        }
    }

    /// A number that training told last.
    pub fn latest(&self, name: &str) -> Option<f64> {
        self.latest.as_ref()?.get(name)
    }

    /// The result of this name.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MetricsFile;
    use std::fs;

    fn training(step: u64) -> Row {
        let values = vec![("loss".to_owned(), 9.0 / (step + 1) as f64), ("lr".to_owned(), 0.1)];
        Row { step, epoch: 0, seconds: step as f64, values }
    }

    fn test(step: u64, value: f64) -> Row {
        Row { step, epoch: 0, seconds: step as f64, values: vec![("linear_top1".to_owned(), value)] }
    }

    #[test]
    fn what_grows_is_told_like_what_is_read_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path).unwrap();
        let mut followed = Digest::default();
        for step in 1..=50 {
            file.append(&training(step)).unwrap();
            if step % 10 == 0 {
                file.append(&test(step, if step == 30 { 80.0 } else { step as f64 })).unwrap();
            }
            assert!(followed.update(&path).unwrap());
            assert!(!followed.update(&path).unwrap(), "nothing is new");
        }
        let mut at_once = Digest::default();
        at_once.update(&path).unwrap();
        assert_eq!(followed, at_once);
        let result = followed.outcome("linear_top1").unwrap();
        assert_eq!((followed.step, result.last, result.best), (50, Some((50, 50.0)), Some((30, 80.0))));
        // A run that went on from step 20 says later steps again.
        file.truncate_after(20).unwrap();
        (21..=60).for_each(|step| file.append(&training(step)).unwrap());
        assert!(followed.update(&path).unwrap());
        let mut at_once = Digest::default();
        at_once.update(&path).unwrap();
        assert_eq!((followed.step, followed.outcome("linear_top1").unwrap().best), (60, Some((20, 20.0))));
        assert_eq!(followed, at_once);
    }

    #[test]
    fn a_long_file_is_told_by_its_ends_and_then_read_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut text = String::from("{\"step\":0,\"epoch\":0,\"seconds\":0.0,\"untrained_linear_top1\":10.0}\n");
        for step in 1..=20_000 {
            text += &format!(
                "{{\"step\":{step},\"epoch\":0,\"seconds\":{step}.5,\"loss\":{},\"lr\":0.1}}\n",
                1.0 / f64::from(step)
            );
            if step % 1000 == 0 {
                let value = if step == 4000 { 90.0 } else { 50.0 };
                text += &format!("{{\"step\":{step},\"epoch\":0,\"seconds\":{step}.5,\"linear_top1\":{value:.1}}}\n");
            }
        }
        fs::write(&path, &text).unwrap();
        let mut digest = Digest::default();
        digest.update(&path).unwrap();
        assert!(digest.is_partial && !digest.is_damaged);
        let result = digest.outcome("linear_top1").unwrap();
        assert_eq!((digest.step, result.untrained, result.last), (20_000, Some(10.0), Some((20_000, 50.0))));
        digest.complete(&path).unwrap();
        assert!(!digest.is_partial);
        assert_eq!(digest.outcome("linear_top1").unwrap().best, Some((4000, 90.0)));
        assert_eq!(digest.accuracy.as_ref().unwrap().1.points().len(), 20);
        assert_eq!(digest.loss.points().last().unwrap().0, 20_000.0);
        assert!(!digest.update(&path).unwrap());
        fs::write(&path, text + "{\"step\":20001,\"seconds\":1.0,\"lr\":0.1,\"loss\":1.0}\n{\"step\":20").unwrap();
        assert!(digest.update(&path).unwrap());
        assert_eq!(digest.step, 20_001);
    }

    #[test]
    fn what_is_no_metrics_is_told_and_harms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        for text in [&b"nonsense\n"[..], b"\xff\xfe\n", b"\n", b"{}\n", &vec![b'x'; 3 << 20]] {
            fs::write(&path, text).unwrap();
            let mut digest = Digest::default();
            digest.update(&path).unwrap();
            digest.complete(&path).unwrap();
            assert!(digest.is_damaged || text.len() == 1, "{}", text.len());
        }
        assert!(Digest::default().update(&folder.path().join("none")).is_err());
    }
}
