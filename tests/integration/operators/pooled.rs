//! A layer's pooled shortcut, in f32 or bf16 and channels-last by a pass of the host's own, against libtorch's operators in f64.

use super::{Lies, apart, connect, maps, numbers};
use infomax_sdk::{Kind, MemoryFormat, Parameter, Tensor, attempt, nn::add_average_pooled, tensor::gradients};

/// Images, channels, height, width; channels of what it is added to; window, stride: windows that overlap, that meet, with pixels
/// between them, with a rest at the edge, of a pixel, and of the whole map.
const CASES: [([i64; 4], i64, i64, i64); 8] = [
    ([2, 16, 9, 9], 24, 3, 1),
    ([3, 64, 8, 8], 128, 4, 2),
    ([1, 5, 7, 6], 5, 3, 2),
    ([2, 33, 17, 5], 40, 2, 3),
    ([4, 8, 6, 6], 8, 2, 2),
    ([2, 3, 5, 8], 7, 5, 1),
    ([2, 4, 5, 6], 6, 1, 1),
    ([2, 16, 3, 3], 24, 3, 1),
];

/// The sum, its gradients to both, and the gradient of x's gradient's length.
fn results(case: ([i64; 4], i64, i64, i64), kind: Kind, lies: Lies) -> [(&'static str, Tensor); 4] {
    let ([n, c, h, w], outputs, width, stride) = case;
    let x = Parameter::new(maps(&[n, c, h, w], 1, kind, lies));
    let y = Parameter::new(maps(&[n, outputs, (h - width) / stride + 1, (w - width) / stride + 1], 2, kind, lies));
    let sum = || add_average_pooled(&*y * 1.0, &x, width, stride);
    let out = sum();
    let once = gradients(&(&out * &out).sum(), &[&*x, &*y], false);
    let again = sum();
    let first = gradients(&(&again * &again).sum(), &[&*x], true).remove(0).expect("it depends on x");
    let twice = gradients(&(&first * &first).sum(), &[&*x], false).remove(0).expect("so does its gradient");
    let [to_x, to_y] = <[_; 2]>::try_from(once).expect("two").map(|gradient| gradient.expect("it depends on both"));
    [("output", out), ("x's gradient", to_x), ("y's gradient", to_y), ("x's second", twice)]
}

#[test]
fn a_pooled_shortcut_gives_the_layers_numbers() {
    connect();
    for case in CASES {
        let wanted = results(case, Kind::F64, Lies::InRows);
        let found = [(1, Lies::ChannelsLast), (3, Lies::ChannelsLast), (1, Lies::InRows)].map(|(threads, lies)| {
            tch::set_num_threads(threads);
            results(case, Kind::F32, lies)
        });
        for (way, found) in found.iter().enumerate() {
            for ((name, found), (_, wanted)) in found.iter().zip(&wanted) {
                let apart = apart(found, wanted);
                assert!(apart < 1e-6, "{case:?}, way {way}: {name}: {apart:e}");
            }
        }
        for ((name, one), (_, three)) in found[0].iter().zip(&found[1]) {
            assert!(one.to_vec::<f32>() == three.to_vec::<f32>(), "{case:?}: {name} by other threads");
        }
    }
}

#[test]
fn in_bf16_sums_are_rounded_once() {
    connect();
    for case in CASES {
        let wanted = results(case, Kind::F64, Lies::InRows);
        let found = [1, 3].map(|threads| {
            tch::set_num_threads(threads);
            results(case, Kind::Bf16, Lies::ChannelsLast)
        });
        let (_, _, window, stride) = case;
        let is_layers = window == 1 && stride == 1 || case.0[2..] == [window; 2];
        for ((name, found), (_, wanted)) in found[0].iter().zip(&wanted) {
            assert_eq!(found.kind(), Kind::Bf16, "{case:?}: {name}");
            if *name == "output" && !is_layers {
                let nearest = wanted.to_kind(Kind::Bf16).to_vec::<f32>();
                assert!(found.to_vec::<f32>() == nearest, "{case:?}: {name} is not rounded once");
            }
            // Half of a last place, once more where the output's own rounding comes in.
            let most = if *name == "x's second" { 1.0 / 64.0 } else { 1.0 / 128.0 };
            let apart = apart(found, wanted);
            assert!(apart <= most, "{case:?}: {name}: {apart:e}");
        }
        for ((name, one), (_, three)) in found[0].iter().zip(&found[1]) {
            assert!(one.to_vec::<f32>() == three.to_vec::<f32>(), "{case:?}: {name} by other threads");
        }
    }
}

#[test]
fn it_is_added_in_place_and_a_frozen_input_gets_no_gradient() {
    connect();
    let x = numbers(&[2, 4, 6, 6], 1).contiguous_as(MemoryFormat::ChannelsLast);
    let y = Parameter::new(maps(&[2, 6, 3, 3], 2, Kind::F32, Lies::ChannelsLast));
    let copy = &*y * 1.0;
    let out = add_average_pooled(copy.clone(), &x, 2, 2);
    assert_eq!(copy.to_vec::<f32>(), out.to_vec::<f32>());
    let to_y = gradients(&out.sum(), &[&*y], false).remove(0).expect("it depends on y");
    assert!(to_y.to_vec::<f32>().iter().all(|gradient| *gradient == 1.0));
    let before = infomax_sdk::no_grad(|| add_average_pooled(&*y * 1.0, &x, 2, 2));
    assert_eq!(before.to_vec::<f32>(), out.to_vec::<f32>());
}

#[test]
fn maps_that_do_not_fit_are_told() {
    connect();
    let zeros = |size: [i64; 4]| Tensor::zeros(size, Kind::F32, infomax_sdk::Device::Cpu);
    for (x, y, width, stride, told) in [
        ([2, 4, 6, 6], [2, 6, 3, 3], 7, 1, "windows of 7 pixels, 1 apart, don't fit maps of [2, 4, 6, 6]"),
        ([2, 4, 6, 6], [2, 6, 3, 3], 2, 0, "windows of 2 pixels, 0 apart"),
        ([2, 4, 6, 6], [2, 3, 3, 3], 2, 2, "can't be added to [2, 3, 3, 3]"),
        ([2, 4, 6, 6], [2, 6, 3, 2], 2, 2, "can't be added to [2, 6, 3, 2]"),
        ([2, 4, 6, 6], [1, 6, 3, 3], 2, 2, "onto as many, got [2, 4, 6, 6] and [1, 6, 3, 3]"),
    ] {
        let error = attempt(|| add_average_pooled(zeros(y), &zeros(x), width, stride)).expect_err("refused");
        assert!(error.message.contains(told), "{}", error.message);
    }
}
