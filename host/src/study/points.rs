//! The points of a study: combinations of its axes' values, all of them or drawn.

use super::{
    axes::{Axis, Choice, Choices},
    file::{SearchKind, Study},
};
use crate::{
    config::{Piece, shown},
    error::{Error, Result},
};
use infomax_sdk::Key;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, slice};

/// Points that one study may have.
const MOST_POINTS: usize = 100_000;
/// Draws for each point that a search asks for; small axes have no more different points than that finds.
const DRAWS_EACH: u64 = 50;

/// One combination of the axes' values.
#[derive(Clone, Debug)]
pub struct Point {
    /// A choice for each axis.
    choices: Vec<Choice>,
}

impl Point {
    /// What tables show: a label for each axis.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.choices.iter().map(|choice| choice.label.as_str())
    }

    /// What reports group by: a value for each axis.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.choices.iter().map(|choice| &choice.value)
    }

    /// What the point lays over the base.
    pub fn above(&self) -> impl Iterator<Item = &Piece> {
        self.choices.iter().flat_map(|choice| &choice.above)
    }

    fn matches(&self, axes: &[Axis], pattern: &Map<String, Value>) -> bool {
        pattern.iter().all(|(name, wanted)| {
            let index = axes.iter().position(|axis| axis.name == *name).expect("`check_patterns` found it");
            is_named(&self.choices[index], wanted)
        })
    }
}

/// Whether a pattern's value, or one of its list, means this choice.
fn is_named(choice: &Choice, wanted: &Value) -> bool {
    let is = |wanted: &Value| {
        *wanted == choice.value || wanted.as_str() == Some(&choice.label) || shown(wanted) == choice.label
    };
    is(wanted) || wanted.as_array().is_some_and(|list| list.iter().any(is))
}

/// The points of a study, in the order of its file or of their drawing.
///
/// # Errors
/// Exclusions that name nothing, too many points, or none.
pub fn points(study: &Study, axes: &[Axis]) -> Result<Vec<Point>> {
    check_patterns(study, axes)?;
    let points = match study.text.search.kind {
        SearchKind::Grid => grid(study, axes)?,
        SearchKind::Random | SearchKind::Halving => drawn(study, axes)?,
    };
    if points.is_empty() {
        return Err(Error::config(study.fault("`exclude` leaves no point", &["exclude"])));
    }
    Ok(points)
}

/// The point that others are compared with: the first one that `baseline` fits, or else the first of all.
///
/// # Errors
/// A baseline that no point fits.
pub fn baseline(study: &Study, axes: &[Axis], points: &[Point]) -> Result<usize> {
    let wanted = &study.text.baseline;
    points.iter().position(|point| point.matches(axes, wanted)).ok_or_else(|| {
        let fault =
            study.fault(format!("no point is the `baseline` {}", shown(&Value::Object(wanted.clone()))), &["baseline"]);
        Error::config(fault.hint("name a point that is not excluded"))
    })
}

fn grid(study: &Study, axes: &[Axis]) -> Result<Vec<Point>> {
    let count = axes.iter().map(|axis| axis.listed().len()).try_fold(1_usize, usize::checked_mul);
    if count.is_none_or(|count| count > MOST_POINTS) {
        let fault = study.fault(format!("the axes span more than {MOST_POINTS} points"), &["axes"]);
        return Err(Error::config(fault.hint("draw some of them: `search = { kind = \"random\", samples = 50 }`")));
    }
    let mut points = vec![Point { choices: Vec::new() }];
    for axis in axes {
        let with =
            |point: &Point, choice: &Choice| Point { choices: [&point.choices[..], slice::from_ref(choice)].concat() };
        points = points.iter().flat_map(|point| axis.listed().iter().map(move |choice| with(point, choice))).collect();
    }
    points.retain(|point| !is_excluded(study, axes, point));
    Ok(points)
}

fn is_excluded(study: &Study, axes: &[Axis], point: &Point) -> bool {
    study.text.exclude.iter().any(|pattern| point.matches(axes, pattern))
}

/// Different points, drawn until there are enough; fewer where the axes have no more. The same study draws the same ones, and
/// with more samples these and others.
fn drawn(study: &Study, axes: &[Axis]) -> Result<Vec<Point>> {
    let search = &study.text.search;
    let mut points: Vec<Point> = Vec::new();
    let mut known = BTreeSet::new();
    for number in 0..search.samples * DRAWS_EACH {
        if points.len() as u64 == search.samples {
            break;
        }
        let mut rng = Key::new(search.seed).purpose("search").fold(number).rng();
        let choices: Result<Vec<_>, _> = axes.iter().map(|axis| axis.draw(&mut rng)).collect();
        let point = Point { choices: choices.map_err(Error::config)? };
        let labels: Vec<String> = point.labels().map(str::to_owned).collect();
        if !is_excluded(study, axes, &point) && known.insert(labels) {
            points.push(point);
        }
    }
    Ok(points)
}

