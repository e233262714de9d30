//! The commands that go on with a run and that repeat it.

use super::{facts::Facts, settings::shown, state::State};
use crate::{config::LENGTHS, record::Ending, shell::quoted};

/// A command and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub what: &'static str,
    pub line: String,
}

/// Everything that can be done with a run, for the folder in which it was started.
pub fn commands(facts: &Facts) -> Vec<Command> {
    if facts.settings.tables.is_empty() {
        return Vec::new();
    }
    let run = quoted(&facts.path);
    let mut list = Vec::new();
    let is_over = facts.state == State::Ended(Ending::Finished);
    if is_over {
        // A cosine depends on the length of the run, which is fixed by it: the learning rate's, or the momentum encoder's.
        let length = LENGTHS.into_iter().find_map(|key| Some((key, facts.settings.get(key)?.as_u64()?)));
        let is_free = facts.settings.text("optimizer.schedule") != Some("cosine") && !momentum_moves(facts);
        if let (Some((key, length)), true) = (length, is_free) {
            let line = format!("infomax train --resume {run} --set {key}={}", length.saturating_mul(2));
            list.push(Command { what: "Train twice as long", line });
        }
    } else if !matches!(facts.state, State::Ended(Ending::Diverged) | State::Running) {
        let what = if facts.checkpoints.is_empty() { "Begin again" } else { "Go on from the last checkpoint" };
        list.push(Command { what, line: format!("infomax train --resume {run}") });
    }
    let config = quoted(&format!("{}/config.toml", facts.path));
    let again = quoted(&format!("record.name={}-again", facts.name));
    if facts.state == State::Ended(Ending::Diverged)
        && let Some(lr) = facts.settings.get("optimizer.lr").and_then(serde_json::Value::as_f64)
    {
        // The same steps would diverge again.
        // The batch that it is stated for would be dropped with the former rate.
        let reference = facts.settings.get("optimizer.lr_reference_batch");
        let reference = reference.map(|batch| format!(" --set optimizer.lr_reference_batch={batch}"));
        let lr = format!("--set optimizer.lr={}{}", lr / 10.0, reference.unwrap_or_default());
        list.push(if facts.checkpoints.is_empty() {
            let line = format!("infomax train {config} --set {again} {lr}");
            Command { what: "Begin again with a tenth of the learning rate", line }
        } else {
            let line = format!("infomax train --resume {run} {lr} --override optimizer.lr");
            Command { what: "Go on from the last checkpoint with a tenth of the learning rate", line }
        });
    }
    let line = format!("infomax train {config} --set {again}");
    list.push(Command { what: "Repeat the run under another name", line });
    if let Some(seed) = facts.settings.get("train.seed").and_then(serde_json::Value::as_u64) {
        let name = quoted(&format!("record.name={}-seed{}", facts.name, seed.wrapping_add(1)));
        let seed = shown(&(seed.wrapping_add(1)).into());
        let line = format!("infomax train {config} --set {name} --set train.seed={seed}");
        list.push(Command { what: "The same with another seed", line });
    }
    list
}

/// Whether a momentum encoder's momentum goes somewhere over the run.
fn momentum_moves(facts: &Facts) -> bool {
    let at = |end: &str| facts.settings.get(&format!("loss.config.momentum_{end}"));
    at("start").is_some() && at("start") != at("end")
}
