//! What two runs recorded, bit by bit: the rows of metrics, the encoder, the rest of the newest checkpoint of both.

use crate::{
    checkpoint::read_tensors,
    error::{Error, Fault, Result},
    record::{ENCODER, METRICS, Row, read_metrics},
};
use std::{collections::BTreeSet, fs, path::Path};
use tch::Tensor;

/// What depends on the clock.
const OF_THE_CLOCK: [&str; 4] = ["seconds", "images_per_second", "waiting_for_data", "checkpoint_stall_seconds"];

/// What two runs have in common, and where they part.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Rows of metrics that are alike, up to the first that is not.
    pub rows: usize,
    /// Tensors that are alike.
    pub tensors: usize,
    /// What differs: the first row, then each file.
    pub differences: Vec<String>,
}

/// Compares what a run recorded with its repetition; `is_whole`: the run came to its end.
///
/// # Errors
/// Files that can't be read.
pub fn compare(then: &Path, now: &Path, is_whole: bool) -> Result<Compared> {
    let mut compared = Compared::default();
    let (before, after) = (read_metrics(&then.join(METRICS))?, read_metrics(&now.join(METRICS))?);
    let pairs = before.iter().map(Some).chain(std::iter::repeat(None)).zip(after.iter().map(Some).chain([None]));
    for (before, after) in pairs {
        let difference = match (before, after) {
            (None, None) => break,
            (None, Some(_)) if !is_whole => break,
            (None, Some(row)) => Some(format!("step {}: a row that the run has not", row.step)),
            (Some(row), None) => Some(format!("step {}: a row that the repetition has not", row.step)),
            (Some(before), Some(after)) => differing(before, after),
        };
        match difference {
            Some(text) => {
                compared.differences.push(text);
                break;
            }
            None => compared.rows += 1,
        }
    }
    compare_files(&then.join(ENCODER), &now.join(ENCODER), ENCODER, &mut compared)?;
    if let Some(step) = newest_of_both(then, now) {
        for file in [ENCODER, "training.safetensors"] {
            let name = format!("checkpoints/{step}/{file}");
            compare_files(&then.join(&name), &now.join(&name), &name, &mut compared)?;
        }
    }
    Ok(compared)
}

/// The first value of two rows that differs in a bit.
fn differing(then: &Row, now: &Row) -> Option<String> {
    if then.step != now.step {
        return Some(format!("step {}: the repetition's next row is of step {}", then.step, now.step));
    }
    let values = |row: &Row| -> Vec<(String, f64)> {
        row.values.iter().filter(|(name, _)| !OF_THE_CLOCK.contains(&name.as_str())).cloned().collect()
    };
    let (before, after) = (values(then), values(now));
    let is_same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    for (a, b) in before.iter().zip(&after) {
        if a.0 != b.0 {
            return Some(format!("step {}: `{}` then, `{}` now", then.step, a.0, b.0));
        }
        if !is_same(a.1, b.1) {
            return Some(format!("step {}: `{}` was {}, is {}", then.step, a.0, a.1, b.1));
        }
    }
    (before.len() != after.len())
        .then(|| format!("step {}: {} values then, {} now", then.step, before.len(), after.len()))
}

/// The newest checkpoint that both have, by its folder's name.
fn newest_of_both(then: &Path, now: &Path) -> Option<String> {
    let steps = |run: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|n| n.starts_with("step-"))
            .collect()
    };
    steps(then).intersection(&steps(now)).last().cloned()
}

fn compare_files(then: &Path, now: &Path, name: &str, compared: &mut Compared) -> Result<()> {
    let read = |path: &Path| {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        read_tensors(&bytes).map_err(|reason| {
            let fault = Fault::new(format!("can't read the tensors: {reason}")).at(path.display().to_string());
            Error::Checkpoint { fault }
        })
    };
    if !then.exists() || !now.exists() {
        return Ok(()); // of a run that did not come to its end
    }
    let (before, after) = (read(then)?.tensors, read(now)?.tensors);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut unlike = Vec::new();
    for tensor in names {
        match (before.get(tensor), after.get(tensor)) {
            (Some(a), Some(b)) if is_same(a, b) => compared.tensors += 1,
            _ => unlike.push(tensor),
        }
    }
    if let Some(first) = unlike.first() {
        let all = unlike.len();
        compared.differences.push(format!("`{name}`: {all} tensors differ, the first is `{first}`"));
    }
    Ok(())
}

/// Whether two tensors are alike in every bit.
fn is_same(a: &Tensor, b: &Tensor) -> bool {
    let bytes = |tensor: &Tensor| -> Option<Vec<u8>> {
        let flat = tensor.f_reshape([-1]).ok()?.f_contiguous().ok()?.f_view_dtype(tch::Kind::Uint8).ok()?;
        Vec::<u8>::try_from(flat).ok()
    };
    a.size() == b.size() && a.kind() == b.kind() && (a.numel() == 0 || bytes(a).is_some_and(|a| Some(a) == bytes(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, loss: f64) -> Row {
        Row {
            step,
            epoch: 0,
            seconds: 1.0,
            values: vec![("loss".to_owned(), loss), ("images_per_second".to_owned(), 7.0)],
        }
    }

    #[test]
    fn a_bit_counts_and_the_clock_does_not() {
        let mut later = row(3, 0.5);
        (later.seconds, later.values[1].1) = (9.0, 8.0);
        assert_eq!(differing(&row(3, 0.5), &later), None);
        assert_eq!(differing(&row(3, f64::NAN), &row(3, f64::NAN)), None);
        let next = f64::from_bits(0.5f64.to_bits() + 1);
        let text = differing(&row(3, 0.5), &row(3, next)).unwrap();
        assert_eq!(text, "step 3: `loss` was 0.5, is 0.5000000000000001");
        assert!(differing(&row(3, 0.0), &row(3, -0.0)).is_some());
        assert!(differing(&row(3, 0.5), &row(4, 0.5)).is_some());
    }

    #[test]
    fn tensors_are_alike_in_every_bit_or_not() {
        let tensor = |values: &[f32]| Tensor::from_slice(values);
        assert!(is_same(&tensor(&[1.0, f32::NAN]), &tensor(&[1.0, f32::NAN])));
        assert!(!is_same(&tensor(&[0.0]), &tensor(&[-0.0])));
        assert!(!is_same(&tensor(&[1.0]), &tensor(&[1.0]).reshape([1, 1])));
        assert!(is_same(&tensor(&[]), &tensor(&[])));
        let flags = |values: &[bool]| Tensor::from_slice(values);
        assert!(is_same(&flags(&[true, false]), &flags(&[true, false])) && !is_same(&flags(&[true]), &flags(&[false])));
        let scalar = |value: i64| Tensor::from(value);
        assert!(is_same(&scalar(3), &scalar(3)) && !is_same(&scalar(3), &scalar(4)));
    }
}
