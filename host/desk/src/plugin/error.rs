//! Ways in which a plugin fails, before loading, while loading, and in a call.

use crate::error::Fault;
use infomax_sdk::{Error as ComponentError, ErrorKind};
use std::path::PathBuf;

/// A plugin failed.
#[derive(Clone, Debug)]
pub enum PluginError {
    /// The file can't be used, for a reason found without loading it.
    Refused { path: PathBuf, reason: String, hint: String },
    /// No library has the component.
    Unknown { kind: &'static str, name: String, known: Vec<String>, nearest: Option<String>, searched: Vec<PathBuf> },
    /// Several libraries have it.
    Ambiguous { kind: &'static str, name: String, found: Vec<(PathBuf, String)> },
    /// What is found is not what was locked.
    Unlocked { path: PathBuf, differing: Vec<String> },
    /// Checks of a library failed.
    Unfit { fault: Fault },
    /// A component returned an error, panicked, or broke the contract.
    Call { component: String, library: String, call: &'static str, error: Box<ComponentError>, context: Option<String> },
}

impl PluginError {
    /// A refusal.
    pub fn refused(path: impl Into<PathBuf>, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { path: path.into(), reason: reason.into(), hint: hint.into() }
    }

    /// Adds where in training a call failed: `step 12, rank 0`.
    #[must_use]
    pub fn during(mut self, place: &str) -> Self {
        if let Self::Call { context, .. } = &mut self {
            *context = Some(place.to_owned());
        }
        self
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Call { error, .. } if is_out_of_memory(error) => 8,
            Self::Call { error, .. } => match error.kind {
                ErrorKind::Config => 2,
                ErrorKind::Data => 4,
                ErrorKind::Plugin | ErrorKind::Panic => 3,
            },
            Self::Refused { .. } | Self::Unknown { .. } | Self::Ambiguous { .. } => 3,
            Self::Unlocked { .. } | Self::Unfit { .. } => 3,
        }
    }

    /// What to tell the user.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused { path, reason, hint } => {
                Fault::new(format!("plugin refused: {reason}")).at(path.display().to_string()).hint(hint)
            }
            Self::Unfit { fault } => fault.clone(),
            Self::Unknown { kind, name, known, nearest, searched } => unknown(kind, name, known, nearest, searched),
            Self::Ambiguous { kind, name, found } => {
                let list: Vec<_> = found.iter().map(|(path, hash)| format!("{} ({hash})", path.display())).collect();
                let bare = name.split('@').next().unwrap_or_default();
                let hint = format!("name one build: `{bare}@sha256:{}`", found[0].1);
                Fault::new(format!("several plugins have the {kind} `{name}`")).at(list.join(", ")).hint(hint)
            }
            Self::Unlocked { path, differing } => {
                let count = differing.len();
                let differ = if count == 1 { "plugin differs" } else { "plugins differ" };
                let message = format!("{count} {differ} from the lock file:\n{}", differing.join("\n"));
                Fault::new(message).at(path.display().to_string()).hint(
                    "if each change is meant, accept them with `infomax plugin lock`; if not, put the locked builds back",
                )
            }
            Self::Call { component, library, call, error, context } => {
                let mut message = format!("{component} {}", error.message);
                if error.kind != ErrorKind::Panic {
                    message = format!("{component} failed in `{call}`: {}", error.message);
                } else {
                    message.push_str(&format!(" in `{call}`"));
                }
                for cause in &error.causes {
                    message.push_str(&format!(": {cause}"));
                }
                let place = [context.clone(), Some(library.clone()), error.place.clone()];
                let place: Vec<_> = place.into_iter().flatten().collect();
                let default = if is_out_of_memory(error) { Some(MEMORY_HINT) } else { default_hint(error.kind) };
                let hint = error.hint.clone().or_else(|| default.map(str::to_owned));
                Fault { message, at: Some(place.join(", ")), hint }
            }
        }
    }
}

/// What to do where memory has run out.
pub const MEMORY_HINT: &str = "lower `train.batch_size`, raise `train.accumulation_steps`, or choose a smaller encoder";

/// Whether libtorch says that it could not allocate.
pub fn memory_ran_out(message: &str) -> bool {
    message.contains("out of memory") || message.contains("can't allocate memory")
}

/// Whether libtorch could not allocate, inside the component.
fn is_out_of_memory(error: &ComponentError) -> bool {
    std::iter::once(&error.message).chain(&error.causes).any(|text| memory_ran_out(text))
}

/// What to do where a component itself does not say.
fn default_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Panic => Some("it is a bug of the plugin: tell its author; saved checkpoints stay valid"),
        ErrorKind::Plugin => Some("tell the plugin's author where it failed; saved checkpoints stay valid"),
        ErrorKind::Config => Some("change the component's `config`"),
        ErrorKind::Data => None,
    }
}

fn unknown(kind: &str, name: &str, known: &[String], nearest: &Option<String>, searched: &[PathBuf]) -> Fault {
    let hint = match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => "run `infomax plugin list` to see why a library is passed over".to_owned(),
        None => format!("there are {}", known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
    };
    let searched: Vec<_> = searched.iter().map(|folder| folder.display().to_string()).collect();
    Fault::new(format!("no plugin has the {kind} `{name}`")).at(format!("searched {}", searched.join(", "))).hint(hint)
}
