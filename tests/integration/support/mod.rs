//! What all tests share: the workspace, the built libraries, the real binary, the shared folder, folders of images.

pub mod binary;
pub mod ended;
pub mod family;
pub mod faulty;
pub mod figures;
pub mod golden_file;
pub mod image_tree;
pub mod python;
pub mod slurm;
pub mod workspace;
