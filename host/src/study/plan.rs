//! Every cell of a study, checked before anything is trained: its config resolved, its components asked whether they fit, and
//! its identity, which says what is done already.

use super::{
    axes::{Axis, axes},
    file::{CellOrder, SearchKind, Study},
    points::{Point, baseline, points},
    rungs::{self, Rung},
};
use crate::{
    checkpoint::weights_digest,
    config::{Device, Experiment, Fault, KINDS, Piece, Resolved, Sources, Stage, resolve},
    console::note,
    dataset::{ForeignDataset, read_list},
    error::{Error, Result},
    hash::sha256,
    optimizer::Schedule,
    plugin::{Candidate, Kind, LIBTORCH, Registry, Schemas},
    train::{BudgetPlan, Setup, StepMemory, warmup_fault},
};
use infomax_desk::study::{CellIdentity, CellState, Store};
use infomax_sdk::{Key, requests::Request};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A study with all its cells.
pub struct Plan {
    pub study: Study,
    pub axes: Vec<Axis>,
    pub points: Vec<Point>,
    /// The point that others are compared with.
    pub baseline: usize,
    /// In the order in which they are to be trained.
    pub cells: Vec<Cell>,
    /// Of a search by halving: what is known of each rung.
    pub rungs: Vec<Rung>,
    pub store: Store,
}

/// A point with a seed.
pub struct Cell {
    /// As tables and messages count, from 1.
    pub number: usize,
    /// Which of the plan's points.
    pub point: usize,
    pub seed: u64,
    /// Of a search by halving, from 0.
    pub rung: Option<usize>,
    /// What is to be trained, or why it can't be.
    pub ready: Result<Ready, Vec<Fault>>,
}

/// A cell that can be trained.
#[derive(Clone)]
pub struct Ready {
    /// The cell's name.
    pub id: String,
    pub identity: CellIdentity,
    /// The resolved config.
    pub toml: String,
    /// Threads inside one operation; 0: as many as there are cores.
    pub threads: u32,
    /// Processes that train together.
    pub processes: u64,
    /// Optimizer updates planned; none where the budget is in seconds.
    pub steps: Option<u64>,
    /// Whether it may run on a GPU.
    pub may_use_gpu: bool,
    /// What a step needs of a GPU's memory, as far as the components say.
    pub memory: StepMemory,
    pub experiment: Arc<Experiment>,
    /// The library of each component.
    pub libraries: Vec<Candidate>,
}

impl Plan {
    /// Plans a study; `set` are the `--set`s, which hold for every cell.
    ///
    /// # Errors
    /// What is wrong with the study as a whole; what is wrong with a cell stands at the cell.
    pub fn new(study: Study, registry: &Registry, set: &[String], lifetime: Duration) -> Result<Self> {
        let axes = axes(&study)?;
        let points = points(&study, &axes)?;
        let baseline = baseline(&study, &axes, &points)?;
        let mut planner = Planner::new(&study, registry, set)?;
        // Who is to share cells must agree on where they lie; a base that can't be resolved is a fault of the study.
        let first = planner.resolve(&points[0], study.text.seeds[0], None);
        first.iter().flat_map(|resolved| &resolved.notes).for_each(note);
        let run_directory =
            first.as_ref().map_or_else(|_| PathBuf::from("runs"), |r| r.experiment.record.run_directory.clone());
        let store = Store::new(&run_directory, lifetime);
        let (chosen, rungs) = match study.text.search.kind {
            SearchKind::Halving => rungs::chosen(&study, points.len(), &store, |point, seed, rung| {
                planner.cell(&points[point], seed, Some(rung)).map(|ready| ready.id)
            })?,
            _ => (every(&study, points.len()), Vec::new()),
        };
        let cells = chosen.into_iter().enumerate().map(|(index, (point, seed, rung))| Cell {
            number: index + 1,
            point,
            seed,
            rung,
            ready: planner.cell(&points[point], seed, rung),
        });
        let cells: Vec<Cell> = cells.collect();
        if cells.iter().all(|cell| cell.ready.is_err())
            && let Some(Err(faults)) = cells.first().map(|cell| &cell.ready)
        {
            return Err(registry.told(faults.clone()));
        }
        Ok(Self { cells, study, axes, points, baseline, rungs, store })
    }

    /// What became of each cell; nothing of those that can't be trained.
    ///
    /// # Errors
    /// A folder that can't be read.
    pub fn states(&self) -> Result<Vec<Option<CellState>>> {
        let ready = self.cells.iter().map(|cell| cell.ready.as_ref().ok());
        ready.map(|ready| ready.map(|ready| self.store.state(&ready.id)).transpose()).collect()
    }

