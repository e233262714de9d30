//! `models/model.json` and the tables of tensors as `torch.export.save` writes them; what is not needed is not read.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The whole program.
#[derive(Debug, Deserialize)]
pub struct Exported {
    pub graph_module: GraphModule,
    #[serde(default)]
    pub range_constraints: HashMap<String, Range>,
    #[serde(default)]
    pub guards_code: Vec<String>,
    #[serde(default)]
    pub verifiers: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
}

/// The least and the most that a size may be.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Range {
    pub min_val: Option<i64>,
    pub max_val: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub struct GraphModule {
    pub graph: Graph,
    pub signature: Signature,
    #[serde(default)]
    pub module_call_graph: Vec<ModuleCall>,
}

#[derive(Debug, Deserialize)]
pub struct Graph {
    pub inputs: Vec<Argument>,
    pub outputs: Vec<Argument>,
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub tensor_values: HashMap<String, TensorMeta>,
}

#[derive(Debug, Deserialize)]
pub struct Node {
    pub name: Option<String>,
    pub target: String,
    pub inputs: Vec<NamedArgument>,
    pub outputs: Vec<Argument>,
    #[serde(default)]
    pub metadata: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub struct NamedArgument {
    pub name: String,
    pub arg: Argument,
}

/// An argument or a result. What has no place in a trained component is not listed: reading fails with its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names, reason = "the file's names")]
pub enum Argument {
    AsNone(IgnoredAny),
    AsTensor(Name),
    AsTensors(Vec<Name>),
    AsOptionalTensors(Vec<OptionalTensor>),
    AsInt(i64),
    AsInts(Vec<i64>),
    AsFloat(Float),
    AsFloats(Vec<Float>),
    AsBool(bool),
    AsBools(Vec<bool>),
    AsString(String),
    AsSymInt(SymInt),
    AsSymInts(Vec<SymInt>),
    AsSymFloat(SymFloat),
    AsSymBool(SymBool),
    AsScalarType(u32),
    AsDevice(Device),
    AsLayout(u32),
    AsMemoryFormat(u32),
    AsGraph(Box<Nested>),
}

/// A nested graph.
#[derive(Debug, Deserialize)]
pub struct Nested {
    pub graph: Graph,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Name {
    pub name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionalTensor {
    AsTensor(Name),
    AsNone(IgnoredAny),
}

/// JSON has no infinity: those numbers are texts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Float {
    Number(f64),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SymInt {
    AsName(String),
    AsInt(i64),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SymFloat {
    AsName(String),
    AsFloat(Float),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SymBool {
    AsName(String),
    AsBool(bool),
}

#[derive(Debug, Deserialize)]
pub struct Device {
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TensorMeta {
    pub dtype: u32,
    pub sizes: Vec<Size>,
    #[serde(default)]
    pub requires_grad: bool,
    pub strides: Vec<Size>,
    pub storage_offset: Size,
    pub layout: u32,
}

/// A size that is known, or an expression in sympy's notation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    AsInt(i64),
    AsExpr(Expression),
}

#[derive(Clone, Debug, Deserialize)]
pub struct Expression {
    pub expr_str: String,
}

#[derive(Debug, Deserialize)]
pub struct Signature {
    pub input_specs: Vec<InputSpec>,
    pub output_specs: Vec<OutputSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputSpec {
    Parameter { parameter_name: String },
    Buffer { buffer_name: String, persistent: bool },
    TensorConstant { tensor_constant_name: String },
    UserInput { arg: Argument },
    ConstantInput {},
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputSpec {
    UserOutput {},
    BufferMutation {},
    LossOutput {},
    GradientToParameter {},
    GradientToUserInput {},
    UserInputMutation {},
    ParameterMutation {},
    Token {},
}

#[derive(Debug, Deserialize)]
pub struct ModuleCall {
    pub fqn: String,
    pub signature: Option<CallSignature>,
}

#[derive(Debug, Deserialize)]
pub struct CallSignature {
    pub out_spec: String,
}

/// The table of a folder's tensors.
#[derive(Debug, Deserialize)]
pub struct TensorTable {
    /// By name, in the file's order.
    pub config: Map<String, Value>,
}

/// Where a tensor's numbers lie.
#[derive(Clone, Debug, Deserialize)]
pub struct TensorEntry {
    pub path_name: String,
    #[serde(default)]
    pub is_param: bool,
    #[serde(default)]
    pub use_pickle: bool,
    pub tensor_meta: Option<TensorMeta>,
}

/// What `infomax_export` adds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct About {
    pub format: u32,
    /// `encoder` or `loss`.
    pub kind: Option<String>,
    pub inputs: Vec<AboutInput>,
    pub outputs: Vec<String>,
    pub representation: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AboutInput {
    pub name: String,
    /// Dimensions of the tensor: 2 for B × C.
    pub rank: Option<usize>,
}

impl Float {
    /// The number; none for a text that is none.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Word(word) => match word.as_str() {
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                "NaN" => Some(f64::NAN),
                _ => None,
            },
        }
    }
}
