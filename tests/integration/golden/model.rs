//! An AMDIM model with a recorded file's weights, and one step of it as the host makes it.

use crate::support::{golden_file::Golden, workspace::component};
use infomax::{
    encoder::ForeignEncoder,
    evaluator::{Classifiers, Plan},
    loss::ForeignLoss,
    native,
    plugin::Kind,
    tensor::{Facts, Feature, Features, Gradients, NamedTensor},
};
use infomax_sdk::{EncoderInput, Key, LossInput, Mode, Source, View, requests::Request};
use serde_json::json;
use std::collections::BTreeMap;
use tch::{Device, Kind as Dtype, Tensor};

pub struct Model {
    pub encoder: ForeignEncoder,
    pub loss: ForeignLoss,
    pub classifiers: Classifiers,
}

impl Model {
    /// The model of a recorded file, with its initial weights.
    pub fn new(golden: &Golden) -> Self {
        let size: u32 = golden.number("encoder_size");
        let view = |name: &str| View { name: name.to_owned(), height: size, width: size, group: 0 };
        let input =
            EncoderInput { views: vec![view("one"), view("two")], eval_size: [size, size], ..EncoderInput::default() };
        let channels: i64 = golden.number("n_rkhs");
        let config = json!({
            "size": size,
            "ndf": golden.number::<i64>("ndf"),
            "n_rkhs": channels,
            "depth": golden.number::<i64>("n_depth"),
            "use_bn": golden.number::<u8>("use_bn") == 1,
        });
        let request = Request { config, encoder: input.clone(), device: "cpu".into(), ..Request::default() };
        let encoder = ForeignEncoder::create(&component(Kind::Encoder, "amdim"), &request)
            .unwrap_or_else(|error| panic!("{}", error.fault()));
        let loss = loss(golden.number("tclip"), input.views, encoder.description().maps.clone());
        let plan = Plan { linear: true, mlp: true, hidden: 1024, dropout: 0.2 };
        let classifiers = Classifiers::new(channels, golden.number("n_classes"), plan, Device::Cpu).unwrap();
        let model = Self { encoder, loss, classifiers };
        model.load(golden, "init/");
        model
    }

    /// Tensors by their published names.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let named = |prefix: &'static str, list: Vec<NamedTensor>| {
            list.into_iter().map(move |named| (format!("{prefix}.{}", named.name), named.tensor))
        };
        named("encoder", self.encoder.tensors().unwrap())
            .chain(named("evaluator", self.classifiers.tensors()))
            .collect()
    }

    /// Copies every recorded tensor under a prefix into the model; none may be left over.
    pub fn load(&self, golden: &Golden, prefix: &str) {
        let mut own = self.tensors();
        for (name, recorded) in golden.under(prefix) {
            let Some(tensor) = own.get_mut(name) else { panic!("{}: no parameter `{name}`", golden.name) };
            tch::no_grad(|| tensor.copy_(recorded));
        }
    }

    /// The maps of both views, of a file's x1 and x2.
    pub fn features(&mut self, golden: &Golden) -> Vec<Vec<Tensor>> {
        self.encoder.forward(&[golden.get("x1"), golden.get("x2")], Mode::Train).unwrap()
    }

    /// The loss with gradients in every parameter of the encoder; source locations are (view, image).
    pub fn step(&mut self, golden: &Golden, locations: [&Tensor; 2]) -> Gradients {
        let maps = self.features(golden);
        let leaves = features(&maps);
        replay(&mut self.loss, locations);
        let batch = maps[0][0].size()[0];
        let gradients = self.loss.forward_backward(&leaves, &facts(), 0..batch).unwrap();
        let outputs: Vec<Tensor> = maps.into_iter().flatten().collect();
        let given: Vec<Tensor> = gradients.features.iter().map(|g| g.as_ref().unwrap().shallow_clone()).collect();
        native::backward(&outputs, &given).unwrap();
        gradients
    }
}

/// The AMDIM loss on these views and maps.
pub fn loss(tclip: f64, views: Vec<View>, maps: Vec<infomax_sdk::FeatureMap>) -> ForeignLoss {
    let input = LossInput { views, maps, representation: "r1".to_owned(), class_count: None };
    let request =
        Request { config: json!({ "tclip": tclip }), loss: input, device: "cpu".into(), ..Request::default() };
    ForeignLoss::create(&component(Kind::Loss, "amdim"), &request).unwrap_or_else(|error| panic!("{}", error.fault()))
}

/// Makes the loss use recorded source locations.
pub fn replay(loss: &mut ForeignLoss, locations: [&Tensor; 2]) {
    let list = |tensor: &Tensor| Vec::<i64>::try_from(&tensor.to_kind(Dtype::Int64)).unwrap();
    loss.load(&json!({ "source_locations": locations.map(list) })).unwrap();
}

/// Maps r1, r5, r7 of each view, detached, as a loss gets them.
pub fn features(maps: &[Vec<Tensor>]) -> Features {
    let mut items = Vec::new();
    for (view, maps) in maps.iter().enumerate() {
        for (map, tensor) in ["r1", "r5", "r7"].into_iter().zip(maps) {
            items.push(Feature { view, source: Source::Encoder, map: map.to_owned(), tensor: tensor.detach() });
        }
    }
    Features::new(items)
}

pub fn facts() -> Facts {
    Facts {
        step: 0,
        total_steps: 0,
        epoch: 0,
        key: Key::new(1),
        world_size: 1,
        dtype: infomax_sdk::Kind::F32,
        labels: None,
        indices: None,
    }
}
