//! A bias with the ReLU behind it, in f32 or bf16 and channels-last by a pass of the host's own, against libtorch's operators in f64.

use super::{Lies, apart, connect, maps, numbers};
use infomax_sdk::{
    Kind, MemoryFormat, Parameter, Tensor, attempt,
    nn::{add_bias, add_bias_relu},
    tensor::gradients,
};

/// Images, channels, height, width: few and many rows, channels that fill no register, one pixel.
const CASES: [[i64; 4]; 5] = [[2, 64, 9, 7], [5, 24, 30, 30], [1, 5, 3, 2], [3, 130, 1, 1], [9, 512, 7, 7]];

/// Output, gradients of both, and the gradient of the map's gradient's length to what it was weighted by.
fn results(size: [i64; 4], relu: bool, kind: Kind, lies: Lies) -> [(&'static str, Tensor); 4] {
    let y = Parameter::new(maps(&size, 1, kind, lies));
    let bias = Parameter::new(numbers(&[size[1]], 2).to_kind(if kind == Kind::F64 { kind } else { Kind::F32 }));
    let weights = Parameter::new(maps(&size, 3, kind, lies));
    let biased = || {
        let copy = &*y * 1.0;
        if relu { add_bias_relu(copy, &bias) } else { add_bias(copy, &bias) }
    };
    let out = biased();
    let once = gradients(&(&out * &*weights).sum(), &[&*y, &*bias], false);
    let first = gradients(&(biased() * &*weights).sum(), &[&*y], true).remove(0).expect("it depends on y");
    let twice = gradients(&(&first * &first).sum(), &[&*weights], false).remove(0).expect("so does its gradient");
    let [to_y, to_bias] = <[_; 2]>::try_from(once).expect("two").map(|gradient| gradient.expect("it depends on both"));
    [("output", out), ("the map's gradient", to_y), ("the bias's gradient", to_bias), ("second", twice)]
}

fn found_and_wanted(kind: Kind, lies: Lies, check: impl Fn(&str, &Tensor, &Tensor)) {
    connect();
    for (size, relu) in CASES.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        let wanted = results(size, relu, Kind::F64, Lies::InRows);
        let found = [1, 3].map(|threads| {
            tch::set_num_threads(threads);
            results(size, relu, kind, lies)
        });
        for ((name, one), (_, three)) in found[0].iter().zip(&found[1]) {
            assert!(one.to_vec::<f32>() == three.to_vec::<f32>(), "{size:?}, {relu}: {name} by other threads");
        }
        for ((name, found), (_, wanted)) in found[0].iter().zip(&wanted) {
            check(&format!("{size:?}, ReLU {relu}: {name}"), found, wanted);
        }
    }
}

#[test]
fn a_bias_gives_the_layers_numbers() {
    found_and_wanted(Kind::F32, Lies::ChannelsLast, |name, found, wanted| {
        assert!(apart(found, wanted) < 3e-7, "{name}: {:e}", apart(found, wanted));
    });
}

#[test]
fn so_it_does_in_rows() {
    found_and_wanted(Kind::F32, Lies::InRows, |name, found, wanted| {
        assert!(apart(found, wanted) < 1e-5, "{name}: {:e}", apart(found, wanted));
    });
}

#[test]
fn in_bf16_the_output_is_rounded_once_and_the_biass_gradient_is_not() {
    found_and_wanted(Kind::Bf16, Lies::ChannelsLast, |name, found, wanted| {
        if name.ends_with("bias's gradient") {
            assert_eq!(found.kind(), Kind::F32, "{name}");
            assert!(apart(found, wanted) < 3e-7, "{name}: {:e}", apart(found, wanted));
        } else {
            let nearest = wanted.to_kind(Kind::Bf16).to_vec::<f32>();
            assert!(found.to_vec::<f32>() == nearest, "{name} is not the nearest number");
        }
    });
}

#[test]
fn what_is_not_a_number_stays_one_and_passes_its_gradient() {
    connect();
    for kind in [Kind::F32, Kind::Bf16] {
        let values = Tensor::from_slice(&[f32::NAN, -3.0, 2.0, f32::INFINITY], [1, 2, 1, 2], infomax_sdk::Device::Cpu);
        let y = Parameter::new(values.to_kind(kind).contiguous_as(MemoryFormat::ChannelsLast));
        let out = add_bias_relu(&*y * 1.0, &Tensor::from_slice(&[1.0_f32, 0.5], [2], infomax_sdk::Device::Cpu));
        let found = out.to_vec::<f32>();
        assert!(found[0].is_nan() && found[1..] == [0.0, 2.5, f32::INFINITY], "{found:?}");
        let gradient = gradients(&out.sum(), &[&*y], false).remove(0).expect("it depends on y");
        assert_eq!(gradient.to_vec::<f32>(), [1.0, 0.0, 1.0, 1.0]);
    }
}

#[test]
fn what_does_not_fit_is_told() {
    connect();
    let zeros = |size: &[i64]| Tensor::zeros(size.to_vec(), Kind::F32, infomax_sdk::Device::Cpu);
    for (y, bias) in [(vec![2, 4, 6, 6], vec![3]), (vec![2, 4], vec![4]), (vec![2, 4, 6, 6], vec![1, 4])] {
        let error = attempt(|| add_bias(zeros(&y), &zeros(&bias))).expect_err("refused");
        let told = format!("a number for each channel to maps of N × C × H × W, got {bias:?} and {y:?}");
        assert!(error.message.contains(&told), "{}", error.message);
    }
}
