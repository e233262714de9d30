//! A program out of a file's JSON: names become places, operators are looked up in libtorch, nested graphs are laid into the one that
//! calls them.

use super::{
    Given, Input, Int, Node, Program, Role, Scope, Source, Work, base, guards::Guard, number::NumberOperator,
    operators, places::place, sizes::declared,
};
use crate::archive::format::{
    self, Argument, Exported, InputSpec, OptionalTensor, OutputSpec, Size, SymBool, SymFloat, SymInt,
};
use infomax_sdk::{Error, Kind, MemoryFormat, Result, tensor::FoundOperator};
use std::{collections::HashMap, sync::Arc};

const DEEPEST: usize = 16;
/// Sizes that no file of this field has are the sign of a damaged one: 2^40 numbers.
const LARGEST: i64 = 1 << 40;
const NOT_FOR_TRAINING: &str =
    "export the module with `infomax_export.py`, or with torch.export.export alone, without `run_decompositions`";

/// Operators whose first argument is a nested graph's own settings, then the graph, then what it is handed.
const NESTING: [&str; 6] = [
    "wrap_with_autocast",
    "wrap_with_set_grad_enabled",
    "tag_activation_checkpoint",
    "wrap_activation_checkpoint",
    "invoke_subgraph",
    "wrap",
];

type Names<'a> = HashMap<&'a str, usize>;

/// Reads a program.
///
/// # Errors
/// What the file asks for that can't be run, with the line of Python.
pub fn read(exported: &Exported) -> Result<Program> {
    if exported.verifiers.iter().any(|verifier| verifier != "TRAINING") {
        let message = "it holds a program for inference, whose training operators were taken apart".to_owned();
        return Err(Error::config(message).hint(NOT_FOR_TRAINING));
    }
    let module = &exported.graph_module;
    let graph = &module.graph;
    let mut builder = Builder::default();
    let mut names = Names::new();
    let inputs = builder.inputs(exported, &mut names)?;
    builder.graph(graph, &mut names, Scope::default(), DEEPEST)?;
    let is_plain = |spec: &OutputSpec| matches!(spec, OutputSpec::UserOutput {});
    if !module.signature.output_specs.iter().all(is_plain) {
        let message = "it gives more than what its `forward` returns: changed buffers or gradients".to_owned();
        return Err(Error::config(message).hint(NOT_FOR_TRAINING));
    }
    let mut outputs = Vec::with_capacity(graph.outputs.len());
    let mut output_sizes = Vec::with_capacity(graph.outputs.len());
    for output in &graph.outputs {
        let (value, sizes) = match output {
            Argument::AsTensor(name) => {
                let sizes = graph.tensor_values.get(&name.name).map(declared);
                (Some(known(&names, &name.name, "the outputs")?), sizes)
            }
            Argument::AsNone(_) => (None, None),
            _ => {
                return Err(Error::config("one of its outputs is no tensor").hint("return tensors from `forward` only"));
            }
        };
        outputs.push(value);
        output_sizes.push(sizes);
    }
    let ranges = exported
        .range_constraints
        .iter()
        .map(|(symbol, range)| (symbol.clone(), range.min_val.unwrap_or(0), range.max_val.unwrap_or(i64::MAX)));
    let root = module.module_call_graph.iter().find(|call| call.fqn.is_empty());
    let mut program = Program {
        inputs,
        nodes: builder.nodes,
        outputs,
        output_sizes,
        values: builder.values,
        ranks: builder.ranks,
        views: None,
        ranges: ranges.collect(),
        guards: guards(&exported.guards_code),
        value_bytes: value_bytes(graph),
        structure: root.and_then(|call| call.signature.as_ref()).map(|signature| signature.out_spec.clone()),
    };
    super::aliases::settle_stores(&mut program);
    program.settle_ends();
    Ok(program)
}

/// The conditions on sizes. Free heights and widths can leave megabytes of them, which would take longer than the step itself: those
/// that come after the first of that many are not looked at.
fn guards(texts: &[String]) -> Vec<Guard> {
    const MOST: usize = 1 << 14; // bytes
    let mut length = 0;
    let looked_at = texts.iter().take_while(|text| {
        length += text.len();
        length <= MOST
    });
    looked_at.filter_map(|text| Guard::parse(text)).collect()
}

