//! A recorded step of a loss: its file, the loss with the file's state, and one step of it as the host makes it.

use crate::support::workspace::{component, root};
use infomax::{
    checkpoint::{TensorFile, read_tensors},
    loss::ForeignLoss,
    plugin::{Component, Kind},
    tensor::{Facts, Feature, Features, NamedTensor},
};
use infomax_sdk::{FeatureMap, Key, LossInput, Role, Source, View, requests::Request};
use serde_json::Value;
use std::{collections::BTreeMap, fs, ops::Range};
use tch::{Kind as Dtype, Tensor};

/// The map that the recording script calls the representation.
const REPRESENTATION: &str = "global";

/// A recorded file.
pub struct Recorded {
    pub name: String,
    pub loss: String,
    file: TensorFile,
    /// `config`, `groups` of the views, `step`, `total_steps`.
    facts: Value,
}

/// What a step gave, all in f64.
pub struct Outcome {
    pub total: Tensor,
    pub terms: Vec<(String, f64)>,
    /// `feature/<view>/<map>` and `state/<name>`; zeros where there is none.
    pub gradients: BTreeMap<String, Tensor>,
}

impl Outcome {
    pub fn total(&self) -> f64 {
        self.total.double_value(&[])
    }
}

/// Every recorded file of a loss.
pub fn recorded(loss: &str) -> Vec<Recorded> {
    let folder = root().join("tests/recorded/losses");
    let mut paths: Vec<_> = fs::read_dir(&folder).expect("recorded files").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let file =
            read_tensors(&fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let facts: Value = serde_json::from_str(&file.metadata["recorded"]).unwrap();
        Recorded { name, loss: facts["loss"].as_str().unwrap().to_owned(), file, facts }
    };
    let found: Vec<Recorded> = paths.into_iter().map(read).filter(|file| file.loss == loss).collect();
    assert!(!found.is_empty(), "nothing is recorded for `{loss}`");
    found
}

impl Recorded {
    pub fn get(&self, key: &str) -> Tensor {
        self.file.tensors.get(key).unwrap_or_else(|| panic!("{} lacks `{key}`", self.name)).shallow_clone()
    }

    /// Names and tensors under a prefix, which is cut off.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.file.tensors.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
    }

    /// The loss's config on the recorded views and maps.
    pub fn request(&self) -> Request {
        let groups: Vec<u32> = serde_json::from_value(self.facts["groups"].clone()).unwrap();
        let views = groups.iter().enumerate().map(|(i, &group)| View {
            name: format!("view{i}"),
            height: 32,
            width: 32,
            group,
        });
        let maps = self.under("feature/encoder/0/").map(|(name, map)| {
            let size = map.size();
            FeatureMap { name: name.into(), channels: size[1] as u32, height: size[2] as u32, width: size[3] as u32 }
        });
        let input = LossInput {
            views: views.collect(),
            maps: maps.collect(),
            representation: REPRESENTATION.into(),
            class_count: None,
        };
        Request { config: self.facts["config"].clone(), loss: input, device: "cpu".into(), ..Request::default() }
    }

    /// The loss's component.
    pub fn component(&self) -> Component {
        component(Kind::Loss, &self.loss)
    }

    /// The loss with fresh weights.
    pub fn fresh_loss(&self) -> ForeignLoss {
        ForeignLoss::create(&self.component(), &self.request())
            .unwrap_or_else(|error| panic!("{}: {}", self.name, error.fault()))
    }

    /// The loss with the recorded state, which must name every tensor that the loss has, at the beginning of the step.
    pub fn loss(&self) -> ForeignLoss {
        let mut loss = self.fresh_loss();
        let mut own: BTreeMap<_, _> = loss.tensors().unwrap().into_iter().map(|n| (n.name, n.tensor)).collect();
        for (name, recorded) in self.under("state/") {
            let Some(mut tensor) = own.remove(name) else { panic!("{}: the loss has no `{name}`", self.name) };
            assert_eq!(tensor.size(), recorded.size(), "{} {name}", self.name);
            tch::no_grad(|| tensor.copy_(recorded));
        }
        assert!(own.is_empty(), "{} does not record {:?}", self.name, own.keys());
        loss.before_step(&self.facts(Tensor::shallow_clone)).unwrap();
        loss
    }

    /// The recorded features as the loss asks for them, changed, as leaves.
    pub fn features(&self, loss: &ForeignLoss, change: impl Fn(&Tensor) -> Tensor) -> Features {
        let mut items = Vec::new();
        for need in &loss.description().needs {
            for map in &need.maps {
                let trained = need.source == Source::Encoder;
                let source = if trained { "encoder" } else { "momentum_encoder" };
                let tensor = change(&self.get(&format!("feature/{source}/{}/{map}", need.view)));
                let tensor = tensor.detach().copy().set_requires_grad(trained);
                items.push(Feature { view: need.view, source: need.source, map: map.clone(), tensor });
            }
        }
        Features::new(items)
    }

    /// The recorded facts, with changed labels.
    pub fn facts(&self, change: impl Fn(&Tensor) -> Tensor) -> Facts {
        Facts {
            step: self.facts["step"].as_u64().unwrap(),
            total_steps: self.facts["total_steps"].as_u64().unwrap(),
            epoch: 0,
            key: Key::new(1),
            world_size: 1,
            dtype: infomax_sdk::Kind::F32,
            labels: self.file.tensors.get("labels").map(change),
            indices: None,
        }
    }
}

/// The number of images.
pub fn batch(features: &Features) -> i64 {
    features.items()[0].tensor.size()[0]
}

/// The loss of some rows with its gradients; those of earlier calls are left out.
pub fn forward_backward(loss: &ForeignLoss, features: &Features, facts: &Facts, rows: Range<i64>) -> Outcome {
    let parameters: Vec<NamedTensor> =
        loss.tensors().unwrap().into_iter().filter(|named| named.role == Role::Parameter).collect();
    let mut leaves: Vec<(String, Tensor)> = Vec::new();
    for item in features.items().iter().filter(|item| item.source == Source::Encoder) {
        leaves.push((format!("feature/{}/{}", item.view, item.map), item.tensor.shallow_clone()));
    }
    leaves.extend(parameters.iter().map(|named| (format!("state/{}", named.name), named.tensor.shallow_clone())));
    for (_, leaf) in &mut leaves {
        leaf.zero_grad();
    }
    let terms = loss.forward(features, facts, rows).unwrap_or_else(|error| panic!("{}", error.fault()));
    terms.total.backward();
    let gradient = |leaf: &Tensor| {
        let gradient = leaf.grad();
        if gradient.defined() {
            gradient.to_kind(Dtype::Double).copy()
        } else {
            leaf.detach().zeros_like().to_kind(Dtype::Double)
        }
    };
    Outcome {
        total: terms.total.detach(),
        terms: terms.terms.iter().map(|(name, term)| (name.clone(), term.double_value(&[]))).collect(),
        gradients: leaves.iter().map(|(name, leaf)| (name.clone(), gradient(leaf))).collect(),
    }
}
