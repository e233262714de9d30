//! What all tests share: the workspace, the built libraries, the shared folder.

pub mod binary;
pub mod faulty;
pub mod golden_file;
pub mod workspace;
