//! What multiplies numbers on the CPU: the library for matrices of f32, and how convolutions are made.

use crate::config::Products;
use std::os::raw::c_int;

unsafe extern "C" {
    fn infomax_products_possible() -> c_int;
    fn infomax_products_profit() -> c_int;
    fn infomax_products_are_by_onednn() -> c_int;
    fn infomax_products_by_onednn(on: c_int);
    fn infomax_convolutions_by_fewer(on: c_int);
    fn infomax_own_gradients(taken: c_int);
    #[cfg(test)]
    fn infomax_gradients_are_own(bf16: c_int) -> c_int;
}

/// `0` makes convolutions of f32 of as many multiplications as they are defined by, to compare with.
const WINOGRAD: &str = "INFOMAX_WINOGRAD";

/// `0` leaves gradients of convolutions' weights to oneDNN, and all of bf16, to compare with; `1` takes the host's own kernels
/// wherever the processor has their instructions, where they don't pay too.
const OWN_GRADIENTS: &str = "INFOMAX_OWN_GRADIENTS";

/// Where the host's own gradients of weights are taken.
#[derive(Clone, Copy)]
enum Own {
    Never,
    WhereItPays,
    WhereItCan,
}

/// How convolutions are made.
#[derive(Clone, Copy)]
struct Convolutions {
    fewer_multiplications: bool,
    own: Own,
}

/// Whether this processor has what libtorch asks of one for oneDNN's products.
pub fn has_onednn() -> bool {
    // SAFETY: asks the processor for its features.
    unsafe { infomax_products_possible() != 0 }
}

/// Takes a library from now on, in the whole process, and the fewest multiplications for convolutions.
pub fn choose(products: Products) {
    let own = match std::env::var(OWN_GRADIENTS).as_deref() {
        Ok("0") => Own::Never,
        Ok("1") => Own::WhereItCan,
        _ => Own::WhereItPays,
    };
    let fewer_multiplications = std::env::var_os(WINOGRAD).is_none_or(|value| value != "0");
    choose_with(products, Convolutions { fewer_multiplications, own });
}

fn choose_with(products: Products, convolutions: Convolutions) {
    // SAFETY: the first call asks the processor for its name and features; the others register kernels once, which libtorch
    // allows at any time, and set an atomic value that these read.
    unsafe {
        let by_onednn = match products {
            Products::Auto => infomax_products_profit() != 0,
            Products::Mkl => false,
            Products::Onednn => true,
        };
        infomax_products_by_onednn(c_int::from(by_onednn));
        infomax_convolutions_by_fewer(c_int::from(convolutions.fewer_multiplications));
        infomax_own_gradients(convolutions.own as c_int);
    }
}

/// The library now.
pub fn now() -> Products {
    // SAFETY: reads an atomic value.
    if unsafe { infomax_products_are_by_onednn() != 0 } { Products::Onednn } else { Products::Mkl }
}

#[cfg(test)]
mod tests;
