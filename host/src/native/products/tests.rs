//! Products and convolutions by every way beside the same in f64.

use super::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Kind, Tensor};

/// The library is the whole process's.
fn alone() -> MutexGuard<'static, ()> {
    static CHOOSES: Mutex<()> = Mutex::new(());
    CHOOSES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random(size: &[i64]) -> Tensor {
    Tensor::randn(size, (Kind::Float, Device::Cpu))
}

/// The largest difference, as a share of the largest number.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let most = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    most(&(a.to_kind(Kind::Double) - b.to_kind(Kind::Double))) / most(b)
}

/// Each product in f32 beside the same in f64.
fn products() -> Vec<(&'static str, Tensor, Tensor)> {
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let (a, b) = (random(&[70, 90]), random(&[90, 50]));
    let (rows, columns) = (random(&[90, 70]), random(&[50, 90]));
    let (many, others) = (random(&[3, 40, 60]), random(&[3, 60, 50]));
    let (bias, whole) = (random(&[50]), random(&[70, 50]));
    let narrow = random(&[70, 200]).narrow(1, 20, 90); // neither rows nor columns in one piece
    vec![
        ("mm", a.mm(&b), double(&a).mm(&double(&b))),
        ("mm of columns", rows.tr().mm(&columns.tr()), double(&rows).tr().mm(&double(&columns).tr())),
        ("mm of a part", narrow.mm(&b), double(&narrow).mm(&double(&b))),
        ("bmm", many.bmm(&others), double(&many).bmm(&double(&others))),
        ("addmm", bias.addmm(&a, &b), double(&bias).addmm(&double(&a), &double(&b))),
        ("addmm to all", whole.addmm(&a, &b), double(&whole).addmm(&double(&a), &double(&b))),
        ("linear", a.linear(&columns, Some(&bias)), double(&a).linear(&double(&columns), Some(&double(&bias)))),
        ("matmul", many.matmul(&others), double(&many).matmul(&double(&others))),
    ]
}

