//! Encoders: the foreign side, the slow copy that follows one, and weights from a file.

mod foreign;
mod momentum;
mod weights;

pub use foreign::{ForeignEncoder, describe};
pub(crate) use foreign::{call_in, report};
pub use momentum::MomentumEncoder;
pub use weights::{Choice, Described, load_chosen_weights, load_weights};