    /// A cell as messages name it: `loss amdim · encoder resnet18 · seed 2`.
    pub fn title(&self, cell: &Cell) -> String {
        let labels = self
            .axes
            .iter()
            .zip(self.points[cell.point].labels())
            .map(|(axis, label)| format!("{} {label}", axis.name));
        let rung = cell.rung.map(|rung| format!("rung {}", rung + 1));
        labels.chain(rung).chain([format!("seed {}", cell.seed)]).collect::<Vec<_>>().join(" · ")
    }
}

/// Every point with every seed, in the study's order.
fn every(study: &Study, points: usize) -> Vec<(usize, u64, Option<usize>)> {
    let seeds = &study.text.seeds;
    let mut all: Vec<_> = match study.text.order {
        CellOrder::PointFirst => {
            (0..points).flat_map(|point| seeds.iter().map(move |&seed| (point, seed, None))).collect()
        }
        _ => seeds.iter().flat_map(|&seed| (0..points).map(move |point| (point, seed, None))).collect(),
    };
    if study.text.order == CellOrder::Shuffled {
        Key::new(0).purpose("order").purpose(&study.name).rng().shuffle(&mut all);
    }
    all
}

impl Data {
    /// The images that an experiment on this data learns from. A list of labels may leave fewer.
    fn images(&self, experiment: &Experiment) -> u64 {
        let share = |images: u64, fraction: f64| (images as f64 * fraction).round() as u64;
        let with_labels = share(self.train, experiment.dataset.label_fraction.unwrap_or(1.0));
        let images = if experiment.train.stage == Stage::Pretrain { self.pretrain } else { with_labels };
        images.saturating_sub(share(self.train, experiment.evaluation.holdout_fraction))
    }

    /// The updates that an experiment on this data makes; what is wrong with their number.
    fn steps(&self, experiment: &Experiment) -> Result<Option<u64>, Fault> {
        let train = &experiment.train;
        let (images, batch) = (self.images(experiment), train.batch_size);
        if images < batch {
            let message = format!("the dataset has {images} images to train on, `train.batch_size` is {batch}");
            return Err(Fault::new(message).hint("lower `train.batch_size` or add images"));
        }
        let steps_per_epoch = images / batch;
        let plan = BudgetPlan::new(train.budget(), batch, steps_per_epoch);
        let schedule = Schedule::new(&experiment.optimizer, steps_per_epoch, plan.steps.unwrap_or(0));
        warmup_fault(experiment, plan, &schedule).map_or(Ok(plan.steps), Err)
    }
}

/// Resolves and checks cells, asking each thing once.
struct Planner<'a> {
    study: &'a Study,
    registry: &'a Registry,
    set: &'a [String],
    /// The layers of the base.
    base: Vec<Piece>,
    config: Piece,
    /// By all that they depend on: what the components say to one another, their libraries and the data's fingerprint.
    checked: HashMap<String, Result<Checked, Vec<Fault>>>,
    data: HashMap<String, Data>,
    digests: HashMap<PathBuf, String>,
}

#[derive(Clone)]
struct Checked {
    libraries: Vec<Candidate>,
    data: Data,
    /// The hash of each file that a component is read from.
    files: BTreeMap<String, String>,
    setup: Arc<Setup>,
}

/// What a dataset says of itself.
#[derive(Clone)]
struct Data {
    fingerprint: String,
    /// Images to learn from, without labels and with them.
    pretrain: u64,
    train: u64,
}

impl<'a> Planner<'a> {
    fn new(study: &'a Study, registry: &'a Registry, set: &'a [String]) -> Result<Self> {
        let mut base = Vec::new();
        for file in &study.base {
            base.extend(Piece::read_config(file).map_err(|faults| Error::Config { faults })?);
        }
        let config = study.piece.below(&["config"]);
        let (checked, data, digests) = Default::default();
        Ok(Self { study, registry, set, base, config, checked, data, digests })
    }

