//! The loss `exported`: `objective` is what the host calls, `description` what the file says of it, `mean` whether it is the mean over
//! images that a config says it is.

mod description;
mod mean;
mod objective;

pub use description::arguments_told;
pub use objective::ExportedObjective;
