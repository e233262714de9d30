//! Datasets: CIFAR-10, CIFAR-100, STL-10, MedMNIST, folders of images, shards, tables, and drawn shapes.

mod archive;
mod cifar;
mod config;
mod download;
mod folder;
mod hashes;
mod labels;
mod matlab;
mod medmnist;
mod names;
mod parquet_files;
mod pickle;
mod records;
mod shapes;
mod shards;
mod stl10;
mod webdataset;

pub use cifar::{Cifar10, Cifar100};
pub use folder::ImageFolder;
pub use medmnist::MedMnist;
pub use parquet_files::Parquet;
pub use shapes::Shapes;
pub use stl10::Stl10;
pub use webdataset::WebDataset;

infomax_sdk::export_plugin! {
    datasets: {
        "cifar10" => Cifar10,
        "cifar100" => Cifar100,
        "stl10" => Stl10,
        "image-folder" => ImageFolder,
        "medmnist" => MedMnist,
        "parquet" => Parquet,
        "shapes" => Shapes,
        "webdataset" => WebDataset,
    },
}