/// What the values of one image take in f32: each dimension that is free counts once.
fn value_bytes(graph: &format::Graph) -> u64 {
    let of_one = |meta: &format::TensorMeta| {
        let is_free = meta.sizes.iter().any(|size| matches!(size, Size::AsExpr(_)));
        let sizes = meta.sizes.iter().map(|size| match size {
            Size::AsInt(number) => u64::try_from(*number).unwrap_or(0),
            Size::AsExpr(_) => 1,
        });
        if is_free { sizes.fold(4_u64, u64::saturating_mul) } else { 0 }
    };
    let made = graph.nodes.iter().filter(|node| !keeps_memory(&node.target)).flat_map(|node| &node.outputs);
    let names = made.filter_map(|output| match output {
        Argument::AsTensor(name) => Some(&name.name),
        _ => None,
    });
    names.filter_map(|name| graph.tensor_values.get(name)).map(of_one).fold(0, u64::saturating_add)
}

/// Whether an operator gives what it was given, in other clothes.
fn keeps_memory(target: &str) -> bool {
    let name = target.rsplit('.').nth(1).unwrap_or_default();
    name.ends_with('_')
        || ["view", "reshape", "flatten", "permute", "transpose", "unsqueeze", "squeeze", "expand", "slice", "select"]
            .contains(&name)
}

fn known(names: &Names<'_>, name: &str, of: &str) -> Result<usize> {
    names.get(name).copied().ok_or_else(|| Error::config(format!("{of}: there is no value `{name}`")))
}

#[derive(Default)]
struct Builder {
    values: usize,
    ranks: Vec<Option<usize>>,
    nodes: Vec<Node>,
    operators: HashMap<String, (Arc<str>, Arc<FoundOperator>)>,
}

impl Builder {
    /// Room for a value, of which the graph may say how many dimensions it has.
    fn fresh(&mut self, graph: &format::Graph, name: &str) -> usize {
        self.ranks.push(graph.tensor_values.get(name).map(|meta| meta.sizes.len()));
        self.values += 1;
        self.values - 1
    }

