//! What `export_plugin!` expands to calls: parsing requests, starting a library, saying no to unknown names.

use crate::{Device, Error, Result, guard::guard, requests::Request};
use infomax_abi::{
    FfiAugmentation, FfiDataset, FfiEncoder, FfiLoss, FfiResult, HostServicesRef, PluginModule, PluginModuleRef,
    abi_stable::{
        prefix_type::PrefixTypeTrait,
        std_types::{RStr, RString},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Starts the library: connects its log and its tensors to the host's.
pub extern "C" fn start(host: HostServicesRef) -> FfiResult<()> {
    guard(|| {
        crate::log_bridge::connect(host);
        crate::tensor::connect(host);
        Ok(())
    })
}

/// A function that makes a component from its name and a request.
pub type Create<T> = extern "C" fn(RStr<'_>, RStr<'_>) -> FfiResult<T>;

/// The table of functions behind a library's entry; made once per library.
pub fn entry(
    describe: extern "C" fn(RStr<'_>, RStr<'_>, RStr<'_>) -> FfiResult<RString>,
    create_dataset: Create<FfiDataset>,
    create_augmentation: Create<FfiAugmentation>,
    create_encoder: Create<FfiEncoder>,
    create_loss: Create<FfiLoss>,
) -> PluginModuleRef {
    PluginModule {
        start,
        describe,
        create_dataset,
        create_augmentation,
        create_encoder,
        create_loss,
        extension,
        #[cfg(feature = "next")]
        appended,
    }
    .leak_into_prefix()
}

#[cfg(feature = "next")]
extern "C" fn appended() -> u32 {
    2
}

/// No extension is known yet.
pub extern "C" fn extension(_: RStr<'_>) -> infomax_abi::Extension {
    std::ptr::null()
}

/// Reads a request and hands it to the component's function.
pub fn answer<T>(request: RStr<'_>, component: impl FnOnce(Request) -> Result<T>) -> FfiResult<T> {
    guard(|| {
        // serde would take a list for a struct, field by field.
        if !request.trim_start().starts_with('{') {
            return Err(Error::new("the host's request is no JSON object"));
        }
        component(from_json(&request)?)
    })
}

/// The answer to a name that the library does not have.
///
/// # Errors
/// Always.
pub fn unknown<T>(kind: &str, name: &str) -> Result<T> {
    Err(Error::config(format!("this plugin has no {kind} `{name}`")))
}

/// A component's config out of its request.
///
/// # Errors
/// A config that does not fit the struct.
pub fn config<C: DeserializeOwned>(value: Value) -> Result<C> {
    let value = if value.is_null() { Value::Object(Default::default()) } else { value };
    serde_json::from_value(value).map_err(|error| Error::config("the config does not fit").caused_by(&error))
}

/// JSON text of a plain value.
///
/// # Errors
/// A value that JSON can't hold.
pub fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new("can't write JSON").caused_by(&error))
}

/// A plain value out of JSON text.
///
/// # Errors
/// Text that is not JSON or does not fit.
pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::new("can't read JSON from the host").caused_by(&error))
}

/// The device that a request names.
///
/// # Errors
/// A name other than `cpu`, `cuda` or `cuda:N`.
pub fn device(name: &str) -> Result<Device> {
    match name.split_once(':') {
        None if name.is_empty() || name == "cpu" => Ok(Device::Cpu),
        None if name == "cuda" => Ok(Device::Cuda(0)),
        Some(("cuda", index)) if index.parse::<usize>().is_ok() => Ok(Device::Cuda(index.parse().unwrap_or_default())),
        _ => Err(Error::config(format!("unknown device `{name}`")).hint("`cpu`, `cuda` or `cuda:N`")),
    }
}
