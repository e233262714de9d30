//! A reader of pickles that executes nothing: a closed list of opcodes builds plain values, and of all that a pickle may name
//! only what tensors and dictionaries are made of is known. Anything else that it names, and whatever would be made by calling
//! that, is an opaque value with a name; it is for who needs a value to refuse an opaque one.
//!
//! In: a pickle's bytes. Out: a tree of values in an arena, so that neither depth nor cycles cost stack.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};
use tch::Kind;

const MOST_NODES: usize = 4_000_000; // a checkpoint of 1,000 tensors has 20,000
const MOST_STACK: usize = 1_000_000;
const MOST_ARGUMENTS: usize = 16; // PyTorch's functions take 3 to 7
const MOST_AXES: usize = 16; // convolutions have 4
const MOST_NAMES: usize = 10_000; // of what is not data; a checkpoint of Lightning has 20
const NAME_BYTES: usize = 1000;
const KEY_BYTES: usize = 64; // PyTorch numbers storages, in older files by address

/// What is said of a pickle that is written in lines of text.
pub const TEXT_PROTOCOL: &str = "its pickle is written in the text protocol (0 or 1), which is not read; write it with `pickle_protocol=2` or later";

/// A value's place in the arena.
pub type Id = usize;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number beyond 64 bits, little-endian.
    Long(Vec<u8>),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Known(Known),
    /// Numbers that lie elsewhere in the file.
    Storage {
        kind: Kind,
        key: String,
        length: u64,
    },
    Tensor {
        storage: Id,
        offset: u64,
        size: Vec<i64>,
        stride: Vec<i64>,
    },
    /// What the pickle names, or what calling that would make, of which nothing is known but the name: `numpy.dtype`.
    Opaque(Arc<str>),
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// A tensor of a class of its own, or with attributes: a function and its arguments.
    RebuildFromType,
    /// A plain class of tensors.
    TensorClass,
    Storage(Kind),
}

/// Why a pickle is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An instruction that plain values and names don't need: `EXT`.
    Instruction(String),
    /// It is written in the protocol of texts.
    TextProtocol,
    /// It is damaged, or too large.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction(name) => write!(f, "its pickle has the instruction {name}, which is not data"),
            Self::TextProtocol => f.write_str(TEXT_PROTOCOL),
            Self::Broken(what) => write!(f, "its pickle is damaged: {what}"),
        }
    }
}

/// The values of a pickle.
#[derive(Debug)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: Id,
    /// Bytes up to and with the end of the pickle.
    pub length: usize,
}

