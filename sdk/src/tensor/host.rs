//! The host's operator table, found when the library is started.

use infomax_abi::{
    HostServicesRef, OperatorTableRef,
    operators::{ID, from_extension},
};
use std::sync::OnceLock;

static TABLE: OnceLock<Table> = OnceLock::new();

struct Table(Option<OperatorTableRef>);

/// Finds the table among the host's extensions; a second call changes nothing.
pub(crate) fn connect(host: HostServicesRef) {
    TABLE.get_or_init(|| {
        // SAFETY: the pointer is what the host gives for this id.
        Table(unsafe { from_extension(host.extension()(ID.into())) })
    });
}

/// The table.
///
/// # Panics
/// Without a host that has one: in a program of its own there is nothing to compute with.
#[inline]
pub(super) fn table() -> OperatorTableRef {
    match TABLE.get() {
        Some(Table(Some(table))) => *table,
        Some(Table(None)) => {
            panic!("this host has no operator table: it is older than this plugin's SDK; update infomax")
        }
        None => panic!("tensors live in the host: load the library there, `infomax plugin check FILE` runs its tests"),
    }
}
