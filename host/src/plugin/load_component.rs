//! From the name of a component to its library, loaded.

use super::{Kind, Library, PluginError, Registry, load};
use std::path::Path;

/// Loads what a registry finds.
pub trait LoadComponent {
    /// Finds the one library that has a component, and loads it; with the component's plain name.
    ///
    /// # Errors
    /// As [`Registry::find`], and whatever loading refuses.
    fn load(&self, kind: Kind, spec: &str, path: Option<&Path>) -> Result<(Library, String), PluginError>;
}

impl LoadComponent for Registry {
    fn load(&self, kind: Kind, spec: &str, path: Option<&Path>) -> Result<(Library, String), PluginError> {
        let (candidate, name) = self.find(kind, spec, path)?;
        Ok((load(&candidate)?, name))
    }
}
