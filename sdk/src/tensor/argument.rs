//! What an operator takes, out of ordinary Rust values.

use super::{Device, Kind, MemoryFormat, Tensor};
use infomax_abi::{FfiValue, TensorPtr, operators as abi};
use std::{borrow::Borrow, marker::PhantomData};

/// One argument of an operator, borrowed for the call.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Value<'a> {
    pub(super) ffi: FfiValue,
    borrowed: PhantomData<&'a ()>,
}

impl<'a> Value<'a> {
    fn of(tag: u32, count: usize, bits: u64) -> Self {
        Self { ffi: FfiValue { tag, count: count as u32, bits }, borrowed: PhantomData }
    }

    fn list<T>(tag: u32, list: &'a [T]) -> Self {
        Self::of(tag, list.len(), list.as_ptr() as u64)
    }

    /// The operator's own default.
    pub const DEFAULT: Value<'static> =
        Value { ffi: FfiValue { tag: abi::VALUE_DEFAULT, count: 0, bits: 0 }, borrowed: PhantomData };

    /// Python's `None`.
    pub const NONE: Value<'static> =
        Value { ffi: FfiValue { tag: abi::VALUE_NONE, count: 0, bits: 0 }, borrowed: PhantomData };
}

/// A generator of random numbers, freed with this value.
pub(super) struct Generator(pub(super) abi::Generator);

impl Argument for Generator {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_GENERATOR, 0, self.0 as u64)
    }
}

/// A value that an operator takes.
pub trait Argument {
    /// As it crosses the boundary.
    fn value(&self) -> Value<'_>;
}

/// A number: i64 or f64.
pub trait Number: Argument {}

/// One dimension, or several: `1`, `[2, 3]`, a slice.
pub trait Dims: Argument {}

/// A tensor or a number.
pub trait Operand: Argument {
    /// Whether it is a tensor.
    const IS_TENSOR: bool;
}

/// Several tensors: arrays, slices and vectors of tensors or of references to them.
pub struct Tensors(Vec<TensorPtr>);

impl Argument for Tensor {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_TENSOR, 0, self.handle() as u64)
    }
}

impl<T: Argument + ?Sized> Argument for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl<T: Argument> Argument for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::NONE, Argument::value)
    }
}

impl Argument for Value<'_> {
    fn value(&self) -> Value<'_> {
        *self
    }
}

impl Argument for i64 {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_INT, 0, *self as u64)
    }
}

impl Argument for f64 {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_DOUBLE, 0, self.to_bits())
    }
}

impl Argument for bool {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_BOOL, 0, u64::from(*self))
    }
}

impl Argument for str {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_STRING, self.len(), self.as_ptr() as u64)
    }
}

impl Argument for Kind {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_KIND, 0, u64::from(self.code()))
    }
}

impl Argument for Device {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_DEVICE, 0, self.code())
    }
}

impl Argument for MemoryFormat {
    fn value(&self) -> Value<'_> {
        Value::of(abi::VALUE_MEMORY_FORMAT, 0, *self as u64)
    }
}

impl Argument for [i64] {
    fn value(&self) -> Value<'_> {
        Value::list(abi::VALUE_INTS, self)
    }
}

impl<const N: usize> Argument for [i64; N] {
    fn value(&self) -> Value<'_> {
        self[..].value()
    }
}

impl Argument for Vec<i64> {
    fn value(&self) -> Value<'_> {
        self[..].value()
    }
}

impl Argument for [f64] {
    fn value(&self) -> Value<'_> {
        Value::list(abi::VALUE_DOUBLES, self)
    }
}

impl Argument for [bool] {
    fn value(&self) -> Value<'_> {
        Value::list(abi::VALUE_BOOLS, self) // a bool is one byte, 0 or 1
    }
}

impl Argument for [Tensor] {
    fn value(&self) -> Value<'_> {
        Value::list(abi::VALUE_TENSORS, self) // a tensor is its handle, by `repr(transparent)`
    }
}

impl Argument for Tensors {
    fn value(&self) -> Value<'_> {
        Value::list(abi::VALUE_TENSORS, &self.0)
    }
}

impl Tensors {
    /// Lends several tensors, some of which may be none, to an operator that takes that; they must live for the call.
    pub fn optional(tensors: &[Option<&Tensor>]) -> Self {
        Self(tensors.iter().map(|tensor| tensor.map_or(std::ptr::null_mut(), Tensor::handle)).collect())
    }

    /// Lends several tensors; they must live for the call.
    pub(crate) fn lend<T: Borrow<Tensor>>(tensors: &[T]) -> Self {
        Self(tensors.iter().map(|tensor| tensor.borrow().handle()).collect())
    }
}

impl Number for i64 {}
impl Number for f64 {}

impl Dims for i64 {}
impl Dims for [i64] {}
impl<const N: usize> Dims for [i64; N] {}
impl Dims for Vec<i64> {}
impl<T: Dims + ?Sized> Dims for &T {}

impl Operand for i64 {
    const IS_TENSOR: bool = false;
}

impl Operand for f64 {
    const IS_TENSOR: bool = false;
}

impl Operand for Tensor {
    const IS_TENSOR: bool = true;
}

impl<T: Operand + ?Sized> Operand for &T {
    const IS_TENSOR: bool = T::IS_TENSOR;
}
