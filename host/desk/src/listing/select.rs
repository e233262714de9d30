//! Which runs are listed, in which order, and what tells them apart.

use super::{moment, standing::Phase, summary::Summary};
use crate::{
    comparison::{Column, columns, has_effect},
    config::{nearest, shown},
    error::{Error, Fault, Result},
};
use serde_json::Value;
use std::{cmp::Ordering, collections::BTreeSet};

/// What a list shows, beside settings and results, under names of its own.
const OWN: [&str; 7] = ["name", "state", "step", "began", "changed", "seconds", "images_per_second"];
/// Those of them that are moments.
const MOMENTS: [&str; 2] = ["began", "changed"];
/// The states that `failed` means.
const FAILED: [Phase; 3] = [Phase::Diverged, Phase::Failed, Phase::Lost];

/// A condition on a run: `loss.name=amdim`, `lr<0.01`, `name=cifar*`, `began>=2026-11-01`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    key: String,
    operator: Operator,
    value: String,
    /// The value as a number, from where to where: a date lasts a day.
    span: Option<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// By what runs are sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub key: String,
    pub is_reversed: bool,
}

/// Which runs are listed.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Any of these; all where there are none.
    pub states: Vec<String>,
    /// All of these.
    pub conditions: Vec<Condition>,
    pub order: Option<Order>,
}

/// A value of a run, for conditions and orders.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Number(f64),
    Text(String),
}

impl std::str::FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The longer ones first: `<=` is not `<` and a value that begins with `=`.
        const OPERATORS: [(&str, Operator); 6] = [
            ("!=", Operator::IsNot),
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("=", Operator::Is),
            ("<", Operator::Less),
            (">", Operator::More),
        ];
        let places = OPERATORS.iter().filter_map(|(sign, operator)| Some((text.find(sign)?, *sign, *operator)));
        let (at, sign, operator) = places
            .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())))
            .filter(|(at, ..)| *at > 0)
            .ok_or_else(|| format!("`{text}` is no condition: write `KEY=VALUE`, or `!=`, `<`, `<=`, `>`, `>=`"))?;
        let value = text[at + sign.len()..].trim().to_owned();
        let key = text[..at].trim().to_owned();
        let moment = || moment::span(&value).filter(|_| MOMENTS.contains(&key.as_str()));
        let span = value.parse::<f64>().ok().map(|number| [number; 2]).or_else(moment);
        let condition = Self { key, operator, value, span };
        if condition.span.is_none() && condition.is_moment() {
            return Err(format!("`{}` is no date: write `2026-11-01` or `2026-11-01T12:00`, in UTC", condition.value));
        }
        if condition.span.is_none() && condition.is_order() {
            return Err(format!("`{}` is no number, which `{sign}` compares with", condition.value));
        }
        Ok(condition)
    }
}

impl Condition {
    fn holds(&self, told: Option<&Told>) -> bool {
        let number = |of: fn(f64, [f64; 2]) -> bool| match (told, self.span) {
            (Some(Told::Number(own)), Some(span)) => of(*own, span),
            _ => false,
        };
        match self.operator {
            Operator::Is => told.is_some_and(|told| self.is(told)),
            Operator::IsNot => told.is_none_or(|told| !self.is(told)),
            Operator::Less => number(|own, [from, _]| own < from),
            Operator::AtMost => number(|own, [_, to]| own <= to),
            Operator::More => number(|own, [_, to]| own > to),
            Operator::AtLeast => number(|own, [from, _]| own >= from),
        }
    }

    fn is_moment(&self) -> bool {
        MOMENTS.contains(&self.key.as_str())
    }

    /// Whether it compares by size.
    fn is_order(&self) -> bool {
        !matches!(self.operator, Operator::Is | Operator::IsNot)
    }

    fn is(&self, told: &Told) -> bool {
        match told {
            // The folder's own name is enough.
            Told::Text(own) if self.key == "name" => {
                matches(&self.value, own) || own.rsplit('/').next().is_some_and(|last| matches(&self.value, last))
            }
            Told::Number(own) => self.span.is_some_and(|[from, to]| (from..=to).contains(own)),
            Told::Text(own) => matches(&self.value, own),
        }
    }
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

impl Selection {
    /// The whole name of what a person means among these runs.
    ///
    /// # Errors
    /// A key that no run has.
    pub fn key(&self, key: &str, runs: &[Summary]) -> Result<String> {
        known(key, runs, true)
    }

