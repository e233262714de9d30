//! Writes the plugin's manifest.

#[allow(dead_code, reason = "only the schemas of the structs are used here")]
#[path = "src/config.rs"]
mod config;

fn main() {
    infomax_manifest::Builder::new()
        .dataset::<config::Cifar10>("cifar10", "CIFAR-10: 60,000 images of 32×32 in 10 classes")
        .dataset::<config::Cifar100>("cifar100", "CIFAR-100: 60,000 images of 32×32 in 100 classes")
        .dataset::<config::Stl10>("stl10", "STL-10: 13,000 labelled and 100,000 unlabelled images of 96×96")
        .dataset::<config::ImageFolder>(
            "image-folder",
            "Folders of images: a folder per class, without classes, or listed in files",
        )
        .dataset::<config::MedMnist>("medmnist", "MedMNIST: a `.npz` of small medical images")
        .dataset::<config::Parquet>("parquet", "Parquet files with a column of images, as Hugging Face's sets come")
        .dataset::<config::WebDataset>("webdataset", "Shards of images in tar archives, as WebDataset writes them")
        .dataset::<config::Shapes>("shapes", "Ten drawn shapes in clutter, made on the spot: no files needed")
        .write();
}
