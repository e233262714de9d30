//! A file of torch.export as far as it can be told without libtorch: what it takes and gives, its parameters, its operators. The plugin
//! `exported` runs it.

use crate::{
    error::{Error, Fault, Result},
    hash::sha256,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read},
    path::Path,
};
use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config},
};

/// How such files are called.
pub const EXTENSION: &str = "pt2";

/// What a file of torch.export says of itself.
#[derive(Debug)]
pub struct ExportedFile {
    /// `encoder` or `loss`; none where the file was not written by `infomax_export.py`.
    pub kind: Option<String>,
    pub torch: String,
    pub sha256: String,
    /// What it takes: the name by which the component binds it, and its sizes; none for a size that may vary.
    pub inputs: Vec<(String, Vec<Option<i64>>)>,
    /// What it gives, likewise.
    pub outputs: Vec<(String, Vec<Option<i64>>)>,
    /// Trained tensors with their sizes, in the file's order.
    pub parameters: Vec<(String, Vec<i64>)>,
    pub buffers: Vec<String>,
    /// How often each operator is called.
    pub operators: BTreeMap<String, usize>,
}

/// Whether a path is called like a file of torch.export.
pub fn is_exported(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
}

impl ExportedFile {
    /// Reads a file.
    ///
    /// # Errors
    /// No file, or another one.
    pub fn read(path: &Path) -> Result<Self> {
        if !fs::metadata(path).map_err(Error::io("read", path))?.is_file() {
            let fault = Fault::new("it is no regular file").at(path.display().to_string());
            return Err(Error::config(fault.hint("name what torch.export.save wrote")));
        }
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let told = Self::of(&bytes);
        told.map_err(|why| {
            let fault = Fault::new(format!("it is no file of torch.export: {why}")).at(path.display().to_string());
            Error::config(
                fault.hint("`infomax plugin python > infomax_export.py` gives the script that writes such files"),
            )
        })
    }

    fn of(bytes: &[u8]) -> std::result::Result<Self, String> {
        // Torch writes the end of the archive twice, for small and for large files: where it begins is not to be guessed.
        let whole = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(whole, Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let first = zip.file_names().next().and_then(std::result::Result::ok).unwrap_or_default();
        let root = first.split_once('/').map(|(root, _)| root.to_owned()).ok_or("it has no folder")?;
        let mut member = |name: &str| -> std::result::Result<Option<Value>, String> {
            let Ok(mut entry) = zip.by_name(&format!("{root}/{name}")) else { return Ok(None) };
            if entry.compression() != CompressionMethod::Stored || entry.size() > bytes.len() as u64 {
                return Err(format!("`{name}` is compressed"));
            }
            let mut text = Vec::new();
            entry.read_to_end(&mut text).map_err(|error| format!("`{name}`: {error}"))?;
            serde_json::from_slice(&text).map(Some).map_err(|error| format!("`{name}`: {error}"))
        };
        let program = member("models/model.json")?.ok_or("it has no `models/model.json`")?;
        let about = member("extra/infomax.json")?.unwrap_or_default();
        let weights = member("data/weights/model_weights_config.json")?.unwrap_or_default();
        let module = &program["graph_module"];
        let graph = &module["graph"];
        let sizes = |name: &str| {
            let sizes = graph["tensor_values"][name]["sizes"].as_array().into_iter().flatten();
            sizes.map(|size| size["as_int"].as_i64()).collect::<Vec<_>>()
        };
        let tensor = |argument: &Value| argument["as_tensor"]["name"].as_str().map(str::to_owned);
        let specs = module["signature"]["input_specs"].as_array().into_iter().flatten();
        let taken: Vec<String> = specs.filter_map(|spec| tensor(&spec["user_input"]["arg"])).collect();
        let named = |names: &Value, at: usize, own: &str| {
            let name = &names[at];
            name.as_str().or(name["name"].as_str()).unwrap_or(own).to_owned()
        };
        let inputs = taken.iter().enumerate().map(|(at, name)| (named(&about["inputs"], at, name), sizes(name)));
        let given = graph["outputs"].as_array().into_iter().flatten().filter_map(tensor);
        let outputs = given.enumerate().map(|(at, name)| (named(&about["outputs"], at, &name), sizes(&name)));
        let (mut parameters, mut buffers) = (Vec::new(), Vec::new());
        for (name, entry) in weights["config"].as_object().into_iter().flatten() {
            let meta = &entry["tensor_meta"];
            if entry["is_param"] == true && meta["requires_grad"] == true {
                let sizes = meta["sizes"].as_array().into_iter().flatten();
                parameters.push((name.clone(), sizes.filter_map(|size| size["as_int"].as_i64()).collect()));
            } else {
                buffers.push(name.clone());
            }
        }
        let mut operators = BTreeMap::new();
        count(graph, &mut operators, 16);
        Ok(Self {
            kind: about["kind"].as_str().map(str::to_owned),
            torch: program["torch_version"].as_str().unwrap_or("unknown").to_owned(),
            sha256: sha256(bytes),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            parameters,
            buffers,
            operators,
        })
    }

    /// `encoder` or `loss`.
    ///
    /// # Errors
    /// A file that does not say, where nobody else does.
    pub fn kind(&self, chosen: Option<&str>, path: &Path) -> Result<String> {
        chosen.or(self.kind.as_deref()).map(str::to_owned).ok_or_else(|| {
            let fault = Fault::new("the file does not say whether it is an encoder or a loss");
            Error::config(fault.at(path.display().to_string()).hint("say `--kind encoder` or `--kind loss`"))
        })
    }
}

/// Counts the operators of a graph and of those in it.
fn count(graph: &Value, operators: &mut BTreeMap<String, usize>, depth: usize) {
    for node in graph["nodes"].as_array().into_iter().flatten() {
        let target = node["target"].as_str().unwrap_or_default();
        *operators.entry(target.trim_start_matches("torch.ops.").to_owned()).or_insert(0) += 1;
        let nested = node["inputs"].as_array().into_iter().flatten().map(|input| &input["arg"]["as_graph"]["graph"]);
        if depth > 0 {
            nested.filter(|graph| graph.is_object()).for_each(|graph| count(graph, operators, depth - 1));
        }
    }
}
