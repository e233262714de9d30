//! The study file: a base experiment, what varies, how often, how long, and what happens when a cell fails.
//!
//! In: a TOML file. Out: a [`Study`], checked against its own schema, every fault with its place. What its pieces of config
//! mean is found when the cells are resolved.

use super::axes::axes;
use crate::{
    config::{Fault, Piece, locate},
    error::{Error, Result},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A study as its file says it.
#[derive(Clone, Debug)]
pub struct Study {
    /// The file's stem.
    pub name: String,
    /// What the file says.
    pub text: Text,
    /// The configs that every cell starts from.
    pub base: Vec<PathBuf>,
    /// The file's values with their places.
    pub piece: Piece,
    file: PathBuf,
}

/// The tables of a study file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// What the study asks, in a sentence.
    #[serde(default)]
    pub question: String,
    /// The experiments that every cell starts from, named as in `extends`.
    #[serde(default)]
    pub base: Vec<String>,
    /// What holds for every cell, over the base.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// What varies: by axis, the values or the named points.
    #[serde(default)]
    pub axes: Map<String, Value>,
    /// Points that are left out: by axis, a value or a list of them.
    #[schemars(with = "Vec<Map<String, Value>>")]
    #[serde(default)]
    pub exclude: Vec<Map<String, Value>>,
    /// Each point is trained once with each of these (`train.seed`).
    #[schemars(length(min = 1), range(min = 0))]
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// How long each cell trains; as the base says where not given.
    #[serde(default)]
    pub budget: CellBudget,
    /// What the report ranks by.
    #[schemars(length(min = 1))]
    #[serde(default = "linear_top1")]
    pub metric: String,
    /// The point that others are compared with: by axis, its value. The first point where not given.
    #[serde(default)]
    pub baseline: Map<String, Value>,
    /// Which cells come first.
    #[serde(default)]
    pub order: CellOrder,
    /// What happens when a cell fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How often a cell that failed is tried again at once.
    #[schemars(range(min = 0, max = 100), extend("unit" = "tries"))]
    #[serde(default)]
    pub retries: u64,
    /// How long a cell may take, loading and tests included, before it is ended and counts as failed; no limit where not given.
    #[schemars(range(min = 1, max = 100_000_000), extend("unit" = "seconds"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Which of the points are trained.
    #[serde(default)]
    pub search: Search,
}

/// How long a cell trains; at most one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CellBudget {
    /// In optimizer updates.
    #[schemars(range(min = 1), extend("unit" = "updates"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// In passes over the dataset.
    #[schemars(range(min = 1), extend("unit" = "epochs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// In images.
    #[schemars(range(min = 1), extend("unit" = "images"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// In seconds of wall-clock time: then results depend on the machine's speed.
    #[schemars(range(min = 1), extend("unit" = "seconds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

impl CellBudget {
    /// The key of the table `train` and its value.
    pub fn given(&self) -> Vec<(&'static str, u64)> {
        let all = [("steps", self.steps), ("epochs", self.epochs), ("images", self.images), ("seconds", self.seconds)];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Which cells come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellOrder {
    /// Every point with the first seed, then with the second: a study that is stopped early has compared all points.
    #[default]
    SeedFirst,
    /// Every seed of the first point, then of the second.
    PointFirst,
    /// In an order drawn from the study's name: what changes with time (a machine that gets busy) falls on all points alike.
    Shuffled,
}

/// What happens when a cell fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The others go on.
    #[default]
    Continue,
    /// No further cell starts; those under way end.
    Stop,
}

/// Which of the points are trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// How points are chosen.
    pub kind: SearchKind,
    /// How many points are drawn, of `random` and `halving`.
    #[schemars(range(min = 1, max = 100_000), extend("unit" = "points"))]
    pub samples: u64,
    /// From which the draws are made.
    #[schemars(range(min = 0), extend("unit" = "dimensionless"))]
    pub seed: u64,
    /// Of `halving`: one of so many points goes on to the next rung, which is so many times as long.
    #[schemars(range(min = 2, max = 100), extend("unit" = "dimensionless"))]
    pub factor: u64,
    /// Of `halving`: how many rungs; the last has the whole budget.
    #[schemars(range(min = 2, max = 20), extend("unit" = "rungs"))]
    pub rungs: u64,
}

impl Default for Search {
    fn default() -> Self {
        Self { kind: SearchKind::Grid, samples: 16, seed: 1, factor: 3, rungs: 3 }
    }
}

/// How points are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    /// All combinations of the axes.
    #[default]
    Grid,
    /// Some combinations, drawn at random (Bergstra and Bengio 2012).
    Random,
    /// The same, with short budgets first; only the best go on to longer ones (Jamieson and Talwalkar 2016).
    Halving,
}

impl fmt::Display for SearchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Halving => "halving",
        })
    }
}

fn one_seed() -> Vec<u64> {
    vec![1]
}

fn linear_top1() -> String {
    "linear_top1".to_owned()
}

