//! Several views in one pass: possible where a program looks at each image alone, but for the statistics of its normalisations, which
//! can be told apart by view. That is proved operator by operator, or the views go one by one.

use super::{Given, Int, Node, Program, Source, ValueId, Work};
use infomax_sdk::{Result, tensor::FoundOperator};
use std::sync::Arc;

/// What the first dimension of a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing of the images.
    Same,
    /// The images.
    Images,
    /// A number: how many images there are.
    Count,
}

/// Operators that compute each number by itself, or of tensors that are laid over one another.
const ELEMENTWISE: &[&str] = &[
    "abs",
    "add",
    "add_",
    "bernoulli_",
    "celu",
    "clamp",
    "clamp_",
    "clamp_max",
    "clamp_min",
    "clone",
    "contiguous",
    "detach",
    "div",
    "div_",
    "dropout",
    "dropout_",
    "elu",
    "elu_",
    "erf",
    "exp",
    "fill_",
    "gelu",
    "hardsigmoid",
    "hardsigmoid_",
    "hardswish",
    "hardswish_",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "lift_fresh_copy",
    "log",
    "log_sigmoid",
    "mish",
    "mish_",
    "mul",
    "mul_",
    "neg",
    "pow",
    "reciprocal",
    "relu",
    "relu6",
    "relu_",
    "rsqrt",
    "rsub",
    "sigmoid",
    "sigmoid_",
    "silu",
    "silu_",
    "softplus",
    "sqrt",
    "square",
    "sub",
    "sub_",
    "tanh",
    "tanh_",
    "to",
    "type_as",
    "where",
];
/// Operators on maps, an image at a time; weights are alike for all.
const ON_MAPS: &[&str] = &[
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool2d",
    "conv2d",
    "group_norm",
    "max_pool2d",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample_bicubic2d",
    "upsample_bilinear2d",
    "upsample_nearest2d",
];
/// Operators along dimensions, named by an argument, which must not be the first.
const ALONG: &[(&str, &str)] = &[
    ("amax", "dim"),
    ("amin", "dim"),
    ("cat", "dim"),
    ("chunk", "dim"),
    ("log_softmax", "dim"),
    ("mean", "dim"),
    ("narrow", "dim"),
    ("select", "dim"),
    ("slice", "dim"),
    ("softmax", "dim"),
    ("split", "dim"),
    ("split_with_sizes", "dim"),
    ("squeeze", "dim"),
    ("stack", "dim"),
    ("sum", "dim"),
    ("unbind", "dim"),
    ("unsqueeze", "dim"),
    ("linalg_vector_norm", "dim"),
    ("roll", "dims"),
    ("flatten", "start_dim"),
];
/// Operators that make tensors of a size.
const MAKING: &[&str] = &["empty", "new_empty", "new_ones", "new_zeros", "ones", "zeros"];

/// The program for several views that lie one after the other; none where it can't be proved that it is the same.
///
/// # Errors
/// A host that can't tell what operators take.
pub fn for_views(program: &Program) -> Result<Option<Program>> {
    let mut joined = program.clone();
    let views = joined.values;
    joined.values += 1;
    joined.ranks.push(None);
    joined.views = Some(views);
    let mut states = vec![State::Same; joined.values];
    for input in &joined.inputs {
        if let (super::Role::Argument { .. }, Some(id)) = (&input.role, input.value) {
            states[id] = State::Images;
        }
    }
    let batch_norm = Arc::new(FoundOperator::find("infomax::batch_norm_views")?);
    // Statistics that two normalisations share would move in another order: both of a view before those of the next.
    let mut statistics: Vec<ValueId> = Vec::new();
    for at in 0..joined.nodes.len() {
        let ranks = &joined.ranks;
        let node = &joined.nodes[at];
        let Some(state) = state(node, &states, ranks) else { return Ok(None) };
        node.makes().collect::<Vec<_>>().into_iter().for_each(|id| states[id] = state);
        let node = &mut joined.nodes[at];
        match node.base() {
            "batch_norm" => {
                let moved = node.given("running_mean").reads();
                if moved.iter().any(|id| statistics.contains(id)) {
                    return Ok(None);
                }
                statistics.extend(moved);
                let own = |name: &str| node.given(name).clone();
                let takes = [
                    own("input"),
                    own("weight"),
                    own("bias"),
                    own("running_mean"),
                    own("running_var"),
                    Source::Value(views),
                    Source::Bool(true),
                    own("momentum"),
                    own("eps"),
                    Source::Bool(false),
                ];
                node.takes = takes.to_vec();
                node.work = Work::Operator { name: "infomax::batch_norm_views".into(), operator: batch_norm.clone() };
            }
            // A counter of batches rises by each view.
            "add_" if state == State::Same => node.takes[1] = Source::Value(views),
            _ => {}
        }
    }
    let gives_images = joined.outputs.iter().flatten().all(|&id| states[id] == State::Images);
    joined.settle_ends();
    Ok(gives_images.then_some(joined))
}

