//! Plugins that are damaged, foreign, of another version, or misbehave in a call: rows P01 to P19 of the fault matrix.

mod calls;
mod compilers;
mod files;
mod gate;
mod outside;
mod packages;
mod process;
mod rendered;
mod reproduce;
mod trust;
mod values;
