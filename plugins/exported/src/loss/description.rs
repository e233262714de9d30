//! What a file says of the loss in it: its needs, its outputs, the smallest batch.

use super::mean::check_looks_alone;
use crate::{
    config::ExportedLoss,
    graph::{
        Program,
        expression::Symbols,
        modes::habits,
        sizes::{Sized, bind},
    },
    inputs::{Bound, bound},
    names::{self, LEFT_OUT},
    opened::Opened,
    run::shown,
};
use infomax_sdk::{Error, LossDescription, LossInput, Momentum, Need, Result, Source};

/// The name of the output that is minimised.
pub const TOTAL: &str = "loss";

/// What the host is told, what each argument is, and the names of the outputs.
///
/// # Errors
/// A file or a config that fits no loss, in words.
pub fn describe(
    opened: &Opened,
    config: &ExportedLoss,
    input: &LossInput,
) -> Result<(LossDescription, Vec<Bound>, Vec<String>)> {
    let program = &opened.program;
    let placed = |error: Error| opened.placed(error);
    names::check_tags(&config.tags, opened.tables.trained())?;
    let bound = bound(program, &opened.about, config, input).map_err(placed)?;
    let given = program.given_sizes();
    if given.is_empty() {
        return Err(placed(
            Error::config("it gives no tensor")
                .hint("return the loss from `forward`: a scalar, or a dictionary of scalars"),
        ));
    }
    let outputs = names::outputs(&config.outputs, &opened.about.outputs, program.structure.as_deref(), given.len())?;
    let is_one = |sizes: &Sized| {
        sizes.iter().all(|size| size.as_ref().is_some_and(|size| size.value(&Symbols::new()) == Some(1)))
    };
    if let Some((name, sizes)) = outputs.iter().zip(&given).find(|(name, sizes)| *name != LEFT_OUT && !is_one(sizes)) {
        let message = format!("its output `{name}` has {} dimensions, a loss gives scalars", sizes.len());
        return Err(placed(Error::config(message).hint("end `forward` with `.mean()` or `.sum()`")));
    }
    if config.mean_over_images {
        check_looks_alone(program).map_err(placed)?;
    }
    let mut needs: Vec<Need> = Vec::new();
    for (view, source, map) in bound.iter().filter_map(Bound::map) {
        match needs.iter_mut().find(|need| need.view == view && need.source == source) {
            Some(need) if need.maps.iter().any(|other| other == map) => {}
            Some(need) => need.maps.push(map.to_owned()),
            None => needs.push(Need { view, source, maps: vec![map.to_owned()] }),
        }
    }
    let has_momentum = needs.iter().any(|need| need.source == Source::MomentumEncoder);
    let used: Vec<&String> = outputs.iter().filter(|name| *name != LEFT_OUT).collect();
    let is_term = |name: &&&String| used.len() > 1 && **name != TOTAL;
    let description = LossDescription {
        needs,
        momentum: has_momentum.then_some(Momentum { start: config.momentum_start, end: config.momentum_end }),
        labels: bound.iter().any(|one| matches!(one, Bound::Labels)),
        terms: used.iter().filter(is_term).map(|name| (*name).clone()).collect(),
        row_ranges: config.mean_over_images,
        forward_backward: false,
        parameter_count: opened.tables.parameter_count(),
        capabilities: habits(program),
        min_batch_size: config.min_batch_size.max(smallest_batch(program, &bound, input)),
    };
    Ok((description, bound, outputs))
}

/// The smallest batch that the file allows.
fn smallest_batch(program: &Program, bound: &[Bound], input: &LossInput) -> u64 {
    let fits = |batch: i64| {
        let mut symbols = Symbols::new();
        let all = program.arguments().zip(bound).all(|((_, declared, ..), one)| {
            let size = one.size(input, declared.len(), batch);
            bind(declared, &size, &mut symbols).is_ok()
        });
        all && program
            .ranges
            .iter()
            .all(|(symbol, least, most)| symbols.get(symbol).is_none_or(|v| v >= least && v <= most))
    };
    (1..=4096).find(|&batch| fits(batch)).unwrap_or(1) as u64
}

/// For messages: the arguments of a program.
pub fn arguments_told(program: &Program) -> String {
    let all: Vec<String> = program
        .arguments()
        .map(|(name, sizes, ..)| {
            let sizes: Vec<String> = sizes
                .iter()
                .map(|size| {
                    size.as_ref()
                        .and_then(|size| size.value(&Symbols::new()))
                        .map_or_else(|| "B".to_owned(), |n| shown(&[n]))
                })
                .collect();
            format!("`{name}` {}", if sizes.is_empty() { "a number".to_owned() } else { sizes.join("×") })
        })
        .collect();
    all.join(", ")
}