/// What a node gives; none where it is not known, or mixes images.
fn state(node: &Node, states: &[State], ranks: &[Option<usize>]) -> Option<State> {
    let of = |id: ValueId| states[id];
    let reads: Vec<State> = node.reads().map(of).collect();
    let has = |state: State| reads.contains(&state);
    let (name, operator) = match &node.work {
        Work::Operator { name, operator } => (name, operator),
        Work::Number(_) => return (!has(State::Count)).then_some(State::Same),
        Work::Same => return reads.first().copied(),
        Work::Require(_) => return (!has(State::Images)).then_some(State::Same),
        Work::Store { .. } => return None,
    };
    let base = node.base();
    let first_size = |argument: &str| match node.given(argument) {
        Source::Ints(sizes) => sizes.first().copied(),
        _ => None,
    };
    let counts_first = |argument: &str| matches!(first_size(argument), Some(Int::Value(id)) if of(id) == State::Count);
    // Besides the first of a list of sizes, nothing may depend on how many images there are.
    let counted = reads.iter().filter(|state| **state == State::Count).count();
    if base == "sym_size" {
        let is_first = matches!(node.given("dim"), Source::Int(0));
        return match (has(State::Images), is_first) {
            (true, true) => Some(State::Count),
            _ => Some(State::Same),
        };
    }
    if !has(State::Images) {
        if MAKING.contains(&base) || base == "expand" {
            let at_first = counts_first("size");
            return (counted == usize::from(at_first)).then_some(if at_first { State::Images } else { State::Same });
        }
        if counted > 0 {
            return None;
        }
        let writes: Vec<ValueId> = super::aliases::written(node);
        let is_counter = base == "add_" && matches!(node.takes.get(1), Some(Source::Int(1))) && node.takes.len() == 2;
        return (writes.is_empty() || is_counter).then_some(State::Same);
    }
    let written_alike =
        super::aliases::written(node).into_iter().all(|id| of(id) == State::Images || base == "batch_norm");
    if !written_alike {
        return None;
    }
    let rank = |source: &Source| match source {
        Source::Value(id) => ranks[*id],
        _ => None,
    };
    let main = node.takes.first()?;
    let images_at_first = matches!(main, Source::Value(id) if of(*id) == State::Images);
    let only_first =
        || images_at_first && node.takes[1..].iter().flat_map(Source::reads).all(|id| of(id) == State::Same);
    let good = match base {
        _ if ELEMENTWISE.contains(&base) => {
            let tensors = node.takes.iter().zip(&operator.takes).filter(|(_, slot)| slot.kind.starts_with("Tensor"));
            let ids: Vec<ValueId> = tensors.flat_map(|(source, _)| source.reads()).collect();
            let widest = ids.iter().filter(|id| of(**id) == State::Images).map(|id| ranks[*id]).max()??;
            // Laid over one another from the last dimension on: what has fewer has none of the images.
            counted == 0
                && ids.iter().all(|&id| match (of(id), ranks[id]) {
                    (State::Images, Some(own)) => own == widest,
                    (State::Same, Some(own)) => own < widest,
                    (State::Same, None) => true, // a number
                    _ => false,
                })
        }
        _ if ON_MAPS.contains(&base) => only_first() && rank(main) == Some(4),
        "batch_norm" => {
            let has_statistics = matches!(node.given("running_mean"), Source::Value(_));
            let is_usual =
                matches!(node.given("momentum"), Source::Float(_)) && matches!(node.given("weight"), Source::Value(_));
            only_first()
                && has_statistics
                && is_usual
                && matches!(rank(main), Some(2 | 4))
                && matches!(node.given("training"), Source::Bool(true))
        }
        "linear" => only_first() && rank(main)? >= 2,
        "layer_norm" => {
            let Source::Ints(shape) = node.given("normalized_shape") else { return None };
            only_first() && shape.len() < rank(main)?
        }
        "matmul" => {
            let [one, other] = [node.given("self"), node.given("other")];
            let both = reads.iter().all(|state| *state == State::Images) && rank(one)? >= 3 && rank(one) == rank(other);
            both || (only_first() && rank(one)? >= 3 && rank(other) == Some(2))
        }
        "scaled_dot_product_attention" => {
            let three = ["query", "key", "value"].map(|name| node.given(name));
            let of_images = three
                .iter()
                .all(|source| matches!(source, Source::Value(id) if of(*id) == State::Images && ranks[*id] == Some(4)));
            of_images && matches!(node.given("attn_mask"), Source::None | Source::Default)
        }
        "permute" => only_first() && matches!(first_size("dims"), Some(Int::Known(0))),
        "transpose" => {
            only_first() && [node.given("dim0"), node.given("dim1")].iter().all(|dim| is_inner(dim, rank(main)))
        }
        "view" | "reshape" | "expand" => {
            let sizes = if base == "view" || base == "expand" { "size" } else { "shape" };
            images_at_first && counts_first(sizes) && counted == 1
        }
        _ => {
            let (_, argument) = ALONG.iter().find(|(name, _)| *name == base)?;
            let all = reads.iter().all(|state| *state == State::Images);
            let of_list = |source: &Source| match source {
                Source::Values(ids) => ids.first().copied().flatten().and_then(|id| ranks[id]),
                other => rank(other),
            };
            all && name.starts_with("aten::") && is_inner(node.given(argument), of_list(main))
        }
    };
    let one_by_one = node.gives.iter().all(|given| !matches!(given, Given::Values(_)))
        || ALONG.iter().any(|(name, _)| *name == base);
    (good && one_by_one).then_some(State::Images)
}

/// Whether a dimension, or all of several, is not the first.
fn is_inner(dims: &Source, rank: Option<usize>) -> bool {
    let inner = |dim: i64| match rank {
        Some(rank) if dim < 0 => dim + (rank as i64) > 0,
        _ => dim > 0,
    };
    match dims {
        Source::Int(dim) => inner(*dim),
        Source::Ints(dims) => !dims.is_empty() && dims.iter().all(|dim| matches!(dim, Int::Known(dim) if inner(*dim))),
        _ => false,
    }
}
