//! A reader of the pickles that hold CIFAR's Python version, which executes nothing: a closed list of instructions builds plain
//! values, and of all that a pickle may name only what NumPy's arrays of bytes are made of is known.
//!
//! The bytes of arrays and texts stay where they are; values say where.

use std::{cell::RefCell, collections::HashMap, ops::Range, rc::Rc};

const MOST_VALUES: usize = 4_000_000; // CIFAR-100's training file has 200,000

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Of bytes or of a text: where they lie in the pickle.
    Bytes(Range<usize>),
    List(Rc<RefCell<Vec<Value>>>),
    Tuple(Rc<Vec<Value>>),
    Dict(Rc<RefCell<Vec<(Value, Value)>>>),
    /// What the pickle names.
    Known(Known),
    /// An array of bytes, once its state is known.
    Array(Rc<RefCell<Option<Array>>>),
    /// The type of an array's elements, as NumPy writes it: `u1`.
    Dtype(Rc<String>),
}

/// An array of bytes, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    /// Where its elements lie in the pickle.
    pub data: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Reconstruct,
    FromBuffer,
    Ndarray,
    Dtype,
}

/// Reads a pickle; what it names beyond arrays, and damage, is an error in words.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), made: 0 }.run()
}

impl Value {
    /// The value under a key of a dictionary.
    pub fn get(&self, key: &str, bytes: &[u8]) -> Option<Value> {
        let Self::Dict(entries) = self else { return None };
        let is_key = |value: &Value| matches!(value, Value::Bytes(at) if &bytes[at.clone()] == key.as_bytes());
        entries.borrow().iter().find(|(name, _)| is_key(name)).map(|(_, value)| value.clone())
    }

    /// The numbers of a list.
    pub fn numbers(&self) -> Option<Vec<i64>> {
        let Self::List(items) = self else { return None };
        items.borrow().iter().map(|item| if let Self::Int(number) = item { Some(*number) } else { None }).collect()
    }

    /// The texts of a list.
    pub fn texts(&self, bytes: &[u8]) -> Option<Vec<String>> {
        let Self::List(items) = self else { return None };
        let text = |item: &Value| match item {
            Self::Bytes(at) => Some(String::from_utf8_lossy(&bytes[at.clone()]).into_owned()),
            _ => None,
        };
        items.borrow().iter().map(text).collect()
    }

