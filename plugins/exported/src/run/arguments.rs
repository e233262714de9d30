//! What an operator takes, out of a program's values; lists are held for the call.

use super::Value;
use crate::graph::{Int, Source, number::Number};
use infomax_sdk::{
    Device, Error, Result, Tensor,
    tensor::{Argument, Tensors, Value as Plain},
};

/// An argument, with what it points to.
pub(crate) enum Held<'a> {
    Plain(Plain<'a>),
    Number(Number),
    Ints(Vec<i64>),
    Floats(&'a [f64]),
    Bools(&'a [bool]),
    Tensors(Tensors),
    Device(Device),
}

impl<'a> Held<'a> {
    pub fn of(source: &'a Source, device: Device, values: &'a [Value]) -> Result<Self> {
        Ok(match source {
            Source::Default => Self::Plain(Plain::DEFAULT),
            Source::None => Self::Plain(Plain::NONE),
            Source::Value(id) => match &values[*id] {
                Value::Tensor(tensor) => Self::Plain(tensor.value()),
                Value::Number(number) => Self::Number(*number),
                Value::Empty => return Err(empty()),
            },
            Source::Values(ids) => {
                let one = |id: &Option<usize>| match id.map(|id| &values[id]) {
                    None => Ok(None),
                    Some(Value::Tensor(tensor)) => Ok(Some(tensor)),
                    Some(_) => Err(empty()),
                };
                let tensors = ids.iter().map(one).collect::<Result<Vec<_>>>()?;
                Self::Tensors(Tensors::optional(&tensors))
            }
            Source::Int(number) => Self::Number(Number::Int(*number)),
            Source::Ints(ints) => {
                let one = |int: &Int| match int {
                    Int::Known(number) => Ok(*number),
                    Int::Value(id) => match &values[*id] {
                        Value::Number(Number::Int(number)) => Ok(*number),
                        _ => Err(empty()),
                    },
                };
                Self::Ints(ints.iter().map(one).collect::<Result<_>>()?)
            }
            Source::Float(number) => Self::Number(Number::Float(*number)),
            Source::Floats(numbers) => Self::Floats(numbers),
            Source::Bool(truth) => Self::Number(Number::Bool(*truth)),
            Source::Bools(truths) => Self::Bools(truths),
            Source::Text(text) => Self::Plain(text.as_str().value()),
            Source::Kind(kind) => Self::Plain(kind.value()),
            Source::Device => Self::Device(device),
            Source::Format(format) => Self::Plain(format.value()),
        })
    }

    pub fn value(&self) -> Plain<'_> {
        match self {
            Self::Plain(value) => *value,
            Self::Number(Number::Int(number)) => number.value(),
            Self::Number(Number::Float(number)) => number.value(),
            Self::Number(Number::Bool(truth)) => truth.value(),
            Self::Ints(numbers) => numbers.value(),
            Self::Floats(numbers) => numbers.value(),
            Self::Bools(truths) => truths.value(),
            Self::Tensors(tensors) => tensors.value(),
            Self::Device(device) => device.value(),
        }
    }
}

/// A number of a program.
pub(crate) fn number(source: &Source, values: &[Value]) -> Result<Number> {
    match source {
        Source::Int(number) => Ok(Number::Int(*number)),
        Source::Float(number) => Ok(Number::Float(*number)),
        Source::Bool(truth) => Ok(Number::Bool(*truth)),
        Source::Value(id) => match &values[*id] {
            Value::Number(number) => Ok(*number),
            Value::Tensor(tensor) if tensor.numel() == 1 => Ok(Number::Float(tensor.item())),
            _ => Err(empty()),
        },
        _ => Err(empty()),
    }
}

/// A tensor of a program.
pub(crate) fn tensor(source: &Source, values: &[Value]) -> Option<Tensor> {
    match source {
        Source::Value(id) => match &values[*id] {
            Value::Tensor(tensor) => Some(tensor.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn empty() -> Error {
    Error::config("an argument has no value, or one of another kind")
}
