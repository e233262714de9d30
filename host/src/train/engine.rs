//! The loop: steps, tests and checkpoints, until the budget is spent or a signal asks for an end.

use super::{
    budget::Plan,
    cadence::Cadence,
    data::Data,
    evaluate::Tester,
    health::Health,
    input::Input,
    model::Model,
    options::Outcome,
    recorder::{Meanwhile, Recorder},
    setup::Setup,
    signals::Signals,
    step::{Launched, Stepper},
    untrained::untrained_top1,
};
use crate::{
    checkpoint::{RunState, Writer, encoder_file},
    config::Experiment,
    dataset::{Order, OrderedWorkers, TrainBatch},
    distributed::{Ending, Group, Meetingplace, Why, at_step},
    error::{Error, Result},
    optimizer::Schedule,
    record::{ENCODER, History, Identity, Row, wrapped, write_whole},
};
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Updates of the classifiers on the untrained encoder where the budget is in seconds.
const UNTRAINED_STEPS: u64 = 1000;

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) experiment: &'a Experiment,
    /// Where rank 0 leaves its files.
    pub(super) run: Option<&'a Path>,
    pub(super) group: Group,
    pub(super) identity: Identity,
    pub(super) data: Data,
    pub(super) tester: Option<Tester>,
    pub(super) order: Arc<Order>,
    pub(super) schedule: Schedule,
    pub(super) tests: Cadence,
    pub(super) saves: Cadence,
    pub(super) signals: Signals,
    /// Where the processes of this run leave word, where there are several.
    pub(super) place: Option<Meetingplace>,
    /// Whether the budget in seconds is spent, as the processes agreed.
    pub(super) time_is_over: bool,
    pub(super) stepper: Stepper,
    pub(super) model: Model,
    pub(super) writer: Option<Writer>,
    pub(super) recorder: Option<Recorder>,
    pub(super) plan: Plan,
    pub(super) state: RunState,
    /// Steps whose values have not been read: a GPU may still be at them.
    pub(super) unread: Vec<Unread>,
    /// What this rank took by itself in the steps since the last row of metrics.
    pub(super) alone: Duration,
    /// The rank that held the others up until then, and whether that was said.
    pub(super) straggler: Option<(usize, bool)>,
    /// What the process is watched for beside its numbers.
    pub(super) health: Health,
    /// When this process's part of the run began, moved on by what earlier parts took.
    pub(super) began: Instant,
}

/// A step whose values have not been read.
pub(super) struct Unread {
    launched: Launched,
    lr: f64,
    /// Where the run stood after it.
    row: Row,
    is_last: bool,
}

/// A step's data, and how long was waited for it.
type Brought = (Input, Duration);

