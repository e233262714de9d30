//! What a run says as it goes: a moving display on a terminal, plain lines elsewhere.
//!
//! Nobody listening is no reason to stop: what can't be written is dropped.

use crate::console::log_meanwhile;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    fmt,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often the moving display changes.
const REFRESH: Duration = Duration::from_millis(100);

/// Where a run stands.
#[derive(Clone, Debug, Default)]
pub struct Status<'a> {
    /// Optimizer updates done.
    pub step: u64,
    /// Optimizer updates planned, where the budget tells.
    pub total_steps: Option<u64>,
    /// The loss and its terms.
    pub terms: &'a [(&'a str, f64)],
    /// The last test of the linear classifier, in percent.
    pub linear_top1: Option<f64>,
    /// Images trained on per second.
    pub images_per_second: f64,
    /// Estimated time to the end.
    pub seconds_left: Option<f64>,
    /// Share of the time, 0 to 1, in which training waited for images.
    pub waiting_for_data: f64,
}

impl Status<'_> {
    fn steps(&self) -> String {
        let total = self.total_steps.map(|total| format!("/{total}")).unwrap_or_default();
        format!("step {}{total}", self.step)
    }

    fn results(&self) -> String {
        let term = |(name, value): &(&str, f64)| format!("{} {value:.4}", name.strip_prefix("loss/").unwrap_or(name));
        let top1 = self.linear_top1.map(|top1| format!("linear_top1 {top1:.1} %"));
        self.terms.iter().map(term).chain(top1).collect::<Vec<_>>().join(" · ")
    }

    fn pace(&self) -> String {
        let left = self.seconds_left.map(|seconds| format!("{} left", duration(seconds)));
        let parts = [Some(format!("{:.0} images/s", self.images_per_second)), left];
        let waiting = format!("waiting for data {:.0} %", self.waiting_for_data * 100.0);
        parts.into_iter().flatten().chain([waiting]).collect::<Vec<_>>().join(" · ")
    }
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.steps(), self.results(), self.pace()];
        f.write_str(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "))
    }
}

/// Says where a run stands.
pub struct Progress {
    display: Display,
}

enum Display {
    Terminal { bar: ProgressBar, drawn: Option<Instant> },
    Lines { out: Box<dyn Write + Send>, every_steps: u64, every: Duration, said: Option<(u64, Instant)> },
}

