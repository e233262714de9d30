//! What the host offers a plugin.

use crate::Extension;
use abi_stable::{StableAbi, std_types::RStr};

/// Services of the host, handed over once when a library is started; valid for the life of the process.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostServicesRef)))]
#[sabi(missing_field(option))]
pub struct HostServices {
    /// Writes a line to the host's log: level (1 error … 5 trace), target, message.
    pub log: extern "C" fn(u32, RStr<'_>, RStr<'_>),
    /// The most verbose level that the host records.
    pub max_log_level: extern "C" fn() -> u32,
    /// Looks an extension of the host up by id.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(RStr<'_>) -> Extension,
}
