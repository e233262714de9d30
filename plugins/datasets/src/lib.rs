//! Datasets: CIFAR-10, CIFAR-100, STL-10, folders of images, and drawn shapes.

mod archive;
mod cifar;
mod config;
mod download;
mod folder;
mod hashes;
mod names;
mod records;
mod shapes;
mod stl10;

pub use cifar::{Cifar10, Cifar100};
pub use folder::ImageFolder;
pub use shapes::Shapes;
pub use stl10::Stl10;

infomax_sdk::export_plugin! {
    datasets: {
        "cifar10" => Cifar10,
        "cifar100" => Cifar100,
        "stl10" => Stl10,
        "image-folder" => ImageFolder,
        "shapes" => Shapes,
    },
}
