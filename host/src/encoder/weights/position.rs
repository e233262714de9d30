//! A transformer's position embedding for another grid of patches than the encoder's.
//!
//! Shapes: P tokens before the patches' (the class token) · H, W patches down and across · C channels.
//!
//! # Source
//! timm's `resample_abs_pos_embed`: bicubic with antialiasing in f32, the class token's as it is.

use crate::checkpoint::{ABOUT, NamedSet};
use serde_json::Value;
use std::collections::HashMap;
use tch::{Kind, TchError, Tensor};

const NAME: &str = "pos_embed";
const TOKENS: i64 = 1; // the class token
/// Whose size says how large a patch is.
pub const PATCHES: &str = "patch_embed.proj.weight";

/// Patches down and across.
pub type Grid = [i64; 2];

/// What is known of the grids on both sides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grids {
    /// Of the encoder's largest view.
    pub own: Option<Grid>,
    /// Of the file, by a setting or its metadata.
    pub file: Option<Grid>,
}

impl Grids {
    /// The grid of a file's position embedding, where it can be made into the encoder's, and that one: what is known of the file
    /// counts, or else a square, or what has the sides' ratio of the encoder's.
    pub fn of(self, name: &str, have: &[i64], want: &[i64]) -> Option<(Grid, Grid)> {
        let (&[1, m, c], &[1, n, d]) = (have, want) else { return None };
        if name != NAME || c != d {
            return None;
        }
        let (m, n) = (m - TOKENS, n - TOKENS);
        let own = self.own.filter(|[h, w]| h * w == n).or_else(|| square(n))?;
        let known = self.file.filter(|[h, w]| h * w == m);
        known.or_else(|| square(m)).or_else(|| alike(m, own)).map(|file| (file, own))
    }
}

/// Whether a tensor is a position embedding of so many tokens, whatever their grid.
pub fn is_embedding(name: &str, have: &[i64], want: &[i64]) -> bool {
    name == NAME && matches!((have, want), (&[1, m, c], &[1, _, d]) if c == d && m > TOKENS)
}

/// The encoder's grid: that of the view which has as many patches as there are embeddings.
pub fn grid_of_views(views: &[Grid], patches: Option<Vec<i64>>, embedding: Option<Vec<i64>>) -> Option<Grid> {
    let (&[_, _, p, q], &[1, n, _]) = (patches?.as_slice(), embedding?.as_slice()) else { return None };
    let grids = views.iter().map(|[height, width]| [height / p.max(1), width / q.max(1)]);
    grids.into_iter().find(|[h, w]| h * w == n - TOKENS)
}

/// The grid that a file of this program tells: its view's size over its patches'.
pub fn grid_of_metadata(metadata: &HashMap<String, String>, set: &NamedSet) -> Option<Grid> {
    let about: Value = serde_json::from_str(metadata.get(ABOUT)?).ok()?;
    let sides: Vec<i64> = serde_json::from_value(about.get("view")?.get("size")?.clone()).ok()?;
    let (&[height, width], &[_, _, p, q]) = (sides.as_slice(), set.tensors.get(PATCHES)?.size()) else { return None };
    (p > 0 && q > 0).then(|| [height / p, width / q])
}

/// The embedding, 1 × (P + H·W) × C, for another grid.
///
/// # Errors
/// libtorch's.
pub fn resampled(embedding: &Tensor, [from, to]: [Grid; 2]) -> Result<Tensor, TchError> {
    let (kind, c) = (embedding.kind(), embedding.size()[2]);
    let class = embedding.f_narrow(1, 0, TOKENS)?;
    let patches = embedding.f_narrow(1, TOKENS, from[0] * from[1])?.f_to_kind(Kind::Float)?;
    let image = patches.f_reshape([1, from[0], from[1], c])?.f_permute([0, 3, 1, 2])?;
    let image = image.f_internal_upsample_bicubic2d_aa(to, false, None, None)?;
    let patches = image.f_permute([0, 2, 3, 1])?.f_reshape([1, to[0] * to[1], c])?.f_to_kind(kind)?;
    Tensor::f_cat(&[class, patches], 1)
}

/// What is told of it.
pub fn told([from, to]: [Grid; 2]) -> String {
    format!("position embeddings of {}×{} patches are interpolated to {}×{}", from[0], from[1], to[0], to[1])
}

fn square(patches: i64) -> Option<Grid> {
    let side = (patches.max(0) as f64).sqrt().round() as i64;
    (side > 0 && side * side == patches).then_some([side; 2])
}

/// A grid of so many patches whose sides have another's ratio.
fn alike(patches: i64, [h, w]: Grid) -> Option<Grid> {
    (1..=patches).filter(|down| patches % down == 0).map(|down| [down, patches / down]).find(|[a, b]| a * w == b * h)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_told_or_square_or_of_the_encoders_ratio() {
        let fits = |grids: Grids, m: i64, n: i64| grids.of("pos_embed", &[1, m + 1, 192], &[1, n + 1, 192]);
        let own = |own| Grids { own: Some(own), file: None };
        assert_eq!(fits(Grids::default(), 256, 64), Some(([16, 16], [8, 8])));
        assert_eq!(fits(own([4, 8]), 128, 32), Some(([8, 16], [4, 8])), "the ratio");
        assert_eq!(fits(own([8, 8]), 128, 64), None, "8×16 or 16×8");
        assert_eq!(fits(Grids { file: Some([16, 8]), ..own([8, 8]) }, 128, 64), Some(([16, 8], [8, 8])));
        assert_eq!(fits(Grids { file: Some([4, 16]), ..own([8, 8]) }, 64, 64), Some(([4, 16], [8, 8])), "as many");
        assert_eq!(fits(own([4, 8]), 64, 32), Some(([8, 8], [4, 8])), "a square into what is none");
        assert_eq!(Grids::default().of("blocks.0", &[1, 65, 192], &[1, 17, 192]), None);
    }
}
