//! The losses against their restatements: values, terms, gradients, state; then rows, permutation, precision and
//! degenerate batches.

use super::step::{Outcome, Recorded, batch, forward_backward, recorded};
use crate::support::{
    golden_file::largest_difference,
    workspace::{component, root},
};
use infomax::plugin::Kind as PluginKind;
use infomax_sdk::{FeatureMap, Momentum, Role, requests::Request};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

pub const LOSSES: [&str; 15] = [
    "nt-xent",
    "vicreg",
    "barlow-twins",
    "byol",
    "moco-v2",
    "simsiam",
    "supcon",
    "dcl",
    "align-uniform",
    "swav",
    "local-dim",
    "w-mse",
    "mmcr",
    "lejepa",
    "dino",
];

/// Of a value, and of the largest gradient.
const TOLERANCE: f64 = 1e-5;

fn agrees(loss: &str) {
    for file in recorded(loss) {
        let mut own = file.loss();
        let facts = file.facts(Tensor::shallow_clone);
        assert_state(&file, "before/", &tensors(&own));
        let features = file.features(&own, Tensor::shallow_clone);
        let outcome = forward_backward(&own, &features, &facts, 0..batch(&features));
        assert_value(&file, "loss", outcome.total(), file.get("loss").double_value(&[]));
        let names: Vec<&String> = outcome.terms.iter().map(|(name, _)| name).collect();
        assert_eq!(names, own.description().terms.iter().collect::<Vec<_>>(), "{}", file.name);
        assert_eq!(outcome.terms.len(), file.under("term/").count(), "{}", file.name);
        for (name, term) in &outcome.terms {
            assert_value(&file, name, *term, file.get(&format!("term/{name}")).double_value(&[]));
        }
        let recorded =
            file.under("grad/").map(|(name, gradient)| (name.to_owned(), gradient.shallow_clone())).collect();
        assert_gradients(&file, &outcome.gradients, &recorded);
        own.after_update(&features, &facts).unwrap();
        assert_state(&file, "after/", &tensors(&own));
    }
}

fn tensors(loss: &infomax::loss::ForeignLoss) -> BTreeMap<String, Tensor> {
    loss.tensors().unwrap().into_iter().map(|named| (named.name, named.tensor.detach())).collect()
}

fn assert_value(file: &Recorded, name: &str, own: f64, recorded: f64) {
    let error = (own - recorded).abs() / recorded.abs().max(1e-3);
    assert!(error <= TOLERANCE, "{} {name}: {own} instead of {recorded}", file.name);
}

fn assert_state(file: &Recorded, prefix: &str, own: &BTreeMap<String, Tensor>) {
    for (name, recorded) in file.under(prefix) {
        let error = largest_difference(&own[name], recorded);
        assert!(error <= 1e-6, "{} {prefix}{name}: off by {error:.2e}", file.name);
    }
}

/// Features and state apart, each in proportion to its largest gradient.
fn assert_gradients(file: &Recorded, own: &BTreeMap<String, Tensor>, recorded: &BTreeMap<String, Tensor>) {
    assert!(own.keys().eq(recorded.keys()), "{}: {:?} instead of {:?}", file.name, own.keys(), recorded.keys());
    for part in ["feature/", "state/"] {
        let of_part: Vec<_> = recorded.iter().filter(|(name, _)| name.starts_with(part)).collect();
        let largest = of_part.iter().map(|(_, g)| g.abs().max().double_value(&[])).fold(0.0, f64::max);
        assert!(largest > 0.0 || of_part.is_empty(), "{} records no gradient of {part}", file.name);
        for (name, recorded) in of_part {
            let error = largest_difference(&own[name], recorded) / largest;
            assert!(error <= TOLERANCE, "{} {name}: {error:.2e} of the largest gradient", file.name);
        }
    }
}

#[test]
fn recorded_nt_xent_agrees() {
    agrees("nt-xent");
}

#[test]
fn recorded_vicreg_agrees() {
    agrees("vicreg");
}

