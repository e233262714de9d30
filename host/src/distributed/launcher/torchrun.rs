//! torchrun's variables, which our own supervisor and many scripts set too.

use super::{
    super::place::{LOOPBACK, Place, STORE_IS_SERVED, Server, check_ranks},
    Variables,
};
use crate::error::{Error, Fault, Result};

const HINT: &str =
    "torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; unset RANK and WORLD_SIZE to train alone";

/// The place that torchrun's variables give; none where they aren't there.
///
/// # Errors
/// Variables of which some are missing or make no sense, each named.
pub fn torchrun(variables: &Variables<'_>) -> Result<Option<Place>> {
    let since = match (variables.has("RANK"), variables.has("WORLD_SIZE")) {
        (true, _) => "RANK",
        (false, true) => "WORLD_SIZE",
        (false, false) => return meant_for_torchrun(variables).map_or(Ok(None), Err),
    };
    let rank = variables.needed("RANK", since, HINT)?;
    let world_size = variables.needed("WORLD_SIZE", since, HINT)?;
    let local_rank = variables.number("LOCAL_RANK")?.unwrap_or(0);
    let local_world_size: Option<usize> = variables.number("LOCAL_WORLD_SIZE")?;
    // Who doesn't say it starts one process on a machine, or several whose numbers tell.
    check_ranks(rank, world_size, local_rank, local_world_size.unwrap_or(local_rank + 1))?;
    let host = variables.text("MASTER_ADDR", since, HINT)?;
    let is_local = local_world_size == Some(world_size);
    let is_served = variables.get(STORE_IS_SERVED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let parts = ["TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"].map(|name| variables.get(name));
    let job = ["infomax".to_owned()].into_iter().chain(parts.into_iter().flatten()).collect::<Vec<_>>().join("/");
    Ok(Some(Place {
        rank,
        world_size,
        local_rank,
        host: if is_local { LOOPBACK.to_owned() } else { host },
        ports: vec![variables.needed("MASTER_PORT", since, HINT)?],
        server: if is_served { Server::Launcher } else { Server::among_ranks(rank) },
        job,
    }))
}

/// An environment made for torchrun, in which nobody has started it: each machine would train by itself.
fn meant_for_torchrun(variables: &Variables<'_>) -> Option<Error> {
    let several = |name: &&str| {
        let value = variables.get(name).unwrap_or_default();
        value.rsplit(':').next().and_then(|most| most.parse::<u64>().ok()).is_some_and(|count| count > 1)
    };
    let name = ["PET_NNODES", "PET_NPROC_PER_NODE"].into_iter().find(|name| several(name))?;
    let value = variables.get(name).unwrap_or_default();
    let message = format!("the environment is meant for torchrun (`{name}` = `{value}`), which has not been started");
    let hint = "start `torchrun --no-python infomax train …`, or unset the variable to train alone";
    Some(Error::config(Fault::new(message).hint(hint)))
}
