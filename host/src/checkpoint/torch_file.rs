//! Files of `torch.save`: a pickle and the numbers beside it, in a zip archive, or in one stream as PyTorch wrote them before
//! 1.6. Read without libtorch, and nothing in them is executed.

use super::pickle::{Id, Node, Pickle, Refusal};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{Cursor, Read},
};
use tch::{Kind, Tensor};
use zip::{CompressionMethod, ZipArchive};

const PICKLE_BYTES: u64 = 64 << 20; // a checkpoint of 1,000 tensors has 200 kB
const MOST_ENTRIES: usize = 1_000_000;
/// What the older format starts with, as a pickle of this number.
const OLD_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const OLD_PROTOCOL: i64 = 1001;

/// A file's values, and the numbers that its tensors are made of.
#[derive(Debug)]
pub struct TorchFile {
    pub pickle: Pickle,
    storages: BTreeMap<String, Vec<u8>>,
}

/// Whether bytes are a file of `torch.save`, by how they start.
pub fn is_torch_file(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || (bytes.starts_with(&[0x80]) && !has_safetensors_header(bytes))
}

/// Whether bytes are a pickle in lines of text, which older files of `torch.save` may be: they start with its magic number, or
/// as a container, a name or a call does, and end with a full stop.
pub fn is_text_pickle(bytes: &[u8]) -> bool {
    const MAGIC: &[u8] = b"L119547037146038801333356L\n";
    let is_start =
        matches!(bytes, [b'(', b'd' | b'l' | b'i' | b't' | b'S' | b'V' | b'I' | b'F', ..] | [b'c' | b'P', ..]);
    let lines = || bytes.iter().take(1000).any(|&byte| byte == b'\n') && bytes.ends_with(b".") && bytes.is_ascii();
    bytes.starts_with(MAGIC) || (is_start && lines())
}

/// Whether a header of JSON lies where a safetensors file says, whose length may begin with a pickle's first byte.
fn has_safetensors_header(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    rest.starts_with(b"{") && u64::from_le_bytes(*length) <= rest.len() as u64
}

/// What to do about a file that is refused for a reason: the lines of Python that make one that can be read.
pub fn way_out(reason: &str, path: &str) -> String {
    let save =
        |what: String| format!("only if you trust the file, since this executes what is in it, in Python: {what}");
    let path = format!("{path:?}");
    if reason.contains("TorchScript") {
        save(format!("`torch.save(torch.jit.load({path}, map_location=\"cpu\").state_dict(), \"weights.pth\")`"))
    } else if reason.contains("an object of") {
        save(format!(
            "`torch.save(torch.load({path}, map_location=\"cpu\", weights_only=False).state_dict(), \"weights.pth\")`"
        ))
    } else if reason.contains("pieces of which") {
        "in the program that trained it, on every process: `from torch.distributed.checkpoint.state_dict import \
         get_model_state_dict, StateDictOptions`, `state = get_model_state_dict(model, \
         options=StateDictOptions(full_state_dict=True, cpu_offload=True))`, and on rank 0 `torch.save(state, \"weights.pth\")`"
            .to_owned()
    } else {
        "weights are tensors under names, as `torch.save(model.state_dict(), \"weights.pth\")` writes them; nothing in a \
         pickle is executed"
            .to_owned()
    }
}

