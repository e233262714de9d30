//! What the launchers say in the environment: torchrun and whatever speaks like it, SLURM's srun, and mpirun.

mod mpi;
mod node_list;
mod slurm;
mod torchrun;

use crate::error::{Error, Fault, Result};
use std::str::FromStr;

pub use mpi::mpi;
pub use slurm::slurm;
pub use torchrun::torchrun;

/// Whether a variable is a launcher's word on which process this is; a process that is to train by itself must not have it.
pub fn is_of_a_launcher(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "SLURM_NTASKS",
    ];
    const PREFIXES: [&str; 10] = [
        "TORCHELASTIC_",
        "PET_",
        "ROLE_",
        "OMPI_",
        "PMIX_",
        "PMI_",
        "MPI_LOCAL",
        "SLURM_STEP_",
        "SLURM_PROCID",
        "SLURM_LOCALID",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Variables, and what is wrong with them.
pub struct Variables<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A variable that must be there since another one is; `hint`: who sets it.
    fn text(&self, name: &str, since: &str, hint: &str) -> Result<String> {
        self.get(name).ok_or_else(|| {
            Error::config(Fault::new(format!("the environment has `{since}`, but not `{name}`")).hint(hint))
        })
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |text: String| {
            text.trim().parse().map_err(|_| {
                let fault = Fault::new(format!("the environment has `{name}` = `{text}`, expected a number"));
                Error::config(fault.hint("look at how the processes are started"))
            })
        };
        self.get(name).map(parse).transpose()
    }

    fn needed<T: FromStr>(&self, name: &str, since: &str, hint: &str) -> Result<T> {
        self.text(name, since, hint)?;
        Ok(self.number(name)?.expect("seen in the line above"))
    }
}
