//! Whether a loss is the mean over images that its config says it is: by what the file does, and by numbers.

use crate::graph::{Node, Program, Role, Source, Work, aliases::writes, modes::habits};
use infomax_sdk::{Error, Result};
use std::ops::Range;

/// Of its value, how far a mean over images may be from that of its parts: sums in another order.
const PARTS: f64 = 1e-3;

/// Makes sure that the value of a batch of so many images is the mean of its halves'.
///
/// # Errors
/// A value that is not, and what `value` says.
pub fn check_parts(images: i64, value: impl Fn(Range<i64>) -> Result<f64>) -> Result<()> {
    if images < 2 {
        return Ok(());
    }
    let half = images / 2;
    let (all, one, two) = (value(0..images)?, value(0..half)?, value(half..images)?);
    let parts = (one * half as f64 + two * (images - half) as f64) / images as f64;
    if (all - parts).abs() <= PARTS * all.abs().max(1e-2) || !all.is_finite() {
        return Ok(());
    }
    let message = format!(
        "`mean_over_images` is set, but it is no mean over images: {all:.6} of the whole batch, {parts:.6} of two parts"
    );
    Err(Error::config(message)
        .hint("leave `loss.config.mean_over_images` out: every process then sees the whole batch"))
}

/// Refuses a loss that is told to be a mean over images and keeps something of the batch.
///
/// # Errors
/// What it keeps, in words.
pub fn check_looks_alone(program: &Program) -> Result<()> {
    if habits(program).iter().any(|habit| habit == "draws") {
        return Err(no_mean("it draws numbers, which each part would draw anew"));
    }
    let by_batch = |node: &&Node| node.base() == "batch_norm" && matches!(node.given("training"), Source::Bool(true));
    let stores = |node: &&Node| matches!(node.work, Work::Store { .. });
    let (node, why) = match (program.nodes.iter().find(by_batch), program.nodes.iter().find(stores)) {
        (Some(node), _) => (node, "it normalises by the batch"),
        (_, Some(node)) => (node, "it changes a buffer"),
        _ => {
            let writes = writes(program);
            let written = program.inputs.iter().zip(&writes.inputs).find(|(input, is_written)| {
                **is_written && matches!(input.role, Role::Buffer { .. } | Role::Constant(_))
            });
            let Some((input, _)) = written else { return Ok(()) };
            return Err(no_mean(&format!("it changes {:?}", input.role)));
        }
    };
    Err(no_mean(&format!("{}: {why}", node.told())))
}

fn no_mean(why: &str) -> Error {
    let message = format!("`mean_over_images` is set, but the loss needs the whole batch: {why}");
    Error::config(message).hint("leave `loss.config.mean_over_images` out")
}
