//! Fields that act only under a choice made by another field: what is said about them elsewhere has no effect.
//!
//! What an earlier layer says is dropped when a later layer's choice makes it meaningless, so that a file can be built upon. What is
//! said beside or after the choice is a fault. A resolved config leaves such fields out, so it reads back unchanged.
//!
//! Only choices are listed, no amounts: a config for several processes has to run on one as it stands.

use super::{
    fault::Fault,
    layer::{KeyPath, Layer, Place, dotted},
    schema,
};
use serde_json::Value;

/// Fields of one table, and the choices that they act under.
struct Dependence {
    table: &'static str,
    fields: &'static [&'static str],
    /// They act where any of these keys has one of its values.
    choices: &'static [Choice],
}

/// A key with some of its values.
pub type Choice = (&'static str, &'static [&'static str]);

const TESTED: &[Choice] = &[
    ("evaluation.linear", &["true"]),
    ("evaluation.mlp", &["true"]),
    ("evaluation.knn", &["true"]),
    ("evaluation.collapse", &["true"]),
];

const DEPENDENCES: &[Dependence] = &[
    Dependence { table: "optimizer", fields: &["betas", "eps"], choices: &[("optimizer.name", &["adam", "adamw"])] },
    Dependence { table: "optimizer", fields: &["momentum"], choices: &[("optimizer.name", &["sgd", "lars"])] },
    Dependence { table: "optimizer", fields: &["nesterov"], choices: &[("optimizer.name", &["sgd"])] },
    Dependence {
        table: "optimizer",
        fields: &["trust_coefficient", "clip_lr"],
        choices: &[("optimizer.name", &["lars"])],
    },
    Dependence {
        table: "optimizer",
        fields: &["milestones", "milestone_factor"],
        choices: &[("optimizer.schedule", &["milestones"])],
    },
    Dependence { table: "optimizer", fields: &["final_lr_fraction"], choices: &[("optimizer.schedule", &["cosine"])] },
    Dependence {
        table: "evaluation",
        fields: &["knn_k", "knn_temperature", "knn_images"],
        choices: &[("evaluation.knn", &["true"])],
    },
    Dependence {
        table: "evaluation",
        fields: &["mlp_hidden", "mlp_dropout"],
        choices: &[("evaluation.mlp", &["true"])],
    },
    Dependence {
        table: "evaluation",
        fields: &["classifier_lr"],
        choices: &[("evaluation.linear", &["true"]), ("evaluation.mlp", &["true"])],
    },
    Dependence {
        table: "evaluation",
        fields: &["protocol", "every_epochs", "every_steps", "batch_size"],
        choices: TESTED,
    },
    Dependence {
        table: "train.loss_scale",
        fields: &["initial", "growth", "growth_every_steps", "backoff", "floor"],
        choices: &[("train.precision", &["f16"])],
    },
    Dependence { table: "dataset", fields: &["max_bad_fraction"], choices: &[("dataset.on_bad", &["skip"])] },
];

impl Dependence {
    /// Whether the fields act, where `value` says what a key holds.
    fn acts(&self, value: impl Fn(&[String]) -> Option<Value>) -> bool {
        self.choices.iter().any(|(key, wanted)| {
            let value = value(&path(key)).map(|value| in_words(&value));
            value.is_some_and(|value| wanted.contains(&value.as_str()))
        })
    }

    fn paths(&self) -> impl Iterator<Item = KeyPath> {
        self.fields.iter().map(|field| path(&format!("{}.{field}", self.table)))
    }

    /// `optimizer.name` = `sgd` or `lars`
    fn hint(&self) -> String {
        let choice = |(key, values): &Choice| {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("`{key}` = {}", values.join(" or "))
        };
        self.choices.iter().map(choice).collect::<Vec<_>>().join(" or ")
    }
}

/// Every field that acts only under a choice, with the choices; any of them is enough.
pub fn dependences() -> impl Iterator<Item = (String, &'static [Choice])> {
    DEPENDENCES.iter().flat_map(|dependence| dependence.paths().map(|path| (dotted(&path), dependence.choices)))
}

/// Drops from earlier layers what a later choice makes meaningless. What is said beside or after such a choice is a fault.
pub(super) fn settle(layers: &mut [Layer], host: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for dependence in DEPENDENCES {
        // Whether the fields act under the defaults, under those and the first layer, and so on.
        let acts = |count: usize| dependence.acts(|path| chosen(&layers[..count], host, path));
        let Some(since) = (0..=layers.len()).rev().take_while(|&count| !acts(count)).last() else { continue };
        for path in dependence.paths() {
            for index in 0..layers.len() {
                if !layers[index].says(&path) {
                    continue;
                }
                if index + 1 < since {
                    layers[index].drop_key(&path);
                } else {
                    faults.push(without_effect(dependence, &path, &layers[index], layers, host));
                }
            }
        }
    }
    faults
}

/// Takes the fields that don't act out of a complete config.
pub(super) fn leave_out(value: &mut Value) {
    for dependence in DEPENDENCES {
        if dependence.acts(|path| at(value, path).cloned()) {
            continue;
        }
        for path in dependence.paths() {
            remove(value, &path);
        }
    }
}

/// Why a field doesn't act in a complete config, and where it would.
pub(super) fn reason(value: &Value, wanted: &[String]) -> Option<(String, String)> {
    let dependence = DEPENDENCES.iter().find(|dependence| dependence.paths().any(|path| path == wanted))?;
    let of = |path: &[String]| at(value, path).cloned();
    (!dependence.acts(of)).then(|| (current(dependence, of), dependence.hint()))
}

fn without_effect(dependence: &Dependence, path: &[String], layer: &Layer, layers: &[Layer], host: &Value) -> Fault {
    let current = current(dependence, |path| chosen(layers, host, path));
    let own = layer.places.get(path).map(Place::to_string);
    let choices = dependence.choices.iter().filter_map(|(key, _)| {
        layers.iter().rev().find_map(|layer| layer.places.get(&self::path(key))).map(Place::to_string)
    });
    let mut places: Vec<String> = own.into_iter().chain(choices).collect();
    places.dedup();
    let fault = Fault::new(format!("`{}` has no effect with {current}", dotted(path)));
    fault.at(places.join(" and ")).hint(format!("leave it out; it acts with {}", dependence.hint()))
}

/// `optimizer.name` = `adam`
fn current(dependence: &Dependence, value: impl Fn(&[String]) -> Option<Value>) -> String {
    let shown = |(key, _): &Choice| {
        let value = value(&path(key)).map(|value| in_words(&value)).unwrap_or_default();
        format!("`{key}` = `{value}`")
    };
    dependence.choices.iter().map(shown).collect::<Vec<_>>().join(" and ")
}

/// What the last of some layers says about a key, or else its default.
fn chosen(layers: &[Layer], host: &Value, path: &[String]) -> Option<Value> {
    let said = layers.iter().rev().find_map(|layer| layer.value(path).cloned());
    said.or_else(|| schema::field(host, path)?.get("default").cloned())
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// Takes a key out, and a table that holds nothing then.
fn remove(value: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    let Some(fields) = value.as_object_mut() else { return };
    if rest.is_empty() {
        fields.shift_remove(first);
    } else if let Some(inner) = fields.get_mut(first) {
        remove(inner, rest);
        if inner.as_object().is_some_and(serde_json::Map::is_empty) {
            fields.shift_remove(first);
        }
    }
}

fn in_words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn path(key: &str) -> KeyPath {
    key.split('.').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_key_and_value_is_one_of_the_host() {
        let host = schema::host_schema();
        for (field, choices) in dependences() {
            assert!(schema::field(&host, &path(&field)).is_some(), "{field}");
            for (key, values) in choices {
                let part = schema::at(&host, &path(key)).unwrap_or_else(|| panic!("{key}"));
                let known = schema::choices(part);
                let is_flag = schema::type_name(part) == Some("boolean");
                assert!(values.iter().all(|value| is_flag || known.iter().any(|k| k == value)), "{key}: {values:?}");
                assert!(schema::field(&host, &path(key)).unwrap().get("default").is_some(), "{key} has a default");
            }
        }
    }
}
