//! Files as `torch.save` writes them, made here: a pickle of a published layout, and the archive around it.

use std::io::{Cursor, Write};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A named tensor of f32.
pub struct Saved {
    pub name: String,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
    pub offset: i64,
    pub storage: Vec<f32>,
}

impl Saved {
    /// A contiguous tensor.
    pub fn new(name: &str, size: &[i64], storage: Vec<f32>) -> Self {
        let mut stride = vec![1; size.len()];
        for i in (1..size.len()).rev() {
            stride[i - 1] = stride[i] * size[i];
        }
        Self { name: name.to_owned(), size: size.to_vec(), stride, offset: 0, storage }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn number(out: &mut Vec<u8>, number: i64) {
    match i32::try_from(number) {
        Ok(small) => {
            out.push(b'J');
            out.extend(small.to_le_bytes());
        }
        Err(_) => {
            out.extend([0x8a, 8]);
            out.extend(number.to_le_bytes());
        }
    }
}

fn tuple(out: &mut Vec<u8>, numbers: &[i64]) {
    out.push(b'(');
    numbers.iter().for_each(|&n| number(out, n));
    out.push(b't');
}

/// The older layout with these tensors: `{model: OrderedDict, info_epochs, …}`.
pub fn pickle(tensors: &[Saved]) -> Vec<u8> {
    written(tensors, None)
}

/// The same with all tensors in one storage of a length.
pub fn pickle_of_one(tensors: &[Saved], length: i64) -> Vec<u8> {
    written(tensors, Some(length))
}

fn written(tensors: &[Saved], shared: Option<i64>) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    text(&mut out, "model");
    out.extend(b"ccollections\nOrderedDict\n)R(");
    for (key, tensor) in tensors.iter().enumerate() {
        text(&mut out, &tensor.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &shared.map_or(key, |_| 0).to_string());
        text(&mut out, "cpu");
        number(&mut out, shared.unwrap_or(tensor.storage.len() as i64));
        out.extend(b"tQ");
        number(&mut out, tensor.offset);
        tuple(&mut out, &tensor.size);
        tuple(&mut out, &tensor.stride);
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.push(b'u');
    for (name, value) in [("info_epochs", 3), ("info_steps", 1234), ("class_epochs", 0), ("class_steps", 0)] {
        text(&mut out, name);
        number(&mut out, value);
    }
    out.extend(b"u.");
    out
}

/// An archive with a pickle and its storages.
pub fn archive(pickle: &[u8], storages: &[Vec<u8>]) -> Vec<u8> {
    archive_with(pickle, storages, &[], CompressionMethod::Stored)
}

/// The same with more entries.
pub fn archive_with(
    pickle: &[u8],
    storages: &[Vec<u8>],
    more: &[(&str, Vec<u8>)],
    compression: CompressionMethod,
) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(compression);
    let mut put = |name: &str, bytes: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    put("amdim/data.pkl", pickle);
    put("amdim/byteorder", b"little");
    storages.iter().enumerate().for_each(|(key, bytes)| put(&format!("amdim/data/{key}"), bytes));
    put("amdim/version", b"3\n");
    more.iter().for_each(|(name, bytes)| put(name, bytes));
    zip.finish().unwrap().into_inner()
}

pub fn storages(tensors: &[Saved]) -> Vec<Vec<u8>> {
    tensors.iter().map(|tensor| tensor.storage.iter().flat_map(|x| x.to_le_bytes()).collect()).collect()
}

/// The stream that PyTorch wrote before 1.6.
pub fn stream(tensors: &[Saved]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    out.extend(pickle(tensors));
    out.extend(b"\x80\x02](");
    (0..tensors.len()).for_each(|key| text(&mut out, &key.to_string()));
    out.extend(b"e.");
    for tensor in tensors {
        out.extend((tensor.storage.len() as u64).to_le_bytes());
        out.extend(tensor.storage.iter().flat_map(|x| x.to_le_bytes()));
    }
    out
}
