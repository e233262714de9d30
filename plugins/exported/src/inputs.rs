//! What each input of a loss is: a map of a view, or labels.

use crate::{
    archive::format::About,
    config::ExportedLoss,
    graph::{Program, expression::Symbols, sizes::bind},
    loss::arguments_told,
    run::shown,
};
use infomax_sdk::{Error, Facts, Features, Kind, LossInput, Result, Source, Tensor, representation::averaged};

/// The name that stands for the map that evaluators read.
const REPRESENTATION: &str = "representation";

/// What an input is.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    Map {
        view: usize,
        source: Source,
        map: String,
    },
    Labels,
    /// Positions of the images in the dataset.
    Indices,
}

impl Bound {
    /// The map, where it is one.
    pub fn map(&self) -> Option<(usize, Source, &str)> {
        match self {
            Self::Map { view, source, map } => Some((*view, *source, map)),
            Self::Labels | Self::Indices => None,
        }
    }

    /// The tensor of a call, of so many dimensions.
    ///
    /// # Errors
    /// A call without it.
    pub fn tensor(&self, features: &Features, facts: &Facts, rank: usize, kind: Kind) -> Result<Tensor> {
        let missing = |what: &str| Error::new(format!("the host handed no {what}"));
        match self {
            Self::Labels => facts.labels.clone().ok_or_else(|| missing("labels")),
            Self::Indices => facts.indices.clone().ok_or_else(|| missing("indices")),
            Self::Map { view, source, map } => {
                let tensor = match source {
                    Source::Encoder => features.get(*view, map)?,
                    Source::MomentumEncoder => features.momentum(*view, map)?,
                };
                let wide = if rank == 2 { averaged(tensor) } else { tensor.at_least_f32() };
                Ok(if kind.is_floating_point() && kind != Kind::F32 { wide.to_kind(kind) } else { wide })
            }
        }
    }

    /// Its size in a batch.
    pub fn size(&self, input: &LossInput, rank: usize, batch: i64) -> Vec<i64> {
        let Self::Map { map, .. } = self else { return vec![batch] };
        let Some(map) = input.map(map) else { return vec![batch] };
        let whole = [batch, map.channels.into(), map.height.into(), map.width.into()];
        if rank == 2 { whole[..2].to_vec() } else { whole.to_vec() }
    }
}

/// What a loss's inputs are, by its config or its file.
///
/// # Errors
/// Names that say nothing, maps that there are not or of other sizes.
pub fn bound(program: &Program, about: &About, config: &ExportedLoss, input: &LossInput) -> Result<Vec<Bound>> {
    let of_file = || about.inputs.iter().map(|input| input.name.clone()).collect();
    let names: Vec<String> = if config.inputs.is_empty() { of_file() } else { config.inputs.clone() };
    let count = program.arguments().count();
    if names.len() != count {
        let said = if names.is_empty() {
            "nothing says what they are".to_owned()
        } else {
            format!("`inputs` names {}", names.len())
        };
        let message = format!("it takes {count} tensors ({}), {said}", arguments_told(program));
        let hint = "name them in the order of `forward`: `loss.config.inputs = [\"view0.representation\", \"view1.representation\"]`";
        return Err(Error::config(message).hint(hint));
    }
    let bound = names.iter().map(|name| one(name, input)).collect::<Result<Vec<_>>>()?;
    if !bound.iter().any(|one| matches!(one, Bound::Map { source: Source::Encoder, .. })) {
        let message = "none of its inputs is a map of a view, so nothing would learn";
        return Err(Error::config(message).hint("name at least one input `view0.…`"));
    }
    check_sizes(program, &names, &bound, input)?;
    Ok(bound)
}

fn one(name: &str, input: &LossInput) -> Result<Bound> {
    let wrong = |what: String| {
        let hint = "inputs are called `view0.MAP`, `momentum0.MAP`, `labels` or `indices`";
        Err(Error::config(format!("the input `{name}` {what}")).hint(hint))
    };
    match name {
        "labels" if input.class_count.is_none() => return wrong("needs classes, which the dataset has not".to_owned()),
        "labels" => return Ok(Bound::Labels),
        "indices" => return Ok(Bound::Indices),
        _ => {}
    }
    let Some((place, map)) = name.split_once('.') else { return wrong("is none that there is".to_owned()) };
    let view = |prefix: &str| place.strip_prefix(prefix).and_then(|view| view.parse::<usize>().ok());
    let (view, source) = match (view("view"), view("momentum")) {
        (Some(view), _) => (view, Source::Encoder),
        (_, Some(view)) => (view, Source::MomentumEncoder),
        _ => return wrong("is none that there is".to_owned()),
    };
    if view >= input.views.len() {
        return wrong(format!("is of view {view}; the augmentation makes {}, counted from 0", input.views.len()));
    }
    let map = if map == REPRESENTATION { &input.representation } else { map };
    if input.map(map).is_none() {
        let maps: Vec<&str> = input.maps.iter().map(|map| map.name.as_str()).collect();
        return wrong(format!("is a map that the encoder does not give; it gives {}", maps.join(", ")));
    }
    Ok(Bound::Map { view, source, map: map.to_owned() })
}

/// Makes sure that the maps have the sizes that the file was exported for.
fn check_sizes(program: &Program, names: &[String], bound: &[Bound], input: &LossInput) -> Result<()> {
    let mut symbols = Symbols::new();
    for ((argument, declared, ..), (name, one)) in program.arguments().zip(names.iter().zip(bound)) {
        let hint = "export the loss again with example inputs of the encoder's sizes";
        let wrong = |message: String| Err(Error::config(message).hint(hint));
        let rank = declared.len();
        let is_map = matches!(one, Bound::Map { .. });
        if !(if is_map { rank == 2 || rank == 4 } else { rank == 1 }) {
            let wanted = if is_map { "B×C or B×C×H×W" } else { "B" };
            return wrong(format!("its input `{argument}` has {rank} dimensions; `{name}` is {wanted}"));
        }
        // The batch is looked at by each call; what is known before is the rest.
        let size = one.size(input, rank, 0);
        let rest: Vec<_> = declared.iter().skip(1).cloned().collect();
        if let Err(misfit) = bind(&rest, &size[1..], &mut symbols) {
            let dim = misfit.dim.map_or(0, |dim| dim + 1);
            return wrong(format!(
                "its input `{argument}` has {} in dimension {dim}, `{name}` of this encoder is B×{}",
                misfit.expected,
                shown(&size[1..])
            ));
        }
    }
    Ok(())
}
