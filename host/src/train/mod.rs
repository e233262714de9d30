//! Training: from a resolved experiment to a trained encoder. `setup` checks everything before anything is allocated,
//! `model` holds what is trained, `step` is one update, `engine` the loop around it.

mod budget;
mod device;
mod engine;
mod evaluate;
mod exchange;
mod identity;
mod input;
mod meeting;
mod model;
mod passes;
mod precision;
mod recorder;
mod scaler;
mod setup;
mod signals;
mod step;
mod supervised;
mod untrained;

pub use budget::Plan as BudgetPlan;
pub use device::{device_name, open_cuda, resolve_device};
pub use engine::{ENCODER, Outcome, RunOptions, train};
pub use identity::{Identity, LabelIdentity, PluginIdentity};
pub use input::Normalisation;
pub use meeting::meet;
pub use model::Model;
pub use precision::{Arithmetic, SLOWER, WITHOUT_BF16};
pub use recorder::{METRICS, TENSORBOARD};
pub use scaler::{LossScaler, ScalerState};
pub use setup::Setup;
pub use signals::Signals;
pub use step::{StepOutcome, Stepper};
