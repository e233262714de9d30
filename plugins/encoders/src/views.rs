//! What encoders say of the views that they are given.

use infomax_sdk::{EncoderDescription, EncoderInput, Error, FeatureMap, Result, Tensor, nn::channels_last};

/// Height and width of every view, that for evaluation last.
pub fn sizes(input: &EncoderInput) -> Vec<[i64; 2]> {
    let views = input.views.iter().map(|view| [view.height, view.width]).chain([input.eval_size]);
    views.map(|size| size.map(i64::from)).collect()
}

/// The mean over the training views of a number of activations, in bytes of f32.
pub fn mean_bytes(input: &EncoderInput, numbers: impl Fn([i64; 2]) -> i64) -> u64 {
    let sizes = sizes(input);
    let training = &sizes[..input.views.len().max(1)];
    let sum: i64 = training.iter().map(|&size| numbers(size)).sum();
    4 * (sum / training.len() as i64) as u64
}

/// An encoder whose only map is the representation: `pool` of C × 1 × 1.
pub fn pooled(channels: i64, parameters: i64, activation_bytes: u64) -> EncoderDescription {
    EncoderDescription {
        maps: vec![map("pool", channels, 1)],
        representation: "pool".to_owned(),
        parameter_count: parameters as u64,
        activation_bytes,
    }
}

/// A square map.
pub fn map(name: &str, channels: i64, side: i64) -> FeatureMap {
    FeatureMap { name: name.to_owned(), channels: channels as u32, height: side as u32, width: side as u32 }
}

/// A view, checked, channels-last in memory.
///
/// # Errors
/// A tensor that is no batch of RGB images.
pub fn checked(view: &Tensor) -> Result<Tensor> {
    let shape = view.size();
    if shape.len() != 4 || shape[1] != 3 {
        return Err(Error::new(format!("a view has the shape {shape:?}, expected B×3×H×W")));
    }
    Ok(channels_last(view))
}

/// Runs a network on views: those of one size that follow one another in one pass, in which each has BatchNorm statistics of its
/// own; `network` is told how many they are. Gives the maps of each view.
///
/// # Errors
/// A tensor that is no batch of RGB images.
pub fn in_few_passes(
    views: &[Tensor],
    mut network: impl FnMut(&Tensor, i64) -> Vec<Tensor>,
) -> Result<Vec<Vec<Tensor>>> {
    let checked = views.iter().map(checked).collect::<Result<Vec<_>>>()?;
    let mut maps = Vec::with_capacity(views.len());
    for alike in checked.chunk_by(|one, other| one.size() == other.size()) {
        let count = alike.len() as i64;
        let mut of_views: Vec<Vec<Tensor>> = alike.iter().map(|_| Vec::new()).collect();
        let together = if count == 1 { alike[0].clone() } else { channels_last(&Tensor::join(alike)) };
        for map in network(&together, count) {
            let parts = if count == 1 { vec![map] } else { map.chunk(count, 0) };
            of_views.iter_mut().zip(parts).for_each(|(view, part)| view.push(part));
        }
        maps.extend(of_views);
    }
    Ok(maps)
}