/// A convolution's output and gradients beside the same in f64.
fn convolutions() -> Vec<(String, Tensor, Tensor)> {
    let mut found = Vec::new();
    for (side, kernel, with_bias) in [(3, 3, true), (3, 3, false), (2, 2, true), (5, 3, true), (4, 1, true)] {
        for last in [true, false] {
            let laid = |tensor: Tensor| {
                if last { tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { tensor }
            };
            let x = laid(random(&[20, 24, side, side])).set_requires_grad(true);
            let weight = laid(random(&[40, 24, kernel, kernel])).set_requires_grad(true);
            let bias = with_bias.then(|| random(&[40]).set_requires_grad(true));
            let exact = |tensor: &Tensor| tensor.detach().to_kind(Kind::Double).set_requires_grad(true);
            let (dx, dweight, dbias) = (exact(&x), exact(&weight), bias.as_ref().map(exact));
            let y = x.conv2d(&weight, bias.as_ref(), [1, 1], [0, 0], [1, 1], 1);
            let dy = dx.conv2d(&dweight, dbias.as_ref(), [1, 1], [0, 0], [1, 1], 1);
            let gradient = random(&y.size());
            (&y * &gradient).sum(Kind::Float).backward();
            (&dy * gradient.to_kind(Kind::Double)).sum(Kind::Double).backward();
            let name = format!("{kernel}×{kernel} on {side}×{side}, channels last: {last}, bias: {with_bias}");
            found.push((format!("{name}: output"), y.detach(), dy.detach()));
            let all = [Some((&x, &dx)), Some((&weight, &dweight)), bias.as_ref().zip(dbias.as_ref())];
            for (number, (single, double)) in all.into_iter().flatten().enumerate() {
                found.push((format!("{name}: gradient {number}"), single.grad(), double.grad()));
            }
        }
    }
    found
}

#[test]
fn both_libraries_multiply_alike() {
    let _alone = alone();
    tch::manual_seed(1);
    for library in [Products::Mkl, Products::Onednn, Products::Mkl, Products::Auto] {
        if library == Products::Onednn && !has_onednn() {
            eprintln!("SKIPPED: no AVX-512, so no products by oneDNN");
            continue;
        }
        choose(library);
        for (name, found, wanted) in products() {
            assert!(apart(&found, &wanted) < 1e-6, "{name} by {library}: {:e}", apart(&found, &wanted));
        }
        for (name, found, wanted) in convolutions() {
            assert!(apart(&found, &wanted) < 2e-6, "{name} by {library}: {:e}", apart(&found, &wanted));
        }
    }
}

const DIRECTLY: Convolutions = Convolutions { fewer_multiplications: false, own: Own::Never };

/// A convolution, and which of output, gradient of data and of weight are made of fewer products: width and stride of the window,
/// padding, batch, channels in and out, height, width. And how far from f64 they may be, in shares of the largest number.
type Fewer = ([i64; 3], [i64; 5], [bool; 3], f64);

/// With tiles of 2×2, 3×3 and 4×4 outputs, and of 5×5 where they cover a map, which some here are larger than.
const FEWER: [Fewer; 17] = [
    ([3, 1, 1], [40, 64, 64, 8, 8], [true; 3], NEAR),
    ([3, 1, 1], [40, 64, 80, 7, 9], [true; 3], NEAR),
    ([3, 1, 1], [40, 96, 64, 12, 5], [true; 3], NEAR),
    ([3, 1, 1], [90, 128, 96, 4, 4], [true; 3], NEAR),
    ([3, 1, 1], [4, 80, 112, 21, 10], [true; 3], NEAR),
    ([3, 1, 1], [200, 128, 128, 2, 2], [true; 3], SMALL),
    ([3, 1, 1], [90, 64, 64, 5, 5], [true; 3], LARGE),
    ([3, 1, 0], [40, 96, 64, 14, 11], [true; 3], NEAR),
    ([3, 1, 0], [90, 64, 48, 7, 7], [true; 3], LARGE),
    ([3, 1, 0], [90, 64, 48, 7, 6], [true; 3], LARGE),
    ([3, 1, 0], [90, 64, 64, 5, 5], [true; 3], NEAR),
    ([3, 1, 0], [90, 64, 64, 6, 8], [true, false, true], NEAR),
    ([3, 1, 2], [16, 48, 64, 8, 11], [true; 3], NEAR),
    ([4, 2, 0], [40, 64, 64, 30, 30], [true; 3], SMALL),
    ([4, 2, 0], [40, 96, 64, 18, 20], [true, false, true], SMALL),
    ([4, 2, 1], [30, 64, 64, 23, 35], [true; 3], SMALL),
    ([4, 2, 3], [30, 64, 64, 15, 24], [true; 3], SMALL),
];

const SMALL: f64 = 3e-6; // tiles of 2×2, and those of 4×4 windows
const NEAR: f64 = 6e-6;
const LARGE: f64 = 2e-5;

/// Numbers between −1 and 1; not by libtorch's generator, which other tests draw from.
fn scattered(size: &[i64]) -> Tensor {
    let turns = Tensor::arange(size.iter().product::<i64>(), (Kind::Double, Device::Cpu)) * 12.9898;
    (turns.sin() * 43758.5453).frac().view_(size)
}

fn laid(maps: &Tensor) -> Tensor {
    maps.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn convolved(window: [i64; 3], sizes: [i64; 5], kind: Kind) -> [Tensor; 4] {
    convolved_from(kind, window, sizes, kind)
}

/// Output and gradients in a kind, of numbers of another that depend on the shape alone; maps lie channels-last.
fn convolved_from(
    numbers: Kind,
    [width, stride, padding]: [i64; 3],
    [batch, from, to, height, across]: [i64; 5],
    kind: Kind,
) -> [Tensor; 4] {
    let random = |size: &[i64]| scattered(size).to_kind(numbers);
    let laid = |tensor: Tensor| laid(&tensor).to_kind(kind);
    let leaf = |tensor: Tensor| tensor.detach().set_requires_grad(true);
    let x = leaf(laid(random(&[batch, from, height, across])));
    let weight = leaf(laid(random(&[to, from, width, width])));
    let bias = leaf(random(&[to]).to_kind(kind));
    let y = x.conv2d(&weight, Some(&bias), [stride; 2], [padding; 2], [1, 1], 1);
    (&y * laid(random(&y.size()))).sum(kind).backward();
    [y.detach(), x.grad(), weight.grad(), bias.grad()]
}

#[test]
fn convolutions_agree_by_fewer_multiplications() {
    let _alone = alone();
    if !std::arch::is_x86_feature_detected!("avx2") {
        eprintln!("SKIPPED: no AVX2, so no convolutions of fewer multiplications");
        return;
    }
    for library in [Products::Mkl, Products::Onednn] {
        if library == Products::Onednn && !has_onednn() {
            eprintln!("SKIPPED: no AVX-512, so no products by oneDNN");
            continue;
        }
        for (window, sizes, fewer, near) in FEWER {
            let case = format!("{library}, {window:?} of {sizes:?}");
            choose_with(library, DIRECTLY);
            let [direct, exact] = [Kind::Float, Kind::Double].map(|kind| convolved(window, sizes, kind));
            choose_with(library, Convolutions { fewer_multiplications: true, ..DIRECTLY });
            let found = convolved(window, sizes, Kind::Float);
            for ((found, direct), fewer) in found.iter().zip(&direct).zip(fewer) {
                assert_eq!(!found.equal(direct), fewer, "{case}: how it was multiplied");
            }
            for (found, exact) in found.iter().zip(&exact) {
                assert!(apart(found, exact) < near, "{case}: {:e}", apart(found, exact));
            }
            let threads = tch::get_num_threads();
            tch::set_num_threads(threads % 2 + 1);
            let with_others = convolved(window, sizes, Kind::Float);
            tch::set_num_threads(threads);
            for ((one, other), fewer) in found.iter().zip(&with_others).zip(fewer) {
                assert!(!fewer || one.equal(other), "{case}: other bits with other threads");
            }
        }
    }
    choose(Products::Auto);
}

#[test]
fn an_image_has_the_same_bits_in_batches_of_two_sizes() {
    let _alone = alone();
    choose_with(Products::Auto, Convolutions { fewer_multiplications: true, ..DIRECTLY });
    for (window, [from, to, height, across]) in [
        ([3, 1, 0], [64, 48, 7, 7]),
        ([3, 1, 1], [64, 64, 8, 8]),
        ([3, 1, 0], [96, 64, 14, 11]),
        ([4, 2, 0], [64, 64, 30, 30]),
    ] {
        let [many, fewer] = [120, 90].map(|batch| convolved(window, [batch, from, to, height, across], Kind::Float));
        for (what, (many, fewer)) in ["output", "gradient of data"].iter().zip(many.iter().zip(&fewer)) {
            assert!(many.narrow(0, 0, 90).equal(fewer), "{window:?} of {height}×{across}: {what}");
        }
    }
    choose(Products::Auto);
}

/// Convolutions by 1×1: batch, channels in and out, height, width. All of the first two's passes are products of each pixel's channels,
/// of the third's the gradient of data, of the others' none.
const POINTWISE: [[i64; 5]; 5] =
    [[40, 256, 128, 5, 6], [9, 96, 96, 9, 9], [40, 64, 80, 8, 8], [128, 64, 64, 16, 16], [40, 48, 96, 5, 6]];

#[test]
fn convolutions_by_one_pixel_are_those_of_f64() {
    let _alone = alone();
    if !has_onednn() {
        eprintln!("SKIPPED: no AVX-512, so no products by oneDNN");
        return;
    }
    choose_with(Products::Onednn, DIRECTLY);
    for sizes in POINTWISE {
        let [batch, from, to, height, across] = sizes;
        let pixels = |maps: &Tensor, channels| maps.permute([0, 2, 3, 1]).reshape([-1, channels]);
        let (x, weight) = (laid(&scattered(&[batch, from, height, across])), scattered(&[to, from, 1, 1]));
        let gradient = laid(&scattered(&[batch, to, height, across]));
        let leaf = |tensor: &Tensor| tensor.to_kind(Kind::Float).set_requires_grad(true);
        let (single, of_single, back) = (leaf(&x), leaf(&laid(&weight)), gradient.to_kind(Kind::Float));
        let y = single.conv2d(&of_single, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1);
        (&y * &back).sum(Kind::Float).backward();
        let (x, gradient) = (pixels(&x, from), pixels(&gradient, to));
        let exact = [x.mm(&weight.view([to, from]).tr()), gradient.mm(&weight.view([to, from])), gradient.tr().mm(&x)];
        let found = [pixels(&y.detach(), to), pixels(&single.grad(), from), of_single.grad().view([to, from])];
        for (found, exact) in found.iter().zip(exact) {
            assert!(apart(found, &exact) < 4e-6, "{sizes:?}: {:e}", apart(found, &exact));
        }
    }
    choose(Products::Auto);
}

/// Whether the host's kernels give the gradient of weight in bf16 and in f32: windows, strides and paddings of all kinds, an odd number
/// of pixels, one pixel alone, outputs in blocks of equal and of unequal size and fewer than one, whole maps, which are products
/// either way in f32, and what is left to oneDNN.
const GRADIENTS: [([i64; 3], [i64; 5], [bool; 2]); 14] = [
    ([4, 2, 0], [8, 32, 64, 30, 30], [true; 2]),
    ([3, 1, 0], [5, 64, 48, 7, 9], [true; 2]),
    ([3, 1, 0], [400, 64, 80, 3, 3], [true, false]),
    ([1, 1, 0], [13, 192, 130, 5, 5], [true; 2]),
    ([1, 2, 0], [8, 64, 128, 9, 8], [true; 2]),
    ([1, 1, 0], [700, 256, 140, 1, 1], [true, false]),
    ([2, 2, 0], [9, 128, 256, 14, 14], [true; 2]),
    ([3, 2, 1], [4, 64, 128, 17, 12], [true; 2]),
    ([3, 1, 1], [30, 32, 64, 8, 8], [true; 2]),
    ([7, 2, 3], [2, 32, 13, 20, 21], [true; 2]),
    ([3, 3, 2], [6, 64, 9, 11, 7], [true; 2]),
    ([3, 1, 1], [4, 128, 128, 16, 16], [false, true]),
    ([1, 1, 0], [8, 32, 32, 9, 9], [false; 2]),
    ([3, 1, 0], [4, 48, 64, 9, 9], [false, true]),
];

/// The gradient of a weight of maps of which one half undoes what the other does, in another order: what is left is how sums were
/// rounded. Of enough images that they are not summed one after the other.
fn rounding([width, stride, padding]: [i64; 3], [batch, from, to, height, across]: [i64; 5], kind: Kind) -> Tensor {
    let batch = 8 * batch;
    let in_kind = |tensor: &Tensor| laid(&tensor.to_kind(kind));
    let half = scattered(&[batch, from, height, across]);
    let x = in_kind(&Tensor::cat(&[&half, &half.flip([0])], 0));
    let weight = in_kind(&scattered(&[to, from, width, width])).set_requires_grad(true);
    let y = x.conv2d(&weight, None::<Tensor>, [stride; 2], [padding; 2], [1, 1], 1);
    let half = scattered(&y.narrow(0, 0, batch).size());
    (y * in_kind(&Tensor::cat(&[&half, &-half.flip([0])], 0))).sum(Kind::Float).backward();
    weight.grad()
}

/// In one kind of numbers, where the processor has kernels for it; `is_near` says whether numbers are those of f64.
fn own_gradients(kind: Kind, is_near: impl Fn(&Tensor, &Tensor) -> bool) {
    let _alone = alone();
    let own = Convolutions { own: Own::WhereItCan, ..DIRECTLY };
    choose_with(Products::Auto, own);
    let is_bf16 = kind == Kind::BFloat16;
    // SAFETY: reads an atomic value.
    if unsafe { infomax_gradients_are_own(c_int::from(is_bf16)) == 0 } {
        eprintln!("SKIPPED: no AVX512-BF16 or AVX2 for own gradients of weights in {kind:?}");
        return;
    }
    for (window, sizes, [of_bf16, of_f32]) in GRADIENTS {
        let (case, is_own) = (format!("{kind:?}, {window:?} of {sizes:?}"), if is_bf16 { of_bf16 } else { of_f32 });
        choose_with(Products::Auto, DIRECTLY);
        let exact = convolved_from(kind, window, sizes, Kind::Double);
        let theirs = rounding(window, sizes, kind);
        choose_with(Products::Auto, own);
        let found = convolved(window, sizes, kind);
        for (name, (found, exact)) in ["output", "input", "weight", "bias"].iter().zip(found.iter().zip(&exact)) {
            assert!(is_near(found, exact), "{case}: {name}: {:e}", apart(found, exact));
        }
        assert_eq!(!rounding(window, sizes, kind).equal(&theirs), is_own, "{case}: whose gradient it is");
        let threads = tch::get_num_threads();
        tch::set_num_threads(threads % 2 + 1);
        let with_others = convolved(window, sizes, kind);
        tch::set_num_threads(threads);
        assert!(!is_own || found[2].equal(&with_others[2]), "{case}: other bits with other threads");
    }
    choose(Products::Auto);
}

#[test]
fn own_gradients_of_weights_in_bf16_are_rounded_once() {
    own_gradients(Kind::BFloat16, |found, exact| {
        let others = found.ne_tensor(&exact.to_kind(Kind::BFloat16)).to_kind(Kind::Double).mean(Kind::Double);
        others.double_value(&[]) < 0.02
    });
}

#[test]
fn own_gradients_of_weights_in_f32_are_those_of_f64() {
    own_gradients(Kind::Float, |found, exact| apart(found, exact) < 4e-6);
}

#[test]
fn sizes_that_do_not_fit_are_libtorchs_own_error() {
    let _alone = alone();
    choose(Products::Auto);
    let (a, b) = (random(&[70, 90]), random(&[80, 50]));
    for error in [a.f_mm(&b).unwrap_err(), random(&[50]).f_addmm(&a, &b).unwrap_err()] {
        assert!(error.to_string().contains("mat1 and mat2 shapes cannot be multiplied (70x90 and 80x50)"), "{error}");
    }
}
