//! Runs a program on libtorch, operator by operator. Tensors are handed on, not copied, and dropped after their last use.

mod arguments;

use crate::graph::{
    Given, Node, Program, Scope, ValueId, Work,
    expression::Symbols,
    number::Number,
    sizes::{Misfit, bind},
};
use arguments::Held;
use infomax_sdk::{
    Device, Error, Result, Tensor, attempt, no_grad,
    tensor::{Output, Value as Argument, with_gradients},
    without_autocast,
};
use std::cell::Cell;

/// What a value is while a program runs.
#[derive(Debug)]
pub(crate) enum Value {
    Empty,
    Tensor(Tensor),
    Number(Number),
}

/// What a call gives.
#[derive(Debug)]
pub struct Outcome {
    /// In the program's order; none for Python's `None`.
    pub outputs: Vec<Option<Tensor>>,
    /// What buffers become, by the place of the buffer.
    pub stores: Vec<(ValueId, Tensor)>,
}

/// Runs a program. What is handed over stands in the order of the program's inputs.
///
/// # Errors
/// The operator that failed: the line of Python, shapes, and what libtorch says. Sizes that the file does not allow.
pub fn run(program: &Program, device: Device, handed: Vec<Option<Tensor>>) -> Result<Outcome> {
    check_sizes(program, &handed)?;
    run_views(program, device, handed, 1)
}

/// Runs a program on so many views, which lie one after the other; their sizes are not looked at.
///
/// # Errors
/// As [`run`].
pub fn run_views(program: &Program, device: Device, handed: Vec<Option<Tensor>>, views: i64) -> Result<Outcome> {
    let mut values: Vec<Value> = std::iter::repeat_with(|| Value::Empty).take(program.values).collect();
    for (input, tensor) in program.inputs.iter().zip(handed) {
        if let (Some(id), Some(tensor)) = (input.value, tensor) {
            values[id] = Value::Tensor(tensor);
        }
    }
    if let Some(id) = program.views {
        values[id] = Value::Number(Number::Int(views));
    }
    let mut stores = Vec::new();
    let under_way = Cell::new(0);
    let work = || {
        for part in program.nodes.chunk_by(|one, next| one.scope == next.scope) {
            within(part[0].scope, || {
                for node in part {
                    step(node, device, &mut values, &mut stores)?;
                    under_way.set(under_way.get() + 1);
                }
                Ok(())
            })?;
        }
        Ok(())
    };
    let located = |error: Error| {
        let node = &program.nodes[under_way.get().min(program.nodes.len() - 1)];
        let place = node.place.as_deref().map(str::to_owned);
        let message = format!("node `{}`: {}", node.name, error.message);
        Error { message, place, ..error }
    };
    attempt(work).and_then(|done| done).map_err(located)?;
    let outputs = program.outputs.iter().map(|output| match output {
        None => Ok(None),
        Some(id) => match &values[*id] {
            Value::Tensor(tensor) => Ok(Some(tensor.clone())),
            _ => Err(Error::config("an output of the program is no tensor")),
        },
    });
    Ok(Outcome { outputs: outputs.collect::<Result<_>>()?, stores })
}

/// Makes sure that the arguments have sizes that the file allows.
///
/// # Errors
/// What does not fit.
fn check_sizes(program: &Program, handed: &[Option<Tensor>]) -> Result<()> {
    let arguments: Vec<(&str, Vec<i64>)> = program
        .inputs
        .iter()
        .zip(handed)
        .filter_map(|(input, tensor)| match (&input.role, tensor) {
            (crate::graph::Role::Argument { name, .. }, Some(tensor)) => Some((name.as_str(), tensor.size())),
            _ => None,
        })
        .collect();
    fits(program, &arguments)
}

/// Makes sure that sizes of arguments, by name, are such as the file allows.
///
/// # Errors
/// What does not fit, which batches would, and what to do.
pub fn fits(program: &Program, arguments: &[(&str, Vec<i64>)]) -> Result<()> {
    let Err(refusal) = misfit(program, arguments) else { return Ok(()) };
    const MOST: i64 = 256;
    let of = |images: i64| {
        let with = |size: &[i64]| match size {
            [_, rest @ ..] => [&[images], rest].concat(),
            [] => Vec::new(),
        };
        arguments.iter().map(|(name, size)| (*name, with(size))).collect::<Vec<_>>()
    };
    let allowed: Vec<i64> = (1..=MOST).filter(|&images| misfit(program, &of(images)).is_ok()).take(4).collect();
    let hint = match &allowed[..] {
        [] => return Err(refusal),
        [one] => format!(
            "the file was exported for batches of {one} alone: `infomax_export.py` leaves them free, as does `dynamic_shapes=({{0: torch.export.Dim.AUTO}},)`"
        ),
        several => {
            let told: Vec<String> = several.iter().take(3).map(i64::to_string).collect();
            format!(
                "it takes batches of {}, …: choose `train.batch_size` so that each process has such a one",
                told.join(", ")
            )
        }
    };
    Err(refusal.hint(hint))
}

/// Whether the file allows sizes of arguments, by name.
pub fn allows(program: &Program, arguments: &[(&str, Vec<i64>)]) -> bool {
    misfit(program, arguments).is_ok()
}