    /// An array whose state is known.
    pub fn array(&self) -> Option<Array> {
        if let Self::Array(array) = self { array.borrow().clone() } else { None }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    made: usize,
}

impl Machine<'_> {
    fn take(&mut self, length: usize) -> Result<Range<usize>, String> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len()).ok_or("it ends too early")?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn number(&mut self, length: usize) -> Result<u64, String> {
        let range = self.take(length)?;
        Ok(self.bytes[range].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn sized(&mut self, length: usize) -> Result<(), String> {
        let length = usize::try_from(self.number(length)?).map_err(|_| "it is too large")?;
        let range = self.take(length)?;
        self.push(Value::Bytes(range))
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or("it ends too early")?;
        let line = String::from_utf8_lossy(&self.bytes[self.at..self.at + end]).into_owned();
        self.at += end + 1;
        Ok(line)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        self.made += 1;
        if self.made > MOST_VALUES {
            return Err("it is too large".to_owned());
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("it takes a value that is not there".to_owned());
        }
        self.stack.pop().ok_or_else(|| "it takes a value that is not there".to_owned())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("it has no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<Value, String> {
        self.stack.last().cloned().ok_or_else(|| "it takes a value that is not there".to_owned())
    }

    fn known(module: &str, name: &str) -> Result<Value, String> {
        let known = match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Known::Reconstruct,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Known::FromBuffer,
            ("numpy", "ndarray") => Known::Ndarray,
            ("numpy", "dtype") => Known::Dtype,
            _ => return Err(format!("it names `{module}.{name}`, which is no data")),
        };
        Ok(Value::Known(known))
    }

    fn text(&self, value: &Value) -> Result<String, String> {
        match value {
            Value::Bytes(at) => Ok(String::from_utf8_lossy(&self.bytes[at.clone()]).into_owned()),
            _ => Err("a name is no text".to_owned()),
        }
    }

    fn add_items(&mut self, items: Vec<Value>) -> Result<(), String> {
        match self.top()? {
            Value::List(list) => list.borrow_mut().extend(items),
            _ => return Err("it adds to what is no list".to_owned()),
        }
        Ok(())
    }

    fn add_entries(&mut self, items: Vec<Value>) -> Result<(), String> {
        let Value::Dict(dict) = self.top()? else { return Err("it adds to what is no dictionary".to_owned()) };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            dict.borrow_mut().push((key, value));
        }
        Ok(())
    }

    fn run(mut self) -> Result<Value, String> {
        loop {
            let code = self.number(1)? as u8;
            match code {
                0x80 => _ = self.take(1)?,
                0x95 => _ = self.take(8)?,
                b'}' => self.push(Value::Dict(Rc::default()))?,
                b']' => self.push(Value::List(Rc::default()))?,
                b')' => self.push(Value::Tuple(Rc::default()))?,
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.push(Value::None)?,
                0x88 | 0x89 => self.push(Value::Bool(code == 0x88))?,
                b'K' => self.int(1)?,
                b'M' => self.int(2)?,
                b'J' => {
                    let number = self.number(4)? as u32 as i32;
                    self.push(Value::Int(i64::from(number)))?;
                }
                0x8a => {
                    let length = self.number(1)? as usize;
                    if length > 8 {
                        return Err("a number is too large".to_owned());
                    }
                    let number = self.number(length)?;
                    let unused = 64 - 8 * length as u32;
                    let signed = if length == 0 { 0 } else { ((number << unused) as i64) >> unused };
                    self.push(Value::Int(signed))?;
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Value::None)?; // no array of bytes needs a fraction
                }
                b'U' | b'C' | 0x8c => self.sized(1)?,
                b'T' | b'B' | b'X' => self.sized(4)?,
                0x8e | 0x8d | 0x96 => self.sized(8)?,
                b'q' => {
                    let key = self.number(1)? as u32;
                    self.memo.insert(key, self.top()?);
                }
                b'r' => {
                    let key = self.number(4)? as u32;
                    self.memo.insert(key, self.top()?);
                }
                0x94 => {
                    let key = self.memo.len() as u32;
                    self.memo.insert(key, self.top()?);
                }
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(Rc::new(items)))?;
                }
                0x85..=0x87 => {
                    let mut items = (0..code - 0x84).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                    items.reverse();
                    self.push(Value::Tuple(Rc::new(items)))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.add_items(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.add_items(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.add_entries(vec![key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.add_entries(items)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Self::known(&module, &name)?)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let known = Self::known(&self.text(&module)?, &self.text(&name)?)?;
                    self.push(known)?;
                }
                b'R' => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let made = self.call(&function, &arguments)?;
                    self.push(made)?;
                }
                b'b' => {
                    let state = self.pop()?;
                    self.build(&state)?;
                }
                b'.' => return self.pop(),
                _ => return Err(format!("it has the instruction 0x{code:02x}, which is not read")),
            }
        }
    }

    fn int(&mut self, length: usize) -> Result<(), String> {
        let number = self.number(length)? as i64;
        self.push(Value::Int(number))
    }

    fn recall(&mut self, length: usize) -> Result<(), String> {
        let key = self.number(length)? as u32;
        let value = self.memo.get(&key).cloned().ok_or("it recalls what it never kept")?;
        self.push(value)
    }

    fn call(&self, function: &Value, arguments: &Value) -> Result<Value, String> {
        let Value::Tuple(arguments) = arguments else { return Err("arguments are no tuple".to_owned()) };
        match function {
            Value::Known(Known::Reconstruct) if matches!(arguments.first(), Some(Value::Known(Known::Ndarray))) => {
                Ok(Value::Array(Rc::default()))
            }
            Value::Known(Known::Dtype) => {
                let name = arguments.first().ok_or("a type has no name")?;
                Ok(Value::Dtype(Rc::new(self.text(name)?)))
            }
            Value::Known(Known::FromBuffer) => {
                let [data, dtype, shape, order] = &arguments[..] else { return Err(not_bytes()) };
                let by_rows = self.text(order)? == "C";
                Ok(Value::Array(Rc::new(RefCell::new(Some(array_of(shape, dtype, by_rows, data)?)))))
            }
            _ => Err("it calls what makes no array".to_owned()),
        }
    }

    fn build(&mut self, state: &Value) -> Result<(), String> {
        match self.top()? {
            Value::Dtype(_) => Ok(()),
            Value::Array(array) => {
                let Value::Tuple(state) = state else { return Err(not_bytes()) };
                let [_, shape, dtype, fortran, data] = &state[..] else { return Err(not_bytes()) };
                let by_rows = matches!(fortran, Value::Bool(false) | Value::Int(0));
                *array.borrow_mut() = Some(array_of(shape, dtype, by_rows, data)?);
                Ok(())
            }
            _ => Err("it sets the state of what is no array".to_owned()),
        }
    }
}

fn not_bytes() -> String {
    "an array is not one of bytes, row by row".to_owned()
}

fn array_of(shape: &Value, dtype: &Value, by_rows: bool, data: &Value) -> Result<Array, String> {
    let (Value::Tuple(shape), Value::Dtype(dtype), Value::Bytes(data)) = (shape, dtype, data) else {
        return Err(not_bytes());
    };
    let size = |value: &Value| match value {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    let shape: Vec<usize> = shape.iter().map(size).collect::<Option<_>>().ok_or_else(not_bytes)?;
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    if !by_rows || !dtype.ends_with("u1") || count != Some(data.len()) {
        return Err(not_bytes());
    }
    Ok(Array { shape, data: data.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_data_is_refused_by_its_name() {
        let hostile = b"\x80\x02cposix\nsystem\nq\x00U\x02idq\x01\x85q\x02Rq\x03.";
        assert_eq!(read(hostile).unwrap_err(), "it names `posix.system`, which is no data");
        for length in 0..hostile.len() {
            assert!(read(&hostile[..length]).is_err());
        }
        let list = b"\x80\x02]q\x00(K\x01K\xffM\x00\x01J\xff\xff\xff\xffe.";
        assert_eq!(read(list).unwrap().numbers(), Some(vec![1, 255, 256, -1]));
        assert!(read(b"\x80\x02i__main__\nA\n.").is_err());
    }
}
