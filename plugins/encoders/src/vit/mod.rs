//! The vision transformer ViT-Ti (Dosovitskiy et al. 2020, Touvron et al. 2020), as timm has it. `encoder.rs` is what the
//! host calls, `block.rs` the transformer block, `position.rs` the position embedding.

mod block;
mod encoder;
mod position;

pub use encoder::Vit;
