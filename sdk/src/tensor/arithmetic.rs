//! `+`, `-`, `*`, `/` and negation of tensors and numbers, by value and by reference.

use super::{Argument, Tensor, call::Operator};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// An operator of Rust as two overloads: with a tensor, with a number.
macro_rules! binary {
    ($($trait:ident, $method:ident, $name:literal;)*) => { $(
        const _: () = {
            static TENSOR: Operator = Operator::new($name, "Tensor");
            static SCALAR: Operator = Operator::new($name, "Scalar");

            binary!(@impls $trait, $method, TENSOR, Tensor, &Tensor; Tensor, &Tensor);
            binary!(@impls $trait, $method, SCALAR, Tensor, &Tensor; f64, i64);
        };
    )* };
    (@impls $trait:ident, $method:ident, $operator:ident, $($left:ty),*; $one:ty, $two:ty) => { $(
        binary!(@impl $trait, $method, $operator, $left, $one);
        binary!(@impl $trait, $method, $operator, $left, $two);
    )* };
    (@impl $trait:ident, $method:ident, $operator:ident, $left:ty, $right:ty) => {
        impl $trait<$right> for $left {
            type Output = Tensor;

            #[track_caller]
            fn $method(self, other: $right) -> Tensor {
                $operator.one(&[self.value(), other.value()])
            }
        }
    };
}

binary! {
    Add, add, "aten::add";
    Sub, sub, "aten::sub";
    Mul, mul, "aten::mul";
    Div, div, "aten::div";
}

/// A number in front of a tensor.
macro_rules! number_first {
    ($($number:ty, $tensor:ty;)*) => { $(
        impl Add<$tensor> for $number {
            type Output = Tensor;

            #[track_caller]
            fn add(self, other: $tensor) -> Tensor {
                other + self
            }
        }

        impl Sub<$tensor> for $number {
            type Output = Tensor;

            #[track_caller]
            fn sub(self, other: $tensor) -> Tensor {
                static OPERATOR: Operator = Operator::new("aten::rsub", "Scalar");
                OPERATOR.one(&[other.value(), self.value()])
            }
        }

        impl Mul<$tensor> for $number {
            type Output = Tensor;

            #[track_caller]
            fn mul(self, other: $tensor) -> Tensor {
                other * self
            }
        }

        impl Div<$tensor> for $number {
            type Output = Tensor;

            #[expect(clippy::suspicious_arithmetic_impl, reason = "PyTorch divides a number by a tensor so")]
            #[track_caller]
            fn div(self, other: $tensor) -> Tensor {
                other.reciprocal() * self
            }
        }
    )* };
}

number_first! {
    f64, Tensor;
    f64, &Tensor;
    i64, Tensor;
    i64, &Tensor;
}

impl Neg for Tensor {
    type Output = Tensor;

    #[track_caller]
    fn neg(self) -> Tensor {
        -&self
    }
}

impl Neg for &Tensor {
    type Output = Tensor;

    #[track_caller]
    fn neg(self) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::neg", "");
        OPERATOR.one(&[self.value()])
    }
}
