//! `infomax board`: a local page that follows runs and studies while they train. `follow` looks at the folders on a thread of its own
//! and keeps every run in brief; `server` answers browsers from that, through `gate`, which says who may ask, and `route`, which says
//! what for; `pages` has a file for each page. Pages are made here; `board.js` replaces the parts that have changed.
//!
//! It reads plain files within the folders, writes nothing, and takes no lock that a run would wait for longer than a moment.

mod address;
mod follow;
mod gate;
mod pages;
mod query;
mod route;
mod server;

pub use address::Listening;
pub use follow::Following;
pub use gate::Gate;
pub use server::serve;
