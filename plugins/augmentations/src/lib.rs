//! Common augmentations as a plugin: SimCLR's views, asymmetric pairs, multi-crop, RandAugment and plain views.

mod config;
mod none;
mod randaugment;
mod recipe;
mod views;

use views::Views;

infomax_sdk::export_plugin! {
    augmentations: {
        "asymmetric" => Views<config::Asymmetric>,
        "multi-crop" => Views<config::MultiCrop>,
        "none" => none::None,
        "randaugment" => Views<config::RandAugment>,
        "simclr" => Views<config::SimClr>,
    },
}

#[cfg(test)]
mod tests;
