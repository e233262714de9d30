//! Several processes that train together: which is which, as a launcher says (`launcher`, `place`), how
//! they find one another (`rendezvous`, `addresses`), how they exchange tensors (`group`, over libtorch's
//! c10d, `native`), what they make sure of before the first step (`agreement`), the sums of gradients (`reducer`), how they end together (`ending`), shared
//! BatchNorm statistics (`batch_norm`), and who starts and watches them (`supervisor`, which reads each rank's `report`).

mod addresses;
mod agreement;
mod batch_norm;
mod ending;
mod group;
mod launcher;
mod native;
mod place;
mod reducer;
mod rendezvous;
mod report;
mod supervisor;

pub use agreement::{agree, check_parameters, comparable};
pub use batch_norm::BatchNormPolicy;
pub use ending::{Ending, Meetingplace, Why};
pub use group::Group;
pub use launcher::is_of_a_launcher;
pub use native::{Joining, Store};
pub use place::{Place, STORE_IS_SERVED};
pub use reducer::Reducer;
pub use rendezvous::{Arrival, Met, announce, gather};
pub use report::{Report, at_step, report_to, step_under_way};
pub use supervisor::{Job, Supervised, supervise};