impl Pickle {
    /// Reads the pickle at the start of some bytes.
    ///
    /// # Errors
    /// Whatever is not plain data, by name; damage.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut machine = Machine {
            bytes,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copied: 0,
            names: HashMap::new(),
        };
        let root = machine.run()?;
        Ok(Self { nodes: machine.nodes, root, length: machine.at })
    }

    /// The outermost value.
    pub fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// The outermost value's place.
    pub fn root_id(&self) -> Id {
        self.root
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The value at a place.
    pub fn at(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// What the pickle names that is not data, each once.
    pub fn opaque_names(&self) -> BTreeSet<&str> {
        fn name(node: &Node) -> Option<&str> {
            if let Node::Opaque(name) = node { Some(name) } else { None }
        }
        self.nodes.iter().filter_map(name).collect()
    }

    /// A dictionary's value of a key.
    pub fn get<'a>(&'a self, dict: &'a Node, key: &str) -> Option<&'a Node> {
        self.entries(dict).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// A dictionary's entries whose keys are text.
    pub fn entries<'a>(&'a self, dict: &'a Node) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let pairs = if let Node::Dict(pairs) = dict { pairs.as_slice() } else { &[] };
        pairs.iter().filter_map(|&(key, value)| match self.at(key) {
            Node::Text(text) => Some((text.as_str(), self.at(value))),
            _ => None,
        })
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Items that were copied from one value into another.
    copied: usize,
    /// What is named that is not data; values share their names.
    names: HashMap<String, Arc<str>>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, Refusal> {
        loop {
            let opcode = self.take(1)?[0];
            match opcode {
                b'.' => return self.pop(),
                0x80 => {
                    let version = self.take(1)?[0];
                    if version > 5 {
                        return Err(broken(format!("it has protocol {version}")));
                    }
                }
                0x95 => drop(self.take(8)?),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.push(Node::None)?,
                0x88 => self.push(Node::Bool(true))?,
                0x89 => self.push(Node::Bool(false))?,
                b'K' => self.take(1).map(|b| i64::from(b[0])).and_then(|n| self.push(Node::Int(n)))?,
                b'M' => {
                    let number = u16::from_le_bytes(self.array()?);
                    self.push(Node::Int(number.into()))?;
                }
                b'J' => {
                    let number = i32::from_le_bytes(self.array()?);
                    self.push(Node::Int(number.into()))?;
                }
                0x8a => {
                    let length = self.take(1)?[0].into();
                    self.long(length)?;
                }
                0x8b => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.long(length.into())?;
                }
                b'G' => {
                    let number = f64::from_be_bytes(self.array()?);
                    self.push(Node::Float(number))?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.text(length.into())?;
                }
                0x8c | b'U' => {
                    let length = self.take(1)?[0].into();
                    self.text(length)?;
                }
                b'T' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.text(length.into())?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.text(length)?;
                }
                0x8e | 0x96 => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.raw(length)?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.push_id(top)?;
                }
                b'C' => {
                    let length = self.take(1)?[0].into();
                    self.raw(length)?;
                }
                b'B' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.raw(length.into())?;
                }
                b')' => self.push(Node::Tuple(Vec::new()))?,
                b']' => self.push(Node::List(Vec::new()))?,
                b'}' => self.push(Node::Dict(Vec::new()))?,
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Node::Tuple(items))?;
                }
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Node::List(items))?;
                }
                0x8f => self.push(Node::List(Vec::new()))?, // a set
                0x91 => {
                    let items = self.since_mark()?;
                    self.push(Node::List(items))?;
                }
                b'd' => {
                    let pairs = pairs(&self.since_mark()?)?;
                    self.push(Node::Dict(pairs))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(opcode - 0x84);
                    let from = self.stack.len().checked_sub(count).filter(|from| *from >= self.floor());
                    let items = self.stack.split_off(from.ok_or_else(|| broken("its stack is empty"))?);
                    self.push(Node::Tuple(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(&items)?;
                }
                b'q' => {
                    let number = self.take(1)?[0].into();
                    self.remember(number)?;
                }
                b'r' => {
                    let number = u32::from_le_bytes(self.array()?);
                    self.remember(number.into())?;
                }
                0x94 => self.remember(self.memo.len() as u64)?,
                b'h' => {
                    let number = self.take(1)?[0].into();
                    self.recall(number)?;
                }
                b'j' => {
                    let number = u32::from_le_bytes(self.array()?);
                    self.recall(number.into())?;
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.name(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (&self.nodes[module], &self.nodes[name]) {
                        (Node::Text(module), Node::Text(name)) => {
                            let (module, name) = (module.clone(), name.clone());
                            self.name(&module, &name)?;
                        }
                        _ => return Err(broken("a name is not text")),
                    }
                }
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                b'Q' => self.storage()?,
                b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let _ = self.since_mark()?;
                    let node = self.opaque(&module, &name)?;
                    self.push(node)?;
                }
                b'o' => {
                    let parts = self.since_mark()?;
                    let class = *parts.first().ok_or_else(|| broken("an object has no class"))?;
                    self.object(class)?;
                }
                0x81 => {
                    let (_, class) = (self.pop()?, self.pop()?);
                    self.object(class)?;
                }
                0x92 => {
                    let (_, _, class) = (self.pop()?, self.pop()?, self.pop()?);
                    self.object(class)?;
                }
                0x82..=0x84 => return Err(Refusal::Instruction("EXT".to_owned())),
                b'P' => return Err(Refusal::Instruction("PERSID".to_owned())),
                b'p' | b'g' | b'I' | b'L' | b'F' | b'S' | b'V' => return Err(Refusal::TextProtocol),
                other => return Err(Refusal::Instruction(format!("{other:#04x}"))),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Refusal> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| broken("it ends in the middle"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        Ok(self.take(N)?.try_into().expect("taken as many"))
    }

    fn counted(&mut self, length: u64) -> Result<&[u8], Refusal> {
        self.take(usize::try_from(length).map_err(|_| broken("it ends in the middle"))?)
    }

    fn line(&mut self) -> Result<String, Refusal> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(1000).position(|&b| b == b'\n').ok_or_else(|| broken("a name has no end"))?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.at += end + 1;
        Ok(line)
    }

    fn text(&mut self, length: u64) -> Result<(), Refusal> {
        // Python 2 wrote bytes as text.
        let node = match String::from_utf8(self.counted(length)?.to_vec()) {
            Ok(text) => Node::Text(text),
            Err(error) => Node::Bytes(error.into_bytes()),
        };
        self.push(node)
    }

    fn raw(&mut self, length: u64) -> Result<(), Refusal> {
        let bytes = self.counted(length)?.to_vec();
        self.push(Node::Bytes(bytes))
    }

    fn long(&mut self, length: u64) -> Result<(), Refusal> {
        let bytes = self.counted(length)?.to_vec();
        let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        if bytes.len() > 8 {
            return self.push(Node::Long(bytes));
        }
        let mut padded = if negative { [0xff; 8] } else { [0; 8] };
        padded[..bytes.len()].copy_from_slice(&bytes);
        self.push(Node::Int(i64::from_le_bytes(padded)))
    }

    fn push(&mut self, node: Node) -> Result<(), Refusal> {
        if self.nodes.len() >= MOST_NODES {
            return Err(broken(format!("it has more than {MOST_NODES} values")));
        }
        self.nodes.push(node);
        self.push_id(self.nodes.len() - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), Refusal> {
        if self.stack.len() >= MOST_STACK || self.marks.len() >= MOST_STACK {
            return Err(broken("its stack grows without end"));
        }
        self.stack.push(id);
        Ok(())
    }

    /// What lies below belongs to somebody else.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, Refusal> {
        if self.stack.len() <= self.floor() {
            return Err(broken("its stack is empty"));
        }
        Ok(self.stack.pop().expect("looked above"))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Refusal> {
        let mark = self.marks.pop().ok_or_else(|| broken("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<Id, Refusal> {
        self.stack
            .last()
            .copied()
            .filter(|_| self.stack.len() > self.floor())
            .ok_or_else(|| broken("its stack is empty"))
    }

    fn remember(&mut self, number: u64) -> Result<(), Refusal> {
        let top = self.top()?;
        self.memo.insert(number, top);
        if self.memo.len() > MOST_NODES { Err(broken("it remembers without end")) } else { Ok(()) }
    }

    fn recall(&mut self, number: u64) -> Result<(), Refusal> {
        let id = *self.memo.get(&number).ok_or_else(|| broken("it recalls what was not remembered"))?;
        self.push_id(id)
    }

    fn append(&mut self, items: &[Id]) -> Result<(), Refusal> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            // A list, or a set, of a class of its own.
            opaque @ Node::Opaque(_) => *opaque = Node::List(items.to_vec()),
            _ => return Err(broken("it appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Refusal> {
        let (pairs, top) = (pairs(items)?, self.top()?);
        match &mut self.nodes[top] {
            Node::Dict(dict) => dict.extend(pairs),
            // A dictionary of a class of its own.
            opaque @ Node::Opaque(_) => *opaque = Node::Dict(pairs),
            _ => return Err(broken("it sets an item of what is no dictionary")),
        }
        Ok(())
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), Refusal> {
        let known = match (module, name) {
            ("collections", "OrderedDict") => Some(Known::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Some(Known::RebuildTensor),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Some(Known::RebuildParameter),
            ("torch._tensor", "_rebuild_from_type_v2" | "_rebuild_from_type") => Some(Known::RebuildFromType),
            ("torch", "Tensor") | ("torch.nn.parameter", "Parameter" | "Buffer") => Some(Known::TensorClass),
            ("torch" | "torch.storage", storage) => storage_kind(storage).map(Known::Storage),
            _ => None,
        };
        let node = known.map_or_else(|| self.opaque(module, name), |known| Ok(Node::Known(known)))?;
        self.push(node)
    }

    fn opaque(&mut self, module: &str, name: &str) -> Result<Node, Refusal> {
        if module.len() + name.len() > NAME_BYTES {
            return Err(broken("a name has no end"));
        }
        let whole = format!("{module}.{name}");
        if let Some(shared) = self.names.get(&whole) {
            return Ok(Node::Opaque(shared.clone()));
        }
        if self.names.len() >= MOST_NAMES {
            return Err(broken(format!("it names more than {MOST_NAMES} things that are not data")));
        }
        let shared: Arc<str> = whole.as_str().into();
        self.names.insert(whole, shared.clone());
        Ok(Node::Opaque(shared))
    }

    /// An object of a class, of which nothing is made but a dictionary of the one class that is known.
    fn object(&mut self, class: Id) -> Result<(), Refusal> {
        let node = match &self.nodes[class] {
            Node::Known(Known::OrderedDict) => Node::Dict(Vec::new()),
            Node::Opaque(name) => Node::Opaque(name.clone()),
            Node::Known(_) => Node::Opaque("torch".into()),
            _ => return Err(broken("it makes an object of what is no class")),
        };
        self.push(node)
    }

    fn reduce(&mut self) -> Result<(), Refusal> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        if let Node::Opaque(name) = &self.nodes[callable] {
            let name = name.clone();
            return self.push(Node::Opaque(name));
        }
        // Bounded before anything is copied: one tuple can be the arguments of any number of calls.
        let arguments = match &self.nodes[arguments] {
            Node::Tuple(arguments) if arguments.len() <= MOST_ARGUMENTS => arguments.clone(),
            Node::Tuple(_) => return Err(broken("it calls with more arguments than anything takes")),
            _ => return Err(broken("arguments are no tuple")),
        };
        match self.nodes[callable] {
            Node::Known(Known::OrderedDict) if arguments.is_empty() => self.push(Node::Dict(Vec::new())),
            Node::Known(Known::OrderedDict) => {
                let Node::List(items) = &self.nodes[arguments[0]] else {
                    return Err(broken("a dictionary of what is no list"));
                };
                self.copied += items.len();
                if self.copied > MOST_NODES {
                    return Err(broken(format!("it copies more than {MOST_NODES} values")));
                }
                let pair = |id: &Id| match &self.nodes[*id] {
                    Node::Tuple(pair) | Node::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
                    _ => Err(broken("a dictionary's item is no pair")),
                };
                let pairs = items.iter().map(pair).collect::<Result<_, _>>()?;
                self.push(Node::Dict(pairs))
            }
            Node::Known(Known::RebuildTensor) => self.tensor(&arguments),
            Node::Known(Known::RebuildParameter) => match arguments.first() {
                Some(&id) if matches!(self.nodes[id], Node::Tensor { .. } | Node::Opaque(_)) => self.push_id(id),
                _ => Err(broken("a parameter is no tensor")),
            },
            // A tensor of a class of its own computes what its class says, which nobody can know.
            Node::Known(Known::RebuildFromType) => {
                let &[function, class, inner, ..] = arguments.as_slice() else {
                    return Err(broken("a tensor lacks its parts"));
                };
                match (&self.nodes[class], &self.nodes[function]) {
                    (Node::Opaque(name), _) | (_, Node::Opaque(name)) => {
                        let name = name.clone();
                        self.push(Node::Opaque(name))
                    }
                    (Node::Known(Known::TensorClass), Node::Known(Known::RebuildTensor | Known::RebuildParameter)) => {
                        self.push_id(function)?;
                        self.push_id(inner)?;
                        self.reduce()
                    }
                    _ => Err(broken("a tensor is not made of a function and its arguments")),
                }
            }
            Node::Known(Known::TensorClass) => self.push(Node::Opaque("torch.Tensor".into())),
            _ => Err(broken("it calls what can't be called")),
        }
    }

    fn tensor(&mut self, arguments: &[Id]) -> Result<(), Refusal> {
        let &[storage, offset, size, stride, ..] = arguments else { return Err(broken("a tensor lacks its parts")) };
        let numbers = |id: Id| match &self.nodes[id] {
            Node::Tuple(items) | Node::List(items) if items.len() <= MOST_AXES => items
                .iter()
                .map(|&item| match self.nodes[item] {
                    Node::Int(number) if number >= 0 => Ok(number),
                    _ => Err(broken("a tensor's size is no whole number")),
                })
                .collect::<Result<Vec<i64>, _>>(),
            _ => Err(broken("a tensor's size is no short tuple")),
        };
        let (size, stride) = (numbers(size)?, numbers(stride)?);
        match (&self.nodes[storage], &self.nodes[offset]) {
            (Node::Opaque(name), _) => {
                let name = name.clone();
                self.push(Node::Opaque(name))
            }
            (Node::Storage { .. }, &Node::Int(offset)) if offset >= 0 && size.len() == stride.len() => {
                self.push(Node::Tensor { storage, offset: offset as u64, size, stride })
            }
            _ => Err(broken("a tensor is not made of a storage, an offset, sizes and strides")),
        }
    }

    /// Attributes of a dictionary (PyTorch keeps versions there) and of what is opaque are passed over; nothing else has any.
    fn build(&mut self) -> Result<(), Refusal> {
        let _ = self.pop()?;
        match &self.nodes[self.top()?] {
            Node::Dict(_) | Node::List(_) | Node::Opaque(_) => Ok(()),
            _ => Err(Refusal::Instruction("BUILD".to_owned())),
        }
    }

    fn storage(&mut self) -> Result<(), Refusal> {
        let id = self.pop()?;
        let Node::Tuple(parts) = &self.nodes[id] else { return Err(broken("a storage is no tuple")) };
        let part = |i: usize| parts.get(i).map(|&part| &self.nodes[part]);
        let is_storage = matches!(part(0), Some(Node::Text(word)) if word == "storage");
        match (part(1), part(2), part(4)) {
            (Some(&Node::Known(Known::Storage(kind))), Some(Node::Text(key)), Some(&Node::Int(length)))
                if is_storage && length >= 0 && key.len() <= KEY_BYTES =>
            {
                let key = key.clone();
                self.push(Node::Storage { kind, key, length: length as u64 })
            }
            // Numbers of a kind that has no name here (8-bit floats), which only a tensor needs.
            (Some(Node::Opaque(name)), ..) if is_storage => {
                let name = name.clone();
                self.push(Node::Opaque(name))
            }
            _ => Err(broken("a reference is none to a storage")),
        }
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Refusal> {
    if !items.len().is_multiple_of(2) {
        return Err(broken("a dictionary's key has no value"));
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn storage_kind(name: &str) -> Option<Kind> {
    Some(match name {
        "FloatStorage" => Kind::Float,
        "DoubleStorage" => Kind::Double,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "LongStorage" => Kind::Int64,
        "IntStorage" => Kind::Int,
        "ShortStorage" => Kind::Int16,
        "CharStorage" => Kind::Int8,
        "ByteStorage" => Kind::Uint8,
        "BoolStorage" => Kind::Bool,
        _ => return None,
    })
}

fn broken(what: impl Into<String>) -> Refusal {
    Refusal::Broken(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        Pickle::read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn plain_values_are_read_in_every_protocol() {
        // {'a': [1, (2.5, None)], 'b': -300} as protocols 2 and 4 write it.
        let two = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x86q\x03eX\x01\x00\x00\x00bq\x04J\xd4\xfe\xff\xffu.";
        let four = b"\x80\x04\x95\x20\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x86\x94e\x8c\x01b\x94J\xd4\xfe\xff\xffu.";
        for bytes in [two.as_slice(), four] {
            let pickle = Pickle::read(bytes).unwrap();
            assert_eq!(pickle.length, bytes.len());
            assert_eq!(pickle.get(pickle.root(), "b"), Some(&Node::Int(-300)));
            let Some(Node::List(items)) = pickle.get(pickle.root(), "a") else { panic!("no list") };
            let Node::Tuple(inner) = pickle.at(items[1]) else { panic!("no tuple") };
            assert_eq!((pickle.at(inner[0]), pickle.at(inner[1])), (&Node::Float(2.5), &Node::None));
        }
    }

    #[test]
    fn names_that_are_not_data_become_opaque_values() {
        let opaque = |bytes: &[u8]| {
            let pickle = Pickle::read(bytes).unwrap();
            let Node::Opaque(name) = pickle.root() else { panic!("{:?}", pickle.root()) };
            assert!(pickle.opaque_names().contains(&**name));
            name.to_string()
        };
        assert_eq!(opaque(b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."), "posix.system");
        assert_eq!(opaque(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93."), "builtins.eval");
        assert_eq!(opaque(b"(ios\nsystem\n."), "os.system");
        assert_eq!(opaque(b"\x80\x02ctorch\nload\n."), "torch.load");
        assert_eq!(opaque(b"\x80\x02cargparse\nNamespace\n)\x81}U\x01aK\x01sb."), "argparse.Namespace");
        assert_eq!(opaque(b"\x80\x02(cx\nY\nK\x01o."), "x.Y");
        // A tensor that would be made by something unknown is as opaque as that.
        assert_eq!(opaque(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(cx\nY\nK\x00)))tR."), "x.Y");
        // Dictionaries of classes of their own are dictionaries.
        let own = Pickle::read(b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RU\x01aK\x01s.").unwrap();
        assert_eq!(own.get(own.root(), "a"), Some(&Node::Int(1)));
        assert!(refusal(b"(S'id'\nios\nsystem\n.").contains("text protocol"));
        assert!(refusal(b"\x80\x02K\x01}b.").contains("BUILD"));
        assert!(refusal(b"\x80\x02K\x01)R.").contains("calls what can't be called"));
    }

    #[test]
    fn what_is_used_again_and_again_is_not_copied_without_end() {
        // A dictionary of the same 1,000 pairs, 10,000 times over.
        let mut copies = b"\x80\x02ccollections\nOrderedDict\nq\x00](K\x01K\x01\x86q\x01".to_vec();
        copies.extend(b"h\x01".repeat(999));
        copies.extend(b"eq\x020");
        copies.extend(b"h\x00h\x02\x85R0".repeat(10_000));
        copies.extend(b"}.");
        assert!(refusal(&copies).contains("copies more than"));
        let mut arguments = b"\x80\x02ccollections\nOrderedDict\n(".to_vec();
        arguments.extend(b"N".repeat(17));
        arguments.extend(b"tR.");
        assert!(refusal(&arguments).contains("more arguments than anything takes"));
        let key = |length: u8| {
            let key = [&[b'U', length][..], &vec![b'0'; length.into()]].concat();
            [b"\x80\x02(U\x07storagectorch\nFloatStorage\n", &key[..], b"U\x03cpuK\x01tQ."].concat()
        };
        assert!(Pickle::read(&key(64)).is_ok());
        assert!(refusal(&key(65)).contains("none to a storage"));
    }

    #[test]
    fn depth_and_cycles_cost_no_stack() {
        let mut deep = b"\x80\x02".to_vec();
        deep.extend(std::iter::repeat_n(b']', 100_000));
        deep.extend(std::iter::repeat_n(b'a', 99_999));
        deep.push(b'.');
        assert!(Pickle::read(&deep).is_ok());
        assert!(Pickle::read(b"\x80\x02]q\x00h\x00a.").is_ok(), "a list that holds itself");
        let endless = [b"\x80\x02".as_slice(), &[b'N'; 1_000_001]].concat();
        assert!(refusal(&endless).contains("without end"));
    }
}
