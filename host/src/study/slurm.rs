//! A study as a SLURM array: a script with a task for each cell that is missing.

use super::plan::Plan;
use crate::{
    error::{Error, Result},
    record::write_whole,
    shell::quoted,
};
use std::path::Path;

/// What the script asks SLURM for.
#[derive(Clone, Debug, Default)]
pub struct Array {
    /// Tasks at once; SLURM's own limit where not given.
    pub at_once: Option<usize>,
    /// Further lines after `#SBATCH`.
    pub options: Vec<String>,
    /// The `--set`s of the plan.
    pub set: Vec<String>,
}

/// Writes the script for some cells, by number.
///
/// # Errors
/// A path that is no UTF-8, or the system's error.
pub fn write(plan: &Plan, cells: &[usize], array: &Array, to: &Path) -> Result<()> {
    let text = script(plan, cells, array)?;
    write_whole(to, text.as_bytes())
}

fn script(plan: &Plan, cells: &[usize], array: &Array) -> Result<String> {
    let executable = infomax_desk::program::program().map_err(Error::io("find the executable of", "/proc/self"))?;
    let here = std::env::current_dir().map_err(Error::io("find", "."))?;
    let ids: Vec<String> = cells
        .iter()
        .filter_map(|&number| plan.cells[number - 1].ready.as_ref().ok())
        .map(|ready| ready.id.clone())
        .collect();
    let limit = array.at_once.map(|count| format!("%{count}")).unwrap_or_default();
    let options: String = array.options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
    let name = &plan.study.name;
    let set: String = array.set.iter().map(|set| format!(" --set {}", quoted(set))).collect();
    let logs = plan.store.beside("studies").join(format!("{name}-%a.log"));
    Ok(format!(
        "#!/bin/bash\n\
         # One task for each cell of `{name}` that was missing when this was written. SLURM's signal before the time limit lets a\n\
         # cell save its state; `sbatch` the same script again, or `infomax ablate run`, goes on with it.\n\
         #SBATCH --job-name={name}\n\
         #SBATCH --array=0-{}{limit}\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --signal=B:TERM@120\n\
         #SBATCH --output={}\n\
         {options}\
         cells=({})\n\
         cd {}\n\
         # With `exec` the signal reaches the driver, which passes it on.\n\
         exec {} ablate run {} --cell \"${{cells[$SLURM_ARRAY_TASK_ID]}}\"{set}\n",
        ids.len().saturating_sub(1),
        logs.display(),
        ids.join(" "),
        quoted(&here.to_string_lossy()),
        quoted(&executable.to_string_lossy()),
        quoted(&plan.study.file().to_string_lossy()),
    ))
}