impl TorchFile {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// What is not data, by name; damage; what the file is instead.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.starts_with(b"PK\x03\x04") { Self::read_archive(bytes) } else { Self::read_stream(bytes) }
    }

    fn read_archive(bytes: &[u8]) -> Result<Self, String> {
        let broken = |error: zip::result::ZipError| format!("its archive is damaged: {error}");
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        if archive.len() > MOST_ENTRIES {
            return Err(format!("its archive has {} entries", archive.len()));
        }
        let names = archive.file_names().map(|name| name.map(Cow::into_owned)).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(broken)?;
        if names.iter().any(|name| name.split('/').nth(1) == Some("code") || name.ends_with("/constants.pkl")) {
            return Err("it is a TorchScript program, which would have to be executed".to_owned());
        }
        let prefix =
            names.iter().find_map(|name| name.strip_suffix("data.pkl").filter(|p| p.matches('/').count() == 1));
        let prefix = prefix.ok_or("it is a zip archive, but none of `torch.save`: it has no `data.pkl`")?.to_owned();
        let mut total = 0;
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(broken)?;
            if entry.compression() != CompressionMethod::Stored {
                return Err(format!("its entry {index} is compressed, which `torch.save` never does"));
            }
            total = u64::saturating_add(total, entry.size());
        }
        if total > bytes.len() as u64 || archive.has_overlapping_files().map_err(broken)? {
            return Err("its entries are larger than the file, or lie in one another".to_owned());
        }
        let mut entry = |name: &str, most: u64| -> Result<Option<Vec<u8>>, String> {
            let mut entry = match archive.by_name(&format!("{prefix}{name}")) {
                Ok(entry) => entry,
                Err(zip::result::ZipError::FileNotFound) => return Ok(None),
                Err(error) => return Err(broken(error)),
            };
            if entry.size() > most {
                return Err(format!("its entry `{name}` has {} bytes", entry.size()));
            }
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).map_err(|error| format!("its entry `{name}` is damaged: {error}"))?;
            Ok(Some(contents))
        };
        if let Some(order) = entry("byteorder", 100)?
            && order != b"little"
        {
            return Err("it was written on a big-endian machine".to_owned());
        }
        let pickle = entry("data.pkl", PICKLE_BYTES)?.ok_or("it has no `data.pkl`")?;
        let pickle = Pickle::read(&pickle).map_err(|refusal| refusal.to_string())?;
        let mut storages = BTreeMap::new();
        for (key, _) in pickle.storages() {
            if storages.contains_key(key) {
                continue;
            }
            if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(format!("{key:?} can't be a storage's name"));
            }
            let contents = entry(&format!("data/{key}"), u64::MAX)?;
            storages.insert(key.to_owned(), contents.ok_or_else(|| format!("its storage `{key}` is missing"))?);
        }
        Ok(Self { pickle, storages })
    }

    /// Pickles of a magic number, a protocol, the machine, the values and the storages' keys; then the storages.
    fn read_stream(bytes: &[u8]) -> Result<Self, String> {
        let mut at = 0_usize;
        let mut next = || -> Result<Pickle, Refusal> {
            let end = bytes.len().min(at.saturating_add(PICKLE_BYTES as usize));
            let pickle = Pickle::read(&bytes[at..end])?;
            at += pickle.length;
            Ok(pickle)
        };
        let is_magic = |pickle: &Pickle| *pickle.root() == Node::Long(OLD_MAGIC.to_vec());
        let first = next().map_err(|refusal| refusal.to_string())?;
        let other = || "it is a pickle, but no file of `torch.save`".to_owned();
        if !is_magic(&first) {
            return Err(other());
        }
        let mut rest = || next().map_err(|refusal| refusal.to_string());
        let (protocol, _machine, pickle, keys) = (rest()?, rest()?, rest()?, rest()?);
        if *protocol.root() != Node::Int(OLD_PROTOCOL) {
            return Err(other());
        }
        let Node::List(keys_ids) = keys.root() else { return Err(other()) };
        let lengths: BTreeMap<&str, (Kind, u64)> = pickle
            .storages()
            .filter_map(|(key, node)| match node {
                Node::Storage { kind, length, .. } => Some((key, (*kind, *length))),
                _ => None,
            })
            .collect();
        let mut storages = BTreeMap::new();
        for &id in keys_ids {
            let Node::Text(key) = keys.at(id) else { return Err(other()) };
            let &(kind, expected) =
                lengths.get(key.as_str()).ok_or_else(|| format!("nothing uses its storage {key:?}"))?;
            let cut = || format!("its storage {key:?} is cut off");
            let head = bytes.get(at..at + 8).ok_or_else(cut)?;
            let length = u64::from_le_bytes(head.try_into().expect("eight bytes"));
            if length != expected {
                return Err(format!("its storage {key:?} has {length} numbers, {expected} were said"));
            }
            let count =
                usize::try_from(length).ok().and_then(|n| n.checked_mul(kind.elt_size_in_bytes())).ok_or_else(cut)?;
            let end = (at + 8).checked_add(count).ok_or_else(cut)?;
            storages.insert(key.clone(), bytes.get(at + 8..end).ok_or_else(cut)?.to_vec());
            at = end;
        }
        Ok(Self { pickle, storages })
    }

    /// The tensor of a value.
    ///
    /// # Errors
    /// A value that is none, or numbers that do not lie in its storage.
    pub fn tensor(&self, node: &Node) -> Result<Tensor, String> {
        let Node::Tensor { storage, offset, size, stride } = node else { return Err("it is no tensor".to_owned()) };
        let Node::Storage { kind, key, length } = self.pickle.at(*storage) else {
            return Err("it has no storage".to_owned());
        };
        let bytes = self.storages.get(key).ok_or_else(|| format!("its storage `{key}` is missing"))?;
        let element = kind.elt_size_in_bytes() as u64;
        if length.checked_mul(element) != Some(bytes.len() as u64) {
            return Err(format!("its storage `{key}` has {} bytes, {length} numbers were said", bytes.len()));
        }
        let outside = || "it lies outside of its storage".to_owned();
        let mut numel: u64 = 1;
        let mut last = *offset;
        for (&size, &stride) in size.iter().zip(stride) {
            numel = numel.checked_mul(size as u64).ok_or_else(outside)?;
            let reach = (size as u64).saturating_sub(1).checked_mul(stride as u64).ok_or_else(outside)?;
            last = last.checked_add(reach).ok_or_else(outside)?;
        }
        if numel > *length || (numel > 0 && last >= *length) {
            return Err(outside());
        }
        // Only what the tensor reaches is touched: any number of them may lie in one storage.
        let reached = if numel == 0 { 0..0 } else { *offset..last + 1 };
        let count = (reached.end - reached.start) as i64;
        let bytes = &bytes[(reached.start * element) as usize..(reached.end * element) as usize];
        let flat = Tensor::f_from_data_size(bytes, &[count], *kind);
        let copy = flat.and_then(|flat| owned(&flat.f_as_strided(size, stride, 0)?));
        copy.map_err(|error| error.to_string())
    }
}

