//! A transformer's position embedding for another grid of patches than the encoder's.
//!
//! Shapes: P tokens before the patches' (the class token) · H, W patches down and across · C channels.
//!
//! # Source
//! timm's `resample_abs_pos_embed`: bicubic with antialiasing in f32, the class token's as it is.

use tch::{Kind, TchError, Tensor};

const NAME: &str = "pos_embed";
const TOKENS: i64 = 1; // the class token

/// Whether a position embedding of one size can be made into one of another: both of square grids behind a class token.
pub fn fits(name: &str, have: &[i64], want: &[i64]) -> bool {
    match (have, want) {
        (&[1, m, c], &[1, n, d]) => name == NAME && c == d && side(m).is_some() && side(n).is_some(),
        _ => false,
    }
}

/// The embedding, 1 × (P + H·W) × C, for another grid.
///
/// # Errors
/// libtorch's.
pub fn resampled(embedding: &Tensor, want: &[i64]) -> Result<Tensor, TchError> {
    let (have, c) = (embedding.size(), want[2]);
    let [from, to] = [have[1], want[1]].map(|tokens| side(tokens).expect("`fits` said so"));
    let kind = embedding.kind();
    let class = embedding.f_narrow(1, 0, TOKENS)?;
    let patches = embedding.f_narrow(1, TOKENS, from * from)?.f_to_kind(Kind::Float)?;
    let image = patches.f_reshape([1, from, from, c])?.f_permute([0, 3, 1, 2])?;
    let image = image.f_internal_upsample_bicubic2d_aa([to, to], false, None, None)?;
    let patches = image.f_permute([0, 2, 3, 1])?.f_reshape([1, to * to, c])?.f_to_kind(kind)?;
    Tensor::f_cat(&[class, patches], 1)
}

/// What is told of it.
pub fn told(have: &[i64], want: &[i64]) -> String {
    let [from, to] = [have[1], want[1]].map(|tokens| side(tokens).unwrap_or_default());
    format!("position embeddings of {from}×{from} patches are interpolated to {to}×{to}")
}

/// The side of a square grid behind a class token.
fn side(tokens: i64) -> Option<i64> {
    let patches = tokens - TOKENS;
    let side = (patches.max(0) as f64).sqrt().round() as i64;
    (side > 0 && side * side == patches).then_some(side)
}
