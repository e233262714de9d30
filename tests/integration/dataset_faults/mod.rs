//! Rows D01-D20 of the fault matrix, end to end: the real binary or the loaded plugin on folders of images. What the
//! decoder and the datasets promise each on their own is tested beside them.

mod damage;
mod kinds;
mod policy;
mod records;
mod trees;