    fn inputs<'a>(&mut self, exported: &'a Exported, names: &mut Names<'a>) -> Result<Vec<Input>> {
        let module = &exported.graph_module;
        let (graph, specs) = (&module.graph, &module.signature.input_specs);
        if graph.inputs.len() != specs.len() {
            let message = format!("its graph takes {} inputs, its signature says {}", graph.inputs.len(), specs.len());
            return Err(Error::config(message));
        }
        let mut inputs = Vec::with_capacity(specs.len());
        for (spec, argument) in specs.iter().zip(&graph.inputs) {
            let mut named = |builder: &mut Self| match argument {
                Argument::AsTensor(name) => {
                    let id = builder.fresh(graph, &name.name);
                    names.insert(&name.name, id);
                    Ok((id, name.name.as_str()))
                }
                _ => Err(Error::config("an input of its graph is no tensor").hint("give tensors to `forward` only")),
            };
            let (role, value) = match spec {
                InputSpec::Parameter { parameter_name } => {
                    (Role::Parameter(parameter_name.clone()), Some(named(self)?.0))
                }
                InputSpec::Buffer { buffer_name, persistent } => {
                    (Role::Buffer { name: buffer_name.clone(), persistent: *persistent }, Some(named(self)?.0))
                }
                InputSpec::TensorConstant { tensor_constant_name } => {
                    (Role::Constant(tensor_constant_name.clone()), Some(named(self)?.0))
                }
                InputSpec::UserInput { arg: Argument::AsTensor(_) } => {
                    let (id, name) = named(self)?;
                    let meta = graph.tensor_values.get(name);
                    let meta =
                        meta.ok_or_else(|| Error::config(format!("the input `{name}` has no declared sizes")))?;
                    let kind = kind(meta.dtype)?;
                    (Role::Argument { name: name.to_owned(), sizes: declared(meta), kind }, Some(id))
                }
                InputSpec::UserInput { .. } | InputSpec::ConstantInput {} => (Role::Fixed, None),
            };
            inputs.push(Input { role, value });
        }
        Ok(inputs)
    }

    fn graph<'a>(&mut self, graph: &'a format::Graph, names: &mut Names<'a>, scope: Scope, depth: usize) -> Result<()> {
        for node in &graph.nodes {
            let name = node.name.clone().unwrap_or_else(|| node.target.clone());
            let place = node.metadata.get("stack_trace").and_then(|stack| place(stack));
            let located = |error: Error| {
                let at =
                    place.as_ref().map_or_else(|| format!("node `{name}`"), |place| format!("{place} (node `{name}`)"));
                Error { message: format!("{at}: {}", error.message), ..error }
            };
            match node.target.strip_prefix("torch.ops.higher_order.") {
                Some(nesting) => self.nested(nesting, node, names, scope, depth).map_err(located)?,
                None => {
                    if let Some(made) = self.node(graph, node, names, scope).map_err(located)? {
                        self.nodes.push(Node { name: name.clone(), place: place.clone(), ..made });
                    }
                }
            }
        }
        Ok(())
    }

    /// Lays a nested graph into this one.
    fn nested<'a>(
        &mut self,
        nesting: &str,
        node: &'a format::Node,
        names: &mut Names<'a>,
        scope: Scope,
        depth: usize,
    ) -> Result<()> {
        if !NESTING.contains(&nesting) {
            let what =
                if nesting == "cond" { "what is done depends on numbers (`torch.cond`)" } else { "it nests a graph" };
            let message = format!("`{nesting}` can't be run: {what}");
            return Err(
                Error::config(message).hint("write it with torch.where, or choose once, when the module is made")
            );
        }
        let depth = depth.checked_sub(1).ok_or_else(|| Error::config("graphs are nested too deep"))?;
        let at = node.inputs.iter().position(|input| matches!(input.arg, Argument::AsGraph(_)));
        let at = at.ok_or_else(|| Error::config(format!("`{nesting}` has no graph")))?;
        let Argument::AsGraph(inner) = &node.inputs[at].arg else { unreachable!("the position is a graph's") };
        let settings: Vec<&Argument> = node.inputs[..at].iter().map(|input| &input.arg).collect();
        let scope = match (nesting, &settings[..]) {
            ("wrap_with_autocast", [Argument::AsString(_), _, Argument::AsBool(enabled), ..]) => {
                // Where it is switched on, the run's own setting decides: `train.precision`.
                Scope { without_autocast: scope.without_autocast || !enabled, ..scope }
            }
            ("wrap_with_set_grad_enabled", [Argument::AsBool(enabled)]) => Scope { gradients: Some(*enabled), ..scope },
            ("wrap_with_autocast" | "wrap_with_set_grad_enabled", _) => {
                return Err(Error::config(format!("`{nesting}` has other settings than this plugin knows")));
            }
            _ => scope,
        };
        let handed = node.inputs[at + 1..].iter().filter(|input| !matches!(input.arg, Argument::AsString(_)));
        let handed: Vec<&Argument> = handed.map(|input| &input.arg).collect();
        if handed.len() != inner.graph.inputs.len() {
            let (given, wanted) = (handed.len(), inner.graph.inputs.len());
            return Err(Error::config(format!("`{nesting}` hands {given} values to a graph that takes {wanted}")));
        }
        let mut inner_names = Names::new();
        for (outer, input) in handed.into_iter().zip(&inner.graph.inputs) {
            if let (Some(outer), Some(inner)) = (value_name(outer), value_name(input)) {
                inner_names.insert(inner, known(names, outer, nesting)?);
            }
        }
        self.graph(&inner.graph, &mut inner_names, scope, depth)?;
        let outer: Vec<&Argument> = node.outputs.iter().collect();
        // Several results may stand in one list.
        let listed: Vec<&str> = match outer[..] {
            [Argument::AsTensors(list)] => list.iter().map(|name| name.name.as_str()).collect(),
            _ => outer.iter().filter_map(|output| value_name(output)).collect(),
        };
        let given: Vec<&str> = inner.graph.outputs.iter().filter_map(value_name).collect();
        if given.len() < listed.len() {
            return Err(Error::config(format!("`{nesting}` gives fewer values than are read")));
        }
        for (outer, inner) in listed.into_iter().zip(given) {
            let id = known(&inner_names, inner, nesting)?;
            names.insert(outer, id);
        }
        Ok(())
    }

    fn node<'a>(
        &mut self,
        graph: &format::Graph,
        node: &'a format::Node,
        names: &mut Names<'a>,
        scope: Scope,
    ) -> Result<Option<Node>> {
        let (work, takes) = match node.target.strip_prefix("torch.ops.") {
            None => {
                let operator = NumberOperator::of(&node.target).ok_or_else(|| {
                    Error::config(format!("it calls `{}`, which is no operator of PyTorch", node.target))
                })?;
                let takes = node.inputs.iter().map(|input| source(&input.arg, names)).collect::<Result<_>>()?;
                (Work::Number(operator), takes)
            }
            Some(target) => {
                let (namespace, target) = target.split_once('.').unwrap_or(("", target));
                let base = target.split_once('.').map_or(target, |(base, _)| base);
                match base {
                    // Kinds and devices are the run's.
                    "_assert_tensor_metadata" | "sym_constrain_range" | "sym_constrain_range_for_size" => {
                        return Ok(None);
                    }
                    "_assert_scalar" => self.requirement(node, names)?,
                    _ => {
                        if let Some(why) = operators::refused(namespace, base) {
                            return Err(Error::config(format!("it calls `{namespace}.{base}`: {why}")));
                        }
                        self.operator(&target.replacen(".default", "", 1), node, names)?
                    }
                }
            }
        };
        let mut gives = Vec::with_capacity(node.outputs.len());
        for output in &node.outputs {
            gives.push(match output {
                Argument::AsTensors(list) => {
                    let mut ids = Vec::with_capacity(list.len());
                    for name in list {
                        let id = self.fresh(graph, &name.name);
                        names.insert(&name.name, id);
                        ids.push(id);
                    }
                    Given::Values(ids)
                }
                other => match value_name(other) {
                    Some(name) => {
                        let id = self.fresh(graph, name);
                        names.insert(name, id);
                        Given::Value(id)
                    }
                    None => Given::Nothing,
                },
            });
        }
        Ok(Some(Node { name: String::new(), place: None, work, takes, gives, scope, ends: Vec::new() }))
    }

    fn requirement(&mut self, node: &format::Node, names: &Names<'_>) -> Result<(Work, Vec<Source>)> {
        let condition = node.inputs.first().ok_or_else(|| Error::config("an assertion has no condition"))?;
        let message = node.inputs.iter().find_map(|input| match &input.arg {
            Argument::AsString(text) => Some(text.clone()),
            _ => None,
        });
        Ok((Work::Require(message.unwrap_or_default()), vec![source(&condition.arg, names)?]))
    }

    /// Binds arguments by their names in libtorch's declaration.
    fn operator(&mut self, target: &str, node: &format::Node, names: &Names<'_>) -> Result<(Work, Vec<Source>)> {
        let full = format!("aten::{target}");
        if !self.operators.contains_key(&full) {
            let found = FoundOperator::find(&full).map_err(|error| {
                let hint = "a newer torch than this libtorch wrote the file; export it with torch 2.11";
                Error::config(error.message).hint(hint)
            })?;
            if let Some(slot) = found.takes.iter().chain(&found.gives).find(|slot| operators::is_strange(&slot.kind)) {
                return Err(Error::config(format!("it calls `{target}`, which takes or gives a `{}`", slot.kind)));
            }
            self.operators.insert(full.clone(), (full.as_str().into(), Arc::new(found)));
        }
        let (name, operator) = self.operators[&full].clone();
        let mut takes: Vec<Source> = Vec::with_capacity(node.inputs.len());
        for (position, input) in node.inputs.iter().enumerate() {
            let at = match operator.takes.iter().position(|slot| slot.name == input.name) {
                Some(at) => at,
                None if input.name.is_empty() && position < operator.takes.len() => position,
                None => {
                    let message = format!("libtorch's `{target}` takes no `{}`", input.name);
                    return Err(Error::config(message).hint("a newer torch wrote the file; export it with torch 2.11"));
                }
            };
            if takes.len() <= at {
                takes.resize(at + 1, Source::Default);
            }
            takes[at] = source(&input.arg, names)?;
        }
        let results = operator.gives.len();
        if node.outputs.len() != results {
            return Err(Error::config(format!(
                "`{}` gives {results} results, the file says {}",
                base(&name),
                node.outputs.len()
            )));
        }
        Ok((Work::Operator { name, operator }, takes))
    }
}

