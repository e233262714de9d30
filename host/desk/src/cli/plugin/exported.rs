//! What is told of files of torch.export.

use crate::{cli::say, error::Result, plugin::ExportedFile};
use serde_json::json;
use std::path::Path;

/// The Python file that writes encoders and losses for the plugin `exported`.
pub const SCRIPT: &str = include_str!("../../../../../plugins/exported/python/infomax_export.py");

/// Tells what a file is.
///
/// # Errors
/// No such file.
pub fn inspect(path: &Path, as_json: bool) -> Result<()> {
    let file = ExportedFile::read(path)?;
    let trained: i64 = file.parameters.iter().map(|(_, sizes)| sizes.iter().product::<i64>()).sum();
    if as_json {
        let tensors = |list: &[(String, Vec<Option<i64>>)]| {
            list.iter().map(|(name, sizes)| json!({ "name": name, "sizes": sizes })).collect::<Vec<_>>()
        };
        let told = json!({
            "kind": file.kind,
            "torch": file.torch,
            "sha256": file.sha256,
            "inputs": tensors(&file.inputs),
            "outputs": tensors(&file.outputs),
            "parameters": file.parameters.iter().map(|(name, sizes)| json!({ "name": name, "sizes": sizes })).collect::<Vec<_>>(),
            "trained_numbers": trained,
            "buffers": file.buffers,
            "operators": file.operators,
        });
        say(&serde_json::to_string_pretty(&told).expect("plain data"));
        return Ok(());
    }
    let kind = file.kind.as_deref().unwrap_or("component that does not say its kind");
    say(&format!("{} — {kind} of torch {}", path.display(), file.torch));
    say(&format!("  sha256 {}", file.sha256));
    for (word, list) in [("takes", &file.inputs), ("gives", &file.outputs)] {
        list.iter().for_each(|(name, sizes)| say(&format!("  {word} {name}: {}", shape(sizes))));
    }
    let (parameters, buffers) = (file.parameters.len(), file.buffers.len());
    say(&format!("  {trained} trained numbers in {parameters} parameters, {buffers} buffers"));
    say(&format!("  {} operators:", file.operators.values().sum::<usize>()));
    let mut often: Vec<_> = file.operators.iter().collect();
    often.sort_by_key(|(name, times)| (std::cmp::Reverse(**times), *name));
    often.into_iter().for_each(|(name, times)| say(&format!("    {times:>5} {name}")));
    let key = file.kind.as_deref().unwrap_or("encoder");
    say(&format!("\ncheck it: infomax plugin check {}", path.display()));
    say(&format!("use it: --set {key}.name=exported --set {key}.config.file={}", path.display()));
    Ok(())
}

/// Sizes as people write them; what may vary is a star.
fn shape(sizes: &[Option<i64>]) -> String {
    let all: Vec<String> = sizes.iter().map(|size| size.map_or_else(|| "*".to_owned(), |n| n.to_string())).collect();
    if all.is_empty() { "a number".to_owned() } else { all.join(" × ") }
}
