//! What mpirun says: Open MPI's variables, and those of Hydra, which starts MPICH's and Intel's processes.

use super::{
    super::place::{LOOPBACK, Place, Server, check_ranks, ports_of},
    Variables,
};
use crate::error::{Error, Fault, Result};
use std::fs;

/// Names of rank, size, and both on this machine.
const OPEN_MPI: [&str; 4] =
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"];
const HYDRA: [&str; 4] = ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"];
const HINT: &str = "mpirun sets it; look at how the processes are started";

/// The place among the processes that mpirun has started; none where it has not, or started one.
///
/// # Errors
/// Variables of which some are missing or make no sense, and several machines of which nothing says where to meet.
pub fn mpi(variables: &Variables<'_>) -> Result<Option<Place>> {
    let Some([rank_name, size_name, local_rank_name, local_size_name]) =
        [OPEN_MPI, HYDRA].into_iter().find(|names| variables.has(names[1]))
    else {
        return Ok(None);
    };
    let world_size: usize = variables.needed(size_name, size_name, HINT)?;
    if world_size < 2 {
        return Ok(None);
    }
    let rank = variables.needed(rank_name, size_name, HINT)?;
    let local_rank = variables.needed(local_rank_name, size_name, HINT)?;
    let local_world_size = variables.needed(local_size_name, size_name, HINT)?;
    let address = (variables.get("MASTER_ADDR"), variables.number::<u16>("MASTER_PORT")?);
    let is_local = local_world_size == world_size;
    let known = ["PMIX_NAMESPACE", "OMPI_MCA_orte_hnp_uri", "OMPI_MCA_ess_base_jobid"];
    let id = known.into_iter().find_map(|name| variables.get(name));
    let job = format!("infomax/mpi/{}", id.or_else(|| is_local.then(parent)).unwrap_or_default());
    let (host, ports) = match address {
        (_, Some(port)) if is_local => (LOOPBACK.to_owned(), vec![port]),
        (_, None) if is_local => (LOOPBACK.to_owned(), ports_of(&job)),
        (Some(host), Some(port)) => (host, vec![port]),
        _ => {
            let message = format!(
                "mpirun started {world_size} processes, {local_world_size} of them here: over several machines they need to be \
                 told where to meet"
            );
            let line = if rank_name == OPEN_MPI[0] {
                "mpirun -x MASTER_ADDR=FIRST_MACHINE -x MASTER_PORT=29500 … infomax train …"
            } else {
                "mpirun -genv MASTER_ADDR FIRST_MACHINE -genv MASTER_PORT 29500 … infomax train …"
            };
            return Err(Error::config(Fault::new(message).hint(format!("start `{line}`"))));
        }
    };
    check_ranks(rank, world_size, local_rank, local_world_size)?;
    Ok(Some(Place { rank, world_size, local_rank, host, ports, server: Server::among_ranks(rank), job }))
}

/// The launcher's process on this machine, which all of its processes have in common.
fn parent() -> String {
    let pid = std::os::unix::process::parent_id();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Field 22: when it started, so that a number that is used again is told apart.
    let started = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)).unwrap_or_default().to_owned();
    format!("{pid}-{started}")
}
