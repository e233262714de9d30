//! What evaluation changes of a training program: running statistics in the place of the batch's, nothing dropped, every path taken.

use super::{Node, Program, Source, Work};
use infomax_sdk::{Error, Result};

/// Operators that drop numbers while `train` holds.
const DROPPING: [&str; 9] = [
    "dropout",
    "dropout_",
    "feature_dropout",
    "feature_dropout_",
    "alpha_dropout",
    "alpha_dropout_",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "native_dropout",
];
/// Recurrent layers, which drop numbers between layers.
const RECURRENT: [&str; 4] = ["lstm", "gru", "rnn_tanh", "rnn_relu"];
/// Operators that draw numbers, beside those that drop.
const DRAWING: [&str; 20] = [
    "bernoulli",
    "bernoulli_",
    "cauchy_",
    "exponential_",
    "geometric_",
    "log_normal_",
    "multinomial",
    "normal",
    "normal_",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random_",
    "randperm",
    "rrelu",
    "uniform_",
];

/// The program of evaluation.
///
/// # Errors
/// Numbers that are drawn in a way that evaluation can't leave out.
pub fn for_evaluation(training: &Program) -> Result<Program> {
    let mut program = training.clone();
    let mut at_rest: Vec<Option<f64>> = vec![None; program.values];
    for at in 0..program.nodes.len() {
        let node = &mut program.nodes[at];
        let base = node.base().to_owned();
        match base.as_str() {
            "batch_norm" if has_statistics(node) => node.set("training", Source::Bool(false)),
            "instance_norm" if has_statistics(node) => node.set("use_input_stats", Source::Bool(false)),
            "scaled_dot_product_attention" => node.set("dropout_p", Source::Float(0.0)),
            "rrelu" | "rrelu_" => node.set("training", Source::Bool(false)),
            base if DROPPING.contains(&base) || RECURRENT.contains(&base) => node.set("train", Source::Bool(false)),
            "bernoulli_" => {
                // A path is taken with this chance, and counts for more then: both fall away.
                let Source::Float(chance) = *node.given("p") else { return Err(drawn(node)) };
                let value = node.makes().next();
                node.work = Work::Same;
                let of = node.takes.first().cloned().unwrap_or(Source::None);
                node.takes = vec![of.clone()];
                if let (Some(id), Source::Value(of)) = (value, of) {
                    at_rest[id] = Some(chance);
                    at_rest[of] = Some(chance);
                    fill_with_ones(&mut program, at, of)?;
                }
            }
            "div" | "div_" => {
                let chance = node.takes.first().and_then(|source| match source {
                    Source::Value(id) => at_rest[*id],
                    _ => None,
                });
                if let (Some(chance), Some(Source::Float(by))) = (chance, node.takes.get(1))
                    && *by == chance
                {
                    node.takes.truncate(1);
                    node.work = Work::Same;
                }
            }
            "rand" => rest_of_floored(&mut program, at)?,
            base if DRAWING.contains(&base) => return Err(drawn(node)),
            _ => {}
        }
    }
    program.settle_ends();
    Ok(program)
}

/// Makes the tensor that chances would be drawn into one of ones: the node that made it, uninitialised, before `at`.
fn fill_with_ones(program: &mut Program, at: usize, value: usize) -> Result<()> {
    let maker = program.nodes[..at].iter().rposition(|node| node.makes().any(|id| id == value));
    let Some(maker) = maker else { return Err(drawn(&program.nodes[at])) };
    let node = &mut program.nodes[maker];
    let ones = match node.base() {
        "empty" | "new_empty" | "empty_like" => node.base().replace("empty", "ones"),
        _ => return Err(drawn(&program.nodes[at])),
    };
    remade(node, &format!("aten::{ones}"))
}

/// The older way to take a path with a chance: `(keep + torch.rand(…)).floor()`, beside `x / keep`. At rest the path is taken, and nothing
/// is divided.
fn rest_of_floored(program: &mut Program, at: usize) -> Result<()> {
    let refusal = || drawn(&program.nodes[at]);
    let readers =
        |id: usize| program.nodes.iter().enumerate().filter(move |(_, node)| node.reads().any(|other| other == id));
    let only = |id: usize, bases: &[&str]| {
        let all: Vec<usize> = readers(id).map(|(at, _)| at).collect();
        match all[..] {
            [at] if bases.contains(&program.nodes[at].base()) => Some(at),
            _ => None,
        }
    };
    let made = |at: usize| program.nodes[at].makes().next();
    let sum = made(at).and_then(|id| only(id, &["add", "add_"])).ok_or_else(refusal)?;
    let Some(Source::Float(keep)) = program.nodes[sum].takes.get(1).cloned() else { return Err(refusal()) };
    let floored = made(sum).and_then(|id| only(id, &["floor", "floor_"])).ok_or_else(refusal)?;
    let mask = made(floored).ok_or_else(refusal)?;
    // What the mask is multiplied with, divided by the chance.
    let products = readers(mask).filter(|(_, node)| ["mul", "mul_"].contains(&node.base()));
    let factors: Vec<usize> = products.flat_map(|(_, node)| node.reads().collect::<Vec<_>>()).collect();
    let is_scaled = |node: &Node| {
        let by_chance = matches!(node.takes.get(1), Some(Source::Float(by)) if *by == keep);
        ["div", "div_"].contains(&node.base()) && by_chance && node.makes().any(|id| factors.contains(&id))
    };
    let scaled: Vec<usize> = (0..program.nodes.len()).filter(|&at| is_scaled(&program.nodes[at])).collect();
    for at in scaled {
        program.nodes[at].takes.truncate(1);
        program.nodes[at].work = Work::Same;
    }
    program.nodes[sum].takes.truncate(1);
    program.nodes[sum].work = Work::Same;
    remade(&mut program.nodes[at], "aten::ones")
}

