//! A reader of pickles that executes nothing: a closed list of opcodes builds plain values, and of all that a pickle may name
//! only what tensors and dictionaries are made of is known. Anything else is refused by its name.
//!
//! In: a pickle's bytes. Out: a tree of values in an arena, so that neither depth nor cycles cost stack.

use std::{collections::HashMap, fmt};
use tch::Kind;

const MOST_NODES: usize = 4_000_000; // a checkpoint of 1,000 tensors has 20,000
const MOST_STACK: usize = 1_000_000;
const MOST_ARGUMENTS: usize = 16; // PyTorch's functions take 3 to 7
const MOST_AXES: usize = 16; // convolutions have 4
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
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
}

/// Why a pickle is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names something that is not data: `posix.system`.
    Names(String),
    /// An instruction that makes objects: `INST`.
    Instruction(String),
    /// It is written in the protocol of texts.
    TextProtocol,
    /// It is damaged, or too large.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(name) => write!(f, "its pickle names `{name}`, which is not data"),
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
        };
        let root = machine.run()?;
        Ok(Self { nodes: machine.nodes, root, length: machine.at })
    }

    /// The outermost value.
    pub fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The value at a place.
    pub fn at(&self, id: Id) -> &Node {
        &self.nodes[id]
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
                b'e' => {
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
                    return Err(Refusal::Names(format!("{module}.{name}")));
                }
                b'o' => return Err(Refusal::Instruction("OBJ".to_owned())),
                0x81 | 0x92 => return Err(Refusal::Instruction("NEWOBJ".to_owned())),
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
        let text = String::from_utf8(self.counted(length)?.to_vec()).map_err(|_| broken("a text is not UTF-8"))?;
        self.push(Node::Text(text))
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
            _ => return Err(broken("it appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Refusal> {
        let (pairs, top) = (pairs(items)?, self.top()?);
        match &mut self.nodes[top] {
            Node::Dict(dict) => dict.extend(pairs),
            _ => return Err(broken("it sets an item of what is no dictionary")),
        }
        Ok(())
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), Refusal> {
        let known = match (module, name) {
            ("collections", "OrderedDict") => Known::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Known::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Known::RebuildParameter,
            ("torch", storage) => match storage_kind(storage) {
                Some(kind) => Known::Storage(kind),
                None => return Err(Refusal::Names(format!("{module}.{name}"))),
            },
            _ => return Err(Refusal::Names(format!("{module}.{name}"))),
        };
        self.push(Node::Known(known))
    }

    fn reduce(&mut self) -> Result<(), Refusal> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
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
                Some(&id) if matches!(self.nodes[id], Node::Tensor { .. }) => self.push_id(id),
                _ => Err(broken("a parameter is no tensor")),
            },
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
            (Node::Storage { .. }, &Node::Int(offset)) if offset >= 0 && size.len() == stride.len() => {
                self.push(Node::Tensor { storage, offset: offset as u64, size, stride })
            }
            _ => Err(broken("a tensor is not made of a storage, an offset, sizes and strides")),
        }
    }

    /// Attributes of a dictionary (PyTorch keeps versions there) are passed over; nothing else has any.
    fn build(&mut self) -> Result<(), Refusal> {
        let _ = self.pop()?;
        match &self.nodes[self.top()?] {
            Node::Dict(_) => Ok(()),
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
    fn names_that_are_not_data_are_refused_by_name() {
        assert_eq!(
            refusal(b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."),
            "its pickle names `posix.system`, which is not data"
        );
        assert!(refusal(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.").contains("`builtins.eval`"));
        assert!(refusal(b"(S'id'\nios\nsystem\n.").contains("text protocol"));
        assert!(refusal(b"(ios\nsystem\n.").contains("`os.system`"));
        assert!(refusal(b"\x80\x02ctorch\nload\n.").contains("`torch.load`"));
        assert!(refusal(b"\x80\x02(ccollections\nOrderedDict\no.").contains("OBJ"));
        assert!(refusal(b"\x80\x02ccollections\nOrderedDict\n)\x81.").contains("NEWOBJ"));
        assert!(refusal(b"\x80\x02K\x01}b.").contains("BUILD"));
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