fn misfit(program: &Program, arguments: &[(&str, Vec<i64>)]) -> Result<()> {
    let mut symbols = Symbols::new();
    let size = |name: &str| arguments.iter().find(|(other, _)| *other == name).map(|(_, size)| size);
    const AGAIN: &str =
        "export it with sizes that may vary (`infomax_export.py` does), or at the size that the experiment uses";
    const SIDES: &str = "it was exported for images of another size: export it for the experiment's (`export_encoder(module, 64, …)`), \
                         or set `augmentation.config.size`";
    const COLOURS: &str = "images have three channels, red, green and blue: export a module that takes three";
    for (name, declared, ..) in program.arguments() {
        let Some(given) = size(name) else { continue };
        bind(declared, given, &mut symbols).map_err(|Misfit { dim, expected }| {
            let place = dim.map_or_else(String::new, |dim| format!(" in dimension {dim}, counted from 0"));
            let message = format!("the input `{name}` is {}, but the file takes {expected}{place}", shown(given));
            let is_colour = dim == Some(1) && given.len() == 4 && given[1] == 3;
            let is_side = matches!(dim, Some(2 | 3)) && given.len() == 4 && given[1] == 3;
            Error::config(message).hint(match (is_colour, is_side) {
                (true, _) => COLOURS,
                (_, true) => SIDES,
                _ => AGAIN,
            })
        })?;
    }
    for (symbol, least, most) in &program.ranges {
        let Some(&value) = symbols.get(symbol) else { continue };
        if value < *least || value > *most {
            let upper = if *most == i64::MAX { String::new() } else { format!(" and at most {most}") };
            let message = format!(
                "a size of the inputs ({}) is {value}, the file allows at least {least}{upper}",
                told(arguments)
            );
            return Err(Error::config(message).hint(AGAIN));
        }
    }
    for guard in &program.guards {
        let of = |name: &str, dim: usize| size(name).and_then(|size| size.get(dim).copied());
        if guard.holds(&of) == Some(false) {
            let message = format!("the file demands {}; the inputs are {}", guard.told(), told(arguments));
            return Err(
                Error::config(message).hint("choose a batch and image size for which it holds; `train.batch_size`")
            );
        }
    }
    Ok(())
}

fn told(arguments: &[(&str, Vec<i64>)]) -> String {
    let all: Vec<String> = arguments.iter().map(|(name, size)| format!("`{name}` {}", shown(size))).collect();
    all.join(", ")
}

/// Sizes as people write them: 4×3×32×32.
pub fn shown(size: &[i64]) -> String {
    let all: Vec<String> = size.iter().map(i64::to_string).collect();
    if all.is_empty() { "a number".to_owned() } else { all.join("×") }
}

/// A tensor with memory of its own.
pub fn copy(tensor: &Tensor) -> Tensor {
    Tensor::op("aten::clone", &[tensor])
}

fn within<T>(scope: Scope, work: impl FnOnce() -> T) -> T {
    let tracked = || match scope.gradients {
        None => work(),
        Some(true) => with_gradients(work),
        Some(false) => no_grad(work),
    };
    if scope.without_autocast { without_autocast(tracked) } else { tracked() }
}

fn step(node: &Node, device: Device, values: &mut [Value], stores: &mut Vec<(ValueId, Tensor)>) -> Result<()> {
    let results = match &node.work {
        Work::Operator { operator, .. } => {
            let held = node.takes.iter().map(|source| Held::of(source, device, values)).collect::<Result<Vec<_>>>()?;
            let arguments: Vec<Argument<'_>> = held.iter().map(Held::value).collect();
            operator.call(&arguments).all()
        }
        Work::Number(operator) => {
            let numbers =
                node.takes.iter().map(|source| arguments::number(source, values)).collect::<Result<Vec<_>>>()?;
            let result = operator
                .apply(&numbers)
                .ok_or_else(|| Error::config(format!("{operator:?} of {numbers:?} has no result")))?;
            if let [Given::Value(id)] = node.gives[..] {
                values[id] = Value::Number(result);
            }
            Vec::new()
        }
        Work::Require(message) => {
            if node
                .takes
                .iter()
                .any(|source| matches!(arguments::number(source, values), Ok(Number::Bool(false) | Number::Int(0))))
            {
                return Err(Error::config(format!("what the module asserts does not hold: {message}")));
            }
            Vec::new()
        }
        Work::Same => {
            let tensor = node.takes.first().and_then(|source| arguments::tensor(source, values));
            tensor.into_iter().map(Output::Tensor).collect()
        }
        Work::Store { buffer } => {
            let tensor = node.takes.first().and_then(|source| arguments::tensor(source, values));
            stores.extend(tensor.map(|tensor| (*buffer, tensor.detach())));
            Vec::new()
        }
    };
    give(node, results, values)?;
    node.ends.iter().for_each(|&id| values[id] = Value::Empty);
    Ok(())
}

fn give(node: &Node, results: Vec<Output>, values: &mut [Value]) -> Result<()> {
    for (given, result) in node.gives.iter().zip(results) {
        match (given, result) {
            (Given::Value(id), Output::Tensor(tensor)) => values[*id] = Value::Tensor(tensor),
            (Given::Value(id), Output::Int(number)) => values[*id] = Value::Number(Number::Int(number)),
            (Given::Value(id), Output::Double(number)) => values[*id] = Value::Number(Number::Float(number)),
            (Given::Values(ids), Output::Tensors(tensors)) if ids.len() == tensors.len() => {
                ids.iter().zip(tensors).for_each(|(id, tensor)| values[*id] = Value::Tensor(tensor));
            }
            (Given::Nothing, _) => {}
            (given, result) => {
                let message = format!("it gives {result:?} where the file says {given:?}");
                return Err(
                    Error::config(message).hint("the number of parts of a split must not depend on the input's size")
                );
            }
        }
    }
    Ok(())
}
