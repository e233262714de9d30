//! Which labels of the training images may be used: a share of each class, or those that a published list names. Training and
//! evaluation choose alike, from the labels alone, so that no image that can't be read moves the choice.

use super::{Source, Stage};
use crate::{
    config::Experiment,
    error::{Error, Fault, Result},
    hash::sha256,
};
use infomax_sdk::{Key, Roles};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::Path,
    time::Duration,
};

/// The labels that a run may see.
#[derive(Debug)]
pub struct LabelChoice {
    stage: Stage,
    chosen: HashSet<(usize, u64)>,
    /// By split: whether labels that are not chosen are hidden.
    hidden: Vec<bool>,
}

impl LabelChoice {
    /// What a config's table `dataset` asks for; none where all labels may be seen. Where `telling`, classes that are left
    /// without a label are told.
    ///
    /// # Errors
    /// Labels that can't be read, a list that names no image.
    pub fn of(experiment: &Experiment, source: &Source, telling: bool) -> Result<Option<Self>> {
        let table = &experiment.dataset;
        if table.label_fraction.is_none() && table.label_list.is_none() {
            return Ok(None);
        }
        let roles = &source.facts().roles;
        let stage = source.stage(&roles.train);
        let labels = labels(experiment, source, &stage)?;
        let mut positions = match (table.label_fraction, &table.label_list) {
            (_, Some(path)) => listed(source, &stage, path)?,
            (fraction, None) => share(&labels, fraction.unwrap_or(1.0)),
        };
        positions.retain(|&position| labels[position] >= 0);
        if let (true, Some(list)) = (telling, &table.label_list) {
            tell_lacking(source, &labels, &positions, list);
        }
        log::info!("labels: those of {} of {} training images are used", positions.len(), stage.len());
        let stage: Stage = positions.into_iter().map(|position| stage[position]).collect();
        Ok(Some(Self {
            chosen: stage.iter().copied().collect(),
            hidden: hidden(roles, source.facts().splits.len()),
            stage,
        }))
    }

    /// The chosen samples, in the dataset's order.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Whether a sample's label may be seen.
    pub fn shows(&self, split: usize, index: u64) -> bool {
        !self.hidden[split] || self.chosen.contains(&(split, index))
    }

    /// Equal for equal choices.
    pub fn digest(&self) -> String {
        let numbers = self.stage.iter().flat_map(|&(split, index)| [split as u64, index]);
        sha256(numbers.flat_map(u64::to_le_bytes).collect::<Vec<u8>>())
    }
}

/// What training sees, but for what is tested on.
fn hidden(roles: &Roles, splits: usize) -> Vec<bool> {
    let trains = |split: &usize| roles.train.contains(split) || roles.pretrain.contains(split);
    (0..splits).map(|split| trains(&split) && !roles.test.contains(&split)).collect()
}

/// The labels of a stage's samples, in order.
///
/// # Errors
/// As [`Source::labels`].
pub fn labels(experiment: &Experiment, source: &Source, stage: &Stage) -> Result<Vec<i64>> {
    let deadline = Duration::from_secs(experiment.plugins.timeout_seconds);
    source.labels(stage, experiment.train.worker_count(crate::cores::cores().len()), deadline)
}

/// The positions of a share of each class, at least one of each. Which ones depends on nothing but labels, positions and the
/// share; a smaller share's are among a larger one's, and an image that comes or goes changes no other's rank.
pub fn share(labels: &[i64], fraction: f64) -> Vec<usize> {
    let mut of_class: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (position, &label) in labels.iter().enumerate().filter(|(_, label)| **label >= 0) {
        of_class.entry(label).or_default().push(position);
    }
    let key = Key::new(0).purpose("label share");
    let mut positions = Vec::new();
    for (class, mut members) in of_class {
        let key = key.fold(class as u64);
        members.sort_by_cached_key(|&position| (key.fold(position as u64).0, position));
        let count = ((members.len() as f64 * fraction).round() as usize).clamp(1, members.len());
        positions.extend(&members[..count]);
    }
    positions.sort_unstable();
    positions
}

