//! AMDIM as a plugin: encoder, loss and views of Bachman, Hjelm and Buchwalter 2019.

mod config;
mod encoder;
mod loss;

infomax_sdk::export_plugin! {
    encoders: { "amdim" => encoder::AmdimEncoder },
    losses: { "amdim" => loss::AmdimLoss },
}
