//! How a run was started: the command line, the commit that its config is of, and the environment that took part. No result is
//! compared by it, and a run neither waits for it long nor fails for want of it.

mod environment;
mod git;
mod secrets;
mod started;

pub use git::Git;
pub use started::{STARTED_BY, Started};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a run was started; in all of it `~` stands for the home folder, and `<hidden>` for what looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The command line, word by word; of a study's cell, and of one of several processes, that of the command that started it.
    pub command: Vec<String>,
    /// Of the config's folder, or else of the working directory.
    pub git: Git,
    /// The variables that were set, of those that infomax, libtorch and what it computes and communicates with read.
    pub environment: BTreeMap<String, String>,
}

impl Provenance {
    /// The variables that change how numbers are computed on a CPU and have another value now: name, value then, value now.
    pub fn other_arithmetic(&self) -> Vec<(&'static str, String, String)> {
        environment::other_arithmetic(&self.environment, &environment::taking_part(std::env::vars_os()))
    }
}

/// A provenance whose commit is being asked for.
#[derive(Debug)]
pub struct Asked {
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    git: git::Asked,
}

impl Asked {
    /// Asks for the commit, beside what the caller does meanwhile.
    pub fn about(started: &Started) -> Self {
        let git = git::Asked::about(&started.folder(), started.files());
        Self { command: started.shown(), environment: environment::taking_part(std::env::vars_os()), git }
    }

    /// The command line alone.
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// All of it: at the latest [`git::LONGEST`] after it was asked for.
    pub fn answer(&self) -> Provenance {
        Provenance { command: self.command.clone(), git: self.git.answer(), environment: self.environment.clone() }
    }
}