impl Run<'_> {
    /// Says how often is tested and saved where epochs are too short for it.
    pub(super) fn tell_cadence(&mut self) {
        let epoch = self.order.steps_per_epoch();
        let ends = self.plan.steps.unwrap_or(u64::MAX);
        let stretched = |cadence: Cadence, what: &str, key: &str| {
            let epochs = cadence.stretched.filter(|epochs| epochs * epoch < ends)?;
            Some(format!("{what} every {epochs} epochs, since one is {epoch} updates: `{key}.every_epochs` sets it"))
        };
        let tests = stretched(self.tests, "tests", "evaluation").filter(|_| self.tester.is_some());
        for text in tests.into_iter().chain(stretched(self.saves, "checkpoints", "checkpoint")) {
            self.note(&text);
        }
    }

    /// Trains the classifiers on the untrained encoder, where that is asked for and has not been done.
    pub(super) fn compare_untrained(&mut self, setup: &Setup) -> Result<()> {
        if !self.experiment.evaluation.untrained || !self.state.untrained.is_empty() || self.tester.is_none() {
            return Ok(());
        }
        self.note("first, the same classifiers on the untrained encoder");
        let (Some(tester), Some(classes)) = (&self.tester, self.data.classes()) else { return Ok(()) };
        let steps = self.plan.steps.unwrap_or(UNTRAINED_STEPS);
        let batches = self.data.batches(self.experiment, &self.order, 0..steps);
        let (signals, group) = (self.signals.clone(), self.group.clone());
        let stop = move || Ok(group.agree_on_end(signals.asked(), 0.0)?.0);
        let (recorder, mut meanwhile) = (&mut self.recorder, Meanwhile::new());
        let mut tell = |what: &str, done: u64, of: u64| {
            meanwhile.tell(recorder.as_mut(), || format!("untrained encoder: {what} {done}/{of}"));
        };
        self.state.untrained =
            untrained_top1(setup, self.experiment, classes, batches, steps, tester, &self.schedule, &stop, &mut tell)?;
        let values = self.state.untrained.iter().map(|(name, value)| (format!("untrained_{name}"), *value)).collect();
        self.began = Instant::now();
        let row = Row { values, ..self.row() };
        self.recorder.as_mut().map_or(Ok(()), |recorder| recorder.results(row))
    }

    /// Says what has become of CUDA graphs, and writes it into the run's history.
    pub(super) fn tell_of_graphs(&mut self) -> Result<()> {
        let Some(news) = self.stepper.news_of_graphs() else { return Ok(()) };
        self.note(&wrapped(&news));
        self.run.map_or(Ok(()), |run| History::note_graphs(run, &news))
    }

    /// Says a line beside the display.
    pub(super) fn note(&mut self, text: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(text);
        }
    }

    /// Ends the display with a line.
    pub(super) fn say_last(&mut self, text: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.finish(text);
        }
    }

    /// Trains to the end of the budget.
    pub(super) fn go_on(mut self) -> Result<Outcome> {
        // Only rank 0 sees the mark of the end: what one has left, all have.
        let left = f64::from(u8::from(!self.has_nothing_left()));
        if self.group.gather_numbers(left)?.iter().all(|left| *left == 0.0) {
            self.say_last("this run is finished: nothing left to do");
            return Ok(Outcome { was_finished: true, ..self.outcome() });
        }
        self.unfinish()?;
        let before = Duration::from_secs_f64(self.state.seconds);
        self.began = Instant::now().checked_sub(before).unwrap_or_else(Instant::now);
        let steps = self.state.step..self.plan.steps.unwrap_or(u64::MAX);
        if self.group.agree_on_end(self.signals.asked(), 0.0)?.0 || (self.test_is_due() && !self.test()?) {
            return self.interrupt();
        }
        self.time_is_over = self.plan.is_over(self.state.step, self.state.seconds);
        let ending = self.ending()?;
        let mut batches = self.data.batches(self.experiment, &self.order, steps);
        let mut ahead = None;
        while !self.is_over() {
            let Some(brought) = ahead.take().unwrap_or_else(|| self.bring(&mut batches)) else { break };
            let place = format!("step {}, rank {}", self.state.step, self.group.rank());
            let stop = brought.and_then(|(input, waited)| {
                let launched = self.launch(&input, waited);
                // While a GPU is at this step, the next one's data are on their way to it.
                ahead = self.reads_late().then(|| self.bring(&mut batches));
                launched.and_then(|()| self.after_step(&ending))
            });
            if stop.map_err(|error| error.during(&place))? {
                drop(batches);
                return self.interrupt();
            }
        }
        drop(batches);
        if self.state.tested != Some(self.state.step) && !self.test()? {
            return self.interrupt();
        }
        self.save()?;
        self.finish()
    }

    /// How the end is agreed on.
    fn ending(&self) -> Result<Ending> {
        let signals = self.signals.clone();
        let Some(place) = self.place.clone() else { return Ok(Ending::alone(signals)) };
        // Rank 0's clock is the run's.
        let (began, seconds) = (self.began, self.plan.seconds.filter(|_| self.group.leads()));
        let is_over = move || seconds.is_some_and(|planned| began.elapsed().as_secs_f64() >= planned);
        // The loop begins one update without asking.
        let ending = Ending::among(place, signals, self.state.step + 1, is_over);
        ending.map_err(|message| Error::exchange("agree on an end", message))
    }

    /// Whether the budget is spent; of several processes each has its own clock, so one in seconds is over when they agree.
    fn is_over(&self) -> bool {
        let seconds = if self.place.is_none() { self.state.seconds } else { 0.0 };
        self.time_is_over || self.plan.is_over(self.state.step, seconds)
    }

    /// The next step's data; none after the last one.
    fn bring(&self, batches: &mut OrderedWorkers<TrainBatch>) -> Option<Result<Brought>> {
        let asked = Instant::now();
        let batch = batches.next()?;
        let waited = asked.elapsed();
        Some(batch.and_then(|batch| Ok((self.stepper.bring(&batch, self.model.device)?, waited))))
    }

    /// Whether an earlier process has come to this run's end: the encoder is written last.
    pub(super) fn has_nothing_left(&self) -> bool {
        let is_finished = self.run.is_none_or(|run| run.join(ENCODER).exists());
        self.plan.is_over(self.state.step, self.state.seconds) && is_finished
    }

    /// Removes the mark of an end that is none any more.
    fn unfinish(&self) -> Result<()> {
        let Some(path) = self.run.map(|run| run.join(ENCODER)) else { return Ok(()) };
        if path.exists() { fs::remove_file(&path).map_err(Error::io("remove", path)) } else { Ok(()) }
    }

    /// Whether the test after the last step is still to be made: a signal came before it was done.
    fn test_is_due(&self) -> bool {
        self.tests.is_due(self.state.step) && self.state.tested != Some(self.state.step)
    }

    /// Whether values are read many steps at once: reading them waits for a GPU.
    fn reads_late(&self) -> bool {
        self.model.device.is_cuda()
    }

    /// Gives one update to the device.
    fn launch(&mut self, input: &Input, waited: Duration) -> Result<()> {
        at_step(input.step);
        let lr = self.schedule.lr(input.step, input.epoch);
        let began = Instant::now();
        let launched = match self.stepper.launch(&mut self.model, input, lr) {
            Ok(launched) => launched,
            Err(error) => {
                // What came before may say why.
                if let Err(earlier) = self.read() {
                    log::warn!("{earlier}");
                }
                return Err(error);
            }
        };
        self.tell_of_graphs()?;
        self.look_after(began.elapsed() + waited);
        self.let_writer_follow(input.step + 1)?;
        self.state.step = input.step + 1;
        self.alone += waited + launched.alone;
        if let Some(recorder) = &mut self.recorder {
            recorder.count(waited);
        }
        self.unread.push(Unread { launched, lr, row: Row::default(), is_last: false });
        Ok(())
    }

    /// What is due after an update; whether a signal has asked some rank for an end.
    fn after_step(&mut self, ending: &Ending) -> Result<bool> {
        self.state.seconds = self.began.elapsed().as_secs_f64();
        let end = ending.after(self.state.step);
        let stop = end == Some(Why::Asked);
        self.time_is_over |= end == Some(Why::Time);
        let is_last = self.is_over();
        let row = self.row();
        if let Some(unread) = self.unread.last_mut() {
            (unread.row, unread.is_last) = (row, is_last);
        }
        let tests = self.test_is_due();
        let mut saves = self.saves.is_due(self.state.step);
        let logs = self.logs_after(self.state.step);
        if !self.reads_late() || logs || is_last || stop || tests || saves {
            self.read()?;
        } else {
            let row = self.row();
            if let Some(recorder) = &mut self.recorder {
                recorder.show(&row, &self.state.results);
            }
        }
        self.compare_ranks()?;
        if stop {
            return Ok(true);
        }
        if tests {
            if !self.test()? {
                return Ok(true);
            }
            saves |= self.experiment.checkpoint.keep_best > 0;
        }
        if saves && !is_last {
            self.save()?;
        }
        Ok(false)
    }

    /// Whether a row of metrics is due: after the first update, so that curves begin there, and every so many.
    fn logs_after(&self, step: u64) -> bool {
        step == 1 || step.is_multiple_of(self.experiment.train.log_every_steps)
    }

    /// Reads what the steps since the last reading gave, and tells what is to be told of each.
    fn read(&mut self) -> Result<()> {
        let unread = std::mem::take(&mut self.unread);
        let outcomes = Launched::read(unread.iter().map(|unread| &unread.launched))?;
        for (Unread { launched, lr, row, is_last }, outcome) in unread.into_iter().zip(outcomes) {
            match &outcome.skipped {
                Some(_) if outcome.overflowed => self.state.skipped += 1,
                Some(name) => self.skip(launched.step, name)?,
                None => self.state.skipped_in_a_row = 0,
            }
            let tells = self.logs_after(row.step) || is_last || outcome.skipped.is_some();
            if let Some(recorder) = &mut self.recorder {
                recorder.saw(&outcome);
                if row.step == self.state.step {
                    recorder.show(&row, &self.state.results);
                }
                if tells {
                    recorder.metrics(row, &outcome, lr, self.state.skipped)?;
                }
            }
        }
        Ok(())
    }

    /// Whether it came to its end: not where a signal asked for another.
    fn test(&mut self) -> Result<bool> {
        if self.tester.is_some() {
            self.model.share_buffers(&self.group)?;
        }
        if let (Some(tester), Some(classifiers)) = (&self.tester, self.model.classifiers.take()) {
            let (recorder, mut meanwhile) = (&mut self.recorder, Meanwhile::new());
            let step = self.state.step;
            let mut tell = |done: u64, of: u64| {
                meanwhile.tell(recorder.as_mut(), || format!("testing after step {step}: image {done}/{of}"));
            };
            let tested = tester.test(&mut self.model, &classifiers, &mut tell);
            self.model.classifiers = Some(classifiers);
            let Some(results) = tested? else { return Ok(false) };
            self.state.results = results;
            self.look_for_collapse()?;
            let values = self.state.results.clone();
            let row = Row { values, ..self.row() };
            if let Some(recorder) = &mut self.recorder {
                recorder.results(row)?;
                if self.experiment.record.plot {
                    recorder.draw(&self.state.untrained)?;
                }
            }
        }
        self.state.tested = Some(self.state.step);
        Ok(true)
    }

    fn interrupt(mut self) -> Result<Outcome> {
        self.save()?;
        self.wait_for_writer()?;
        self.say_last(&format!("interrupted after step {}", self.state.step));
        Err(Error::Interrupted { step: self.state.step, run: self.run.map(Path::to_owned) })
    }

    fn finish(mut self) -> Result<Outcome> {
        let bad_images = self.group.gather_numbers(self.data.source.quarantine().count() as f64)?.iter().sum::<f64>();
        self.wait_for_writer()?;
        if let (Some(run), Some(recorder)) = (self.run, &mut self.recorder) {
            if self.experiment.record.plot {
                recorder.draw(&self.state.untrained)?;
            }
            // Last, and whole or not at all: it says that the run is finished.
            write_whole(&run.join(ENCODER), &encoder_file(&self.model)?)?;
        }
        if !self.schedule.is_warm(self.state.step) {
            self.note("the run ended within the warm-up: the learning rate never reached `optimizer.lr`");
        }
        self.say_last("done");
        Ok(Outcome { bad_images: bad_images as usize, ..self.outcome() })
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            step: self.state.step,
            results: self.state.results.clone(),
            untrained: self.state.untrained.clone(),
            bad_images: self.data.source.quarantine().count(),
            skipped_steps: self.state.skipped,
            was_finished: false,
        }
    }

    fn row(&self) -> Row {
        let epoch = self.order.epoch(self.state.step.saturating_sub(1));
        Row { step: self.state.step, epoch, seconds: self.state.seconds, values: Vec::new() }
    }
}
