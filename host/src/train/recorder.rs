//! What a run leaves behind as it goes: metrics, the display, the curves.

use super::{budget::Plan, step::StepOutcome};
use crate::{
    console::log_course,
    error::Result,
    record::{Curves, EventFile, METRICS, MetricsFile, Progress, Row, Status, TENSORBOARD, read_metrics, write_whole},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Between two plain lines where nobody looks at a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Something that takes long beside the steps: a line on it now and then.
pub struct Meanwhile(Instant);

impl Meanwhile {
    /// It begins.
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Says where it is, unless it has just begun or been told of.
    pub fn tell(&mut self, recorder: Option<&mut Recorder>, text: impl FnOnce() -> String) {
        let Some(recorder) = recorder else { return };
        if self.0.elapsed() >= LINE_EVERY {
            self.0 = Instant::now();
            recorder.progress.meanwhile(&text());
        }
    }
}

/// Writes metrics and shows progress.
pub struct Recorder {
    run: PathBuf,
    title: String,
    metrics: MetricsFile,
    /// TensorBoard's.
    events: Option<EventFile>,
    progress: Progress,
    plan: Plan,
    batch_size: u64,
    window: Window,
    /// The values that were read last.
    seen: Vec<(String, f64)>,
}

/// Time since the last row of metrics.
struct Window {
    start: Instant,
    steps: u64,
    waited: Duration,
    /// Time in which training waited for checkpoints.
    stalled: Duration,
}

impl Window {
    fn new() -> Self {
        Self { start: Instant::now(), steps: 0, waited: Duration::ZERO, stalled: Duration::ZERO }
    }
}

impl Recorder {
    /// Opens a run's metrics; those after `step` are dropped.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn open(run: &Path, title: &str, plan: Plan, batch_size: u64, every_steps: u64, step: u64) -> Result<Self> {
        let mut metrics = MetricsFile::open(&run.join(METRICS))?;
        metrics.truncate_after(step)?;
        let progress = Progress::new(every_steps, LINE_EVERY);
        let window = Window::new();
        let (run, title) = (run.to_owned(), title.to_owned());
        Ok(Self { run, title, metrics, events: None, progress, plan, batch_size, window, seen: Vec::new() })
    }

    /// Writes TensorBoard's event files too, from the first row on. `began`: in seconds since 1970.
    ///
    /// # Errors
    /// The system's, with the path; metrics that can't be read.
    pub fn with_tensorboard(mut self, began: u64) -> Result<Self> {
        let rows = read_metrics(&self.run.join(METRICS))?;
        self.events = Some(EventFile::create(&self.run.join(TENSORBOARD), began, &rows)?);
        Ok(self)
    }

    /// Says a line beside the display, and in the run's log.
    pub fn note(&mut self, text: &str) {
        log_course(text);
        self.progress.note(text);
    }

    /// Counts time in which training waited for a checkpoint.
    pub fn stalled(&mut self, time: Duration) {
        self.window.stalled += time;
    }

    /// Counts a step and what was waited for its data.
    pub fn count(&mut self, waited: Duration) {
        self.window.steps += 1;
        self.window.waited += waited;
    }

    /// Takes the values of a step that are shown from now on.
    pub fn saw(&mut self, outcome: &StepOutcome) {
        self.seen.clone_from(&outcome.values);
    }

    /// Shows where the run stands, with the values that were read last.
    pub fn show(&mut self, at: &Row, results: &[(String, f64)]) {
        let seconds = self.window.start.elapsed().as_secs_f64().max(1e-9);
        let terms: Vec<(&str, f64)> = self.seen.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let per_step = seconds / self.window.steps.max(1) as f64;
        self.progress.update(&Status {
            step: at.step,
            total_steps: self.plan.steps,
            terms: &terms,
            linear_top1: results.iter().find(|(name, _)| name == "linear_top1").map(|&(_, value)| value),
            images_per_second: self.batch_size as f64 / per_step,
            seconds_left: Some(self.plan.seconds_left(at.step, at.seconds, per_step)),
            waiting_for_data: self.window.waited.as_secs_f64() / seconds,
        });
    }

    /// Writes a row with the values of a step and the pace since the last such row.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn metrics(&mut self, mut row: Row, outcome: &StepOutcome, lr: f64, skipped: u64) -> Result<()> {
        let seconds = self.window.start.elapsed().as_secs_f64().max(1e-9);
        row.values = outcome.values.clone();
        row.values.push(("lr".to_owned(), lr));
        row.values.push(("skipped_steps".to_owned(), skipped as f64));
        row.values.push(("images_per_second".to_owned(), (self.window.steps * self.batch_size) as f64 / seconds));
        row.values.push(("waiting_for_data".to_owned(), self.window.waited.as_secs_f64() / seconds));
        row.values.push(("checkpoint_stall_seconds".to_owned(), self.window.stalled.as_secs_f64()));
        self.restart_window();
        self.append(&row)
    }

    /// Writes a row with the results of a test, which don't count as training time.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn results(&mut self, row: Row) -> Result<()> {
        let named = |(name, value): &(String, f64)| {
            let unit = if name.ends_with("_top1") { " %" } else { "" };
            format!("{name} {value:.2}{unit}")
        };
        let text: Vec<_> = row.values.iter().map(named).collect();
        self.note(&format!("step {}: {}", row.step, text.join(" · ")));
        self.restart_window();
        self.append(&row)
    }

    fn append(&mut self, row: &Row) -> Result<()> {
        self.metrics.append(row)?;
        Ok(self.events.as_mut().map_or(Ok(()), |events| events.append(row))?)
    }

    fn restart_window(&mut self) {
        self.window = Window::new();
    }

    /// Draws the curves so far as `curves.png`.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn draw(&self, untrained: &[(String, f64)]) -> Result<()> {
        let mut rows = read_metrics(&self.run.join(METRICS))?;
        // The untrained encoder's results are the dashed lines.
        rows.iter_mut().for_each(|row| row.values.retain(|(name, _)| !name.starts_with("untrained_")));
        let accuracies = untrained.iter().filter(|(name, _)| name.ends_with("_top1"));
        let untrained: Vec<(&str, f64)> = accuracies.map(|(name, value)| (name.as_str(), *value)).collect();
        let png = Curves { title: &self.title, rows: &rows, untrained: &untrained }.to_png()?;
        let path = self.run.join("curves.png");
        write_whole(&path, &png)
    }

    /// Ends the display.
    pub fn finish(&mut self, text: &str) {
        log_course(text);
        self.progress.finish(text);
    }
}
