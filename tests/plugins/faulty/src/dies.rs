//! A whole plugin whose static constructor ends the process that loads it.

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

extern "C" fn die() {
    if let Some(code) = std::env::var("FAULTY_EXIT").ok().and_then(|code| code.parse().ok()) {
        std::process::exit(code);
    }
    std::process::abort();
}

/// Run by the linker before `dlopen` returns.
#[used]
#[unsafe(link_section = ".init_array")]
static DIE: extern "C" fn() = die;
