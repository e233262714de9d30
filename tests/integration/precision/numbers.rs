//! Features, losses and gradients in bf16 and f16 against f32, on recorded inputs.

use crate::{
    golden::model::{Model, facts, features},
    recorded::{
        losses::LOSSES,
        step::{batch, forward_backward, recorded},
    },
    support::{
        golden_file::{golden, relative},
        workspace::component,
    },
};
use infomax::{
    config::Precision,
    loss::ForeignLoss,
    native::{self, precision::Autocast},
    plugin::Kind as PluginKind,
    tensor::{Facts, Features, kind_of},
    train::Arithmetic,
};
use infomax_sdk::{FeatureMap, LossInput, View, requests::Request, without_autocast};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const BF16_UNIT: f64 = 1.0 / 256.0; // half the distance of neighbours at 1

fn on_cpu(precision: Precision) -> Arithmetic {
    Arithmetic::new(precision, Device::Cpu).unwrap()
}

/// Σ over tensors of |a − b|², over Σ |b|², rooted.
fn apart(a: &[Tensor], b: &[Tensor]) -> f64 {
    let flat = |list: &[Tensor]| {
        let list: Vec<Tensor> = list.iter().map(|t| t.detach().to_kind(Kind::Double).flatten(0, -1)).collect();
        Tensor::cat(&list, 0)
    };
    relative(&flat(a), &flat(b))
}

/// The maps, the loss and the gradients of a recorded model's first step.
fn step(file: &crate::support::golden_file::Golden, precision: Precision) -> (Vec<Tensor>, f64, Vec<Tensor>) {
    let arithmetic = on_cpu(precision);
    let Model { encoder, loss, classifiers } = Model::new(file);
    let mut model =
        Model { encoder: encoder.computing_in(arithmetic), loss: loss.computing_in(arithmetic), classifiers };
    let maps = model.features(file);
    let facts = Facts { dtype: kind_of(arithmetic.dtype()), ..facts() };
    let rows = 0..maps[0][0].size()[0];
    let done = model.loss.forward_backward(&features(&maps), &facts, rows).unwrap();
    let outputs: Vec<Tensor> = maps.into_iter().flatten().collect();
    // As in training: small gradients would vanish in f16.
    let scale = if precision == Precision::F16 { 1024.0 } else { 1.0 };
    let given: Vec<Tensor> = done.features.into_iter().map(|gradient| gradient.unwrap() * scale).collect();
    native::backward(&outputs, &given).unwrap();
    let parameters = model.encoder.tensors().unwrap();
    let gradients = parameters.iter().map(|named| named.tensor.grad()).filter(Tensor::defined);
    let gradients: Vec<Tensor> = gradients.map(|gradient| gradient / scale).collect();
    for named in &parameters {
        assert_ne!(named.tensor.kind(), arithmetic_kind(precision), "{} is no f32", named.name);
    }
    (outputs, done.terms.total.double_value(&[]), gradients)
}

fn arithmetic_kind(precision: Precision) -> Kind {
    if precision == Precision::F16 { Kind::Half } else { Kind::BFloat16 }
}