    /// The runs that are asked for, in order.
    ///
    /// # Errors
    /// A key that no run has.
    pub fn of<'a>(&self, runs: &'a [Summary]) -> Result<Vec<&'a Summary>> {
        let conditions: Vec<(String, &Condition)> =
            self.conditions.iter().map(|c| Ok((known(&c.key, runs, c.is_order())?, c))).collect::<Result<_>>()?;
        let is_wanted = |run: &&Summary| {
            let is_in_state =
                self.states.is_empty() || self.states.iter().any(|state| is_in(run.standing.phase, state));
            is_in_state && conditions.iter().all(|(key, condition)| condition.holds(told(run, key).as_ref()))
        };
        let mut chosen: Vec<&Summary> = runs.iter().filter(is_wanted).collect();
        if let Some(order) = &self.order {
            let key = known(&order.key, runs, true)?;
            // Runs that don't have it come last either way.
            chosen.sort_by(|a, b| match (told(a, &key), told(b, &key)) {
                (Some(a), Some(b)) if order.is_reversed => compared(&b, &a),
                (Some(a), Some(b)) => compared(&a, &b),
                (a, b) => a.is_none().cmp(&b.is_none()),
            });
        }
        Ok(chosen)
    }
}

/// Whether a state is one that a person means by this word.
fn is_in(phase: Phase, word: &str) -> bool {
    phase.word() == word || (word == "failed" && FAILED.contains(&phase))
}

fn compared(a: &Told, b: &Told) -> Ordering {
    match (a, b) {
        (Told::Number(a), Told::Number(b)) => a.total_cmp(b),
        (Told::Text(a), Told::Text(b)) => a.cmp(b),
        (Told::Number(_), Told::Text(_)) => Ordering::Less,
        (Told::Text(_), Told::Number(_)) => Ordering::Greater,
    }
}

/// The whole key that a person means: of a setting its end is enough where no other ends alike.
fn known(key: &str, runs: &[Summary], wants_number: bool) -> Result<String> {
    let is_told = wants_number && runs.iter().any(|run| run.digest.latest(key).is_some());
    if OWN.contains(&key) || runs.is_empty() || (is_told && !runs.iter().any(|run| has_end(run, key))) {
        return Ok(key.to_owned());
    }
    let settings: BTreeSet<&str> = runs.iter().flat_map(|run| run.settings.keys().map(String::as_str)).collect();
    let results = runs.iter().flat_map(|run| run.outcomes().map(|outcome| outcome.name.as_str()));
    let results: BTreeSet<&str> = results.collect();
    let component = format!("{key}.name");
    if let Some(key) = [key, &component].into_iter().find(|key| settings.contains(key) || results.contains(key)) {
        return Ok(key.to_owned());
    }
    // As the table calls it.
    let shown = columns_of(&runs.iter().collect::<Vec<_>>());
    if let [column] = shown.iter().filter(|column| column.short == key).collect::<Vec<_>>()[..] {
        return Ok(column.key.clone());
    }
    let end = format!(".{key}");
    let ends: Vec<&str> = settings.iter().copied().filter(|other| other.ends_with(&end)).collect();
    match ends[..] {
        [one] => Ok(one.to_owned()),
        [] if runs.iter().any(|run| run.digest.latest(key).is_some()) => Ok(key.to_owned()),
        [] => {
            let fault = Fault::new(format!("no run has a setting or a result `{key}`"));
            let known = OWN.into_iter().chain(results.iter().copied());
            let training = runs.iter().flat_map(|run| run.digest.latest.iter().flat_map(|row| &row.values));
            let training = training.map(|(name, _)| name.as_str());
            let short = settings.iter().filter_map(|key| {
                let (table, last) = key.rsplit_once('.')?;
                Some(if last == "name" { table } else { last })
            });
            let near = nearest(key, known.clone().chain(training).chain(settings.iter().copied()).chain(short));
            Err(Error::config(fault.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let known = known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                    format!(
                        "settings have the names of `config.toml`, such as `optimizer.lr`; besides there are {known}"
                    )
                }
            })))
        }
        _ => {
            let fault = Fault::new(format!("`{key}` may mean {}", ends.join(", ")));
            Err(Error::config(fault.hint("write one of them")))
        }
    }
}

