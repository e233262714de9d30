//! What shares memory, and what is written to: which buffers a call changes, whether it writes to what it was lent, and whether its
//! views must be views.

use super::{Node, Program, Role, Source, ValueId, Work};

/// What a program writes to.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    /// For each input, by position: whether its memory is written to.
    pub inputs: Vec<bool>,
    /// Likewise: whether it is assigned to once the call is over.
    pub stores: Vec<bool>,
    /// Whether a view is written through, or what it is a view of: a copy in its place would be wrong.
    pub through_views: bool,
}

/// Operators that give what they were given where they have nothing to do, which their declaration does not say.
const PASSING_THROUGH: [&str; 5] =
    ["dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "contiguous"];
/// Operators of which libtorch may need a copy where memory lies otherwise than the exporter's.
const VIEWS: [&str; 3] = ["view", "_unsafe_view", "view_as"];

/// Finds what a program writes to.
pub fn writes(program: &Program) -> Writes {
    let mut sets = Sets::new(program.values);
    for node in &program.nodes {
        let results: Vec<ValueId> = node.makes().collect();
        for id in shared(node) {
            results.iter().for_each(|&result| sets.join(id, result));
        }
    }
    let mut is_written = vec![false; program.values];
    for node in &program.nodes {
        for id in written(node) {
            is_written[sets.root(id)] = true;
        }
    }
    let inputs = program.inputs.iter().map(|input| input.value.is_some_and(|id| is_written[sets.root(id)]));
    let inputs = inputs.collect();
    let views = program.nodes.iter().filter(|node| VIEWS.contains(&node.base()) || node.base() == "as_strided");
    let through_views = views.flat_map(Node::makes).any(|id| is_written[sets.root(id)]);
    let is_stored =
        |id: ValueId| program.nodes.iter().any(|node| matches!(node.work, Work::Store { buffer } if buffer == id));
    let stores = program.inputs.iter().map(|input| input.value.is_some_and(is_stored)).collect();
    Writes { inputs, stores, through_views }
}

/// The arguments whose memory a node's results may share.
fn shared(node: &Node) -> Vec<ValueId> {
    let Work::Operator { operator, .. } = &node.work else {
        return if matches!(node.work, Work::Same) { node.reads().collect() } else { Vec::new() };
    };
    let passes = PASSING_THROUGH.contains(&node.base());
    let slots = operator.takes.iter().zip(&node.takes);
    slots
        .filter(|(slot, _)| !slot.shares.is_empty() || (passes && slot.kind.contains("Tensor")))
        .flat_map(|(_, source)| source.reads())
        .collect()
}

/// The arguments that a node writes to.
pub fn written(node: &Node) -> Vec<ValueId> {
    let Work::Operator { operator, .. } = &node.work else { return Vec::new() };
    let slots = operator.takes.iter().zip(&node.takes);
    let mut ids: Vec<ValueId> =
        slots.filter(|(slot, _)| slot.is_written).flat_map(|(_, source)| source.reads()).collect();
    // Running statistics move, which the declaration does not say.
    let statistics = match node.base() {
        "batch_norm" => Some("training"),
        "instance_norm" => Some("use_input_stats"),
        _ => None,
    };
    if statistics.is_some_and(|training| matches!(node.given(training), Source::Bool(true))) {
        ids.extend(["running_mean", "running_var"].into_iter().flat_map(|name| node.given(name).reads()));
    }
    ids
}

/// An assignment to a buffer at the end of `forward` becomes what is done once the call is over: in place it would spoil what the
/// backward pass still needs, as it does not in Python, where the attribute is replaced.
pub fn settle_stores(program: &mut Program) {
    let buffers: Vec<ValueId> = program
        .inputs
        .iter()
        .filter(|input| matches!(input.role, Role::Buffer { .. }))
        .filter_map(|input| input.value)
        .collect();
    let mut read_later = vec![false; program.values];
    program.outputs.iter().flatten().for_each(|&id| read_later[id] = true);
    for node in program.nodes.iter_mut().rev() {
        let assigned = (node.base() == "copy_").then(|| node.takes.first()).flatten();
        let buffer = match assigned {
            Some(Source::Value(id))
                if buffers.contains(id) && !read_later[*id] && !node.makes().any(|id| read_later[id]) =>
            {
                Some(*id)
            }
            _ => None,
        };
        if let (Some(buffer), Some(new)) = (buffer, node.takes.get(1).cloned()) {
            node.work = Work::Store { buffer };
            node.takes = vec![new];
            node.gives.clear();
        }
        node.reads().for_each(|id| read_later[id] = true);
    }
}

/// Sets of values, joined step by step.
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, mut of: usize) -> usize {
        while self.0[of] != of {
            self.0[of] = self.0[self.0[of]];
            of = self.0[of];
        }
        of
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.0[one.max(other)] = one.min(other);
    }
}
