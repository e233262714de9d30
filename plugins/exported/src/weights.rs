//! A component's tensors: parameters and buffers under PyTorch's names, and the constants that stand in a program.

use crate::{
    archive::{
        Archive, Folder,
        format::{Size, TensorEntry, TensorMeta},
    },
    config::Tagged,
    graph::{Program, Role as InputRole, aliases::Writes, kind},
    names,
    run::copy,
};
use infomax_sdk::{Device, Error, Kind, NamedTensor, Parameter, Result, Role, Tensor, nn::channels_last};
use std::collections::HashMap;

/// The exporter's number of the only layout that is read.
const STRIDED: u32 = 7;

/// What the tables of a file say, without its numbers.
pub struct Tables {
    weights: Vec<(String, TensorEntry)>,
    constants: Vec<(String, TensorEntry)>,
}

/// All tensors of a component.
#[derive(Debug)]
pub struct State {
    tensors: Vec<Kept>,
    /// Where a name's tensor stands; two names of one tensor lead to one place.
    places: HashMap<String, usize>,
    /// The second and further names of what is saved, as PyTorch's own state has them.
    aliases: Vec<(String, usize)>,
}

#[derive(Debug)]
struct Kept {
    name: String,
    tensor: Tensor,
    /// None for what is neither trained nor saved.
    role: Option<Role>,
}

impl Tables {
    /// Reads the tables.
    ///
    /// # Errors
    /// Tables that are missing, and tensors that could only be unpickled.
    pub fn read(archive: &mut Archive) -> Result<Self> {
        let tables =
            Self { weights: archive.tensors(Folder::Weights)?, constants: archive.tensors(Folder::Constants)? };
        for (name, entry) in tables.weights.iter().chain(&tables.constants) {
            if entry.use_pickle || entry.tensor_meta.is_none() {
                let message = format!("`{name}` is pickled, and pickles are never opened");
                let hint = "export a module whose tensors are plain: neither quantised nor of a class of their own";
                return Err(archive.refused(&message).hint(hint));
            }
        }
        Ok(tables)
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> u64 {
        let mut seen = Vec::new();
        let mut count = 0_u64;
        for (_, entry) in &self.weights {
            let Some(meta) = entry.tensor_meta.as_ref().filter(|meta| entry.is_param && meta.requires_grad) else {
                continue;
            };
            let key = (&entry.path_name, numbers(&meta.sizes), numbers(&meta.strides));
            if !seen.contains(&key) {
                count = count.saturating_add(key.1.iter().flatten().map(|&n| n.unsigned_abs()).product());
                seen.push(key);
            }
        }
        count
    }

    /// The names of what is trained.
    pub fn trained(&self) -> impl Iterator<Item = &str> + Clone {
        let is_trained =
            |entry: &TensorEntry| entry.is_param && entry.tensor_meta.as_ref().is_some_and(|meta| meta.requires_grad);
        self.weights.iter().filter(move |(_, entry)| is_trained(entry)).map(|(name, _)| name.as_str())
    }

    /// Whether the file has a tensor for an input.
    pub fn has(&self, role: &InputRole) -> bool {
        let is_in = |table: &[(String, TensorEntry)], name: &str| table.iter().any(|(other, _)| other == name);
        match role {
            InputRole::Parameter(name) | InputRole::Buffer { name, persistent: true } => is_in(&self.weights, name),
            InputRole::Buffer { name, persistent: false } | InputRole::Constant(name) => is_in(&self.constants, name),
            InputRole::Argument { .. } | InputRole::Fixed => true,
        }
    }
}

impl State {
    /// Reads the numbers. With `images_last` weights of convolutions lie channels-last, which is libtorch's fast way.
    ///
    /// # Errors
    /// Damaged or impossible tensors.
    pub fn read(archive: &mut Archive, tables: &Tables, device: Device, images_last: bool) -> Result<Self> {
        let mut state = Self { tensors: Vec::new(), places: HashMap::new(), aliases: Vec::new() };
        for (folder, table) in [(Folder::Weights, &tables.weights), (Folder::Constants, &tables.constants)] {
            let mut bytes: HashMap<&str, Vec<u8>> = HashMap::new();
            let mut made: HashMap<String, usize> = HashMap::new();
            for (name, entry) in table {
                let Some(meta) = &entry.tensor_meta else { continue };
                let same = format!(
                    "{} {} {:?} {:?} {:?}",
                    entry.path_name,
                    meta.dtype,
                    numbers(&meta.sizes),
                    numbers(&meta.strides),
                    entry.is_param
                );
                if let Some(&place) = made.get(&same) {
                    state.places.insert(name.clone(), place);
                    if matches!(folder, Folder::Weights) {
                        state.aliases.push((name.clone(), place));
                    }
                    continue;
                }
                if !bytes.contains_key(entry.path_name.as_str()) {
                    bytes.insert(&entry.path_name, archive.bytes(folder, &entry.path_name)?);
                }
                let tensor = tensor(&bytes[entry.path_name.as_str()], meta, device)
                    .map_err(|error| archive.refused(&format!("`{name}`: {}", error.message)))?;
                let is_trained = matches!(folder, Folder::Weights) && entry.is_param && meta.requires_grad;
                let tensor = if is_trained {
                    let lies = if images_last && tensor.rank() == 4 { channels_last(&tensor) } else { tensor };
                    (*Parameter::new(lies)).clone()
                } else {
                    tensor
                };
                let role = matches!(folder, Folder::Weights).then_some(if is_trained {
                    Role::Parameter
                } else {
                    Role::Buffer
                });
                made.insert(same, state.tensors.len());
                state.places.insert(name.clone(), state.tensors.len());
                state.tensors.push(Kept { name: name.clone(), tensor, role });
            }
        }
        Ok(state)
    }

