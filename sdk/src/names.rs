//! How a component lists its tensors: parts name their own, below the name of the whole.

use crate::{Buffer, NamedTensor, Parameter, Role, Tensor};
use std::fmt::Display;

/// Something with parameters and buffers: a layer, a network, or a part of one. [`named!`](crate::named) writes it for a
/// struct of such parts.
pub trait Module {
    /// Names the tensors, always the same ones.
    fn name(&self, names: Names<'_>);

    /// The tensors below a name; an empty one for none.
    fn tensors_below(&self, name: &str) -> Vec<NamedTensor> {
        let mut list = Vec::new();
        let mut names = Names::root(&mut list);
        if name.is_empty() {
            self.name(names)
        } else {
            self.name(names.below(name))
        }
        list
    }
}

/// Collects tensors under dotted names.
pub struct Names<'a> {
    prefix: String,
    list: &'a mut Vec<NamedTensor>,
}

impl<'a> Names<'a> {
    /// Names from the root.
    pub fn root(list: &'a mut Vec<NamedTensor>) -> Self {
        Self { prefix: String::new(), list }
    }

    /// Names below a part.
    pub fn below(&mut self, part: impl Display) -> Names<'_> {
        Names { prefix: format!("{}{part}.", self.prefix), list: self.list }
    }

    /// A part with tensors of its own, below its name.
    pub fn part(&mut self, name: impl Display, part: &impl Module) {
        part.name(self.below(name));
    }

    /// A trained tensor.
    pub fn parameter(&mut self, name: &str, parameter: &Parameter) {
        self.part(name, parameter);
    }

    /// A tensor that is only saved.
    pub fn buffer(&mut self, name: &str, buffer: &Buffer) {
        self.part(name, buffer);
    }

    /// A tensor that has the whole's name; the last dot of the prefix is not part of it.
    fn own(self, role: Role, tensor: &Tensor) {
        self.list.push(NamedTensor::of(role, self.prefix.trim_end_matches('.'), tensor.clone()));
    }
}

impl Module for Parameter {
    fn name(&self, names: Names<'_>) {
        names.own(Role::Parameter, self);
    }
}

impl Module for Buffer {
    fn name(&self, names: Names<'_>) {
        names.own(Role::Buffer, self);
    }
}

/// Nothing.
impl Module for () {
    fn name(&self, _: Names<'_>) {}
}

impl<M: Module> Module for Option<M> {
    fn name(&self, names: Names<'_>) {
        if let Some(part) = self {
            part.name(names);
        }
    }
}

impl<M: Module> Module for Box<M> {
    fn name(&self, names: Names<'_>) {
        (**self).name(names);
    }
}

/// By position: `layers.0.weight`.
impl<M: Module> Module for [M] {
    fn name(&self, mut names: Names<'_>) {
        self.iter().enumerate().for_each(|(i, part)| names.part(i, part));
    }
}

/// By position: `layers.0.weight`.
impl<M: Module> Module for Vec<M> {
    fn name(&self, names: Names<'_>) {
        self[..].name(names);
    }
}

/// By position: `downsample.0.weight`.
impl<A: Module, B: Module> Module for (A, B) {
    fn name(&self, mut names: Names<'_>) {
        names.part(0, &self.0);
        names.part(1, &self.1);
    }
}

/// Names the tensors of a struct by its fields, or by other names where a checkpoint has those:
///
/// ```
/// use infomax_sdk::{named, nn::{BatchNorm, Conv2d}};
///
/// struct Block {
///     conv: Conv2d,
///     norm: BatchNorm,
///     shortcut: Option<Conv2d>,
/// }
///
/// named!(Block { conv, norm, shortcut as "downsample.0" });
/// ```
#[macro_export]
macro_rules! named {
    ($type:ty { $($field:ident $(as $name:literal)?),* $(,)? }) => {
        impl $crate::Module for $type {
            fn name(&self, mut names: $crate::Names<'_>) {
                $( $crate::named!(@part names, self, $field $(as $name)?); )*
            }
        }
    };
    (@part $names:ident, $self:ident, $field:ident) => { $names.part(stringify!($field), &$self.$field) };
    (@part $names:ident, $self:ident, $field:ident as $name:literal) => { $names.part($name, &$self.$field) };
}
