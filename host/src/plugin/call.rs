//! What every foreign component shares: who it is, and how its errors become the host's.

use super::{Kind, Library, PluginError};
use infomax_abi::{
    FfiResult,
    abi_stable::std_types::{RResult, RString},
};
use infomax_sdk::{Error as ComponentError, guard::from_ffi, requests::Request};
use serde::de::DeserializeOwned;

/// Who a component is: for messages and for a run's records.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `loss `amdim``.
    pub component: String,
    /// `infomax-plugin-amdim 0.1.0 (path)`.
    pub library: String,
}

impl Origin {
    /// Turns a call's result into the host's.
    ///
    /// # Errors
    /// What the component returned.
    pub fn take<T>(&self, call: &'static str, result: FfiResult<T>) -> Result<T, PluginError> {
        match result {
            RResult::ROk(value) => Ok(value),
            RResult::RErr(error) => Err(self.error(call, from_ffi(error))),
        }
    }

    /// An error of this component in a call.
    pub fn error(&self, call: &'static str, error: ComponentError) -> PluginError {
        PluginError::Call {
            component: self.component.clone(),
            library: self.library.clone(),
            call,
            error: Box::new(error),
            context: None,
        }
    }

    /// A breach of the contract that the host found in what a call gave back.
    pub fn breach(&self, call: &'static str, message: String, hint: &str) -> PluginError {
        self.error(call, ComponentError::new(message).hint(hint))
    }
}

/// A component of a loaded library, not yet made.
#[derive(Clone)]
pub struct Component {
    /// The library.
    pub library: Library,
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub name: String,
    /// For messages.
    pub origin: Origin,
}

impl Component {
    /// A component of a library.
    pub fn new(library: Library, kind: Kind, name: String) -> Self {
        let origin = Origin { component: format!("{} `{name}`", kind.name()), library: library.candidate.label() };
        Self { library, kind, name, origin }
    }

    /// Describes the component.
    ///
    /// # Errors
    /// A config that can't work, or a description that can't be read.
    pub fn describe<D: DeserializeOwned>(&self, request: &Request) -> Result<D, PluginError> {
        let request = request_text(request);
        let _call = super::enter(self, "describe");
        let describe = self.library.module.describe();
        let result = describe(self.kind.name().into(), self.name.as_str().into(), request.as_str().into());
        let text: RString = self.origin.take("describe", result)?;
        self.read("describe", &text)
    }

    /// Reads JSON that the component gave.
    ///
    /// # Errors
    /// Text that does not fit.
    pub fn read<D: DeserializeOwned>(&self, call: &'static str, text: &str) -> Result<D, PluginError> {
        serde_json::from_str(text).map_err(|error| {
            let error = ComponentError::new("its answer can't be read").caused_by(&error);
            self.origin.error(call, error)
        })
    }
}

/// A request as the text that crosses the boundary.
pub fn request_text(request: &Request) -> String {
    serde_json::to_string(request).expect("a request is plain data")
}
