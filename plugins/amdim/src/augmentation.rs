//! The augmentation `amdim`: from an image of any size to views of 8-bit RGB.

mod amdim;

pub use amdim::Amdim;

#[cfg(test)]
mod tests;
