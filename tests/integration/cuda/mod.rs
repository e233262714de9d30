//! The GPU's host side, on a machine without one: `shared/fakecuda` stands in for libtorch's CUDA half. Its kernels are the CPU's, so
//! every run must give the CPU's numbers; device memory can't be touched, and what the host waits for is counted.

mod commands;
mod graphs;
mod memory;
pub(crate) mod numbers;
pub(crate) mod standin;
mod steps;
