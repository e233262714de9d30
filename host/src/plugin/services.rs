//! What the host offers plugins: the log, and libtorch's operators.

use infomax_abi::{
    Extension, HostServices, HostServicesRef,
    abi_stable::{prefix_type::PrefixTypeTrait, std_types::RStr},
};
use log::{Level, LevelFilter};
use std::sync::OnceLock;

/// The one table that every library gets.
pub fn services() -> HostServicesRef {
    static SERVICES: OnceLock<Shared> = OnceLock::new();
    SERVICES.get_or_init(|| Shared(HostServices { log, max_log_level, extension }.leak_into_prefix())).0
}

struct Shared(HostServicesRef);

extern "C" fn log(level: u32, target: RStr<'_>, message: RStr<'_>) {
    let level = LevelFilter::iter().nth(level as usize).and_then(|filter| filter.to_level()).unwrap_or(Level::Info);
    log::log!(target: target.as_str(), level, "{message}");
}

extern "C" fn max_log_level() -> u32 {
    log::max_level() as u32
}

extern "C" fn extension(id: RStr<'_>) -> Extension {
    if id.as_str() == infomax_abi::operators::ID { super::operators::table() } else { std::ptr::null() }
}
