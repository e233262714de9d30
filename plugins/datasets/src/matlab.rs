//! MATLAB's level 5 files, as far as ImageNet's `meta.mat` needs them: an array of structs whose fields are numbers or texts.
//!
//! # Source
//! "MAT-File Format", The MathWorks: level 5, chapter 1.

use flate2::read::ZlibDecoder;
use std::{collections::BTreeMap, io::Read};

const HEADER: usize = 128;
const LITTLE_ENDIAN: &[u8] = b"IM";
const LARGEST: u64 = 1 << 28; // unpacked

// Kinds of data elements.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
// Classes of arrays.
const STRUCT: u8 = 2;
const CHARACTERS: u8 = 4;
const NUMBERS: std::ops::RangeInclusive<u8> = 6..=15;

/// A field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Numbers(Vec<f64>),
    Text(String),
    /// Anything else.
    Other,
}

/// A struct, by the names of its fields.
pub(crate) type Struct = BTreeMap<String, Value>;

/// The elements of a file's array of structs of this name, in order.
pub(crate) fn structs(file: &[u8], name: &str) -> Result<Vec<Struct>, String> {
    if file.len() < HEADER || &file[HEADER - 2..HEADER] != LITTLE_ENDIAN {
        return Err("it is no MATLAB file of level 5 in little-endian order".to_owned());
    }
    let mut rest = &file[HEADER..];
    while !rest.is_empty() {
        let (kind, data) = element(&mut rest)?;
        let mut unpacked = Vec::new();
        let (kind, data) = if kind == COMPRESSED {
            let read = ZlibDecoder::new(data).take(LARGEST).read_to_end(&mut unpacked);
            read.map_err(|error| format!("a compressed array can't be unpacked: {error}"))?;
            element(&mut unpacked.as_slice()).map(|(kind, data)| (kind, data.to_vec()))?
        } else {
            (kind, data.to_vec())
        };
        if kind == MATRIX {
            if let Some(found) = array_of_structs(&data, name)? {
                return Ok(found);
            }
        }
    }
    Err(format!("it has no array `{name}` of structs"))
}

/// The next data element: its kind and its bytes.
fn element<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let tag = take(rest, 8)?;
    let (kind, size) = (number(&tag[..4]), number(&tag[4..]));
    // Up to four bytes are packed into the tag.
    if kind >> 16 != 0 {
        let (kind, size) = (kind & 0xffff, (kind >> 16) as usize);
        let data = tag[4..].get(..size).ok_or("an element is longer than it can be")?;
        return Ok((kind, data));
    }
    let data = take(rest, size as usize)?;
    // Elements begin at multiples of eight bytes, but for those behind a compressed one.
    if kind != COMPRESSED {
        let padding = (size as usize).next_multiple_of(8) - size as usize;
        take(rest, padding.min(rest.len()))?;
    }
    Ok((kind, data))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(count).ok_or("it ends within an element")?;
    *rest = left;
    Ok(taken)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// The class, the number of elements and the name of an array, whose content follows.
fn head(rest: &mut &[u8]) -> Result<(u8, usize, String), String> {
    let flags = element(rest)?.1;
    let class = *flags.first().ok_or("an array has no flags")?;
    let sides = element(rest)?.1.chunks_exact(4).map(|side| number(side) as usize);
    let count = sides.into_iter().try_fold(1usize, usize::checked_mul).ok_or("an array is too large")?;
    let name = String::from_utf8_lossy(element(rest)?.1).into_owned();
    Ok((class, count, name))
}

fn array_of_structs(mut rest: &[u8], wanted: &str) -> Result<Option<Vec<Struct>>, String> {
    let (class, count, name) = head(&mut rest)?;
    if class != STRUCT || name != wanted {
        return Ok(None);
    }
    let length = number(element(&mut rest)?.1) as usize;
    let fields: Vec<String> = element(&mut rest)?
        .1
        .chunks_exact(length.max(1))
        .map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
        .collect();
    // Every field takes eight bytes at least.
    if fields.is_empty() || count.saturating_mul(fields.len()) > rest.len() / 8 {
        return Err(format!("the array `{name}` is cut"));
    }
    let mut structs = Vec::with_capacity(count);
    for _ in 0..count {
        let mut fields_of = Struct::new();
        for field in &fields {
            let (kind, data) = element(&mut rest)?;
            let value = if kind == MATRIX && !data.is_empty() { value(data)? } else { Value::Other };
            fields_of.insert(field.clone(), value);
        }
        structs.push(fields_of);
    }
    Ok(Some(structs))
}

fn value(mut rest: &[u8]) -> Result<Value, String> {
    let (class, ..) = head(&mut rest)?;
    if class != CHARACTERS && !NUMBERS.contains(&class) || rest.is_empty() {
        return Ok(Value::Other);
    }
    // Numbers are stored in the smallest kind that holds them.
    let (kind, data) = element(&mut rest)?;
    let numbers: Vec<f64> = match kind {
        1 => data.iter().map(|&byte| f64::from(byte as i8)).collect(),
        2 | 16 => data.iter().copied().map(f64::from).collect(),
        3 => wide(data, |bytes| f64::from(i16::from_le_bytes(bytes))),
        4 | 17 => wide(data, |bytes| f64::from(u16::from_le_bytes(bytes))),
        5 => wide(data, |bytes| f64::from(i32::from_le_bytes(bytes))),
        6 => wide(data, |bytes| f64::from(u32::from_le_bytes(bytes))),
        7 => wide(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
        9 => wide(data, f64::from_le_bytes),
        12 => wide(data, |bytes| i64::from_le_bytes(bytes) as f64),
        13 => wide(data, |bytes| u64::from_le_bytes(bytes) as f64),
        _ => return Ok(Value::Other),
    };
    if class == CHARACTERS {
        let text = match kind {
            16 => String::from_utf8_lossy(data).into_owned(),
            _ => String::from_utf16_lossy(&numbers.iter().map(|&unit| unit as u16).collect::<Vec<_>>()),
        };
        return Ok(Value::Text(text));
    }
    Ok(Value::Numbers(numbers))
}

fn wide<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.chunks_exact(N).map(|bytes| read(bytes.try_into().expect("chunks of this length"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &[u8] = include_bytes!("../../../tests/fixtures/datasets/devkit/meta.mat");

    #[test]
    fn structs_that_scipy_wrote_are_read() {
        let synsets = structs(META, "synsets").unwrap();
        assert_eq!(synsets.len(), 4);
        let of = |at: usize, field: &str| synsets[at][field].clone();
        assert_eq!(of(0, "ILSVRC2012_ID"), Value::Numbers(vec![1.0]));
        assert_eq!(of(2, "WNID"), Value::Text("n01443537".to_owned()));
        assert_eq!(of(0, "words"), Value::Text("white shark, man-eater".to_owned()));
        assert_eq!(of(3, "num_children"), Value::Numbers(vec![300.0]));
        assert!(structs(META, "other").unwrap_err().contains("no array `other`"));
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        for length in 0..META.len() {
            assert!(structs(&META[..length], "synsets").is_err(), "{length}");
        }
        for at in HEADER..META.len() {
            let mut bytes = META.to_vec();
            bytes[at] ^= 0xff;
            let _ = structs(&bytes, "synsets");
        }
    }
}
