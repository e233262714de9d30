//! What `infomax config` prints, the published command lines, and what hostile configs and names can't do.

mod difference;
mod escapes;
mod explain;
mod fuzz;
mod paths;
mod published;
mod shipped;
mod units;
mod written_once;
