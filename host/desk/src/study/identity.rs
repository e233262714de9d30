//! What a cell's result depends on: settings, builds, data, weights, libtorch. Its hash is the cell's name, so that equal cells
//! of any studies are one, and whatever changes makes another.

use crate::{
    config::{is_within, leaves, shown},
    hash::sha256,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Digits of a cell's name, of the 64 that a hash has: among a million cells two are alike with a chance of 2e-8.
const DIGITS: usize = 16;

/// Keys, or tables, that say where and how a cell is computed and what is kept of it, not what comes out.
const WITHOUT_EFFECT: &[&str] = &[
    "record",
    "plugins",
    "checkpoint",
    "distributed",
    "train.device",
    "train.cuda_graphs",
    "train.workers",
    "train.threads",
    "train.products",
    "train.prefetch",
    "train.log_every_steps",
    "evaluation.batch_size",
    "dataset.path",
    "dataset.on_device",
    "augmentation.path",
    "encoder.path",
    "loss.path",
    "encoder.weights",
    "dataset.label_list",
];

/// What a cell's result depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellIdentity {
    /// The host's version.
    pub infomax: String,
    pub libtorch: String,
    /// By dotted key: all that has an effect, the seed too.
    pub settings: BTreeMap<String, Value>,
    /// The hash of each component's library, by kind.
    pub plugins: BTreeMap<String, String>,
    /// The hash of each file that a component is read from, by the key that names it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The dataset's fingerprint.
    pub data: String,
    /// The hash of the weights that the encoder starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The hash of the list of images whose labels may be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_list: Option<String>,
}

impl CellIdentity {
    /// Takes a resolved config's values for what they decide; a pinned build is told by its hash alone, and so is a component's file.
    pub fn settings(resolved: &Value, files: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
        let mut settings = leaves(resolved);
        settings.retain(|key, _| !WITHOUT_EFFECT.iter().any(|name| is_within(key, name)) && !files.contains_key(key));
        for kind in crate::config::KINDS {
            if let Some(Value::String(name)) = settings.get_mut(&format!("{kind}.name"))
                && let Some((bare, _)) = name.split_once("@sha256:")
            {
                *name = bare.to_owned();
            }
        }
        settings
    }

    /// The cell's name.
    pub fn id(&self) -> String {
        sha256(serde_json::to_string(self).expect("an identity is plain data"))[..DIGITS].to_owned()
    }

    /// What differs from an earlier identity, in words.
    pub fn changes(&self, before: &Self) -> Vec<String> {
        let told = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), shown);
        let keys: BTreeSet<&String> = before.settings.keys().chain(self.settings.keys()).collect();
        let both = keys.into_iter().map(|key| (key, before.settings.get(key), self.settings.get(key)));
        let differing = both.filter(|(_, then, now)| then != now);
        let mut all: Vec<String> =
            differing.map(|(key, then, now)| format!("`{key}` {} → {}", told(then), told(now))).collect();
        for (kind, hash) in &self.plugins {
            if before.plugins.get(kind).is_some_and(|other| other != hash) {
                all.push(format!("another build of the {kind}"));
            }
        }
        for (key, hash) in &self.files {
            if before.files.get(key).is_some_and(|other| other != hash) {
                all.push(format!("another file of `{key}`"));
            }
        }
        let others = [
            ("data", before.data != self.data),
            ("weights to start from", before.weights != self.weights),
            ("labels that may be seen", before.label_list != self.label_list),
            ("libtorch", before.libtorch != self.libtorch),
            ("infomax", before.infomax != self.infomax),
        ];
        all.extend(others.iter().filter(|(_, differs)| *differs).map(|(what, _)| format!("other {what}")));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identity(config: &Value) -> CellIdentity {
        CellIdentity {
            infomax: "1".to_owned(),
            libtorch: "2".to_owned(),
            settings: CellIdentity::settings(config, &BTreeMap::new()),
            plugins: BTreeMap::from([("loss".to_owned(), "ab".to_owned())]),
            files: BTreeMap::new(),
            data: "cd".to_owned(),
            weights: None,
            label_list: None,
        }
    }

    #[test]
    fn only_what_decides_the_result_makes_another_cell() {
        let config = json!({"train": {"seed": 1, "device": "cpu", "threads": 2}, "loss": {"name": "a"}, "record": {"name": "x"}});
        let same = json!({"train": {"seed": 1, "device": "cuda", "threads": 1}, "loss": {"name": "a@sha256:ab", "path": "p"}, "record": {"name": "y"}});
        assert_eq!(identity(&config).id(), identity(&same).id());
        let other = json!({"train": {"seed": 2, "device": "cpu"}, "loss": {"name": "a"}});
        assert_ne!(identity(&config).id(), identity(&other).id());
        assert_eq!(identity(&other).changes(&identity(&config)), ["`train.seed` 1 → 2"]);
        let mut rebuilt = identity(&config);
        rebuilt.plugins.insert("loss".to_owned(), "ef".to_owned());
        rebuilt.data = "gh".to_owned();
        assert_ne!(rebuilt.id(), identity(&config).id());
        assert_eq!(rebuilt.changes(&identity(&config)), ["another build of the loss", "other data"]);
    }
}
