//! Which keys a run may change when it goes on. Every other key decides what the run computes: changing it would make two
//! runs under one name.

use super::difference::Change;

/// Keys, or tables, that may change, each because of what stands beside it.
const FREE: &[(&str, &str)] = &[
    ("train.epochs", LENGTH),
    ("train.steps", LENGTH),
    ("train.images", LENGTH),
    ("train.seconds", LENGTH),
    ("train.device", MACHINE),
    ("train.workers", MACHINE),
    ("train.threads", MACHINE),
    ("train.products", MACHINE),
    ("train.prefetch", MACHINE),
    ("train.deterministic", MACHINE),
    ("train.cuda_graphs", MACHINE),
    ("dataset.on_device", "views are the same wherever they are made"),
    ("train.log_every_steps", RECORD),
    ("train.max_skipped_steps_in_a_row", LENGTH),
    ("evaluation.every_epochs", RECORD),
    ("evaluation.every_steps", RECORD),
    ("evaluation.batch_size", RECORD),
    ("evaluation.knn", RECORD),
    ("evaluation.knn_k", RECORD),
    ("evaluation.knn_temperature", RECORD),
    ("evaluation.knn_images", RECORD),
    ("evaluation.collapse", RECORD),
    ("evaluation.stop_on_collapse", LENGTH),
    ("evaluation.untrained", RECORD),
    ("checkpoint", RECORD),
    ("record", RECORD),
    ("distributed", "the result does not depend on the number of processes"),
    ("plugins", HASHED),
    ("dataset.path", HASHED),
    ("augmentation.path", HASHED),
    ("encoder.path", HASHED),
    ("loss.path", HASHED),
    ("encoder.cast_weights", "only a run's first step starts from weights"),
    ("encoder.weights", "only a run's first step starts from them"),
    ("encoder.weights_key", "only a run's first step starts from weights"),
    ("encoder.weights_prefix", "only a run's first step starts from weights"),
    ("encoder.weights_grid", "only a run's first step starts from weights"),
];
const LENGTH: &str = "says when the run ends, not what a step computes";
const MACHINE: &str = "belongs to the machine";
const RECORD: &str = "says what is looked at and kept";
const HASHED: &str = "the libraries are compared by their hashes";

/// Keys, or tables, that decide what a run computes.
const FIXED: &[&str] = &[
    "dataset.name",
    "dataset.on_bad",
    "dataset.max_bad_fraction",
    "dataset.exif_rotation",
    "dataset.gray16",
    "dataset.max_pixels",
    "dataset.label_fraction",
    "dataset.label_list",
    "dataset.config",
    "augmentation.name",
    "augmentation.config",
    "encoder.name",
    "encoder.config",
    "loss.name",
    "loss.config",
    "optimizer",
    "train.stage",
    "train.batch_size",
    "train.accumulation_steps",
    "train.seed",
    "train.precision",
    "train.loss_scale",
    "evaluation.protocol",
    "evaluation.linear",
    "evaluation.mlp",
    "evaluation.mlp_hidden",
    "evaluation.mlp_dropout",
    "evaluation.classifier_lr",
    "evaluation.holdout_fraction",
    "batch_norm",
];

/// Keys that say how long a run is: where the learning rate depends on that, they are fixed.
pub const LENGTHS: [&str; 4] = ["train.epochs", "train.steps", "train.images", "train.seconds"];

/// Why a key may change; none where it may not.
pub fn free_on_resume(key: &str) -> Option<&'static str> {
    FREE.iter().find(|(free, _)| is_within(key, free)).map(|&(_, reason)| reason)
}

/// Whether a key decides what a run computes.
pub fn fixed_on_resume(key: &str) -> bool {
    FIXED.iter().any(|fixed| is_within(key, fixed))
}

/// The changes that a run that goes on must not make. `schedule_needs_length`: the learning rate depends on the number of
/// updates; `overridden`: keys, or tables, that the user wants to change all the same.
pub fn refused<'a>(changes: &'a [Change], schedule_needs_length: bool, overridden: &[String]) -> Vec<&'a Change> {
    let is_free = |key: &str| {
        let depends = schedule_needs_length && LENGTHS.contains(&key);
        free_on_resume(key).is_some() && !depends
    };
    let is_overridden = |key: &str| overridden.iter().any(|name| is_within(key, name));
    changes.iter().filter(|change| !is_free(&change.key) && !is_overridden(&change.key)).collect()
}

/// Whether a key is this one, or lies in this table or list.
pub fn is_within(key: &str, name: &str) -> bool {
    key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::{super::host_schema, *};
    use serde_json::Value;

    #[test]
    fn k15_every_key_of_the_host_is_either_free_or_fixed() {
        fn walk(schema: &Value, path: &str, keys: &mut Vec<String>) {
            match schema["properties"].as_object() {
                Some(fields) => fields.iter().for_each(|(key, field)| {
                    walk(field, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, keys);
                }),
                None => keys.push(path.to_owned()),
            }
        }
        let mut keys = Vec::new();
        walk(&host_schema(), "", &mut keys);
        let unclear: Vec<_> = keys.iter().filter(|key| free_on_resume(key).is_some() == fixed_on_resume(key)).collect();
        assert!(unclear.is_empty(), "{} of {} keys are neither or both: {unclear:?}", unclear.len(), keys.len());
        let known = |name: &&str| keys.iter().any(|key| is_within(key, name));
        let names: Vec<_> = FREE.iter().map(|(name, _)| *name).chain(FIXED.iter().copied()).collect();
        assert!(names.iter().all(known), "a name in the lists is no key");
        println!("classified {} of {} keys", keys.len() - unclear.len(), keys.len());
    }

    #[test]
    fn a_length_is_fixed_where_the_learning_rate_depends_on_it_and_names_override() {
        let change = |key: &str| Change { key: key.to_owned(), before: None, after: None };
        let changes = [change("train.steps"), change("optimizer.lr"), change("record.name")];
        let keys = |list: Vec<&Change>| list.iter().map(|change| change.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(refused(&changes, false, &[])), ["optimizer.lr"]);
        assert_eq!(keys(refused(&changes, true, &[])), ["train.steps", "optimizer.lr"]);
        assert!(refused(&changes, true, &["train.steps".to_owned(), "optimizer".to_owned()]).is_empty());
    }
}
