//! A program: the operators that a file asks for, in order, bound to libtorch's, with what flows between them. `reader` makes it of
//! the file's JSON, `aliases` finds what shares memory, `modes` is what evaluation changes, `imagewise` what several views at once do, `operators` what a file may call.

pub mod aliases;
pub mod expression;
pub mod guards;
pub mod imagewise;
pub mod modes;
pub mod number;
mod operators;
pub mod places;
mod reader;
pub mod sizes;

pub use reader::{kind, read};

use guards::Guard;
use infomax_sdk::{Kind, MemoryFormat, tensor::FoundOperator};
use number::NumberOperator;
use sizes::Sized;
use std::sync::Arc;

/// Where a value stands while a program runs.
pub type ValueId = usize;

/// A program.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is handed, in order.
    pub inputs: Vec<Input>,
    /// What it does, in order.
    pub nodes: Vec<Node>,
    /// What it gives, in order; none for Python's `None`.
    pub outputs: Vec<Option<ValueId>>,
    /// Declared sizes of the outputs, as far as they are tensors.
    pub output_sizes: Vec<Option<Sized>>,
    /// How many values it needs room for.
    pub values: usize,
    /// How many dimensions each has, as far as the file says.
    pub ranks: Vec<Option<usize>>,
    /// Where it is told how many views lie one after the other; none where it takes one.
    pub views: Option<ValueId>,
    /// What free sizes may be, by symbol.
    pub ranges: Vec<(String, i64, i64)>,
    /// What sizes must be besides.
    pub guards: Vec<Guard>,
    /// Bytes that the values of one image take in f32, roughly: what training keeps.
    pub value_bytes: u64,
    /// The structure of the outputs, as the file says it.
    pub structure: Option<String>,
}

/// One input of a program.
#[derive(Clone, Debug)]
pub struct Input {
    pub role: Role,
    /// None where nothing is handed over.
    pub value: Option<ValueId>,
}

/// What an input is.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// By PyTorch's name.
    Parameter(String),
    /// By PyTorch's name; kept in the state or not.
    Buffer { name: String, persistent: bool },
    /// A tensor that stands in the program.
    Constant(String),
    /// An argument of the call.
    Argument { name: String, sizes: Sized, kind: Kind },
    /// A number or `None` that the exporter fixed.
    Fixed,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    /// The line of Python that asked for it.
    pub place: Option<Arc<str>>,
    pub work: Work,
    pub takes: Vec<Source>,
    pub gives: Vec<Given>,
    pub scope: Scope,
    /// Values that nothing reads after it.
    pub ends: Vec<ValueId>,
}

/// What a node does.
#[derive(Clone, Debug)]
pub enum Work {
    /// One of libtorch's operators.
    Operator { name: Arc<str>, operator: Arc<FoundOperator> },
    /// On sizes.
    Number(NumberOperator),
    /// Fails where a number is 0: what was asserted in Python.
    Require(String),
    /// What it is given, as it is.
    Same,
    /// Remembers what a buffer becomes once the call is over.
    Store { buffer: ValueId },
}

/// Under what an operation runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub without_autocast: bool,
    pub gradients: Option<bool>,
}

/// An argument.
#[derive(Clone, Debug)]
pub enum Source {
    /// The operator's default.
    Default,
    None,
    Value(ValueId),
    Values(Vec<Option<ValueId>>),
    Int(i64),
    Ints(Vec<Int>),
    Float(f64),
    Floats(Vec<f64>),
    Bool(bool),
    Bools(Vec<bool>),
    Text(String),
    Kind(Kind),
    /// The run's, whatever the exporter's was.
    Device,
    Format(MemoryFormat),
}

/// A number in a list.
#[derive(Clone, Copy, Debug)]
pub enum Int {
    Known(i64),
    Value(ValueId),
}

/// Where a result goes.
#[derive(Clone, Debug)]
pub enum Given {
    Nothing,
    Value(ValueId),
    Values(Vec<ValueId>),
}

impl Source {
    /// The values that it reads.
    pub fn reads(&self) -> Vec<ValueId> {
        match self {
            Self::Value(id) => vec![*id],
            Self::Values(ids) => ids.iter().flatten().copied().collect(),
            Self::Ints(ints) => ints
                .iter()
                .filter_map(|int| match int {
                    Int::Value(id) => Some(*id),
                    Int::Known(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl Node {
    /// The values that it reads.
    pub fn reads(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.takes.iter().flat_map(Source::reads)
    }

    /// The values that it makes.
    pub fn makes(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.gives.iter().flat_map(|given| match given {
            Given::Nothing => Vec::new(),
            Given::Value(id) => vec![*id],
            Given::Values(ids) => ids.clone(),
        })
    }

    /// The operator's name without `aten::` and overload; empty for what is none.
    pub fn base(&self) -> &str {
        match &self.work {
            Work::Operator { name, .. } => base(name),
            _ => "",
        }
    }

    /// The position of an argument.
    pub fn argument(&self, name: &str) -> Option<usize> {
        let Work::Operator { operator, .. } = &self.work else { return None };
        operator.takes.iter().position(|slot| slot.name == name)
    }

    /// Sets an argument.
    pub fn set(&mut self, name: &str, source: Source) {
        let Some(at) = self.argument(name) else { return };
        if self.takes.len() <= at {
            self.takes.resize(at + 1, Source::Default);
        }
        self.takes[at] = source;
    }

    /// An argument as it was written; the default where it was not.
    pub fn given(&self, name: &str) -> &Source {
        self.argument(name).and_then(|at| self.takes.get(at)).unwrap_or(&Source::Default)
    }

    /// For messages: `net.py:12 (node conv2d)`.
    pub fn told(&self) -> String {
        match &self.place {
            Some(place) => format!("{place} (node `{}`)", self.name),
            None => format!("node `{}`", self.name),
        }
    }
}

/// `aten::add_.Tensor` is `add_`.
pub fn base(name: &str) -> &str {
    let short = name.strip_prefix("aten::").unwrap_or(name);
    short.split_once('.').map_or(short, |(base, _)| base)
}

impl Program {
    /// The arguments of a call, in order: name, sizes, kind and where they go.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, &Sized, Kind, Option<ValueId>)> {
        self.inputs.iter().filter_map(|input| match &input.role {
            Role::Argument { name, sizes, kind } => Some((name.as_str(), sizes, *kind, input.value)),
            _ => None,
        })
    }

    /// The declared sizes of the outputs that are tensors, in order.
    pub fn given_sizes(&self) -> Vec<&Sized> {
        self.outputs.iter().zip(&self.output_sizes).filter_map(|(value, sizes)| value.and(sizes.as_ref())).collect()
    }

    /// Says after which node each value is read no more.
    pub(crate) fn settle_ends(&mut self) {
        let mut last: Vec<Option<usize>> = vec![None; self.values];
        for (at, node) in self.nodes.iter().enumerate() {
            node.makes().chain(node.reads()).for_each(|id| last[id] = Some(at));
        }
        self.outputs.iter().flatten().for_each(|&id| last[id] = None);
        self.nodes.iter_mut().for_each(|node| node.ends.clear());
        for (id, at) in last.into_iter().enumerate() {
            if let Some(at) = at {
                self.nodes[at].ends.push(id);
            }
        }
    }
}