/// A copy that does not keep a whole storage alive.
fn owned(view: &Tensor) -> Result<Tensor, tch::TchError> {
    let mut copy = Tensor::f_empty(view.size(), (view.kind(), tch::Device::Cpu))?;
    copy.f_copy_(view)?;
    Ok(copy)
}

impl Pickle {
    /// Every storage by its key.
    fn storages(&self) -> impl Iterator<Item = (&str, &Node)> {
        (0..self.count()).filter_map(|id: Id| match self.at(id) {
            node @ Node::Storage { key, .. } => Some((key.as_str(), node)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::write_tensors, *};

    #[test]
    fn safetensors_of_any_header_length_are_no_pickles() {
        let mut lengths = std::collections::BTreeSet::new();
        for name in (1..600).map(|count| "n".repeat(count)) {
            let bytes =
                write_tensors(&[(name, Tensor::from_slice(&[1f32]))], std::collections::HashMap::new()).unwrap();
            lengths.insert(bytes[0]);
            assert!(!is_torch_file(&bytes), "a header of {} bytes", u64::from_le_bytes(bytes[..8].try_into().unwrap()));
        }
        assert!(lengths.contains(&0x80), "one begins as a pickle does");
        assert!(is_torch_file(b"\x80\x02}q\x00.") && is_torch_file(b"PK\x03\x04"));
    }
}