#[test]
fn recorded_barlow_twins_agrees() {
    agrees("barlow-twins");
}

#[test]
fn recorded_byol_agrees() {
    agrees("byol");
}

#[test]
fn recorded_moco_v2_agrees() {
    agrees("moco-v2");
}

#[test]
fn recorded_simsiam_agrees() {
    agrees("simsiam");
}

#[test]
fn recorded_supcon_agrees() {
    agrees("supcon");
}

#[test]
fn recorded_dcl_agrees() {
    agrees("dcl");
}

#[test]
fn recorded_align_uniform_agrees() {
    agrees("align-uniform");
}

#[test]
fn recorded_swav_agrees() {
    agrees("swav");
}

#[test]
fn recorded_local_dim_agrees() {
    agrees("local-dim");
}

#[test]
fn recorded_w_mse_agrees() {
    agrees("w-mse");
}

#[test]
fn recorded_mmcr_agrees() {
    agrees("mmcr");
}

#[test]
fn recorded_lejepa_agrees() {
    agrees("lejepa");
}

#[test]
fn recorded_dino_agrees() {
    agrees("dino");
}

#[test]
fn recorded_losses_by_row_ranges_sum_to_the_whole() {
    let mut tested = Vec::new();
    for file in LOSSES.iter().flat_map(|loss| recorded(loss)) {
        let own = file.loss();
        if !own.description().row_ranges {
            continue;
        }
        tested.push(file.loss.clone());
        let (features, facts) = (file.features(&own, Tensor::shallow_clone), file.facts(Tensor::shallow_clone));
        let b = batch(&features);
        let whole = forward_backward(&own, &features, &facts, 0..b);
        let parts = [0..1, 1..b / 2, b / 2..b].map(|rows| forward_backward(&own, &features, &facts, rows));
        let sum = |of: &dyn Fn(&Outcome) -> f64| parts.iter().map(of).sum::<f64>();
        assert_value(&file, "loss", sum(&Outcome::total), whole.total());
        for (i, (name, term)) in whole.terms.iter().enumerate() {
            assert_value(&file, name, sum(&|part| part.terms[i].1), *term);
        }
        let mut gradients = BTreeMap::new();
        for name in whole.gradients.keys() {
            let sum: Tensor = parts.iter().map(|part| part.gradients[name].shallow_clone()).sum();
            gradients.insert(name.clone(), sum);
        }
        assert_gradients(&file, &gradients, &whole.gradients);
    }
    tested.dedup();
    assert_eq!(tested, ["nt-xent", "moco-v2", "supcon", "dcl"]);
}

/// W-MSE deals images out to parts by their places in the batch.
const DEALS_OUT: &str = "w-mse-parts-map";

#[test]
fn recorded_losses_do_not_depend_on_the_order_of_images() {
    for file in LOSSES.iter().flat_map(|loss| recorded(loss)).filter(|file| file.name != DEALS_OUT) {
        let own = file.loss();
        let order = Tensor::from_slice(&[4i64, 2, 0, 5, 1, 3]);
        let turned = |tensor: &Tensor| tensor.index_select(0, &order);
        let features = file.features(&own, turned);
        let outcome = forward_backward(&own, &features, &file.facts(turned), 0..order.size()[0]);
        assert_value(&file, "loss", outcome.total(), file.get("loss").double_value(&[]));
    }
}

#[test]
fn recorded_losses_of_f64_features_stay_in_f64() {
    for file in LOSSES.iter().flat_map(|loss| recorded(loss)) {
        let own = file.loss();
        let features = file.features(&own, |tensor| tensor.to_kind(Kind::Double));
        let outcome = forward_backward(&own, &features, &file.facts(Tensor::shallow_clone), 0..batch(&features));
        assert_eq!(outcome.total.kind(), Kind::Double, "{}", file.name);
        assert_value(&file, "loss", outcome.total(), file.get("loss").double_value(&[]));
    }
}

