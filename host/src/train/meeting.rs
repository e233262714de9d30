//! Where the ranks of a run meet: the group they form, and what they make sure of before anything is computed.

use super::identity::Identity;
use crate::{
    config::{self, Experiment, Resolved},
    distributed::{Group, Joining, Place, agree, comparable},
    error::{Error, Result},
};
use std::{collections::BTreeMap, time::Duration};
use tch::Device;

/// How long a rank waits for the others to come: they read the dataset first.
const MEETING_SECONDS: u64 = 600;

/// The group of the ranks of a run; this process alone where it has no place among others.
///
/// # Errors
/// Others that don't come, or can't be reached.
pub fn meet(place: Option<&Place>, experiment: &Experiment, device: Device) -> Result<Group> {
    let Some(place) = place else { return Ok(Group::alone()) };
    let table = &experiment.distributed;
    let shares_gpu = matches!(experiment.train.device, config::Device::Cuda(Some(_))) && place.local_world_size > 1;
    let joining = Joining {
        host: &place.host,
        port: place.port,
        serves: place.serves,
        prefix: "infomax",
        address: &place.own_address(),
        rank: place.rank,
        size: place.world_size,
        meeting: Duration::from_secs(table.timeout_seconds.max(MEETING_SECONDS)),
        timeout: Duration::from_secs(table.timeout_seconds),
        checked: table.check_exchanges,
        // NCCL refuses two processes on one GPU; gloo copies through the CPU.
        nccl: device.is_cuda() && !shares_gpu,
    };
    let failed = |message| {
        let error = Error::exchange("meet the other processes", message);
        error.during(&format!("{}:{}, rank {}", place.host, place.port, place.rank))
    };
    Group::join(&joining).map_err(failed)
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