/// Whether a run has a setting whose key ends so: `lr` is that of the optimizer, not the one that each row tells.
fn has_end(run: &Summary, key: &str) -> bool {
    run.settings.keys().any(|other| other == key || other.strip_suffix(key).is_some_and(|table| table.ends_with('.')))
}

fn told(run: &Summary, key: &str) -> Option<Told> {
    let number = |value: u64| Told::Number(value as f64);
    match key {
        "name" => Some(Told::Text(run.place.name.clone())),
        "state" => Some(Told::Text(run.standing.phase.word().to_owned())),
        "step" => Some(number(run.step)),
        "began" => run.began.map(number),
        "changed" => run.changed.map(number),
        "seconds" => run.seconds().map(Told::Number),
        _ => match run.setting(key) {
            Some(Value::Number(value)) => value.as_f64().map(Told::Number),
            Some(Value::String(text)) => Some(Told::Text(text.clone())),
            Some(value) => Some(Told::Text(shown(value))),
            None => run.last(key).map(Told::Number),
        },
    }
}

/// The settings in which runs differ.
pub fn columns_of(runs: &[&Summary]) -> Vec<Column> {
    if runs.is_empty() {
        return Vec::new();
    }
    let kept = |run: &&Summary| {
        let settings = run.settings.iter().filter(|(key, _)| has_effect(key));
        settings.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    // A run whose config can't be read differs in everything, which says nothing.
    let readable: Vec<_> = runs.iter().filter(|run| !run.settings.is_empty()).map(kept).collect();
    if readable.is_empty() { Vec::new() } else { columns(&readable).0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_hold() {
        let holds = |text: &str, told: Told| text.parse::<Condition>().unwrap().holds(Some(&told));
        let text = |text: &str| Told::Text(text.to_owned());
        assert!(holds("loss.name=amdim", text("amdim")) && !holds("loss.name=amdim", text("amdim2")));
        assert!(
            holds("name=cifar*", text("cifar10"))
                && holds("name=*a*b", text("xaxxb"))
                && !holds("name=*a*b", text("ba"))
        );
        assert!(holds("lr<=0.1", Told::Number(0.1)) && !holds("lr<0.1", Told::Number(0.1)));
        assert!(holds("lr=1e-1", Told::Number(0.1)) && holds("lr!=2", Told::Number(0.1)));
        assert!(holds("a=b=c", text("b=c")));
        let refused = |text: &str| text.parse::<Condition>().unwrap_err();
        assert!(refused("lr").contains("is no condition") && refused("=3").contains("is no condition"));
        assert!(refused("lr<high").contains("is no number"));
    }

    #[test]
    fn a_date_is_the_whole_of_what_it_names() {
        let holds = |text: &str, seconds: f64| text.parse::<Condition>().unwrap().holds(Some(&Told::Number(seconds)));
        let noon = moment::span("2026-11-01T12:00").unwrap()[0];
        assert!(
            holds("began=2026-11-01", noon) && holds("began>=2026-11-01", noon) && holds("began<=2026-11-01", noon)
        );
        assert!(
            !holds("began>2026-11-01", noon) && holds("began>2026-10-31", noon) && !holds("began<2026-11-01", noon)
        );
        assert!(holds("changed>=2026-11-01T12:00", noon) && !holds("changed<2026-11-01T12:00", noon));
        assert!(holds(&format!("began={noon}"), noon) && holds("began!=2026-11-02", noon));
        let refused = |text: &str| text.parse::<Condition>().unwrap_err();
        assert!(
            refused("began>yesterday").contains("is no date") && refused("began=2026-13-01").contains("is no date")
        );
        assert!(refused("lr>2026-11-01").contains("is no number"));
    }

    #[test]
    fn failed_means_every_bad_end() {
        assert!(is_in(Phase::Lost, "failed") && is_in(Phase::Diverged, "diverged") && !is_in(Phase::Done, "failed"));
    }
}
