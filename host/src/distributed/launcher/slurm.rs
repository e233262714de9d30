//! SLURM's variables in a step that srun started.

use super::{
    super::place::{LOOPBACK, Place, Server, check_ranks, ports_of},
    Variables,
    node_list::{first_host, tasks_of_node},
};
use crate::error::{Error, Fault, Result};

/// From here on step numbers are not srun's: the batch script, the interactive shell of salloc, ….
const SPECIAL_STEPS: u64 = 0xffff_fff0;
const HINT: &str = "srun sets it; start the processes with `srun infomax train …`";

/// The place in a step of several tasks; none in a batch script, in an interactive shell, and where the step has one task.
///
/// # Errors
/// Variables of which some are missing or make no sense, each named.
pub fn slurm(variables: &Variables<'_>) -> Result<Option<Place>> {
    // Inside a batch script or an interactive allocation there is no step: the process is alone.
    let is_step = variables.number::<u64>("SLURM_STEP_ID").ok().flatten().is_some_and(|id| id < SPECIAL_STEPS);
    if !is_step || !variables.has("SLURM_PROCID") {
        return Ok(None);
    }
    let tasks = if variables.has("SLURM_STEP_NUM_TASKS") { "SLURM_STEP_NUM_TASKS" } else { "SLURM_NTASKS" };
    let world_size: usize = variables.needed(tasks, "SLURM_PROCID", HINT)?;
    if world_size < 2 {
        return Ok(None);
    }
    if variables.has("SLURM_PTY_PORT") {
        log::warn!(
            "this is the interactive shell of a step of {world_size} tasks: training alone; for all of them start \
             `srun -n {world_size} infomax train …`"
        );
        return Ok(None);
    }
    let rank: usize = variables.needed("SLURM_PROCID", tasks, HINT)?;
    let step = variables.get("SLURM_STEP_ID").unwrap_or_default();
    let restarts = variables.get("SLURM_RESTART_COUNT").filter(|count| count != "0");
    let restarts = restarts.map(|count| format!("/{count}")).unwrap_or_default();
    let job = format!("infomax/{}.{step}{restarts}", variables.get("SLURM_JOB_ID").unwrap_or_default());
    let ports = match variables.number("MASTER_PORT")? {
        Some(port) => vec![port],
        None => ports_of(&job),
    };
    let lists = ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"];
    let nodes = lists.into_iter().find_map(|name| variables.get(name)).unwrap_or_default();
    let node_count = variables.number::<usize>("SLURM_STEP_NUM_NODES")?;
    let is_local = node_count.map_or(!nodes.contains([',', '[']) && !nodes.is_empty(), |count| count == 1);
    let host = match variables.get("MASTER_ADDR") {
        _ if is_local => LOOPBACK.to_owned(),
        Some(host) => host,
        None => first_host(&nodes),
    };
    if host.is_empty() {
        let fault = Fault::new("srun started several processes, but the environment doesn't say on which machines");
        return Err(Error::config(fault.hint("set MASTER_ADDR to the machine of the first process")));
    }
    let local_rank = variables.needed("SLURM_LOCALID", tasks, HINT)?;
    let node: usize = variables.number("SLURM_NODEID")?.unwrap_or(0);
    let per_node = variables.get("SLURM_STEP_TASKS_PER_NODE").and_then(|list| tasks_of_node(&list, node));
    let local_world_size = match per_node {
        _ if is_local => world_size,
        Some(count) => count,
        None => variables.number("SLURM_NTASKS_PER_NODE")?.unwrap_or(local_rank + 1),
    };
    check_ranks(rank, world_size, local_rank, local_world_size)?;
    Ok(Some(Place { rank, world_size, local_rank, host, ports, server: Server::among_ranks(rank), job }))
}