    fn resolve(&self, point: &Point, seed: u64, rung: Option<usize>) -> Result<Resolved, Vec<Fault>> {
        let study = self.study;
        let mut own = Piece::default();
        own.set("train.seed", &Value::from(seed), &study.piece, &["seeds"]).expect("a key");
        for (unit, amount) in study.text.budget.given() {
            let amount = rung.map_or(amount, |rung| rungs::budget(study, amount, rung));
            own.set(&format!("train.{unit}"), &Value::from(amount), &study.piece, &["budget", unit]).expect("a key");
        }
        let above = self.base.iter().chain([&self.config]).chain(point.above()).cloned().chain([own]).collect();
        let sources = Sources { above, set: self.set.to_vec(), ..Sources::default() };
        resolve(&sources, &Schemas(self.registry))
    }

    fn cell(&mut self, point: &Point, seed: u64, rung: Option<usize>) -> Result<Ready, Vec<Fault>> {
        let resolved = self.resolve(point, seed, rung)?;
        let experiment = &resolved.experiment;
        if self.study.text.search.kind != SearchKind::Grid && experiment.evaluation.holdout_fraction == 0.0 {
            let fault = self.study.fault("a search would choose by the test split", &["search"]);
            return Err(vec![
                fault.hint("hold images out of training to choose by: `config.evaluation.holdout_fraction = 0.1`"),
            ]);
        }
        let checked = self.check(experiment)?;
        let steps = checked.data.steps(experiment).map_err(|fault| vec![fault])?;
        let identity = CellIdentity {
            infomax: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: LIBTORCH.to_owned(),
            settings: CellIdentity::settings(&resolved.value(), &checked.files),
            plugins: KINDS
                .iter()
                .zip(&checked.libraries)
                .map(|(kind, c)| ((*kind).to_owned(), c.sha256.clone()))
                .collect(),
            files: checked.files.clone(),
            data: checked.data.fingerprint.clone(),
            weights: self.digest(experiment.encoder.weights.as_deref(), weights_digest)?,
            label_list: self.digest(experiment.dataset.label_list.as_deref(), list_digest)?,
        };
        Ok(Ready {
            id: identity.id(),
            identity,
            threads: experiment.train.threads,
            processes: experiment.distributed.nproc,
            steps,
            may_use_gpu: experiment.train.device != Device::Cpu,
            memory: StepMemory::planned(&checked.setup, experiment),
            experiment: Arc::new(resolved.experiment.clone()),
            toml: resolved.kept,
            libraries: checked.libraries,
        })
    }

    /// Whether the components fit, and what they are.
    fn check(&mut self, experiment: &Experiment) -> Result<Checked, Vec<Fault>> {
        let asked = (
            &experiment.dataset,
            &experiment.augmentation,
            &experiment.encoder,
            &experiment.loss,
            (experiment.train.batch_size, experiment.train.accumulation_steps, experiment.distributed.nproc),
        );
        let key = serde_json::to_string(&asked).expect("tables are plain data");
        if let Some(known) = self.checked.get(&key) {
            return known.clone();
        }
        let checked = self.ask(experiment).map_err(|error| error.faults());
        self.checked.insert(key, checked.clone());
        checked
    }

    fn ask(&mut self, experiment: &Experiment) -> Result<Checked> {
        let setup = Arc::new(Setup::new(experiment, self.registry, "cpu")?);
        let files = setup.files()?;
        let libraries = setup.components().map(|component| component.library.candidate.clone()).to_vec();
        let key = format!("{} {}", libraries[Kind::Dataset as usize].sha256, experiment.dataset.config);
        if let Some(known) = self.data.get(&key) {
            return Ok(Checked { libraries, data: known.clone(), files, setup });
        }
        let request = Request { config: experiment.dataset.config.clone(), ..Request::default() };
        let facts = ForeignDataset::create(&setup.dataset, &request)?.facts()?;
        let images = |splits: &[usize]| splits.iter().map(|&split| facts.splits[split].length).sum();
        let (pretrain, train) = (images(&facts.roles.pretrain), images(&facts.roles.train));
        let data = Data { fingerprint: facts.fingerprint, pretrain, train };
        self.data.insert(key, data.clone());
        Ok(Checked { libraries, data, files, setup })
    }

    /// The hash of a file, or folder, that a cell's result depends on.
    fn digest(&mut self, path: Option<&Path>, of: fn(&Path) -> Result<String>) -> Result<Option<String>, Vec<Fault>> {
        let Some(path) = path else { return Ok(None) };
        if let Some(known) = self.digests.get(path) {
            return Ok(Some(known.clone()));
        }
        let digest = of(path).map_err(|error| error.faults())?;
        self.digests.insert(path.to_owned(), digest.clone());
        Ok(Some(digest))
    }
}

fn list_digest(path: &Path) -> Result<String> {
    read_list(path).map(sha256)
}
