//! `infomax bench`: `steps` is its first part; the others' figures stand in one table.

mod steps;

use steps::Steps;

use super::{
    experiment::{ExperimentArguments, Trust},
    say,
    selfcheck::parse_device,
};
use crate::{
    bench::{Embedded, Row, Shape, data, find_python, loss, methods, middle, scale, shapes, study},
    config, cores,
    error::{Error, Fault, Result},
    native::{self, work::Work},
    plugin::Registry,
    rows::aligned,
    train::{device_name, open_cuda, resolve_device},
};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tch::Device;

/// Arguments of `infomax bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples: infomax bench --device cuda --largest --json bench.json\n          \
infomax bench --what data,loss,study --data FOLDER\n          \
infomax bench --what step,methods --rounds 5 --peer bench_step.py --variants eager,cl,cl+compile\n\n\
A step is both views through the encoder, the objective, both classifiers, backward and Adam, on noise; loading is left out. On\n\
a GPU each is measured without and with `train.cuda_graphs`. The share is that of the products and convolutions a second in those of one large product in the same number format.")]
pub struct Bench {
    /// What to measure: `step`; `methods`: steps of other methods, with a ResNet-18; `data`: photos decoded and made into views, and views of small images; `loss`: an objective alone, whole and
    /// by rows; `study`: what starting takes, and a run and a cell beside their updates; `scale`: what a step would cost on many cards
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = "step")]
    what: Vec<What>,
    /// `cpu`, `cuda` or `cuda:N`; the first GPU if there is one
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    device: config::Device,
    /// AMDIM models as `SIZE:NDF/N_RKHS/DEPTH@BATCH`; the published ones on a GPU, small ones on a CPU, where not given
    #[arg(long, value_name = "MODEL")]
    model: Vec<Shape>,
    /// Number formats, such as `f32` or `bf16`; all that the device has where not given
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = parse_precision)]
    precision: Vec<config::Precision>,
    /// Seconds for each line
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// Photos of `data`: a folder of images, a tar archive of them, or a folder of such archives
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Losses of `loss`
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "amdim")]
    loss: Vec<String>,
    /// Batches of `loss` and `methods`; 480 and 4096 of `loss`, 128 of `methods`, where not given
    #[arg(long, value_name = "IMAGES", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(2..=1 << 20))]
    batch: Vec<u64>,
    /// Methods of `methods`
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values = methods::Method::ALL.map(methods::Method::name))]
    method: Vec<methods::Method>,
    /// How often everything is measured, one after the other and then again; the table has the middle of each figure
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Look for the largest batch that fits too, by doubling, in the last number format
    #[arg(long)]
    largest: bool,
    /// Cards of `scale`; a model's batch is that of one of them
    #[arg(long, value_name = "RANKS", value_delimiter = ',', default_values_t = [1, 8, 64],
          value_parser = clap::value_parser!(u64).range(1..=1 << 16))]
    ranks: Vec<u64>,
    /// What a card of `scale` is taken to do: operations a second in steps, bytes a second to others, seconds an exchange
    #[arg(long, value_name = "CARD", default_value = "60e12,25e9,30e-6")]
    card: scale::Card,
    /// A script that makes the same steps in PyTorch (`bench_step.py`), run beside
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// What of the script is run, as it names them
    #[arg(long, value_name = "LIST", requires = "peer")]
    variants: Option<String>,
    /// The Python with torch for what is compared with; `$INFOMAX_PYTHON` or `python3` where they have it
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Measure nothing in Python
    #[arg(long, conflicts_with_all = ["peer", "python"])]
    alone: bool,
    #[command(flatten)]
    trust: Trust,
    /// Write the results as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Step,
    Methods,
    Data,
    Loss,
    Study,
    Scale,
}