/// The name under which an argument or a result is known; none for what has none.
fn value_name(argument: &Argument) -> Option<&str> {
    match argument {
        Argument::AsTensor(name) => Some(&name.name),
        Argument::AsSymInt(SymInt::AsName(name))
        | Argument::AsSymFloat(SymFloat::AsName(name))
        | Argument::AsSymBool(SymBool::AsName(name)) => Some(name),
        _ => None,
    }
}

fn source(argument: &Argument, names: &Names<'_>) -> Result<Source> {
    let value = |name: &str| known(names, name, "an argument");
    let float = |float: &format::Float| float.number().ok_or_else(|| Error::config("a number can't be read"));
    let int = |number: i64| {
        // The largest number stands for "to the end".
        let is_usual = number.unsigned_abs() <= LARGEST as u64 || number == i64::MAX || number == i64::MIN;
        if is_usual {
            Ok(number)
        } else {
            Err(Error::config(format!("{number} is no size or number that an exporter writes")))
        }
    };
    if let Some(name) = value_name(argument) {
        return value(name).map(Source::Value);
    }
    Ok(match argument {
        Argument::AsNone(_) => Source::None,
        Argument::AsTensors(list) => {
            Source::Values(list.iter().map(|name| value(&name.name).map(Some)).collect::<Result<_>>()?)
        }
        Argument::AsOptionalTensors(list) => {
            let one = |tensor: &OptionalTensor| match tensor {
                OptionalTensor::AsTensor(name) => value(&name.name).map(Some),
                OptionalTensor::AsNone(_) => Ok(None),
            };
            Source::Values(list.iter().map(one).collect::<Result<_>>()?)
        }
        Argument::AsInt(number) | Argument::AsSymInt(SymInt::AsInt(number)) => Source::Int(int(*number)?),
        Argument::AsInts(list) => {
            Source::Ints(list.iter().map(|&number| int(number).map(Int::Known)).collect::<Result<_>>()?)
        }
        Argument::AsSymInts(list) => {
            let one = |number: &SymInt| match number {
                SymInt::AsName(name) => value(name).map(Int::Value),
                SymInt::AsInt(number) => int(*number).map(Int::Known),
            };
            Source::Ints(list.iter().map(one).collect::<Result<_>>()?)
        }
        Argument::AsFloat(number) | Argument::AsSymFloat(SymFloat::AsFloat(number)) => Source::Float(float(number)?),
        Argument::AsFloats(list) => Source::Floats(list.iter().map(float).collect::<Result<_>>()?),
        Argument::AsBool(truth) | Argument::AsSymBool(SymBool::AsBool(truth)) => Source::Bool(*truth),
        Argument::AsBools(list) => Source::Bools(list.clone()),
        Argument::AsString(text) => Source::Text(text.clone()),
        Argument::AsScalarType(number) => Source::Kind(kind(*number)?),
        Argument::AsDevice(device) => match device.kind.as_str() {
            "cpu" | "cuda" => Source::Device,
            other => return Err(Error::config(format!("it asks for a tensor on `{other}`"))),
        },
        Argument::AsLayout(STRIDED) => Source::None,
        Argument::AsLayout(_) => return Err(Error::config("it asks for a sparse tensor")),
        Argument::AsMemoryFormat(number) => match number {
            1 => Source::Format(MemoryFormat::Contiguous),
            2 => Source::Format(MemoryFormat::ChannelsLast),
            3 => Source::Format(MemoryFormat::ChannelsLast3d),
            4 => Source::Format(MemoryFormat::Preserve),
            other => return Err(Error::config(format!("there is no memory format {other}"))),
        },
        _ => return Err(Error::config("an argument is of a kind that no operator takes")),
    })
}

/// The exporter's number of the only layout that is used.
const STRIDED: u32 = 7;

/// The kind behind the exporter's number, which is none of libtorch's own numbers.
pub fn kind(number: u32) -> Result<Kind> {
    Ok(match number {
        1 => Kind::U8,
        2 => Kind::I8,
        3 => Kind::I16,
        4 => Kind::I32,
        5 => Kind::I64,
        6 => Kind::F16,
        7 => Kind::F32,
        8 => Kind::F64,
        12 => Kind::Bool,
        13 => Kind::Bf16,
        9..=11 => return Err(Error::config("it computes with complex numbers, which have no place in a component")),
        other => {
            return Err(Error::config(format!("it has numbers of the kind {other}, which a component can't have")));
        }
    })
}
