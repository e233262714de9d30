//! The book: how to write a component, page by page. Every example is compiled with the SDK's tests.
//!
//! | page | about |
//! |---|---|
//! | [`start`] | from nothing to a trained loss |
//! | [`loss`], [`encoder`], [`augmentation`], [`dataset`] | the four kinds, each with a whole example |
//! | [`port`] | your PyTorch loss in Rust, both sides next to each other |
//! | [`failing`] | what an operator says that fails, and whose line it names |
//! | [`performance`] | what costs time, and what doesn't |
//! | [`distribution`] | several processes: what the host does, and how BatchNorm's statistics are shared |
//! | [`stability`] | what may change when |

#[doc = include_str!("start.md")]
pub mod start {}

#[doc = include_str!("loss.md")]
pub mod loss {}

#[doc = include_str!("encoder.md")]
pub mod encoder {}

#[doc = include_str!("augmentation.md")]
pub mod augmentation {}

#[doc = include_str!("dataset.md")]
pub mod dataset {}

#[doc = include_str!("port.md")]
pub mod port {}

#[doc = include_str!("failing.md")]
pub mod failing {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("distribution.md")]
pub mod distribution {}

#[doc = include_str!("stability.md")]
pub mod stability {}