fn parse_precision(text: &str) -> Result<config::Precision, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl Bench {
    /// Measures this machine.
    ///
    /// # Errors
    /// What plugins or libtorch say; a device or a folder that isn't there.
    pub fn run(self) -> Result<()> {
        self.check()?;
        let _ = open_cuda(self.device);
        native::log_warnings();
        let registry = ExperimentArguments::trusting(self.trust).registry()?;
        let device = resolve_device(self.device, 0)?;
        let threads = cores::cores().len();
        native::set_threads(threads);
        native::products::choose(config::Products::Auto);
        say(&format!("device: {}, {threads} threads", named(&device_name(device))));
        let enough = Duration::from_secs_f64(self.seconds.clamp(0.0, 3600.0));
        let models = if self.model.is_empty() { shapes(device) } else { self.model.clone() };
        let python = (!self.alone).then(|| self.python.clone().or_else(find_python)).flatten();
        let (mut steps, mut rows) = (Steps::default(), Vec::new());
        for round in 1..=self.rounds {
            if self.rounds > 1 {
                say(&format!("round {round} of {}", self.rounds));
            }
            if self.what.contains(&What::Step) {
                steps.extend(self.steps(&registry, device, &models, threads, enough)?);
            }
            let place = Place { registry: &registry, device, threads, models: &models, python: python.as_deref() };
            self.parts(&place, enough, &mut |row: Row| {
                say(&told(&row));
                rows.push(row);
            })?;
        }
        let (products, lines) = steps.told();
        let rate = |row: &Row| row.images_per_second.or(row.seconds.map(|seconds| 1.0 / seconds));
        let rows = middle(rows, |row| (row.part, row.what.clone(), row.by.clone()), rate);
        if !rows.is_empty() {
            let table: Vec<[String; 6]> =
                std::iter::once(HEAD.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
            say("");
            aligned(&table, |column| column < 2).iter().for_each(|line| say(line));
        }
        if let Some(path) = &self.json {
            let all = json!({ "device": named(&device_name(device)), "threads": threads, "products": products,
                              "lines": lines, "rows": rows });
            let text = serde_json::to_string_pretty(&all).expect("figures are plain data");
            fs::write(path, text).map_err(Error::io("write", path))?;
        }
        Ok(())
    }

    /// What is measured beside AMDIM's steps, once.
    fn parts(&self, place: &Place<'_>, enough: Duration, tell: &mut dyn FnMut(Row)) -> Result<()> {
        let Place { registry, device, threads, models, python } = *place;
        let beside = |script: Embedded, of: &str, arguments: &[String], tell: &mut dyn FnMut(Row)| -> Result<()> {
            let Some(python) = python else { return Ok(()) };
            native::memory::let_freed_memory_go(); // for the other process
            script.run(python, of, arguments).map(|rows| rows.into_iter().for_each(tell))
        };
        let seconds = enough.as_secs_f64().to_string();
        if self.what.contains(&What::Methods) {
            let batches = self.batches(&[methods::BATCH]);
            for (&method, &batch) in
                self.method.iter().flat_map(|method| batches.iter().map(move |batch| (method, batch)))
            {
                tell(methods::row(registry, device, method, batch, enough)?);
                let own = [seconds.clone(), device_name(device), threads.to_string(), method.name().to_owned()];
                let sizes = [batch.to_string(), methods::SIZE.to_string()];
                beside(Embedded::METHODS, method.name(), &[&own[..], &sizes[..]].concat(), tell)?;
            }
        }
        if self.what.contains(&What::Data) {
            data::rows(registry, self.data.as_deref(), threads, enough, tell)?;
            let photos = self.data.iter().map(|path| path.display().to_string());
            beside(
                Embedded::DATA,
                Embedded::DATA.part,
                &std::iter::once(seconds.clone()).chain(photos).collect::<Vec<_>>(),
                tell,
            )?;
        }
        // Before large objectives, which leave no file in the system's memory.
        if self.what.contains(&What::Study) {
            study::rows(registry, &device_name(device), tell)?;
            beside(Embedded::START, Embedded::START.part, &[], tell)?;
        }
        if self.what.contains(&What::Loss) {
            let (channels, batches) = (models[0].n_rkhs, self.batches(&loss::BATCHES));
            for name in &self.loss {
                loss::rows(registry, device, name, channels, batches, enough, tell)?;
            }
            if self.loss.iter().any(|name| name == "amdim") {
                let batches: Vec<String> = batches.iter().map(u64::to_string).collect();
                let (device, threads, channels) = (device_name(device), threads.to_string(), channels.to_string());
                beside(
                    Embedded::LOSS,
                    Embedded::LOSS.part,
                    &[seconds, device, threads, channels, batches.join(",")],
                    tell,
                )?;
            }
        }
        if self.what.contains(&What::Scale) {
            say(&format!("a card is taken to do {} (`--card`); exchanges hide behind nothing", self.card));
            scale::rows(registry, device, models, &self.ranks, self.card, tell)?;
        }
        Ok(())
    }

    fn batches<'a>(&'a self, otherwise: &'a [u64]) -> &'a [u64] {
        if self.batch.is_empty() { otherwise } else { &self.batch }
    }

    /// Refuses what could not be measured, before anything is.
    fn check(&self) -> Result<()> {
        if let Some(path) = self.data.as_ref().filter(|path| !path.exists()) {
            let fault = Fault::new(format!("`--data` names `{}`, which is not there", path.display()));
            return Err(Error::config(fault.hint("name a folder of images, or a tar archive of them")));
        }
        if self.data.is_some() && !self.what.contains(&What::Data) {
            let fault = Fault::new("`--data` is for photos, which are not measured");
            return Err(Error::config(fault.hint("add `--what data`")));
        }
        Ok(())
    }
}

/// Where it is measured, and with what.
struct Place<'a> {
    registry: &'a Registry,
    device: Device,
    threads: usize,
    models: &'a [Shape],
    python: Option<&'a Path>,
}

/// A device; a CPU with its model, as the system tells it.
fn named(device: &str) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, model)| model));
    match model.filter(|_| device == "cpu") {
        Some(model) => format!("{device}, {model}"),
        None => device.to_owned(),
    }
}

const HEAD: [&str; 6] = ["what", "by", "images/s", "ms", "peak MiB", ""];

fn cells(row: &Row) -> [String; 6] {
    let or_nothing = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    [
        row.what.clone(),
        row.by.clone(),
        or_nothing(row.images_per_second.map(|rate| format!("{rate:.1}"))),
        or_nothing(row.seconds.map(|seconds| format!("{:.1}", 1000.0 * seconds))),
        or_nothing(row.bytes.map(|bytes| (bytes >> 20).to_string())),
        row.note.clone().or_else(|| row.work.as_ref().map(counted)).unwrap_or_default(),
    ]
}

fn counted(work: &Work) -> String {
    let Work { operations, exchanges, exchanged_bytes } = work;
    format!("{operations:.0} operations, {exchanged_bytes} bytes given to {exchanges} exchanges")
}

fn told(row: &Row) -> String {
    let [what, by, rate, ms, ..] = cells(row);
    let figure = match (&row.note, row.images_per_second) {
        (_, Some(_)) => format!("{rate} images/s"),
        (Some(note), None) => note.clone(),
        (None, None) if row.seconds.is_some() => format!("{ms} ms"),
        (None, None) => row.work.map_or_else(String::new, |work| counted(&work)),
    };
    format!("{what}, {by}: {figure}")
}
