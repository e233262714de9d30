//! Common encoders as a plugin: ResNets, wide ResNets and a small vision transformer, with the tensor names of the
//! libraries whose weights people have.

mod config;
mod convolution;
mod resnet;
mod views;
mod vit;
mod wide_resnet;

pub use config::resnet::ResNetConfig;
pub use resnet::ResNet;

infomax_sdk::export_plugin! {
    encoders: {
        "resnet18" => resnet::ResNet<18>,
        "resnet34" => resnet::ResNet<34>,
        "resnet50" => resnet::ResNet<50>,
        "vit-tiny" => vit::Vit,
        "wide-resnet" => wide_resnet::WideResNet,
    },
}
