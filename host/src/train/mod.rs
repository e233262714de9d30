//! Training: from a resolved experiment to a trained encoder. `setup` checks everything before anything is allocated,
//! `prepare` all that needs data, checkpoint and the other processes, before anything is written; `model` holds what is trained,
//! `memory` what a step of it needs,
//! `step` is one update (`input` what it takes, `gate` what its values allow, `graphs` how it is captured and replayed), `engine` the loop around it, `saving` and `watch` what the loop does beside.

mod budget;
mod cadence;
mod capture;
mod data;
mod device;
mod engine;
mod evaluate;
mod exchange;
mod gate;
mod graphs;
mod health;
mod held;
mod identity;
mod input;
mod length;
mod meeting;
mod memory;
mod model;
mod options;
mod passes;
mod precision;
mod prepare;
mod recorder;
mod saving;
mod scaler;
mod setup;
mod signals;
mod step;
mod supervised;
mod untrained;
mod watch;

pub use budget::Plan as BudgetPlan;
pub use device::{device_name, open_cuda, resolve_device};
pub use input::Normalisation;
pub use length::warmup_fault;
pub use meeting::meet;
pub use memory::StepMemory;
pub use model::Model;
pub use options::{Outcome, RunOptions};
pub use precision::{Arithmetic, SLOWER, WITHOUT_BF16, choose_products};
pub use prepare::{Prepared, prepare};
pub use scaler::{LossScaler, ScalerState};
pub use setup::Setup;
pub use signals::{Signals, held_for};
pub use step::{Launched, StepOutcome, Stepper};
