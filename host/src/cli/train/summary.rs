//! What a run has come to, at the console and in its log.

use crate::{cli::say, console::log_course, record::LOG_FILE, report, train::Outcome};
use std::path::Path;

pub(super) fn summary(outcome: &Outcome, run: &Path) {
    if outcome.was_finished {
        return tell(&format!("this run is finished after {} steps", outcome.step));
    }
    let names = [
        ("linear_top1", " %", "linear classifier"),
        ("mlp_top1", " %", "classifier with a hidden layer"),
        ("knn_top1", " %", "nearest neighbours"),
        ("feature_std", "", "1: spread over all directions, 0: collapsed"),
        ("rankme", "", "effective dimensions of the representation"),
        ("uniformity", "", "lower: spread more evenly"),
        ("alignment", "", "squared distance between two views of an image"),
    ];
    let find = |list: &[(String, f64)], name: &str| list.iter().find(|(n, _)| n == name).map(|&(_, value)| value);
    for (key, unit, label) in names {
        match (find(&outcome.results, key), find(&outcome.untrained, key)) {
            (Some(trained), Some(untrained)) => {
                tell(&format!("{key}: {trained:.2}{unit} ({label}; {untrained:.2}{unit} on the untrained encoder)"));
            }
            (Some(trained), None) => tell(&format!("{key}: {trained:.2}{unit} ({label})")),
            _ => {}
        }
    }
    if outcome.bad_images > 0 {
        tell(&format!("bad images skipped: {}; see {}", outcome.bad_images, run.join(LOG_FILE).display()));
    }
    if outcome.skipped_steps > 0 {
        tell(&format!("steps without an update, for a value that was not finite: {}", outcome.skipped_steps));
    }
    for (file, what) in [
        (report::FILE, "everything on one page"),
        ("curves.png", "loss and accuracy"),
        ("views.png", "images and their views"),
        ("metrics.jsonl", "every number"),
        ("encoder.safetensors", "the encoder"),
    ] {
        let path = run.join(file);
        if path.exists() {
            say(&format!("{}: {what}", path.display()));
        }
    }
}

/// At the console and in the run's log.
fn tell(text: &str) {
    log_course(text);
    say(text);
}
