//! `infomax plugin check`: the conformance kit, from outside.

use crate::{
    cli::say,
    config::{self, value_of},
    conformance::{self, Given, Line, Verdict},
    error::{Error, Fault, Result},
    native,
    plugin::{Candidate, ExportedFile, PluginError, is_exported, load},
};
use clap::Args;
use infomax_sdk::FeatureMap;
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Check a library: every component through the boundary, as training would call it.
#[derive(Debug, Args)]
pub struct Check {
    /// A library file, the name of a plugin or of a component, or a file of torch.export: `mine.pt2`
    library: PathBuf,
    /// What a file of torch.export is, where it does not say: `encoder` or `loss`
    #[arg(long, value_parser = ["encoder", "loss"])]
    kind: Option<String>,
    /// Check with another setting than the default: `KIND.NAME.FIELD=VALUE`, as in `loss.my-loss.projector_dim=8`
    #[arg(long = "set", value_name = "SETTING")]
    settings: Vec<String>,
    /// Only the components of this name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

impl Check {
    /// Runs the command.
    ///
    /// # Errors
    /// A library that is refused, a setting that is none, a check that failed.
    pub fn run(&self) -> Result<()> {
        let of_torch = is_exported(&self.library).then(|| ExportedFile::read(&self.library)).transpose()?;
        let kind = of_torch.as_ref().map(|file| file.kind(self.kind.as_deref(), &self.library)).transpose()?;
        let library = if of_torch.is_some() { Path::new(EXPORTED) } else { &self.library };
        let path = infomax_desk::cli::named(library)?;
        let candidate = Candidate::read(&path, &[]).map_err(Error::from)?;
        let mut manifest = serde_json::to_value(&candidate.manifest).expect("a manifest is plain data");
        let components = manifest["components"].as_array_mut().expect("a manifest lists components");
        if let Some(only) = &self.only {
            components.retain(|component| component["name"] == only.as_str());
            if components.is_empty() {
                let names: Vec<_> = candidate.manifest.components.iter().map(|c| format!("`{}`", c.name)).collect();
                let fault = Fault::new(format!("the library has no component `{only}`"));
                return Err(Error::config(fault.hint(format!("it has {}", names.join(", ")))));
            }
        }
        let mut configs = configs(&self.settings, &candidate)?;
        if let (Some(file), Some(kind)) = (of_torch, kind) {
            components.retain(|component| component["kind"] == kind.as_str() && component["name"] == EXPORTED);
            let said = configs.into_iter().find(|given| given.kind == kind && given.name == EXPORTED);
            configs = vec![exported(&file, &self.library, kind, said.map_or_else(|| json!({}), |given| given.config))];
        }
        say(&format!("{} — {}", candidate.label(), candidate.manifest.rustc));
        let library = load(&candidate)?;
        native::set_threads(1);
        native::products::choose(config::Products::Auto);
        let start = Instant::now();
        let manifest = serde_json::to_vec(&manifest).expect("as above");
        let mut component = String::new();
        let tell = move |line: &Line| {
            if component != line.component {
                component.clone_from(&line.component);
                say(&format!("\n{component}"));
            }
            say(&described(line));
        };
        let report = conformance::check(library.module, &manifest, &configs, Box::new(tell));
        let (all, failed) = (report.made(), report.failed().count());
        say(&format!("\n{} checks passed, {failed} failed, in {:.1} s", all - failed, start.elapsed().as_secs_f64()));
        let file = candidate.path.display();
        let fault = match report.failed().next() {
            None if all > 0 => return Ok(()),
            None => Fault::new("the library has no component to check")
                .at(file.to_string())
                .hint("name its components in `export_plugin!` and in `build.rs`"),
            Some(first) => Fault::new(format!("{failed} of {all} checks failed"))
                .at(format!("{file}, {}: {}", first.component, first.check))
                .hint("each line above that begins with FAIL says what to change"),
        };
        Err(PluginError::Unfit { fault }.into())
    }
}

/// The component that runs files of torch.export.
const EXPORTED: &str = "exported";

/// What a file of torch.export is checked as: with images and maps of the sizes that it takes, and with the config that is set; names of
/// inputs in that count before those that the file says.
fn exported(file: &ExportedFile, path: &Path, kind: String, mut config: Value) -> Given {
    let side =
        |sizes: &[Option<i64>], dim: usize| sizes.get(dim).copied().flatten().and_then(|n| u32::try_from(n).ok());
    let names = config.get("inputs").cloned().unwrap_or_default();
    config.as_object_mut().expect("a config is a table").entry("file").or_insert_with(|| json!(path));
    let mut given = Given { kind, name: EXPORTED.to_owned(), config, ..Given::default() };
    for (at, (name, sizes)) in file.inputs.iter().enumerate() {
        let name = names[at].as_str().unwrap_or(name);
        if given.kind == "encoder" {
            given.sides.extend(side(sizes, 2).filter(|_| side(sizes, 2) == side(sizes, 3)));
        } else if let Some((_, map)) = name.split_once('.').filter(|(_, map)| given.maps.iter().all(|m| m.name != *map))
        {
            let (height, width) = (side(sizes, 2).unwrap_or(1), side(sizes, 3).unwrap_or(1));
            given.maps.push(FeatureMap { name: map.to_owned(), channels: side(sizes, 1).unwrap_or(16), height, width });
        }
    }
    given
}

fn described(line: &Line) -> String {
    let Line { check, said, .. } = line;
    let mark = match line.verdict {
        Verdict::NotMade => return format!("  --    not checked: {said}"),
        Verdict::Passed => "ok  ",
        Verdict::Failed => "FAIL",
    };
    if said.is_empty() { format!("  {mark}  {check}") } else { format!("  {mark}  {check}: {said}") }
}

/// Configs by kind and name, out of settings.
fn configs(settings: &[String], candidate: &Candidate) -> Result<Vec<Given>> {
    let mut configs: Vec<Given> = Vec::new();
    for setting in settings {
        let wrong = |why: String| {
            let fault = Fault::new(format!("`--set {setting}` {why}"));
            Error::config(fault.hint("write `KIND.NAME.FIELD=VALUE`, as in `loss.my-loss.projector_dim=8`"))
        };
        let (key, value) = setting.split_once('=').ok_or_else(|| wrong("has no value".to_owned()))?;
        let parts: Vec<&str> = key.split('.').collect();
        let [kind, name, field] = parts[..] else { return Err(wrong("names no field of a component".to_owned())) };
        let component = candidate.manifest.components.iter().find(|c| c.kind == kind && c.name == name);
        let component = component.ok_or_else(|| wrong(format!("names a {kind} `{name}` that the library has not")))?;
        if component.schema["properties"].get(field).is_none() {
            let known = component.schema["properties"].as_object().into_iter().flatten();
            let known: Vec<_> = known.map(|(name, _)| format!("`{name}`")).collect();
            return Err(wrong(format!("names no field of {kind} `{name}`, which has {}", known.join(", "))));
        }
        let at = configs.iter().position(|given| given.kind == kind && given.name == name).unwrap_or_else(|| {
            let (kind, name, config) = (kind.to_owned(), name.to_owned(), Value::Object(Map::new()));
            configs.push(Given { kind, name, config, ..Given::default() });
            configs.len() - 1
        });
        configs[at].config[field] = value_of(value);
    }
    Ok(configs)
}
