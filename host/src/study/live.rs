//! What a driver says as it goes: a live table on a terminal, a line for each event elsewhere.

use super::driver::standing;
use crate::record::duration;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use infomax_desk::study::Failure;
use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

const REFRESH: Duration = Duration::from_millis(250);

/// What a driver says.
pub struct Live {
    table: Option<Table>,
    cells: usize,
    done: usize,
    failed: usize,
    slots: usize,
    /// Seconds that the cells trained here took.
    seconds: Vec<f64>,
}

struct Table {
    all: MultiProgress,
    total: ProgressBar,
    rows: Vec<(ProgressBar, Option<PathBuf>)>,
    drawn: Instant,
}

impl Live {
    /// A live table where standard output and standard error are a terminal, else lines.
    pub fn new(slots: usize) -> Self {
        let is_terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        let table = is_terminal.then(|| Table::new(slots, ProgressDrawTarget::stderr()));
        Self { table, cells: 0, done: 0, failed: 0, slots, seconds: Vec::new() }
    }

    /// How much there is, and how much of it is done and failed.
    pub fn begin(&mut self, cells: usize, done: usize, failed: usize) {
        (self.cells, self.done, self.failed) = (cells, done, failed);
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        self.note(&format!("{}: {done} done{failed}, {} to do, {} at once", counted(cells), self.left(), self.slots));
        if let Some(table) = &self.table {
            table.total.set_length(cells as u64);
        }
    }

    /// A cell begins, or goes on.
    pub fn started(&mut self, slot: usize, number: usize, title: &str, output: PathBuf) {
        match &mut self.table {
            Some(table) => {
                let (bar, file) = &mut table.rows[slot];
                bar.reset_elapsed();
                bar.set_prefix(format!("{number:>4}  {title}"));
                bar.set_message("starting");
                *file = Some(output);
            }
            None => self.note(&format!("cell {number} starts: {title}")),
        }
    }

    /// A cell is done.
    pub fn done(&mut self, slot: usize, number: usize, title: &str, seconds: f64, result: Option<&str>) {
        self.done += 1;
        self.seconds.push(seconds);
        let result = result.map(|result| format!(", {result}")).unwrap_or_default();
        self.ended(slot, &format!("cell {number} is done in {}{result}: {title}{}", duration(seconds), self.rest()));
    }

    /// A cell turns out to be done by somebody else.
    pub fn was_done(&mut self, number: usize) {
        self.done += 1;
        self.note(&format!("cell {number} was done elsewhere"));
    }

    /// A cell failed.
    pub fn failed(&mut self, slot: usize, number: usize, title: &str, failure: &Failure) {
        self.failed += 1;
        self.ended(slot, &format!("cell {number} failed, {}: {title}\n{}", failure.how(), indented(&failure.told)));
    }

    /// A cell was interrupted.
    pub fn stopped(&mut self, slot: usize, number: usize, title: &str) {
        self.ended(slot, &format!("cell {number} is interrupted, its state is saved: {title}"));
    }

    /// Says something once. Nobody reading is no reason to stop.
    pub fn note(&self, text: &str) {
        let say = || {
            let mut out = io::stdout();
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        };
        match &self.table {
            Some(table) => table.all.suspend(say),
            None => say(),
        }
    }

    /// Looks at the cells' own words, now and then.
    pub fn update(&mut self) {
        let (rest, cells) = (self.rest(), (self.done, self.cells, self.failed));
        let Some(table) = self.table.as_mut().filter(|table| table.drawn.elapsed() >= REFRESH) else { return };
        table.drawn = Instant::now();
        for (bar, file) in &table.rows {
            if let Some(file) = file {
                bar.set_message(standing(file));
            }
            bar.tick();
        }
        let (done, all, failed) = cells;
        let failed = if failed > 0 { format!(" · {failed} failed") } else { String::new() };
        table.total.set_position(done as u64);
        table.total.set_message(format!("{done}/{all} cells done{failed}{rest}"));
    }

    /// Takes the table away.
    pub fn finish(&mut self) {
        if let Some(table) = self.table.take() {
            table.rows.iter().for_each(|(bar, _)| bar.finish_and_clear());
            table.total.finish_and_clear();
        }
    }

    fn ended(&mut self, slot: usize, text: &str) {
        self.note(text);
        if let Some(table) = &mut self.table {
            let (bar, file) = &mut table.rows[slot];
            bar.set_prefix("   -  idle");
            bar.set_message("");
            *file = None;
        }
    }

    fn left(&self) -> usize {
        self.cells.saturating_sub(self.done + self.failed)
    }

    /// How long it will take, by the cells that were trained here.
    fn rest(&self) -> String {
        if self.seconds.is_empty() || self.left() == 0 {
            return String::new();
        }
        let mean = self.seconds.iter().sum::<f64>() / self.seconds.len() as f64;
        format!(" · about {} left", duration(mean * self.left() as f64 / self.slots.max(1) as f64))
    }
}

impl Table {
    fn new(slots: usize, target: ProgressDrawTarget) -> Self {
        let all = MultiProgress::with_draw_target(target);
        let style = |template: &str| ProgressStyle::with_template(template).expect("the template is one");
        let row = |_| {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {prefix}  {elapsed}\n        {wide_msg}"));
            bar.set_prefix("   -  idle");
            (bar, None)
        };
        let rows = (0..slots).map(row).collect();
        let total = all.add(ProgressBar::new(0));
        total.set_style(style("{bar:24.cyan/dim} {wide_msg}").progress_chars("━╸━"));
        Self { all, total, rows, drawn: Instant::now() }
    }
}

/// Text as it stands below a line.
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// `1 cell`, `2 cells`.
pub fn counted(cells: usize) -> String {
    if cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_table_without_a_terminal_changes_nothing() {
        let table = Some(Table::new(2, ProgressDrawTarget::hidden()));
        let mut live = Live { table, cells: 0, done: 0, failed: 0, slots: 2, seconds: Vec::new() };
        live.begin(3, 1, 0);
        live.started(1, 2, "loss amdim", PathBuf::from("/nowhere"));
        live.update();
        live.done(1, 2, "loss amdim", 60.0, Some("linear_top1 42.10"));
        assert_eq!((live.left(), live.rest().as_str()), (1, " · about 30 s left"));
        live.finish();
    }
}