/// The positions of the samples that a file names, one a line: `n01440764_10026.JPEG`, or with the class folder before it.
/// Names that fit no image, or several, are told.
///
/// # Errors
/// As [`read_list`], and a list that names none of the images.
pub fn listed(source: &Source, stage: &Stage, path: &Path) -> Result<Vec<usize>> {
    let text = read_list(path)?;
    let names: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut fitting: HashMap<&str, u64> = names.iter().map(|&name| (name, 0)).collect();
    let mut positions = Vec::new();
    for (position, &(split, index)) in stage.iter().enumerate() {
        let place = source.locate(split, index);
        let mut ends = place.rmatch_indices('/').map(|(at, _)| &place[at + 1..]).take(2).collect::<Vec<_>>();
        ends.push(&place);
        ends.dedup();
        let mut is_listed = false;
        for end in ends {
            if let Some(count) = fitting.get_mut(end) {
                *count += 1;
                is_listed = true;
            }
        }
        if is_listed {
            positions.push(position);
        }
    }
    if positions.is_empty() {
        let first = names.first().map(|name| format!(", such as `{name}`")).unwrap_or_default();
        let message = format!("none of the {} names is one of the training images{first}", names.len());
        let hint = "a line is a file's name, or its class folder and name";
        return Err(Error::Dataset { fault: Fault::new(message).at(path.display().to_string()).hint(hint) });
    }
    let tell = |what: &str, those: Vec<&&str>| {
        if let Some(first) = those.first() {
            log::warn!("{}: {} of {} names fit {what}, such as `{first}`", path.display(), those.len(), names.len());
        }
    };
    tell("no training image", names.iter().filter(|&name| fitting[name] == 0).collect());
    tell("several training images, which are all taken", names.iter().filter(|&name| fitting[name] > 1).collect());
    Ok(positions)
}

/// Tells which classes of the training images a list leaves without a label: a classifier never learns those, and the test
/// images of theirs count as wrong.
pub fn tell_lacking(source: &Source, labels: &[i64], positions: &[usize], list: &Path) {
    const SHOWN: usize = 10;
    let chosen: BTreeSet<i64> = positions.iter().map(|&position| labels[position]).collect();
    let all: BTreeSet<i64> = labels.iter().copied().filter(|&label| label >= 0).collect();
    let names = &source.facts().class_names;
    let name = |&label: &i64| format!("`{}`", names.get(label as usize).map_or("?", String::as_str));
    let lacking: Vec<String> = all.difference(&chosen).map(name).collect();
    if lacking.is_empty() {
        return;
    }
    let more = lacking.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = lacking.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let (path, count) = (list.display(), all.len());
    log::warn!("{path}: no label of {} of {count} classes is listed: {shown}{more}", lacking.len());
}

/// A list of labels, as it stands.
///
/// # Errors
/// A file that can't be read.
pub fn read_list(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let fault = Fault::new(format!("can't read the list of labels: {error}")).at(path.display().to_string());
        let hint =
            "put the file there, or name another: `dataset.label_list` in a config, `--label-list` beside `evaluate`";
        Error::Dataset { fault: fault.hint(hint) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_nested_and_no_image_moves_anothers_rank() {
        let labels: Vec<i64> = (0..1000).map(|i| if i % 50 == 7 { -1 } else { i % 3 }).collect();
        let of = |fraction| share(&labels, fraction);
        let [one, ten, all] = [0.01, 0.1, 1.0].map(of);
        let within = |less: &[usize], more: &[usize]| less.iter().all(|position| more.binary_search(position).is_ok());
        assert!(within(&one, &ten) && within(&ten, &all));
        assert_eq!((one.len(), ten.len(), all.len()), (9, 99, 980));
        assert!(all.iter().all(|&position| labels[position] >= 0));
        // An image whose label can't be read makes room for one more of its class at most.
        let gone = ten[5];
        let without: Vec<i64> = labels.iter().enumerate().map(|(i, &l)| if i == gone { -1 } else { l }).collect();
        let again = share(&without, 0.1);
        assert!(!again.contains(&gone) && ten.iter().filter(|position| !again.contains(position)).count() == 1);
        assert_eq!(share(&[0, 0, 1], 1e-6), [share(&[0, 0, 1], 1e-6)[0], 2], "at least one of each class");
    }
}
