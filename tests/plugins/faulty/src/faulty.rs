//! Components of all four kinds that misbehave where their config says so, and are tiny and correct otherwise.

mod augmentation;
mod config;
mod dataset;
mod encoder;
mod left;
mod loss;
mod trip;

infomax_sdk::export_plugin! {
    datasets: { "faulty" => dataset::FaultyDataset },
    augmentations: { "faulty" => augmentation::FaultyAugmentation },
    encoders: { "faulty" => encoder::FaultyEncoder },
    losses: { "faulty" => loss::FaultyLoss },
}
