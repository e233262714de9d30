//! Mixed precision: the numbers against f32, loss scaling and its faults (T05), what is refused and what is said.

mod numbers;
mod runs;
mod scaling;