    /// The tensor of an input; none for what is handed over by each call.
    pub fn of(&self, role: &InputRole) -> Option<&Tensor> {
        match role {
            InputRole::Parameter(name) | InputRole::Buffer { name, .. } | InputRole::Constant(name) => {
                self.places.get(name).map(|&place| &self.tensors[place].tensor)
            }
            InputRole::Argument { .. } | InputRole::Fixed => None,
        }
    }

    /// Keeps tensors in checkpoints although PyTorch's own state leaves them out: those that a call changes.
    pub fn save_changed(&mut self, program: &Program, writes: &Writes) {
        for (input, (is_written, is_stored)) in program.inputs.iter().zip(writes.inputs.iter().zip(&writes.stores)) {
            if let InputRole::Buffer { name, .. } | InputRole::Constant(name) = &input.role
                && (*is_written || *is_stored)
                && let Some(&place) = self.places.get(name)
            {
                self.tensors[place].role.get_or_insert(Role::Buffer);
            }
        }
    }

    /// What is trained and saved.
    pub fn named(&self, tags: &[Tagged]) -> Vec<NamedTensor> {
        let named = |kept: &Kept| {
            let role = kept.role?;
            let tags =
                if role == Role::Parameter { names::tags(tags, &kept.name) } else { infomax_sdk::Tags::default() };
            Some(NamedTensor { tags, ..NamedTensor::of(role, kept.name.clone(), kept.tensor.clone()) })
        };
        // Not trained once more: the first name's tensor is the same one.
        let alias = |(name, place): &(String, usize)| {
            NamedTensor::of(Role::Buffer, name.clone(), self.tensors[*place].tensor.detach())
        };
        self.tensors.iter().filter_map(named).chain(self.aliases.iter().map(alias)).collect()
    }
}

fn numbers(sizes: &[Size]) -> Vec<Option<i64>> {
    let number = |size: &Size| match size {
        Size::AsInt(number) => Some(*number),
        Size::AsExpr(_) => None,
    };
    sizes.iter().map(number).collect()
}

/// A tensor out of the bytes of its storage.
fn tensor(bytes: &[u8], meta: &TensorMeta, device: Device) -> Result<Tensor> {
    let strange = |what: &str| Error::config(format!("its shape or place in memory {what}"));
    let all = |sizes: &[Size]| {
        let numbers = numbers(sizes).into_iter().collect::<Option<Vec<i64>>>();
        numbers.filter(|numbers| numbers.iter().all(|&n| n >= 0)).ok_or_else(|| strange("is no row of sizes"))
    };
    let kind = kind(meta.dtype)?;
    let width = width(kind);
    let (sizes, strides) = (all(&meta.sizes)?, all(&meta.strides)?);
    let offset = all(std::slice::from_ref(&meta.storage_offset))?[0];
    if meta.layout != STRIDED || strides.len() != sizes.len() {
        return Err(strange("is not dense"));
    }
    // No tensor is larger than the bytes that it lies in: a stride of 0 would make much of little.
    let count = sizes.iter().try_fold(1_i64, |product, &n| product.checked_mul(n));
    let last = sizes
        .iter()
        .zip(&strides)
        .try_fold(offset, |sum, (&n, &stride)| sum.checked_add((n - 1).max(0).checked_mul(stride)?));
    let held = (bytes.len() / width) as i64;
    let fits = count == Some(0) || matches!((count, last), (Some(count), Some(last)) if count <= held && last < held);
    if !fits {
        return Err(strange(&format!("reaches beyond its {held} numbers")));
    }
    let count = count.unwrap_or(0);
    let mut dense = 1;
    let is_dense = sizes.iter().zip(&strides).rev().all(|(&n, &stride)| {
        let as_expected = n <= 1 || stride == dense;
        dense *= n.max(1);
        as_expected
    });
    if is_dense || count == 0 {
        let from = if count == 0 { 0 } else { offset as usize * width };
        return Ok(Tensor::from_bytes(&bytes[from..from + count as usize * width], kind, sizes, device));
    }
    let flat = Tensor::from_bytes(&bytes[..held as usize * width], kind, [held], device);
    let view = Tensor::op("aten::as_strided", &[&flat, &sizes, &strides, &offset]);
    Ok(copy(&view))
}

/// Bytes of a number.
fn width(kind: Kind) -> usize {
    match kind {
        Kind::I16 | Kind::F16 | Kind::Bf16 => 2,
        Kind::I32 | Kind::F32 => 4,
        Kind::I64 | Kind::F64 => 8,
        _ => 1,
    }
}
