//! How a component lists its tensors: parts name their own, below the name of the whole.

use crate::state::NamedTensor;
use tch::Tensor;

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
    pub fn below(&mut self, part: impl std::fmt::Display) -> Names<'_> {
        Names { prefix: format!("{}{part}.", self.prefix), list: self.list }
    }

    /// Adds a trained tensor.
    pub fn parameter(&mut self, name: &str, tensor: &Tensor) {
        self.list.push(NamedTensor::parameter(format!("{}{name}", self.prefix), tensor));
    }

    /// Adds a tensor that is only saved.
    pub fn buffer(&mut self, name: &str, tensor: &Tensor) {
        self.list.push(NamedTensor::buffer(format!("{}{name}", self.prefix), tensor));
    }
}