impl Progress {
    /// A moving display where standard output and standard error are a terminal; else a line on standard output every
    /// `every_steps` steps, and at the latest after `every`.
    pub fn new(every_steps: u64, every: Duration) -> Self {
        if !(io::stdout().is_terminal() && io::stderr().is_terminal()) {
            return Self::lines(Box::new(io::stdout()), every_steps, every);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self { display: Display::Terminal { bar, drawn: None } }
    }

    /// Plain lines.
    pub fn lines(out: Box<dyn Write + Send>, every_steps: u64, every: Duration) -> Self {
        Self { display: Display::Lines { out, every_steps: every_steps.max(1), every, said: None } }
    }

    /// Says where the run stands, unless it has just done so. Cheap enough for every step.
    pub fn update(&mut self, status: &Status<'_>) {
        match &mut self.display {
            Display::Terminal { bar, drawn } => {
                if drawn.is_some_and(|last| last.elapsed() < REFRESH) {
                    return;
                }
                if drawn.is_none() {
                    bar.set_style(style(status.total_steps.is_some()));
                }
                *drawn = Some(Instant::now());
                if let Some(total) = status.total_steps {
                    bar.set_length(total);
                }
                bar.set_prefix(format!("{} · {}", status.steps(), status.pace()));
                bar.set_message(status.results());
                bar.set_position(status.step);
            }
            Display::Lines { out, every_steps, every, said } => {
                let due = said.is_none_or(|(step, time)| {
                    status.step / *every_steps > step / *every_steps || time.elapsed() >= *every
                });
                if due {
                    *said = Some((status.step, Instant::now()));
                    say(out, &wrapped(&status.to_string()));
                }
            }
        }
    }

    /// Says where something is that is not a step: in the run's log, and in the moving display's own line, which the next step takes
    /// back.
    pub fn meanwhile(&mut self, text: &str) {
        log_meanwhile(text);
        match &mut self.display {
            Display::Terminal { bar, drawn: Some(_) } => bar.set_message(text.to_owned()),
            _ => self.note(text),
        }
    }

    /// Says something once, such as a warning or a test's result.
    pub fn note(&mut self, text: &str) {
        match &mut self.display {
            Display::Terminal { bar, .. } => bar.suspend(|| say(&mut io::stdout(), text)),
            Display::Lines { out, .. } => say(out, text),
        }
    }

    /// Takes the display away and says how it ended.
    pub fn finish(&mut self, text: &str) {
        if let Display::Terminal { bar, .. } = &self.display {
            bar.finish_and_clear();
        }
        self.note(text);
    }
}

/// A line of parts (` · `), on several lines where it is wider than most windows.
pub fn wrapped(line: &str) -> String {
    const COLUMNS: usize = 100;
    let mut text = String::new();
    let mut width = 0;
    for part in line.split(" · ") {
        let length = part.chars().count();
        if width > 0 && width + 3 + length > COLUMNS {
            text.push_str("\n  ");
            width = 2;
        } else if width > 0 {
            text.push_str(" · ");
            width += 3;
        }
        text.push_str(part);
        width += length;
    }
    text
}

fn style(has_end: bool) -> ProgressStyle {
    // Two lines, so that both fit 80 columns.
    let first = if has_end { "{bar:12.cyan/dim} {percent:>3} %" } else { "{spinner}" };
    let template = format!("{first}  {{prefix}}\n  {{wide_msg}}");
    ProgressStyle::with_template(&template).expect("the template is one").progress_chars("━╸━")
}

/// A reader that has gone away, or a full disk, is no reason to stop training.
fn say(out: &mut dyn Write, text: &str) {
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// `47 s`, `12 min`, `3 h 05 min`, `2 d 04 h`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", (seconds + 30) / 60),
        7200..172_800 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn lines_come_every_so_many_steps_and_say_everything() {
        let kept = Kept::default();
        let mut progress = Progress::lines(Box::new(kept.clone()), 10, Duration::from_secs(3600));
        let terms = [("loss", 5.25), ("loss/g2l_1t5", f64::NAN)];
        for step in 1..=35 {
            let status = Status {
                step,
                total_steps: Some(1500),
                terms: &terms,
                linear_top1: Some(34.21),
                images_per_second: 812.4,
                seconds_left: Some(200.0),
                waiting_for_data: 0.021,
            };
            progress.update(&status);
        }
        progress.finish("done");
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 9); // steps 1, 10, 20, 30, each on two lines, and the end
        assert_eq!(
            lines[2..4],
            [
                "step 10/1500 · loss 5.2500 · g2l_1t5 NaN · linear_top1 34.2 % · 812 images/s · 3 min left",
                "  waiting for data 2 %"
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 100));
        assert_eq!(lines[8], "done");
    }

    #[test]
    fn closed_output_changes_nothing() {
        let mut progress = Progress::lines(Box::new(Closed), 1, Duration::ZERO);
        for step in 0..100 {
            progress.update(&Status { step, ..Status::default() });
        }
        progress.note("still here");
        progress.finish("done");
    }

    #[test]
    fn moving_display_without_a_terminal_changes_nothing() {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let mut progress = Progress { display: Display::Terminal { bar, drawn: None } };
        progress.update(&Status { step: 1, total_steps: Some(10), ..Status::default() });
        progress.finish("done");
    }

    #[test]
    fn durations_are_readable() {
        let texts: Vec<_> = [5.2, 119.0, 150.0, 7260.0, 200_000.0, -1.0].map(duration).into();
        assert_eq!(texts, ["5 s", "119 s", "3 min", "2 h 01 min", "2 d 07 h", "0 s"]);
    }
}
