//! Solvers of libraries that are generic, and so are compiled with whoever names the types: here, where they are optimised.

mod lbfgs;
mod tsne;

pub use bhtsne::Neighbor;
pub use lbfgs::{BoxError, Minimum, Smooth, minimise};
pub use tsne::{Layout, lay_out};
