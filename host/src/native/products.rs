//! Which library multiplies matrices of f32 numbers on the CPU, and with them 3×3 convolutions.

use crate::config::Products;
use std::os::raw::c_int;

unsafe extern "C" {
    fn infomax_products_possible() -> c_int;
    fn infomax_products_profit() -> c_int;
    fn infomax_products_are_by_onednn() -> c_int;
    fn infomax_products_by_onednn(on: c_int);
}

/// Whether this processor has what libtorch asks of one for oneDNN's products.
pub fn has_onednn() -> bool {
    // SAFETY: asks the processor for its features.
    unsafe { infomax_products_possible() != 0 }
}

/// Takes a library from now on, in the whole process.
pub fn choose(products: Products) {
    // SAFETY: the first call asks the processor for its name and features; the second registers kernels once, which libtorch
    // allows at any time, and sets an atomic value that they read.
    unsafe {
        let by_onednn = match products {
            Products::Auto => infomax_products_profit() != 0,
            Products::Mkl => false,
            Products::Onednn => true,
        };
        infomax_products_by_onednn(c_int::from(by_onednn));
    }
}

/// The library now.
pub fn now() -> Products {
    // SAFETY: reads an atomic value.
    if unsafe { infomax_products_are_by_onednn() != 0 } { Products::Onednn } else { Products::Mkl }
}

#[cfg(test)]
mod tests {
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

    /// 3×3 convolutions that are padded by one, of enough channels: batch, channels in and out, height, width.
    const PADDED: [[i64; 5]; 5] =
        [[8, 64, 64, 8, 8], [6, 48, 64, 7, 9], [5, 64, 32, 12, 5], [40, 128, 96, 4, 4], [2, 80, 112, 21, 10]];

    /// Output and gradients in a kind, of numbers that depend on the shape alone; maps lie channels-last.
    fn padded([batch, from, to, height, width]: [i64; 5], kind: Kind) -> [Tensor; 4] {
        // Not by libtorch's generator, which other tests draw from.
        let random = |size: &[i64]| {
            let turns = Tensor::arange(size.iter().product::<i64>(), (Kind::Double, Device::Cpu)) * 12.9898;
            (turns.sin() * 43758.5453).frac().view_(size).to_kind(Kind::Float)
        };
        let laid = |tensor: Tensor| tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]).to_kind(kind);
        let leaf = |tensor: Tensor| tensor.detach().set_requires_grad(true);
        let x = leaf(laid(random(&[batch, from, height, width])));
        let weight = leaf(laid(random(&[to, from, 3, 3])));
        let bias = leaf(random(&[to]).to_kind(kind));
        let y = x.conv2d(&weight, Some(&bias), [1, 1], [1, 1], [1, 1], 1);
        (&y * laid(random(&y.size()))).sum(kind).backward();
        [y.detach(), x.grad(), weight.grad(), bias.grad()]
    }

    #[test]
    fn padded_convolutions_agree_by_fewer_multiplications() {
        let _alone = alone();
        if !has_onednn() {
            eprintln!("SKIPPED: no AVX-512, so no products by oneDNN");
            return;
        }
        for shape in PADDED {
            choose(Products::Mkl);
            let (direct, exact) = (padded(shape, Kind::Float), padded(shape, Kind::Double));
            choose(Products::Onednn);
            let found = padded(shape, Kind::Float);
            assert!(!found[0].equal(&direct[0]), "{shape:?}: multiplied directly");
            for (found, exact) in found.iter().zip(&exact) {
                assert!(apart(found, exact) < 3e-6, "{shape:?}: {:e}", apart(found, exact));
            }
            let threads = tch::get_num_threads();
            tch::set_num_threads(threads % 2 + 1);
            let with_others = padded(shape, Kind::Float);
            tch::set_num_threads(threads);
            assert!(found.iter().zip(&with_others).all(|(one, other)| one.equal(other)), "{shape:?}: threads");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_libtorchs_own_error() {
        let _alone = alone();
        choose(Products::Auto);
        let (a, b) = (random(&[70, 90]), random(&[80, 50]));
        for error in [a.f_mm(&b).unwrap_err(), random(&[50]).f_addmm(&a, &b).unwrap_err()] {
            assert!(
                error.to_string().contains("mat1 and mat2 shapes cannot be multiplied (70x90 and 80x50)"),
                "{error}"
            );
        }
    }
}
