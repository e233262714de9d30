//! Sends a plugin's log lines to the host: each library has a logger of its own, which would otherwise be silent.

use infomax_abi::HostServicesRef;
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::OnceLock;

static BRIDGE: OnceLock<Bridge> = OnceLock::new();

struct Bridge(HostServicesRef);

/// Connects this library's logger; a second call changes nothing.
pub fn connect(host: HostServicesRef) {
    let bridge = BRIDGE.get_or_init(|| Bridge(host));
    if log::set_logger(bridge).is_ok() {
        log::set_max_level(level(bridge.0.max_log_level()()));
    }
}

fn level(code: u32) -> LevelFilter {
    LevelFilter::iter().nth(code as usize).unwrap_or(LevelFilter::Info)
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let message = record.args().to_string();
            self.0.log()(record.level() as u32, record.target().into(), message.as_str().into());
        }
    }

    fn flush(&self) {}
}