#[test]
fn amdims_maps_and_loss_in_16_bits_agree_with_f32_within_rounding() {
    for file in golden("amdim32") {
        let (maps, loss, gradients) = step(&file, Precision::F32);
        for precision in [Precision::Bf16, Precision::F16] {
            let (own_maps, own_loss, own_gradients) = step(&file, precision);
            let unit = if precision == Precision::Bf16 { BF16_UNIT } else { BF16_UNIT / 8.0 };
            assert!(own_maps.iter().all(|map| map.kind() == arithmetic_kind(precision)), "the encoder ran in f32");
            assert!(own_gradients.iter().all(|gradient| gradient.kind() == Kind::Float));
            let of_maps = apart(&own_maps, &maps);
            let of_loss = (own_loss / loss - 1.0).abs();
            let of_gradients = apart(&own_gradients, &gradients);
            println!("{} {precision}: maps {of_maps:.2e}, loss {of_loss:.2e}, gradients {of_gradients:.2e}", file.name);
            assert!(of_maps > 0.0 && of_maps < 10.0 * unit, "{} {precision}: maps {of_maps:.2e}", file.name);
            assert!(of_loss < 2.0 * unit, "{} {precision}: loss {of_loss:.2e}", file.name);
            // ReLUs that flip make gradients jump. PyTorch's autocast of the same network (12 images, ndf 8) is as far from
            // f32: bf16 0.11, with BatchNorm 0.25; f16 0.05 and 0.06.
            let bound = if precision == Precision::Bf16 { 0.3 } else { 0.12 };
            assert!(of_gradients < bound, "{} {precision}: gradients {of_gradients:.2e}", file.name);
        }
    }
}

/// AMDIM's loss on random normalised maps, with a config.
fn objective(config: serde_json::Value, arithmetic: Arithmetic) -> ForeignLoss {
    let view = |name: &str| View { name: name.into(), height: 32, width: 32, group: 0 };
    let map = |name: &str, side| FeatureMap { name: name.into(), channels: 64, height: side, width: side };
    let input = LossInput {
        views: vec![view("one"), view("two")],
        maps: vec![map("r1", 1), map("r5", 5), map("r7", 7)],
        representation: "r1".into(),
        class_count: None,
    };
    let request = Request { config, loss: input, device: "cpu".into(), ..Request::default() };
    let loss = ForeignLoss::create(&component(PluginKind::Loss, "amdim"), &request);
    loss.unwrap_or_else(|error| panic!("{}", error.fault())).computing_in(arithmetic)
}

fn random_maps(kind: Kind) -> Vec<Vec<Tensor>> {
    tch::manual_seed(3);
    let map = |side| Tensor::randn([24, 64, side, side], (Kind::Float, Device::Cpu)).to_kind(kind);
    (0..2).map(|_| [1, 5, 7].map(map).into()).collect()
}

fn by_hand(loss: &ForeignLoss, maps: &[Vec<Tensor>], dtype: Kind) -> (f64, Vec<Tensor>) {
    let facts = Facts { dtype: kind_of(dtype), ..facts() };
    let done = loss.forward_backward(&features(maps), &facts, 0..24).unwrap();
    (done.terms.total.double_value(&[]), done.features.into_iter().map(Option::unwrap).collect())
}

#[test]
fn amdims_objective_in_16_bits_agrees_with_f32() {
    for (precision, kind, unit) in
        [(Precision::Bf16, Kind::BFloat16, BF16_UNIT), (Precision::F16, Kind::Half, BF16_UNIT / 8.0)]
    {
        let maps = random_maps(kind);
        let in_f32: Vec<Vec<Tensor>> =
            maps.iter().map(|maps| maps.iter().map(|map| map.to_kind(Kind::Float)).collect()).collect();
        let (value, gradients) = by_hand(&objective(json!({}), Arithmetic::default()), &in_f32, Kind::Float);
        let (own, own_gradients) = by_hand(&objective(json!({}), on_cpu(precision)), &maps, kind);
        let (of_value, of_gradients) = ((own / value - 1.0).abs(), apart(&own_gradients, &gradients));
        println!("{precision}: {of_value:.2e}, gradients {of_gradients:.2e}");
        assert!(of_value < unit, "{precision}: {own} instead of {value}");
        // Most scores' gradients are smaller than the smallest f16: they must not be lost.
        assert!(of_gradients > 0.0 && of_gradients < 2.0 * unit, "{precision}: gradients {of_gradients:.2e}");
        assert!(own_gradients.iter().all(|gradient| gradient.kind() == Kind::Float));
    }
}

