//! What losses on vectors get: the encoder's representation of each view, averaged over locations.
//!
//! Shapes: B images · C channels · H, W locations.

use crate::{Error, Features, LossInput, Need, Result, Source, Tensor};

/// The map that evaluators read, as one vector per image.
#[derive(Clone, Debug)]
pub struct Representation {
    map: String,
    channels: i64,
}

impl Representation {
    /// The representation of an encoder.
    ///
    /// # Errors
    /// An input whose representation is none of its maps.
    pub fn new(input: &LossInput) -> Result<Self> {
        let map = input.map(&input.representation).ok_or_else(|| {
            Error::config(format!("the representation `{}` is none of the encoder's maps", input.representation))
        })?;
        Ok(Self { map: map.name.clone(), channels: i64::from(map.channels) })
    }

    /// C.
    pub fn channels(&self) -> i64 {
        self.channels
    }

    /// This map of a view through an encoder.
    pub fn need(&self, view: usize, source: Source) -> Need {
        Need { view, source, maps: vec![self.map.clone()] }
    }

    /// This map of so many views through the trained encoder.
    pub fn needs(&self, views: usize) -> Vec<Need> {
        (0..views).map(|view| self.need(view, Source::Encoder)).collect()
    }

    /// A view's vectors through the trained encoder.
    ///
    /// # Shapes
    /// From B × C × H × W to B × C, at least f32.
    ///
    /// # Errors
    /// A view that the loss did not ask for.
    pub fn of(&self, features: &Features, view: usize) -> Result<Tensor> {
        features.get(view, &self.map).map(averaged)
    }

    /// A view's vectors through the momentum encoder.
    ///
    /// # Shapes
    /// From B × C × H × W to B × C, at least f32.
    ///
    /// # Errors
    /// A view that the loss did not ask for.
    pub fn momentum_of(&self, features: &Features, view: usize) -> Result<Tensor> {
        features.momentum(view, &self.map).map(averaged)
    }
}

/// The mean over locations.
///
/// # Shapes
/// From B × C × H × W to B × C, at least f32.
#[track_caller]
pub fn averaged(map_bchw: &Tensor) -> Tensor {
    map_bchw.at_least_f32().mean_dim([2, 3], false)
}

/// Every location of each image as a row of its own: a view where the map is channels-last in memory.
///
/// # Shapes
/// From B × C × H × W to B·H·W × C.
#[track_caller]
pub fn as_rows(map_bchw: &Tensor) -> Tensor {
    map_bchw.permute([0, 2, 3, 1]).reshape([-1, map_bchw.size_of(1)])
}

/// Refuses augmentations that don't make two views.
///
/// # Errors
/// Another number of views, in words.
pub fn two_views(loss: &str, input: &LossInput) -> Result<()> {
    match input.views.len() {
        2 => Ok(()),
        count => Err(Error::config(format!("loss `{loss}` compares 2 views, the augmentation makes {count}"))
            .hint("choose another `augmentation.name` or `augmentation.config`")),
    }
}