/// Another operator in the place of a node's, with what it is given by the same names.
fn remade(node: &mut Node, name: &str) -> Result<()> {
    let kept = std::mem::take(&mut node.takes);
    let old: Vec<String> = match &node.work {
        Work::Operator { operator, .. } => operator.takes.iter().map(|slot| slot.name.clone()).collect(),
        _ => Vec::new(),
    };
    let operator = std::sync::Arc::new(infomax_sdk::tensor::FoundOperator::find(name)?);
    node.work = Work::Operator { name: name.into(), operator };
    for (name, source) in old.iter().zip(kept).filter(|(_, source)| !matches!(source, Source::Default)) {
        node.set(name, source);
    }
    Ok(())
}

/// Whether a normalisation has running statistics; without them it is by the batch in every mode.
fn has_statistics(node: &Node) -> bool {
    matches!(node.given("running_mean"), Source::Value(_))
}

fn drawn(node: &Node) -> Error {
    let message = format!("{}: `{}` draws numbers, which evaluation could not leave out", node.told(), node.base());
    Error::config(message)
        .hint("draw by dropout or stochastic depth, which is told apart; or export the module with that switched off")
}

/// Makes sure that a program was exported in training mode.
///
/// # Errors
/// What shows that it was not.
pub fn check_is_for_training(program: &Program) -> Result<()> {
    let is = |node: &Node, argument: &str, truth: bool| matches!(node.given(argument), Source::Bool(given) if *given == truth);
    let norms: Vec<&Node> =
        program.nodes.iter().filter(|node| node.base() == "batch_norm" && has_statistics(node)).collect();
    let frozen = norms.iter().find(|node| is(node, "training", false));
    let trains = norms.iter().any(|node| is(node, "training", true));
    let drops = |node: &&Node| {
        DROPPING.contains(&node.base())
            && is(node, "train", false)
            && matches!(node.given("p"), Source::Float(p) if *p > 0.0)
    };
    let idle = program.nodes.iter().find(drops);
    let sign = match (frozen, trains, idle) {
        (Some(node), false, _) => format!("{}: its BatchNorm is frozen", node.told()),
        (_, false, Some(node)) => format!("{}: its dropout drops nothing", node.told()),
        _ => return Ok(()),
    };
    let message = format!("it was exported in evaluation mode, of which no training can be made: {sign}");
    Err(Error::config(message).hint("call `module.train()` before torch.export.export, or use `infomax_export.py`"))
}

/// What a loss does that the checks of a component must know: it draws numbers, or stops gradients of what it uses.
pub fn habits(program: &Program) -> Vec<String> {
    let draws = |node: &Node| {
        let keeps = |name: &str| {
            matches!(node.given(name), Source::Float(p) if *p > 0.0)
                && !matches!(node.given("train"), Source::Bool(false))
        };
        let is_dropping = DROPPING.contains(&node.base()) && keeps("p");
        DRAWING.contains(&node.base())
            || is_dropping
            || (node.base() == "scaled_dot_product_attention" && keeps("dropout_p"))
    };
    let of_inputs = |node: &Node| node.base() == "detach" || node.scope.gradients == Some(false);
    let all = [("stop-gradient", program.nodes.iter().any(of_inputs)), ("draws", program.nodes.iter().any(draws))];
    all.into_iter().filter(|(_, does)| *does).map(|(habit, _)| habit.to_owned()).collect()
}

/// Lets views copy where memory does not lie as the exporter's did.
///
/// # Errors
/// A host that can't tell what operators take.
pub fn free_views(program: &mut Program) -> Result<()> {
    let reshape = std::sync::Arc::new(infomax_sdk::tensor::FoundOperator::find("aten::reshape")?);
    for node in &mut program.nodes {
        if matches!(&node.work, Work::Operator { name, .. } if ["aten::view", "aten::_unsafe_view"].contains(&&**name))
        {
            node.work = Work::Operator { name: "aten::reshape".into(), operator: reshape.clone() };
        }
    }
    Ok(())
}
