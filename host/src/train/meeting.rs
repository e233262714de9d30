//! Where the ranks of a run meet: the group they form, and what they make sure of before anything is computed.

use super::{device::gpu_identity, signals::Signals};
use crate::{
    config::{Experiment, Resolved},
    cores,
    distributed::{Group, Joining, Meetingplace, Met, Place, agree, comparable, gather},
    error::{Error, Result},
    record::Identity,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tch::Device;

/// The group of the ranks of a run, and what each has of its machine.
pub struct Meeting {
    pub group: Group,
    /// Where they leave word for one another, where there are others.
    pub place: Option<Meetingplace>,
    /// How many cores are this process's own.
    pub cores: usize,
}

/// The ranks of a run, met; this process alone where it has no place among others.
///
/// # Errors
/// Others that don't come, that have failed, or that can't be reached; a signal.
pub fn meet(place: Option<&Place>, experiment: &Experiment, device: Device, signals: &Signals) -> Result<Meeting> {
    let Some(place) = place else {
        return Ok(Meeting { group: Group::alone(), place: None, cores: cores::cores().len() });
    };
    let table = &experiment.distributed;
    let gpu = match device {
        Device::Cuda(number) => Some(gpu_identity(number)),
        _ => None,
    };
    let Met { store, port, arrivals, address, cores } =
        gather(place, gpu, Duration::from_secs(table.meeting_seconds), signals)?;
    let gpus: BTreeSet<&String> = arrivals.iter().filter_map(|arrival| arrival.gpu.as_ref()).collect();
    // NCCL refuses two processes on one GPU; gloo copies through the CPU.
    let nccl = gpus.len() == place.world_size;
    if !nccl && !gpus.is_empty() && place.rank == 0 {
        eprintln!(
            "{} processes share {} GPUs: they exchange tensors by gloo, through the CPU",
            place.world_size,
            gpus.len()
        );
    }
    let joining = Joining {
        store: &store,
        prefix: &place.job,
        address: &address,
        rank: place.rank,
        size: place.world_size,
        timeout: Duration::from_secs(table.timeout_seconds),
        checked: table.check_exchanges,
        nccl,
    };
    let failed = |message| {
        let error = Error::exchange("meet the other processes", message);
        error.during(&format!("{address}, rank {}", place.rank))
    };
    let group = Group::join(&joining).map_err(failed)?;
    let timeout = Duration::from_secs(table.timeout_seconds);
    let word = Meetingplace {
        host: place.host.clone(),
        port,
        job: place.job.clone(),
        rank: place.rank,
        size: place.world_size,
        timeout,
    };
    Ok(Meeting { group, place: (place.world_size > 1).then_some(word), cores })
}

/// Makes sure that all ranks train the same thing with the same builds and data.
///
/// # Errors
/// What differs, by key and rank.
pub fn compare(group: &Group, resolved: &Resolved, identity: &Identity, device: Device) -> Result<()> {
    let config: serde_json::Value = serde_json::to_value(&resolved.experiment).expect("an experiment is plain data");
    let mut facts = comparable(&config);
    for (name, plugin) in &identity.plugins {
        facts.insert(format!("plugin {name}"), format!("{} ({})", plugin.version, &plugin.sha256[..12]));
    }
    facts.extend(BTreeMap::from([
        ("infomax".to_owned(), identity.infomax.clone()),
        ("libtorch".to_owned(), identity.libtorch.clone()),
        ("dataset".to_owned(), identity.dataset.fingerprint.clone()),
        ("labels".to_owned(), identity.labels.as_ref().map_or("all".to_owned(), |labels| labels.sha256.clone())),
        ("kind of device".to_owned(), if device == Device::Cpu { "cpu" } else { "cuda" }.to_owned()),
        ("number of processes".to_owned(), group.size().to_string()),
    ]));
    agree(group, &facts)
}
