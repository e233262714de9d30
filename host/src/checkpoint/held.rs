//! The named tensors that a file of weights holds: one set in a safetensors file, and in a file of `torch.save` one for each
//! dictionary that has tensors under names, by the keys that lead to it. A tensor is read when it is asked for.

use super::{
    pickle::{Id, Node},
    torch_file::TorchFile,
};
use std::{collections::BTreeMap, rc::Rc};
use tch::{Kind, Tensor};

const DEEPEST: usize = 6; // VISSL's `classy_state_dict.base_model.model.trunk` has four
const MOST_SETS: usize = 1000;
const MOST_TENSORS: usize = 100_000; // the largest published encoders have 1,000

/// Tensors under names.
#[derive(Debug)]
pub struct NamedSet {
    /// The keys that lead to it, joined by `.`; empty for the file itself.
    pub key: String,
    pub tensors: BTreeMap<String, HeldTensor>,
}

/// A tensor of a file.
#[derive(Debug)]
pub struct HeldTensor {
    /// None where it can't be read.
    pub facts: Option<(Vec<i64>, Kind)>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Here(Tensor),
    Pickled(Rc<TorchFile>, Node),
    /// What would have to be executed for it.
    Needs(String),
}

impl HeldTensor {
    /// One that is in memory.
    pub fn new(tensor: Tensor) -> Self {
        Self { facts: Some((tensor.size(), tensor.kind())), place: Place::Here(tensor) }
    }

    /// Its size; empty where it can't be read.
    pub fn size(&self) -> &[i64] {
        self.facts.as_ref().map_or(&[], |(size, _)| size)
    }

    /// Reads it.
    ///
    /// # Errors
    /// What would have to be executed; numbers that do not lie in its storage.
    pub fn read(&self) -> Result<Tensor, String> {
        match &self.place {
            Place::Here(tensor) => Ok(tensor.shallow_clone()),
            Place::Pickled(file, node) => file.tensor(node),
            Place::Needs(name) => Err(format!("it needs `{name}`, which is not data and is not executed")),
        }
    }
}

impl NamedSet {
    /// Tensors that are in memory.
    pub fn of(tensors: BTreeMap<String, Tensor>) -> Self {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, HeldTensor::new(tensor))).collect();
        Self { key: String::new(), tensors }
    }

    /// The sets of a file of `torch.save`, outer ones first.
    ///
    /// # Errors
    /// What the file is instead of weights.
    pub fn all_of(file: TorchFile) -> Result<Vec<Self>, String> {
        let file = Rc::new(file);
        let mut sets: Vec<Self> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = std::collections::VecDeque::from([(file.pickle.root_id(), String::new(), 0)]);
        while let Some((id, key, depth)) = waiting.pop_front() {
            let Node::Dict(pairs) = file.pickle.at(id) else { continue };
            if !seen.insert(id) {
                continue; // the same dictionary under another key
            }
            let mut tensors = BTreeMap::new();
            for (name, id) in pairs.iter().filter_map(|&(name, value)| text(&file, name).map(|name| (name, value))) {
                match file.pickle.at(id) {
                    node @ Node::Tensor { size, storage, .. } => {
                        let facts = match file.pickle.at(*storage) {
                            Node::Storage { kind, .. } => Some((size.clone(), *kind)),
                            _ => None,
                        };
                        let place = Place::Pickled(file.clone(), node.clone());
                        tensors.insert(name.to_owned(), HeldTensor { facts, place });
                    }
                    Node::Opaque(what) => {
                        tensors
                            .insert(name.to_owned(), HeldTensor { facts: None, place: Place::Needs(what.to_string()) });
                    }
                    Node::Dict(_) if depth < DEEPEST && waiting.len() < MOST_SETS => {
                        let key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
                        waiting.push_back((id, key, depth + 1));
                    }
                    _ => {}
                }
            }
            if tensors.len() > MOST_TENSORS || sets.len() >= MOST_SETS {
                return Err("it holds more tensors than any encoder has".to_owned());
            }
            if tensors.values().any(|tensor| tensor.facts.is_some()) {
                sets.push(Self { key, tensors });
            } else if let Some(what) = tensors.values().find_map(HeldTensor::distributed) {
                return Err(format!("its tensors are `{what}`s, pieces of which each process wrote its own"));
            }
        }
        if sets.is_empty() {
            return Err(empty(&file));
        }
        Ok(sets)
    }
}

impl HeldTensor {
    fn distributed(&self) -> Option<&str> {
        match &self.place {
            Place::Needs(name) => ["DTensor", "ShardedTensor"].into_iter().find(|what| name.ends_with(what)),
            _ => None,
        }
    }
}

fn text(file: &TorchFile, id: Id) -> Option<&str> {
    if let Node::Text(text) = file.pickle.at(id) { Some(text) } else { None }
}

/// What a file without tensors under names holds instead.
fn empty(file: &TorchFile) -> String {
    match file.pickle.root() {
        Node::Opaque(name) => {
            format!("it holds no tensors under names but an object of `{name}`, which is not data and is not executed")
        }
        Node::Tensor { .. } => "it holds one tensor without a name".to_owned(),
        _ => {
            let names: Vec<String> =
                file.pickle.opaque_names().into_iter().take(3).map(|name| format!("`{name}`")).collect();
            let besides = if names.is_empty() {
                String::new()
            } else {
                format!("; what it names is not data and is not executed: {}", names.join(", "))
            };
            format!("it holds no tensors under names{besides}")
        }
    }
}
