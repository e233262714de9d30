//! Steps: a line a model and number format, beside PyTorch's.

use super::{Bench, say};
use crate::{
    bench::{Measured, Peer, Shape, find_python, is_out_of_memory, matrix_rate, measure, middle, precisions},
    config,
    error::{Error, Fault, Result},
    plugin::Registry,
    rows::aligned,
};
use serde_json::{Value, json};
use std::time::Duration;
use tch::Device;

/// A line of the table.
struct Line {
    what: String,
    shape: Shape,
    measured: Option<Measured>,
    images_per_second: Option<f64>,
    share: Option<f64>,
}

/// Multiplications and additions a second of one large product in a number format.
pub(super) struct Product {
    precision: config::Precision,
    rate: f64,
}

/// What rounds gave.
#[derive(Default)]
pub(super) struct Steps {
    products: Vec<Product>,
    lines: Vec<Line>,
}

impl Steps {
    pub(super) fn extend(&mut self, more: Self) {
        self.products.extend(more.products);
        self.lines.extend(more.lines);
    }

    /// Prints the table of each line's middle round, and gives what the JSON says of products and lines.
    pub(super) fn told(self) -> (Vec<Value>, Vec<Value>) {
        let products = middle(self.products, |product| product.precision, |product| Some(product.rate));
        let key = |line: &Line| (line.shape, line.what.clone());
        let lines = middle(self.lines, key, |line| line.images_per_second);
        if !lines.is_empty() {
            let table: Vec<[String; 6]> =
                std::iter::once(HEAD.map(str::to_owned)).chain(lines.iter().map(cells)).collect();
            say("");
            aligned(&table, |column| column < 2).iter().for_each(|line| say(line));
        }
        let of_line = |line: &Line| {
            json!({ "what": line.what, "model": line.shape.to_string(), "images_per_second": line.images_per_second,
                    "share": line.share, "step": line.measured })
        };
        let of_product = |product: &Product| json!({ "precision": product.precision, "rate": product.rate });
        (products.iter().map(of_product).collect(), lines.iter().map(of_line).collect())
    }
}

impl Bench {
    /// Measures them once.
    pub(super) fn steps(
        &self,
        registry: &Registry,
        device: Device,
        models: &[Shape],
        threads: usize,
        enough: Duration,
    ) -> Result<Steps> {
        let precisions = if self.precision.is_empty() { precisions(device) } else { self.precision.clone() };
        let mut steps = Steps::default();
        for &precision in &precisions {
            let rate = matrix_rate(device, precision)?;
            say(&format!("one large product in {precision}: {:.3} TFLOP/s", rate / 1e12));
            steps.products.push(Product { precision, rate });
        }
        let lines = &mut steps.lines;
        for &shape in models {
            for &Product { precision, rate } in &steps.products {
                // Beside each line of a GPU's, the same steps as CUDA graphs.
                for graphs in [false, true].into_iter().filter(|graphs| device.is_cuda() || !graphs) {
                    let line = Self::line(registry, device, shape, precision, graphs, rate, enough)?;
                    say(&told(&line));
                    let graphs = line.measured.as_ref().and_then(|measured| measured.graphs.as_ref());
                    graphs.into_iter().for_each(|news| say(&format!("    {news}")));
                    lines.push(line);
                }
            }
            if let Some(&Product { precision, rate }) =
                steps.products.last().filter(|_| self.largest && device.is_cuda())
            {
                let mut larger = Shape { batch: shape.batch * 2, ..shape };
                loop {
                    let line = Self::line(registry, device, larger, precision, false, rate, enough)?;
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
        Ok(steps)
    }

    /// One model in one number format; without figures where the device's memory is too small.
    fn line(
        registry: &Registry,
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
        let Some(python) = self.python.clone().or_else(find_python) else {
            let fault = Fault::new("no Python with torch is found for `--peer`");
            return Err(Error::config(fault.hint("name one with `--python`")));
        };
        let variants = self.variants.clone().unwrap_or_else(|| Peer::variants(device).to_owned());
        Peer { python, script, variants }.run(device, shape, threads)
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
