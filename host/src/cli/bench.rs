//! `infomax bench`.

use super::{
    experiment::{ExperimentArguments, Trust},
    say,
    selfcheck::parse_device,
};
use crate::{
    bench::{Measured, Peer, Shape, is_out_of_memory, matrix_rate, measure, precisions, shapes},
    config, cores,
    error::{Error, Result},
    native,
    rows::aligned,
    train::{device_name, open_cuda, resolve_device},
};
use clap::Args;
use serde_json::json;
use std::{fs, path::PathBuf, time::Duration};
use tch::Device;

/// Arguments of `infomax bench`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax bench --device cuda --largest --json bench.json\n\n\
A step is both views through the encoder, the objective, both classifiers, backward and Adam, on noise; loading is left out. On\n\
a GPU each is measured without and with `train.cuda_graphs`. The share is that of the products and convolutions a second in those of one large product in the same number format.")]
pub struct Bench {
    /// `cpu`, `cuda` or `cuda:N`; the first GPU if there is one
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    device: config::Device,
    /// AMDIM models as `SIZE:NDF/N_RKHS/DEPTH@BATCH`; the published ones on a GPU, small ones on a CPU, where not given
    #[arg(long, value_name = "MODEL")]
    model: Vec<Shape>,
    /// Number formats, such as `f32` or `bf16`; all that the device has where not given
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = parse_precision)]
    precision: Vec<config::Precision>,
    /// Seconds of steps for each line
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// Look for the largest batch that fits too, by doubling, in the last number format
    #[arg(long)]
    largest: bool,
    /// A script that makes the same steps in PyTorch (`bench_step.py`), run beside
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// The Python that runs it: one with torch
    #[arg(long, value_name = "FILE", requires = "peer")]
    python: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
    /// Write the results as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn parse_precision(text: &str) -> Result<config::Precision, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// A line of the table.
struct Line {
    what: String,
    shape: Shape,
    measured: Option<Measured>,
    images_per_second: Option<f64>,
    share: Option<f64>,
}

impl Bench {
    /// Measures this machine.
    ///
    /// # Errors
    /// What plugins or libtorch say; a device that isn't there.
    pub fn run(self) -> Result<()> {
        let _ = open_cuda(self.device);
        native::log_warnings();
        let registry = ExperimentArguments::trusting(self.trust).registry()?;
        let device = resolve_device(self.device, 0)?;
        let threads = cores::cores().len();
        native::set_threads(threads);
        native::products::choose(config::Products::Auto);
        let precisions = if self.precision.is_empty() { precisions(device) } else { self.precision.clone() };
        let models = if self.model.is_empty() { shapes(device) } else { self.model.clone() };
        say(&format!("device: {}, {threads} threads", device_name(device)));
        let mut rates = Vec::new();
        for &precision in &precisions {
            let rate = matrix_rate(device, precision)?;
            say(&format!("one large product in {precision}: {:.3} TFLOP/s", rate / 1e12));
            rates.push((precision, rate));
        }
        let enough = Duration::from_secs_f64(self.seconds.clamp(0.0, 3600.0));
        let mut lines = Vec::new();
        for shape in models {
            for &(precision, rate) in &rates {
                // Beside each line of a GPU's, the same steps as CUDA graphs.
                for graphs in [false, true].into_iter().filter(|graphs| device.is_cuda() || !graphs) {
                    let line = Self::line(&registry, device, shape, precision, graphs, rate, enough)?;
                    say(&told(&line));
                    let graphs = line.measured.as_ref().and_then(|measured| measured.graphs.as_ref());
                    graphs.into_iter().for_each(|news| say(&format!("    {news}")));
                    lines.push(line);
                }
            }
            if let Some(&(precision, rate)) = rates.last().filter(|_| self.largest && device.is_cuda()) {
                let mut larger = Shape { batch: shape.batch * 2, ..shape };
                loop {
                    let line = Self::line(&registry, device, larger, precision, false, rate, enough)?;
                    say(&told(&line));
                    let fits = line.measured.is_some();
                    lines.push(line);
                    if !fits {
                        break;
                    }
                    larger.batch *= 2;
                }
            }
            for (variant, images_per_second) in self.peer(device, shape, threads)? {
                let what = format!("PyTorch {variant}");
                let line =
                    Line { what, shape, measured: None, images_per_second: Some(images_per_second), share: None };
                say(&told(&line));
                lines.push(line);
            }
        }
        let table: Vec<[String; 6]> = std::iter::once(HEAD.map(str::to_owned)).chain(lines.iter().map(cells)).collect();
        say("");
        aligned(&table, |column| column < 2).iter().for_each(|line| say(line));
        if let Some(path) = &self.json {
            let of_line = |line: &Line| {
                json!({ "what": line.what, "model": line.shape.to_string(), "images_per_second": line.images_per_second,
                        "share": line.share, "step": line.measured })
            };
            let rates: Vec<_> =
                rates.iter().map(|(precision, rate)| json!({ "precision": precision, "rate": rate })).collect();
            let all = json!({ "device": device_name(device), "threads": threads, "products": rates,
                              "lines": lines.iter().map(of_line).collect::<Vec<_>>() });
            let text = serde_json::to_string_pretty(&all).expect("figures are plain data");
            fs::write(path, text).map_err(Error::io("write", path))?;
        }
        Ok(())
    }

    /// One model in one number format; without figures where the device's memory is too small.
    fn line(
        registry: &crate::plugin::Registry,
        device: Device,
        shape: Shape,
        precision: config::Precision,
        graphs: bool,
        rate: f64,
        enough: Duration,
    ) -> Result<Line> {
        let measured = match measure(registry, device, shape, precision, graphs, enough) {
            Ok(measured) => Some(measured),
            Err(error) if is_out_of_memory(&error) => None,
            Err(error) => return Err(error),
        };
        let share = measured.as_ref().map(|m| m.operations / m.seconds_per_step / rate);
        let images_per_second = measured.as_ref().map(|m| m.images_per_second);
        let what = if graphs { format!("{precision}, CUDA graphs") } else { precision.to_string() };
        Ok(Line { what, shape, measured, images_per_second, share })
    }

    fn peer(&self, device: Device, shape: Shape, threads: usize) -> Result<Vec<(String, f64)>> {
        let Some(script) = self.peer.clone() else { return Ok(Vec::new()) };
        let Some(python) = self.python.clone().or_else(crate::bench::find_python) else {
            let fault = crate::error::Fault::new("no Python with torch is found for `--peer`");
            return Err(Error::config(fault.hint("name one with `--python`")));
        };
        Peer { python, script }.run(device, shape, threads)
    }
}

const HEAD: [&str; 6] = ["model", "what", "images/s", "ms a step", "share of a product", "peak MiB"];

fn cells(line: &Line) -> [String; 6] {
    let or_nothing = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let measured = line.measured.as_ref();
    let fits = line.images_per_second.map(|rate| format!("{rate:.1}")).unwrap_or_else(|| "out of memory".to_owned());
    [
        line.shape.to_string(),
        line.what.clone(),
        fits,
        or_nothing(measured.map(|m| format!("{:.1}", 1000.0 * m.seconds_per_step))),
        or_nothing(line.share.map(|share| format!("{:.0} %", 100.0 * share))),
        or_nothing(measured.and_then(|m| m.peak_bytes).map(|bytes| (bytes >> 20).to_string())),
    ]
}

fn told(line: &Line) -> String {
    let [model, what, rate, ..] = cells(line);
    format!("{model} {what}: {rate} images/s")
}
