//! What studies leave in the folder of runs: a ledger each (`ledger`), and the cells that all share, one folder each, named by what its
//! result depends on (`identity`, `store`), at which one process works at a time (`lease`). `members` hands a study's cells to the
//! comparison. Planning and training them is the engine's.

mod identity;
mod lease;
mod ledger;
mod members;
mod store;

pub use identity::CellIdentity;
pub use lease::{Asked, Lease, LeaseHolder};
pub use ledger::{LEASE_SECONDS, LEDGERS, Ledger, LedgerCell};
pub use members::{Reader, compare, compare_with};
pub use store::{CELLS, CellState, Cost, Failure, OUTPUT, RUN, Store};
