//! Common encoders as a plugin: ResNets, wide ResNets and a small vision transformer, with the tensor names of the
//! libraries whose weights people have.

mod config;
mod initial;
mod layers;
mod resnet;
mod views;

infomax_sdk::export_plugin! {
    encoders: {
        "resnet18" => resnet::ResNet<18>,
        "resnet34" => resnet::ResNet<34>,
        "resnet50" => resnet::ResNet<50>,
    },
}