impl Study {
    /// Reads a study file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(file: &Path) -> Result<Self> {
        let refuse = |faults| Error::Config { faults };
        let piece = Piece::read(file).map_err(refuse)?;
        if let Some(fault) = experiment_fault(&piece, file) {
            return Err(Error::config(fault));
        }
        let faults = piece.faults(&schema());
        if !faults.is_empty() {
            return Err(refuse(faults));
        }
        let text: Text = serde_json::from_value(Value::Object(piece.values().clone())).map_err(|error| {
            Error::config(Fault::new(format!("can't read the study: {error}")).at(file.display().to_string()))
        })?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let study = Self {
            base: text.base.iter().map(|name| locate(name, file)).collect(),
            name,
            text,
            piece,
            file: file.to_owned(),
        };
        let mut faults = study.check();
        faults.extend(axes(&study).err().map(|error| error.faults()).unwrap_or_default());
        if faults.is_empty() { Ok(study) } else { Err(refuse(faults)) }
    }

    /// The study file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A fragment that the study names.
    pub fn fragment(&self, name: &str) -> PathBuf {
        locate(name, &self.file)
    }

    /// A fault at a place of the file.
    pub fn fault(&self, message: impl Into<String>, path: &[&str]) -> Fault {
        Fault { at: self.piece.place(path), ..Fault::new(message) }
    }

    /// What a schema can't say.
    fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.text.base.is_empty() {
            let fault = Fault::new("the study has no `base`").at(self.file.display().to_string());
            faults.push(fault.hint("name an experiment: `base = [\"experiments/shapes-demo\"]`"));
        }
        let given = self.text.budget.given();
        if let [(first, _), (second, _), ..] = given[..] {
            let message = format!("`budget.{first}` and `budget.{second}` are both given");
            faults.push(self.fault(message, &["budget", second]).hint("give one of them"));
        }
        let mut seeds = self.text.seeds.clone();
        seeds.sort_unstable();
        if let Some(twice) = seeds.windows(2).find(|pair| pair[0] == pair[1]) {
            let fault = self.fault(format!("the seed {} stands twice in `seeds`", twice[0]), &["seeds"]);
            faults.push(fault.hint("give each once: equal seeds give equal results"));
        }
        let halves = self.text.search.kind == SearchKind::Halving;
        if halves && given.is_empty() {
            let fault = self.fault("`search.kind = \"halving\"` shortens `budget`, which is not given", &["search"]);
            faults.push(fault.hint("say how long the last rung trains, as in `budget = { steps = 3000 }`"));
        }
        faults
    }
}

/// What is told of a file that is an experiment's; none of any other.
fn experiment_fault(piece: &Piece, file: &Path) -> Option<Fault> {
    let says = |key: &str| piece.values().contains_key(key);
    let is_study = says("base") || says("axes");
    let of_experiments = ["extends", "dataset", "augmentation", "encoder", "loss", "optimizer", "train"];
    if is_study || !of_experiments.into_iter().any(says) {
        return None;
    }
    let shown = file.display();
    let fault = Fault::new(format!("`{shown}` is an experiment, not a study: it has neither `base` nor `[axes]`"));
    Some(fault.hint(format!(
        "train it with `infomax train {shown}`, or write a study on it: a file with `base = [\"{}\"]` and `[axes]`",
        file.file_stem().unwrap_or_default().to_string_lossy()
    )))
}

/// The schema of a study file.
fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Text>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(text: &str) -> Result<Study> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("small.toml");
        fs::write(&file, text).unwrap();
        Study::read(&file)
    }

    fn fault(text: &str) -> Fault {
        read(text).unwrap_err().faults().remove(0)
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let study = read("base = [\"a\"]\n[axes]\nloss = [\"amdim\"]\n").unwrap();
        assert_eq!((study.name.as_str(), study.text.seeds.as_slice()), ("small", [1].as_slice()));
        assert_eq!((study.text.metric.as_str(), study.text.order), ("linear_top1", CellOrder::SeedFirst));
        assert!(study.base[0].ends_with("a.toml"));
    }

    #[test]
    fn faults_have_their_place_and_the_nearest_name() {
        let unknown = fault("base = [\"a\"]\nseedz = [1]\n");
        assert!(unknown.message.contains("`seedz`") && unknown.hint.unwrap().contains("`seeds`"));
        assert!(unknown.at.unwrap().ends_with("small.toml:2"));
        let twice = fault("base = [\"a\"]\nseeds = [1, 2, 1]\n");
        assert_eq!(twice.message, "the seed 1 stands twice in `seeds`");
        let units = fault("base = [\"a\"]\nbudget = { steps = 1, seconds = 2 }\n");
        assert_eq!(units.message, "`budget.steps` and `budget.seconds` are both given");
        assert!(fault("base = [\"a\"]\nseeds = [-1]\n").message.contains("-1"));
        assert_eq!(fault("seeds = [1]\n").message, "the study has no `base`");
        let all = read("seeds = [1, 1]\nbudget = { steps = 1, epochs = 2 }\n[axes]\nloss = []\n").unwrap_err().faults();
        assert_eq!(all.len(), 4, "the base, the budget, the seeds and the axis at once: {all:?}");
        let experiment = fault("extends = [\"a\"]\n[train]\nsteps = 1\n");
        assert!(experiment.message.contains("is an experiment") && experiment.hint.unwrap().contains("infomax train"));
        let bare = fault("base = [\"a\"]\n[axes]\nencoder.config.width = [8, 16]\n");
        assert!(bare.message.contains("`encoder.config.width`"), "{bare:?}");
        assert!(bare.hint.unwrap().contains("\"encoder.config.width\" = [8, 16]"));
        assert!(fault("base = [\"a\"]\n[search]\nkind = \"halving\"\n").message.contains("budget"));
    }
}
