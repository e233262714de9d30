//! Numbers recorded from independent implementations, reached through the loaded libraries.

mod encoders;
mod fill;