#[test]
fn recorded_losses_count_their_parameters() {
    for file in LOSSES.iter().flat_map(|loss| recorded(loss)) {
        let own = file.fresh_loss();
        let parameters = own.tensors().unwrap().into_iter().filter(|named| named.role == Role::Parameter);
        let count: usize = parameters.map(|named| named.tensor.numel()).sum();
        assert_eq!(own.description().parameter_count, count as u64, "{}", file.name);
    }
}

#[test]
fn losses_on_two_views_refuse_three_in_words() {
    for file in LOSSES.iter().flat_map(|loss| recorded(loss)) {
        let mut request = file.request();
        let first = request.loss.views[0].clone();
        request.loss.views.resize(3, first);
        let described = infomax::loss::describe(&file.component(), &request);
        if ["swav", "local-dim", "dino"].contains(&file.loss.as_str()) {
            let needs = described.unwrap_or_else(|error| panic!("{}: {}", file.name, error.fault())).needs;
            // `dino`'s momentum encoder sees the large views.
            let large = request.loss.views.iter().filter(|view| view.group == request.loss.views[0].group).count();
            let targets = if file.loss == "dino" { large } else { 0 };
            assert_eq!(needs.len(), 3 + targets, "{}", file.name);
        } else {
            let message = described.expect_err(&file.name).fault().message.clone();
            let expected = format!("loss `{}` compares 2 views, the augmentation makes 3", file.loss);
            assert!(message.contains(&expected), "{message}");
        }
    }
}

#[test]
fn w_mse_refuses_to_whiten_by_too_few_images_in_words() {
    let mut request = recorded("w-mse")[0].request();
    request.config = serde_json::json!({ "projector_dim": 5, "whitening_batch": 9 });
    let refused = infomax::loss::describe(&component(PluginKind::Loss, "w-mse"), &request).unwrap_err();
    let message = refused.fault().message.clone();
    assert!(message.contains("whitens 5 channels by `whitening_batch` = 9 images"), "{message}");
}

/// Whatever the batch is, so many images are whitened together: training of a smaller one is refused before it starts.
#[test]
fn w_mse_refuses_a_batch_below_its_parts_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let train = |images: u32| {
        let config = "loss.config={ whitening_batch = 12, projector_dim = 6 }";
        let batch = format!("train.batch_size={images}");
        crate::training::train(folder.path(), &format!("of-{images}"), &["loss.name=w-mse", config, &batch])
    };
    let refused = train(11);
    let text = crate::support::binary::errors(&refused, folder.path());
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("`train.batch_size` is 11, but `loss.name` = `w-mse` needs at least 12"), "{text}");
    crate::training::assert_ok(&train(12));
}

#[test]
fn local_dim_refuses_an_encoder_without_local_map_in_words() {
    let mut request = recorded("local-dim")[0].request();
    let representation = request.loss.representation.clone();
    request.loss.maps.retain(|map| map.name == representation);
    let refused =
        |request: &Request| infomax::loss::describe(&component(PluginKind::Loss, "local-dim"), request).unwrap_err();
    let message = refused(&request).fault().message.clone();
    assert!(message.contains("needs a map of more than one location, the encoder gives `global` (1×1, "), "{message}");
    request.config = serde_json::json!({ "local_map": "r7" });
    let message = refused(&request).fault().message.clone();
    assert!(message.contains("`local_map` = `r7` is no map of more than one location"), "{message}");
}

#[test]
fn recipes_name_their_loss_and_give_a_config_that_it_takes() {
    let map = |name: &str, side| FeatureMap { name: name.into(), channels: 512, height: side, width: side };
    for loss in LOSSES {
        let path = root().join(format!("configs/methods/{loss}.toml"));
        let recipe: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let table = recipe["loss"].as_table().unwrap();
        assert_eq!(table["name"].as_str(), Some(loss), "{}", path.display());
        let mut request = recorded(loss)[0].request();
        request.config = serde_json::to_value(&table["config"]).unwrap();
        request.loss.maps = vec![map("global", 1), map("r5", 5)];
        let described = infomax::loss::describe(&component(PluginKind::Loss, loss), &request);
        let description = described.unwrap_or_else(|error| panic!("{}: {}", path.display(), error.fault()));
        assert!(description.parameter_count > 512 * 1024, "{loss}: {}", description.parameter_count);
    }
}

