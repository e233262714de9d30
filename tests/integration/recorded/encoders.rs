//! Encoders of the library `infomax_encoders` against torchvision, timm and restatements: `record_encoders.py`, whose
//! numbers are of f64, wrote what is compared here.

use super::fill::{filled, pattern};
use crate::support::{
    golden_file::largest_difference,
    workspace::{component, root},
};
use infomax::{
    checkpoint::{TensorFile, read_tensors},
    encoder::{ForeignEncoder, describe},
    plugin::Kind,
    tensor::NamedTensor,
};
use infomax_sdk::{EncoderInput, FeatureMap, Mode, Role, View, requests::Request};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};
use tch::Tensor;

/// Of the largest number of the tensor, or of a hundredth of the largest gradient where that is more.
const TOLERANCE: f64 = 1e-4;

/// One recorded file and the encoder that it is about.
pub struct Case {
    name: &'static str,
    file: TensorFile,
    pub encoder: ForeignEncoder,
    views: Vec<Tensor>,
    largest_error: f64,
}

impl Case {
    /// With the weights that the numbers were recorded with.
    fn new(name: &'static str) -> Self {
        let case = Self::fresh(name);
        fill(&case.encoder);
        case
    }

    /// With weights of its own.
    pub fn fresh(name: &'static str) -> Self {
        let path = root().join("tests/recorded/encoders").join(format!("{name}.safetensors"));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = read_tensors(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let about = |key: &str| file.metadata[key].as_str();
        let json = |key: &str| serde_json::from_str::<Value>(about(key)).expect("JSON");
        let sizes: Vec<[u32; 2]> = serde_json::from_value(json("views")).expect("sizes");
        let encoder = encoder(about("component"), json("config"), &sizes);
        let batch: i64 = about("batch").parse().expect("a number");
        let view = |(i, size): (usize, &[u32; 2])| {
            let shape = [batch, 3, size[0].into(), size[1].into()];
            (pattern(&format!("{}/view{i}", about("attempt")), &shape) * 2.0).to_kind(tch::Kind::Float)
        };
        let views = sizes.iter().enumerate().map(view).collect();
        Self { name, file, encoder, views, largest_error: 0.0 }
    }

    fn recorded(&self, key: &str) -> Tensor {
        self.file.tensors.get(key).unwrap_or_else(|| panic!("{} lacks `{key}`", self.name)).shallow_clone()
    }

    fn tensors(&self) -> BTreeMap<String, NamedTensor> {
        self.encoder.tensors().unwrap().into_iter().map(|named| (named.name.clone(), named)).collect()
    }

    /// A hundredth of the largest gradient: some are 0 but for rounding, as of a bias before a normalisation.
    fn least_gradient(&self) -> f64 {
        let gradients = self.file.tensors.iter().filter(|(name, _)| name.starts_with("grad/"));
        0.01 * gradients.map(|(_, gradient)| largest(gradient)).fold(0.0, f64::max)
    }

    fn compare_maps(&mut self, mode: &str, views: &[Vec<Tensor>]) -> usize {
        let names: Vec<String> = self.encoder.description().maps.iter().map(|map| map.name.clone()).collect();
        for (i, maps) in views.iter().enumerate() {
            for (name, map) in names.iter().zip(maps) {
                let key = format!("{mode}/{i}/{name}");
                self.compare(&key, map, largest(&self.recorded(&key)));
            }
        }
        names.len() * views.len()
    }

    fn compare(&mut self, key: &str, own: &Tensor, scale: f64) {
        let recorded = self.recorded(key);
        assert_eq!(own.size(), recorded.size(), "{} {key}", self.name);
        let error = largest_difference(own, &recorded) / scale;
        assert!(error <= TOLERANCE, "{} {key}: off by {error:.2e} of the largest", self.name);
        self.largest_error = self.largest_error.max(error);
    }

    /// Compares every recorded number; nothing recorded may be left over.
    pub fn agrees(mut self) {
        let own = self.tensors();
        let trained = self.encoder.forward(&self.views, Mode::Train).unwrap();
        let mut total = Tensor::zeros([], (tch::Kind::Double, tch::Device::Cpu));
        for (i, maps) in trained.iter().enumerate() {
            for (map, FeatureMap { name, .. }) in maps.iter().zip(&self.encoder.description().maps) {
                total += (map * pattern(&format!("functional/{i}/{name}"), &map.size())).sum(tch::Kind::Double);
            }
        }
        total.backward();
        let mut compared = 0;
        let least = self.least_gradient();
        for (name, named) in &own {
            let key = |kind: &str| format!("{kind}/{name}");
            if named.role == Role::Buffer {
                let key = key("after");
                self.compare(&key, &named.tensor, largest(&self.recorded(&key)));
            } else if let Some(recorded) = self.file.tensors.get(&key("grad")).map(Tensor::shallow_clone) {
                self.compare(&key("grad"), &named.tensor.grad(), largest(&recorded).max(least));
            } else {
                let gradient = named.tensor.grad().to_kind(tch::Kind::Double);
                let along = (&gradient * pattern(&key("projection"), &gradient.size())).sum(tch::Kind::Double);
                let recorded = self.recorded(&key("projection"));
                let own = Tensor::stack(&[along, gradient.norm()], 0);
                self.compare(&key("projection"), &own, largest(&recorded).max(least));
            }
            compared += 1;
        }
        let evaluated = tch::no_grad(|| self.encoder.forward(&self.views, Mode::Evaluate)).unwrap();
        compared += self.compare_maps("train", &trained) + self.compare_maps("evaluate", &evaluated);
        assert_eq!(compared, self.file.tensors.len(), "{}: something recorded was not compared", self.name);
        println!("{}: {compared} tensors within {:.1e}", self.name, self.largest_error);
    }
}

fn largest(tensor: &Tensor) -> f64 {
    tensor.to_kind(tch::Kind::Double).abs().max().double_value(&[]).max(1e-30)
}

fn request(config: Value, sizes: &[[u32; 2]]) -> Request {
    let view =
        |(i, size): (usize, &[u32; 2])| View { name: format!("v{i}"), height: size[0], width: size[1], group: 0 };
    let encoder = EncoderInput {
        views: sizes.iter().enumerate().map(view).collect(),
        eval_size: sizes[0],
        ..EncoderInput::default()
    };
    Request { config, encoder, device: "cpu".into(), ..Request::default() }
}

fn encoder(name: &str, config: Value, sizes: &[[u32; 2]]) -> ForeignEncoder {
    ForeignEncoder::create(&component(Kind::Encoder, name), &request(config, sizes))
        .unwrap_or_else(|error| panic!("{}", error.fault()))
}

/// Sets every tensor of numbers by its name.
fn fill(encoder: &ForeignEncoder) {
    for mut named in encoder.tensors().unwrap() {
        if named.tensor.kind() == tch::Kind::Float {
            tch::no_grad(|| named.tensor.copy_(&filled(&named.name, &named.tensor.size())));
        }
    }
}

fn refusal(name: &str, config: Value, sizes: &[[u32; 2]]) -> String {
    let Err(error) = describe(&component(Kind::Encoder, name), &request(config, sizes)) else {
        panic!("`{name}` takes views of {sizes:?}")
    };
    let text = error.fault().to_string();
    text.lines().filter(|line| !line.starts_with("  at: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn recorded_resnet18_agrees() {
    Case::new("resnet18").agrees();
    Case::new("resnet18_imagenet").agrees();
}

#[test]
fn recorded_resnet18_with_heads_agrees() {
    Case::new("resnet18_heads").agrees();
    Case::new("resnet18_heads_bn").agrees();
}

#[test]
fn recorded_resnet18_on_views_of_many_sizes_agrees() {
    Case::new("resnet18_crops").agrees();
}

#[test]
fn recorded_resnet34_agrees() {
    Case::new("resnet34").agrees();
}

#[test]
fn recorded_resnet50_agrees() {
    Case::new("resnet50").agrees();
    Case::new("resnet50_imagenet").agrees();
}

#[test]
fn recorded_wide_resnet_agrees() {
    Case::new("wide_resnet").agrees();
    Case::new("wide_resnet_16_1").agrees();
}

#[test]
fn recorded_vit_tiny_agrees() {
    Case::new("vit_tiny").agrees();
    Case::new("vit_tiny_mean").agrees();
}

#[test]
fn recorded_vit_tiny_on_views_of_many_sizes_agrees() {
    Case::new("vit_tiny_crops").agrees();
}

/// The components in `names.txt`, with the config and the size that make them the recorded models.
const NAMED: [(&str, &str, u32); 5] = [
    ("resnet18", r#"{"stem": "imagenet"}"#, 224),
    ("resnet34", r#"{"stem": "imagenet"}"#, 224),
    ("resnet50", r#"{"stem": "imagenet"}"#, 224),
    ("vit-tiny", r#"{"patch": 16}"#, 224),
    ("wide-resnet", "{}", 32),
];

#[test]
fn encoders_names_and_shapes_are_those_of_the_libraries() {
    let text = fs::read_to_string(root().join("tests/recorded/encoders/names.txt")).expect("the recorded names");
    for (name, config, size) in NAMED {
        let encoder = encoder(name, serde_json::from_str(config).expect("JSON"), &[[size; 2]]);
        let tensors = encoder.tensors().unwrap();
        let line = |named: &NamedTensor| {
            let shape: String = named.tensor.size().iter().map(|side| format!(" {side}")).collect();
            format!("{name} {}{shape}", named.name)
        };
        let mut own: Vec<String> = tensors.iter().map(line).collect();
        let mut theirs: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("{name} "))).collect();
        own.sort();
        theirs.sort();
        assert_eq!(own, theirs);
    }
}

#[test]
fn encoders_count_their_parameters_exactly() {
    let cases = [
        ("resnet18", json!({ "width": 16 })),
        ("resnet18", json!({ "width": 16, "n_rkhs": 48, "stem": "imagenet" })),
        ("resnet34", json!({ "width": 8, "n_rkhs": 48, "heads_use_bn": true })),
        ("resnet50", json!({ "width": 8, "n_rkhs": 48 })),
        ("vit-tiny", json!({ "patch": 16 })),
        ("vit-tiny", json!({ "patch": 8, "pool": "mean", "depth": 2 })),
        ("wide-resnet", json!({})),
        ("wide-resnet", json!({ "depth": 10, "widen": 1 })),
    ];
    for (name, config) in cases {
        let encoder = encoder(name, config.clone(), &[[224; 2]]);
        let tensors = encoder.tensors().unwrap();
        let trained = tensors.iter().filter(|named| named.role == Role::Parameter);
        let counted: usize = trained.map(|named| named.tensor.numel()).sum();
        assert_eq!(encoder.description().parameter_count, counted as u64, "{name} {config}");
    }
}

#[test]
fn encoders_modes_move_running_statistics_as_they_say() {
    let state = |case: &Case| case.tensors().into_iter().filter(|(_, named)| named.role == Role::Buffer);
    let state = |case: &Case| state(case).map(|(name, named)| (name, named.tensor.copy())).collect::<Vec<_>>();
    let mut case = Case::new("resnet18_heads");
    let before = state(&case);
    let by_batch = case.encoder.forward(&case.views, Mode::TrainFrozenStatistics).unwrap();
    assert_eq!(state(&case), before, "`TrainFrozenStatistics` must not move them");
    tch::no_grad(|| case.encoder.forward(&case.views, Mode::Evaluate).unwrap());
    assert_eq!(state(&case), before, "`Evaluate` must not move them");
    let refreshed = tch::no_grad(|| case.encoder.forward(&case.views, Mode::RefreshStatistics).unwrap());
    let after = state(&case);
    assert!(after.iter().zip(&before).all(|(after, before)| after != before), "`RefreshStatistics` must move them all");
    fill(&case.encoder);
    let trained = case.encoder.forward(&case.views, Mode::Train).unwrap();
    for ((name, tensor), (_, after)) in state(&case).iter().zip(&after) {
        let moved = if name.ends_with("num_batches_tracked") { after + 2 } else { after.shallow_clone() };
        assert_eq!(*tensor, moved, "`Train` moves {name} as `RefreshStatistics` does");
    }
    for (a, b) in trained.iter().flatten().zip(by_batch.iter().flatten()) {
        assert_eq!(a, b, "frozen statistics change nothing that comes out");
    }
    assert_eq!(trained, refreshed);
}

#[test]
fn resnet_refuses_views_too_small_for_its_maps() {
    let heads = json!({ "n_rkhs": 32, "stem": "imagenet" });
    insta::assert_snapshot!(refusal("resnet18", heads, &[[24, 24]]), @r#"
    encoder `resnet18` failed in `describe`: a view of 24×24 is too small for the map `r7` of 7×7: the stages give 6×6, 3×3, 2×2, 1×1
    hint: use larger views or `encoder.config.stem = "small"`, or leave `encoder.config.n_rkhs` out
    "#);
    let crops = json!({ "n_rkhs": 32 });
    insta::assert_snapshot!(refusal("resnet18", crops, &[[32, 32], [6, 12]]), @r#"
    encoder `resnet18` failed in `describe`: a view of 6×12 is too small for the map `r7` of 7×7: the stages give 6×12, 3×6, 2×3, 1×2
    hint: use larger views, or leave `encoder.config.n_rkhs` out
    "#);
}

#[test]
fn vit_refuses_views_that_are_no_whole_patches() {
    insta::assert_snapshot!(refusal("vit-tiny", json!({}), &[[32, 32], [32, 30]]), @"
    encoder `vit-tiny` failed in `describe`: a view of 32×30 can't be cut into patches of 4×4, as `encoder.config.patch` says
    hint: make the views' sides multiples of the patch's
    ");
}

#[test]
fn wide_resnet_refuses_depths_without_whole_blocks() {
    insta::assert_snapshot!(refusal("wide-resnet", json!({ "depth": 18 }), &[[32, 32]]), @"
    encoder `wide-resnet` failed in `describe`: `encoder.config.depth` is 18, which is not 6 n + 4
    hint: choose 16 or 22: two convolutions in each of n blocks of three stages
    ");
}
