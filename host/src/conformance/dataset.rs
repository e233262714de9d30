//! Checks of a dataset. One that needs files which are not there is only described.

use super::subject::{Subject, no_panic, said, take};
use infomax_abi::{FfiDataset, FfiSample};
use infomax_sdk::{DatasetDescription, DatasetFacts};

pub(super) fn check(subject: &mut Subject<'_>) {
    let verdict = describe(subject);
    subject.verdict("description", verdict);
    let text = serde_json::to_string(&subject.request()).expect("a request is plain data");
    let made = take(subject.module.create_dataset()(subject.name.as_str().into(), text.as_str().into()));
    let verdict = no_panic("create", &made);
    subject.verdict("creation", verdict);
    let dataset = match made {
        Ok(dataset) => dataset,
        Err(error) => return subject.note(format!("reading, for it can't be made here: {error}")),
    };
    subject.verdict("facts", facts(&dataset).map(drop));
    subject.verdict("reading", reading(&dataset));
    subject.verdict("drop", take(dataset.vtable.drop()(dataset.instance)).map_err(said));
}

fn describe(subject: &Subject<'_>) -> Result<(), String> {
    let description = subject.describe(&subject.request()).map_err(said)?;
    serde_json::from_value::<DatasetDescription>(description).map(drop).map_err(|error| error.to_string())
}

fn facts(dataset: &FfiDataset) -> Result<DatasetFacts, String> {
    let get = || take(dataset.vtable.facts()(dataset.instance)).map_err(said);
    let (text, again) = (get()?, get()?);
    if text != again {
        return Err("it gives other facts the second time".to_owned());
    }
    let facts: DatasetFacts = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let roles = facts.roles.pretrain.iter().chain(&facts.roles.train).chain(&facts.roles.test);
    if let Some(split) = roles.into_iter().find(|&&split| split >= facts.splits.len()) {
        return Err(format!("a role names split {split}, there are {}", facts.splits.len()));
    }
    let labelled = facts.roles.train.iter().chain(&facts.roles.test);
    if let Some(&split) = labelled.into_iter().find(|&&split| !facts.splits[split].labelled) {
        return Err(format!("`{}` serves classifiers but has no labels", facts.splits[split].name));
    }
    if facts.fingerprint.is_empty() {
        return Err("its fingerprint is empty, so a changed dataset could not be told".to_owned());
    }
    Ok(facts)
}

fn reading(dataset: &FfiDataset) -> Result<(), String> {
    let facts = facts(dataset)?;
    let read = |split: usize, index: u64| take(dataset.vtable.read()(dataset.instance, split as u64, index));
    let labels = |split: usize| dataset.vtable.labels().map(|labels| take(labels(dataset.instance, split as u64)));
    let key = |s: &FfiSample| (s.encoding, s.width, s.height, s.bytes.to_vec(), s.label);
    for (position, split) in facts.splits.iter().enumerate() {
        let name = &split.name;
        let labels = labels(position).transpose().map_err(said)?.unwrap_or_default();
        if !labels.is_empty() && labels.len() as u64 != split.length {
            return Err(format!("`{name}`: {} labels for {} images", labels.len(), split.length));
        }
        for index in [0, split.length / 2, split.length.saturating_sub(1)].into_iter().filter(|&i| i < split.length) {
            let place = |what: String| format!("`{name}`, image {index}: {what}");
            let (one, two) = (read(position, index), read(position, index));
            no_panic(&place("read".to_owned()), &one)?;
            let (one, two) = (one.map_err(|e| place(e.to_string()))?, two.map_err(|e| place(e.to_string()))?);
            if key(&one) != key(&two) {
                return Err(place("it reads differently the second time".to_owned()));
            }
            if one.encoding == 1 && one.bytes.len() as u64 != u64::from(one.width) * u64::from(one.height) * 3 {
                return Err(place(format!("{} bytes for {}×{} pixels", one.bytes.len(), one.width, one.height)));
            }
            let classes = facts.class_names.len() as i64;
            if split.labelled != (0..classes).contains(&one.label) {
                return Err(place(format!("its label is {}, of {classes} classes", one.label)));
            }
            if labels.get(index as usize).is_some_and(|&label| label != one.label) {
                return Err(place(format!("its label is {}, `labels` says {}", one.label, labels[index as usize])));
            }
            if take(dataset.vtable.locate()(dataset.instance, position as u64, index)).map_err(said)?.is_empty() {
                return Err(place("`locate` says nothing".to_owned()));
            }
        }
        no_panic(&format!("`{name}`, an image past the end"), &read(position, split.length))?;
    }
    if let Some(labels) = labels(facts.splits.len()) {
        no_panic("the labels of a split past the end", &labels)?;
    }
    no_panic("a split past the end", &read(facts.splits.len(), 0))
}