#[test]
fn simsiam_leaves_its_predictor_out_of_the_schedule() {
    let own = recorded("simsiam")[0].fresh_loss();
    for named in own.tensors().unwrap() {
        assert_eq!(named.tags.lr_fixed, named.name.starts_with("predictor."), "{}", named.name);
    }
}

#[test]
fn momentum_losses_ask_for_the_schedule_of_their_config() {
    for (loss, start, end) in [("byol", 0.99, 1.0), ("moco-v2", 0.8, 0.95), ("dino", 0.8, 0.95)] {
        let own = recorded(loss).pop().unwrap().fresh_loss();
        assert_eq!(own.description().momentum, Some(Momentum { start, end }), "{loss}");
    }
}

#[test]
fn t04_degenerate_batches_give_finite_losses_and_gradients() {
    let two = |tensor: &Tensor| tensor.narrow(0, 0, 2);
    type Change = fn(&Tensor) -> Tensor;
    let cases: [(&str, Change); 4] = [
        ("two images", |tensor| tensor.narrow(0, 0, 2)),
        ("equal images", |tensor| tensor.narrow(0, 0, 1).repeat([2, 1, 1, 1])),
        ("zero features", |tensor| tensor.narrow(0, 0, 2).zeros_like()),
        ("constant features", |tensor| tensor.narrow(0, 0, 2).ones_like()),
    ];
    for file in LOSSES.iter().flat_map(|loss| recorded(loss)) {
        for (case, change) in cases {
            let mut own = file.loss();
            let least = own.description().min_batch_size;
            assert!(least <= 2 || (file.loss == "w-mse" && least == 6), "{}: {least}", file.name);
            let features = file.features(&own, change);
            assert_finite(&file, case, &mut own, &features, &file.facts(two));
        }
        // The same features for every view.
        let mut own = file.loss();
        let features = file.features(&own, two);
        for item in features.items() {
            let first = features.items().iter().find(|other| other.map == item.map).expect("itself at least");
            tch::no_grad(|| item.tensor.shallow_clone().copy_(&first.tensor));
        }
        assert_finite(&file, "identical views", &mut own, &features, &file.facts(two));
        // Heads that give zeros: their output can't be normalised.
        let mut own = file.loss();
        for mut named in own.tensors().unwrap().into_iter().filter(|named| named.tensor.kind() == Kind::Float) {
            let _ = tch::no_grad(|| named.tensor.zero_());
        }
        let features = file.features(&own, two);
        assert_finite(&file, "heads of zeros", &mut own, &features, &file.facts(two));
    }
}

fn assert_finite(
    file: &Recorded,
    case: &str,
    own: &mut infomax::loss::ForeignLoss,
    features: &infomax::tensor::Features,
    facts: &infomax::tensor::Facts,
) {
    own.before_step(facts).unwrap();
    let outcome = forward_backward(own, features, facts, 0..batch(features));
    assert!(outcome.total().is_finite(), "{} with {case}: the loss is {}", file.name, outcome.total());
    for (name, term) in &outcome.terms {
        assert!(term.is_finite(), "{} with {case}: {name} is {term}", file.name);
    }
    for (name, gradient) in &outcome.gradients {
        assert!(gradient.isfinite().all().int64_value(&[]) == 1, "{} with {case}: the gradient of {name}", file.name);
    }
    own.after_update(features, facts).unwrap();
    for (name, tensor) in tensors(own) {
        assert!(tensor.isfinite().all().int64_value(&[]) == 1, "{} with {case}: {name} after the update", file.name);
    }
}