/// Every axis and value that `exclude` and `baseline` name must be there.
fn check_patterns(study: &Study, axes: &[Axis]) -> Result<()> {
    let mut faults = Vec::new();
    let excluded = study
        .text
        .exclude
        .iter()
        .enumerate()
        .map(|(index, pattern)| (vec!["exclude".to_owned(), index.to_string()], pattern));
    for (path, pattern) in excluded.chain([(vec!["baseline".to_owned()], &study.text.baseline)]) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path[0] == "exclude" && pattern.is_empty() {
            faults.push(study.fault("an entry of `exclude` is empty: it would leave out every point", &path));
        }
        for (name, wanted) in pattern {
            let path = [&path[..], &[name.as_str()]].concat();
            let Some(axis) = axes.iter().find(|axis| axis.name == *name) else {
                let known: Vec<String> = axes.iter().map(|axis| format!("`{}`", axis.name)).collect();
                let fault =
                    study.fault(format!("`{}` names the axis `{name}`, which the study has not", path[0]), &path);
                faults.push(fault.hint(format!("its axes: {}", known.join(", "))));
                continue;
            };
            let Choices::List(choices) = &axis.choices else { continue };
            let single = std::slice::from_ref(wanted);
            for wanted in wanted.as_array().map_or(single, Vec::as_slice) {
                if !choices.iter().any(|choice| is_named(choice, wanted)) {
                    let known: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.label)).collect();
                    let message =
                        format!("`{}` names {} of the axis `{name}`, which has no such value", path[0], shown(wanted));
                    faults.push(study.fault(message, &path).hint(format!("its values: {}", known.join(", "))));
                }
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Config { faults }) }
}

#[cfg(test)]
mod tests {
    use super::{super::axes::axes, *};
    use std::fs;

    fn labels(text: &str) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("small.toml");
        fs::write(&file, format!("base = [\"a\"]\n{text}")).unwrap();
        let study = Study::read(&file)?;
        let axes = axes(&study)?;
        let points = points(&study, &axes)?;
        Ok(points.iter().map(|point| point.labels().collect::<Vec<_>>().join(" ")).collect())
    }

    #[test]
    fn a_grid_is_every_combination_but_the_excluded() {
        let text = "exclude = [{ loss = \"b\", \"optimizer.lr\" = [1e-3] }]\n[axes]\nloss = [\"a\", \"b\"]\n\"optimizer.lr\" = [1e-3, 2e-3]\n";
        assert_eq!(labels(text).unwrap(), ["a 0.001", "a 0.002", "b 0.002"]);
    }

    #[test]
    fn values_are_called_by_what_tells_them_apart() {
        let text = "[axes]\nencoder = [\"amdim\", { name = \"resnet18\", config = { width = 8 } }, { name = \"resnet18\", config = { width = 16 } }]\n";
        assert_eq!(labels(text).unwrap(), ["amdim", "resnet18 { width = 8 }", "resnet18 { width = 16 }"]);
        let text = "[axes]\nencoder = [{ name = \"resnet18\", config = { width = 8 } }]\n";
        assert_eq!(labels(text).unwrap(), ["resnet18"]);
        let text = "[axes]\n\"optimizer.lr, optimizer.name\" = [[1e-3, \"adam\"], [0.1, \"sgd\"]]\n";
        assert_eq!(labels(text).unwrap(), ["0.001, adam", "0.1, sgd"]);
        let text = "[axes.row]\n\"as published\" = {}\n\"no clip\" = { loss.config.clip = false }\n";
        assert_eq!(labels(text).unwrap(), ["as published", "no clip"]);
    }

    #[test]
    fn a_search_draws_the_same_points_again_and_more_of_them_besides() {
        let text = |samples: u64| {
            format!(
                "search = {{ kind = \"random\", samples = {samples} }}\n[axes]\n\"optimizer.lr\" = {{ min = 1e-5, max = 1e-1, scale = \"log\" }}\n\"train.batch_size\" = {{ min = 2, max = 4 }}\n"
            )
        };
        let few = labels(&text(5)).unwrap();
        assert_eq!((few.len(), &few), (5, &labels(&text(5)).unwrap()));
        assert_eq!(labels(&text(9)).unwrap()[..5], few);
        let sizes: BTreeSet<String> =
            labels(&text(60)).unwrap().iter().map(|l| l.rsplit(' ').next().unwrap().to_owned()).collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), ["2", "3", "4"]);
        let small = "search = { kind = \"random\", samples = 100 }\n[axes]\nloss = [\"a\", \"b\"]\n";
        assert_eq!(labels(small).unwrap().len(), 2, "there are no more");
    }

    #[test]
    fn what_names_nothing_is_told() {
        let message = |text: &str| labels(text).unwrap_err().faults().remove(0).message;
        let axis = "[axes]\nloss = [\"a\"]\n";
        assert!(message(&format!("exclude = [{{ los = \"a\" }}]\n{axis}")).contains("`los`"));
        assert!(message(&format!("exclude = [{{ loss = \"b\" }}]\n{axis}")).contains("no such value"));
        assert!(message(&format!("exclude = [{{ loss = \"a\" }}]\n{axis}")).contains("leaves no point"));
        assert!(message(&format!("exclude = [{{}}]\n{axis}")).contains("empty"));
        assert!(message("[axes]\nloss = []\n").contains("no values"));
        assert!(message("[axes]\nloss = [\"a\", \"a\"]\n").contains("twice"));
        assert!(message("[axes]\n\"a, b\" = [[1]]\n").contains("2 keys"));
        assert!(message("[axes]\n\"a\" = { min = 1, max = 2 }\n").contains("a grid needs values"));
        assert!(message("[axes]\n\"a b\" = [1]\n").contains("no key"));
        assert!(message("[axes]\na = [1, 2]\nb = 3\n").contains("neither a list"));
    }
}
