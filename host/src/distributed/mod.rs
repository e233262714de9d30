//! Several processes that train together: where they meet (`place`), how they exchange tensors (`group`, over libtorch's
//! c10d, `native`), what they make sure of before the first step (`agreement`), the sums of gradients (`reducer`), shared
//! BatchNorm statistics (`batch_norm`), and who starts and watches them (`supervisor`, which reads each rank's `report`).

mod agreement;
mod batch_norm;
mod group;
mod native;
mod place;
mod reducer;
mod report;
mod supervisor;

pub use agreement::{agree, check_parameters, comparable};
pub use batch_norm::BatchNormPolicy;
pub use group::Group;
pub use native::{Joining, Store};
pub use place::{Place, STORE_IS_SERVED};
pub use reducer::Reducer;
pub use report::{Report, at_step, report_to};
pub use supervisor::{Job, Supervised, supervise};
