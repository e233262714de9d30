//! A shared library that is no plugin.

/// So that the library is not empty.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> u32 {
    42
}
