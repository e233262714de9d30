//! A plugin library's entry: what the host looks up first.

use crate::{Extension, FfiAugmentation, FfiDataset, FfiEncoder, FfiLoss, FfiResult, HostServicesRef};
use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings,
    sabi_types::VersionStrings,
    std_types::{RStr, RString},
};

/// The boundary's version: the major must be equal, a minor only appends.
pub const ABI_VERSION: [u32; 2] = [1, 1];

/// The entry of a plugin library. Configs and requests are JSON objects.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
#[sabi(missing_field(option))]
pub struct PluginModule {
    /// Called once, before anything else: connects the log.
    pub start: extern "C" fn(HostServicesRef) -> FfiResult<()>,
    /// Describes a component without making it: kind, name, request → description, all JSON but kind and name.
    pub describe: extern "C" fn(RStr<'_>, RStr<'_>, RStr<'_>) -> FfiResult<RString>,
    /// Makes a dataset: name, request.
    pub create_dataset: extern "C" fn(RStr<'_>, RStr<'_>) -> FfiResult<FfiDataset>,
    /// Makes an augmentation: name, request.
    pub create_augmentation: extern "C" fn(RStr<'_>, RStr<'_>) -> FfiResult<FfiAugmentation>,
    /// Makes an encoder: name, request.
    pub create_encoder: extern "C" fn(RStr<'_>, RStr<'_>) -> FfiResult<FfiEncoder>,
    /// Makes a loss: name, request.
    pub create_loss: extern "C" fn(RStr<'_>, RStr<'_>) -> FfiResult<FfiLoss>,
    /// Looks an extension of the plugin up by id.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(RStr<'_>) -> Extension,
    /// Stands for whatever the next minor version appends; only the compatibility tests see it.
    #[cfg(feature = "next")]
    pub appended: extern "C" fn() -> u32,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "infomax_plugin";
    const NAME: &'static str = "infomax_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