#[test]
fn f32_products_stay_in_f32_under_autocast_on_a_cpu() {
    let maps = random_maps(Kind::Float);
    let config = json!({ "f32_products": true });
    let plain = by_hand(&objective(config.clone(), Arithmetic::default()), &maps, Kind::Float);
    let mixed = by_hand(&objective(config, on_cpu(Precision::Bf16)), &maps, Kind::BFloat16);
    assert_eq!(plain.0, mixed.0);
    assert_eq!(apart(&mixed.1, &plain.1), 0.0);
    let rounded = by_hand(&objective(json!({}), on_cpu(Precision::Bf16)), &maps, Kind::BFloat16);
    assert_ne!(plain.0, rounded.0, "autocast has no effect");
}

/// Which losses' gradients, on six images, are small differences of large numbers.
const CANCELLING: [&str; 2] = ["vicreg", "barlow-twins"];

#[test]
fn every_reference_loss_under_16_bits_has_f32_totals_and_gradients_near_f32s() {
    let mut far = Vec::new();
    for file in LOSSES.iter().flat_map(|loss| recorded(loss)) {
        for (precision, kind, unit) in
            [(Precision::Bf16, Kind::BFloat16, BF16_UNIT), (Precision::F16, Kind::Half, BF16_UNIT / 8.0)]
        {
            let rounded = |tensor: &Tensor| tensor.to_kind(kind);
            let back = |tensor: &Tensor| tensor.to_kind(kind).to_kind(Kind::Float);
            let plain = file.loss();
            let leaves = file.features(&plain, back);
            let expected = forward_backward(&plain, &leaves, &file.facts(Tensor::shallow_clone), 0..batch(&leaves));

            let mut own = file.loss().computing_in(on_cpu(precision));
            let leaves: Features = file.features(&own, rounded);
            let facts = Facts { dtype: kind_of(kind), ..file.facts(Tensor::shallow_clone) };
            let terms = own.forward(&leaves, &facts, 0..batch(&leaves)).unwrap();
            assert_eq!(terms.total.kind(), Kind::Float, "{}", file.name);
            let outcome = forward_backward(&own, &leaves, &facts, 0..batch(&leaves));
            let scale = expected.total().abs().max(1.0);
            let of_total = (outcome.total() - expected.total()).abs() / scale;
            let of_gradients = apart(
                &outcome.gradients.values().map(Tensor::shallow_clone).collect::<Vec<_>>(),
                &expected.gradients.values().map(Tensor::shallow_clone).collect::<Vec<_>>(),
            );
            println!("{} {precision}: total {of_total:.2e}, gradients {of_gradients:.2e}", file.name);
            let cancels = CANCELLING.contains(&file.loss.as_str());
            let (total_bound, bound) = if cancels { (8.0, 150.0) } else { (4.0, 30.0) };
            if of_total > total_bound * unit || of_gradients > bound * unit {
                far.push(format!("{} {precision}: total {of_total:.2e}, gradients {of_gradients:.2e}", file.name));
            }
            own.after_update(&leaves, &facts).unwrap();
            for named in own.tensors().unwrap() {
                assert!(matches!(named.tensor.kind(), Kind::Float | Kind::Int64), "{}: {}", file.name, named.name);
                assert!(named.tensor.isfinite().all().int64_value(&[]) == 1, "{}: {}", file.name, named.name);
            }
        }
    }
    assert!(far.is_empty(), "{far:#?}");
}

#[test]
fn without_autocast_keeps_dtypes_and_autocast_comes_back_after_a_panic() {
    crate::operators::connect();
    let product = || {
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        x.mm(&x).kind()
    };
    let region = Autocast::begin(Device::Cpu, Kind::BFloat16);
    assert_eq!(without_autocast(product), Kind::Float);
    assert_eq!(product(), Kind::BFloat16);
    assert!(std::panic::catch_unwind(|| without_autocast(|| panic!("on purpose"))).is_err());
    assert_eq!(product(), Kind::BFloat16);
    drop(region);
    assert_eq!(without_autocast(product), Kind::Float);
}
