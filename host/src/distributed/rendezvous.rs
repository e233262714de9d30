//! How the processes of a run find one another before the first step: at a store, to which each says that it has come, or why it
//! will not. Nobody waits for longer than was asked for, past a signal, or for one that has failed already.

use super::{
    addresses::{of_named_interface, reachable, towards},
    native::Store,
    place::{Place, Server},
    report::Report,
};
use crate::{
    cores,
    error::{Error, Fault, Result},
    train::Signals,
};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr, TcpStream, ToSocketAddrs},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Between two looks.
const POLL: Duration = Duration::from_millis(20);
/// How long a store takes at most to answer: what listens but does not, is something else.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two lines that say what is waited for.
const TELL: Duration = Duration::from_secs(5);
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// How long one that fails stays for others to hear of it.
const FAREWELL: Duration = Duration::from_secs(15);
/// Under which the process that serves a store says whose it is.
const OWNER: &str = "infomax/owner";

/// Whether this process has met the others: from then on they notice by themselves when it is gone.
static HAS_MET: AtomicBool = AtomicBool::new(false);

/// What a process says of itself when it comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// Its address towards the store.
    address: IpAddr,
    machine: String,
    /// The cores that it may use.
    cores: Vec<usize>,
    /// Its GPU, by a name that no other GPU has.
    pub gpu: Option<String>,
}

/// Where all have come.
pub struct Met {
    pub store: Store,
    /// The store's port.
    pub port: u16,
    /// By rank.
    pub arrivals: Vec<Arrival>,
    /// This process's address, as the others reach it.
    pub address: String,
    /// How many cores are this process's own.
    pub cores: usize,
}

/// What one that does not come says.
#[derive(Debug, Serialize, Deserialize)]
struct Farewell {
    rank: usize,
    /// None for a signal.
    report: Option<Report>,
}

/// Waits until all processes have come.
///
/// # Errors
/// One that has failed, with its cause and exit code; those that have not come in time, or another program in the store's place
/// (exit code 7); a signal (exit code 75).
pub fn gather(place: &Place, gpu: Option<String>, patience: Duration, signals: &Signals) -> Result<Met> {
    let named = of_named_interface()?;
    let deadline = Instant::now() + patience;
    let (store, port) = open(place, deadline, signals)?;
    let gathered = come(place, gpu, named, &store, port, deadline, patience, signals);
    match gathered {
        Ok((arrivals, address)) => {
            HAS_MET.store(true, Ordering::Relaxed);
            let own = &arrivals[place.rank];
            let here: Vec<&[usize]> =
                arrivals.iter().filter(|a| a.machine == own.machine).map(|a| a.cores.as_slice()).collect();
            let cores = cores::share(&own.cores, &here);
            Ok(Met { store, port, arrivals, address, cores })
        }
        Err(error) => {
            // What another one has said need not be said again, but must be heard from the store that is here.
            if !matches!(error, Error::Rank { .. }) {
                bid_farewell(&store, place, &error);
            }
            HAS_MET.store(true, Ordering::Relaxed);
            if place.server == Server::ThisProcess {
                stay(&store, place, signals);
            }
            Err(error)
        }
    }
}

/// Tells processes that wait for this one why it will not come; nothing where they have met. Called with whatever ends a process.
pub fn announce(place: &Place, error: &Error, signals: &Signals) {
    if place.world_size < 2 || HAS_MET.swap(true, Ordering::Relaxed) {
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    let Ok((store, _)) = open(place, deadline, &Signals::default()) else { return };
    bid_farewell(&store, place, error);
    if place.server == Server::ThisProcess {
        stay(&store, place, signals);
    }
}

fn key(place: &Place, what: &str) -> String {
    format!("{}/{what}", place.job)
}

fn bid_farewell(store: &Store, place: &Place, error: &Error) {
    let report = (!matches!(error, Error::Interrupted { .. } | Error::InterruptedEarly)).then(|| Report::of(error));
    let farewell = serde_json::to_vec(&Farewell { rank: place.rank, report }).expect("plain data");
    // The first one is the cause. Who can't be told finds out at its deadline.
    if let Ok(None) = store.get(&key(place, "failed")) {
        let _ = store.set(&key(place, "failed"), &farewell);
    }
}

/// Stays until all others have heard: the store ends with this process.
fn stay(store: &Store, place: &Place, signals: &Signals) {
    let until = Instant::now() + FAREWELL;
    let was_asked = signals.asked();
    let has_heard = |rank: &usize| !matches!(store.get(&key(place, &format!("heard/{rank}"))), Ok(None));
    while Instant::now() < until && signals.asked() == was_asked {
        if (0..place.world_size).filter(|&rank| rank != place.rank).all(|rank| has_heard(&rank)) {
            break;
        }
        thread::sleep(POLL);
    }
}

#[expect(clippy::too_many_arguments, reason = "all of them are what is waited for, and where")]
fn come(
    place: &Place,
    gpu: Option<String>,
    named: Option<IpAddr>,
    store: &Store,
    port: u16,
    deadline: Instant,
    patience: Duration,
    signals: &Signals,
) -> Result<(Vec<Arrival>, String)> {
    let lost = |message: String| {
        let fault = Fault::new(format!("the store at {}:{port} is gone: {message}", place.host));
        let fault = fault
            .at(format!("rank {}", place.rank))
            .hint("the process that holds it, rank 0 or the launcher, has ended: its own words say why");
        Error::Distributed { fault, lost_peer: true }
    };
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = named.or_else(|| towards(&place.host, port)).unwrap_or(local);
    let own = Arrival { address, machine: cores::machine(), cores: cores::cores(), gpu };
    let own_key = key(place, &format!("arrived/{}", place.rank));
    if store.get(&own_key).map_err(lost)?.is_some() {
        let message =
            format!("another process has come to {}:{port} as rank {} of this job already", place.host, place.rank);
        let hint = "two jobs share one MASTER_PORT, or a rank was started twice: give each job a port of its own";
        return Err(Error::Distributed { fault: Fault::new(message).hint(hint), lost_peer: false });
    }
    store.set(&own_key, &serde_json::to_vec(&own).expect("plain data")).map_err(lost)?;
    let mut arrivals: Vec<Option<Arrival>> = vec![None; place.world_size];
    let began = Instant::now();
    let mut told: Option<Instant> = None;
    loop {
        if let Some(farewell) = store.get(&key(place, "failed")).map_err(lost)? {
            let _ = store.set(&key(place, &format!("heard/{}", place.rank)), b"");
            return Err(failed(place, &farewell));
        }
        for (rank, arrival) in arrivals.iter_mut().enumerate().filter(|(_, arrival)| arrival.is_none()) {
            let bytes = store.get(&key(place, &format!("arrived/{rank}"))).map_err(lost)?;
            *arrival = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        }
        let absent: Vec<String> =
            (0..place.world_size).filter(|&r| arrivals[r].is_none()).map(|r| r.to_string()).collect();
        if absent.is_empty() {
            break;
        }
        if signals.asked() {
            return Err(Error::InterruptedEarly);
        }
        let (size, who) = (place.world_size, listed(&absent));
        if Instant::now() > deadline {
            let message = format!("{who} of {size} did not come within {} s", patience.as_secs());
            let hint = "their own words say why; `distributed.meeting_seconds` is how long is waited";
            let fault = Fault::new(message).at(format!("rank {}, {}:{port}", place.rank, place.host)).hint(hint);
            return Err(Error::Distributed { fault, lost_peer: true });
        }
        let is_time = told.map_or(began.elapsed() > TELL, |told| told.elapsed() > TELL_AGAIN);
        if place.rank == 0 && is_time {
            told = Some(Instant::now());
            eprintln!("waiting for {who} of {size} at {}:{port}, for at most {} s", place.host, patience.as_secs());
        }
        thread::sleep(POLL);
    }
    let arrivals: Vec<Arrival> = arrivals.into_iter().flatten().collect();
    let others: Vec<IpAddr> = arrivals.iter().map(|arrival| arrival.address).collect();
    let address = named.unwrap_or_else(|| reachable(address, &others));
    Ok((arrivals, address.to_string()))
}

fn listed(ranks: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = if ranks.len() > SHOWN { format!(" and {} more", ranks.len() - SHOWN) } else { String::new() };
    let word = if ranks.len() == 1 { "rank" } else { "ranks" };
    format!("{word} {}{more}", ranks[..ranks.len().min(SHOWN)].join(", "))
}

/// What another process's farewell is to this one.
fn failed(place: &Place, farewell: &[u8]) -> Error {
    match serde_json::from_slice(farewell) {
        Ok(Farewell { report: None, .. }) => Error::InterruptedEarly,
        Ok(Farewell { rank, report: Some(report) }) => {
            Error::Rank { rank, exit_code: report.exit_code, faults: report.faults }
        }
        Err(error) => {
            let what = format!("what a process said to rank {} can't be read: {error}", place.rank);
            Error::Bug { what }
        }
    }
}

/// The job's store, and its port.
fn open(place: &Place, deadline: Instant, signals: &Signals) -> Result<(Store, u16)> {
    if place.server == Server::ThisProcess { serve(place) } else { find(place, deadline, signals) }
}

fn serve(place: &Place) -> Result<(Store, u16)> {
    let mut reasons = Vec::new();
    for &port in &place.ports {
        match Store::open(&place.host, port, true, ANSWER) {
            Ok(store) => {
                store.set(OWNER, place.job.as_bytes()).map_err(Error::native("open a port for the processes"))?;
                return Ok((store, port));
            }
            Err(reason) => reasons.push(format!("{port}: {}", first_line(&reason))),
        }
    }
    let (what, hint) = match place.ports.as_slice() {
        [port] => (format!("port {port} can't be opened for the processes to meet"), "set MASTER_PORT to a free one"),
        _ => (
            "none of this job's ports can be opened for the processes to meet".to_owned(),
            "set MASTER_PORT to a free one",
        ),
    };
    let fault = Fault::new(format!("{what}: {}", reasons.join("; "))).at("rank 0").hint(hint);
    Err(Error::Distributed { fault, lost_peer: false })
}

/// What stands where the store should be.
enum Found {
    Own(Box<Store>),
    Nobody(String),
    Stranger(String),
}

/// Looks for the store until it is there: rank 0 may come later.
fn find(place: &Place, deadline: Instant, signals: &Signals) -> Result<(Store, u16)> {
    // Where a stranger sits at the only port, rank 0 can't open it, and ends.
    let mut stranger_since: Option<Instant> = None;
    loop {
        let mut seen = Vec::new();
        let mut strangers = 0;
        for &port in &place.ports {
            match look(place, port, signals)? {
                Found::Own(store) => return Ok((*store, port)),
                Found::Nobody(what) => seen.push(format!("{port}: {what}")),
                Found::Stranger(what) => {
                    strangers += 1;
                    seen.push(format!("{port}: {what}"));
                }
            }
        }
        let only_strangers = strangers == place.ports.len();
        stranger_since = only_strangers.then(|| stranger_since.unwrap_or_else(Instant::now));
        if signals.asked() {
            return Err(Error::InterruptedEarly);
        }
        if Instant::now() > deadline || stranger_since.is_some_and(|since| since.elapsed() > ANSWER) {
            let message = format!("rank 0 of this job is not at {}: {}", place.host, seen.join("; "));
            let hint = if only_strangers {
                "another program or job has the port: set MASTER_PORT to a free one"
            } else {
                "look at what rank 0 says; MASTER_ADDR must lead to its machine, MASTER_PORT be open there"
            };
            let fault = Fault::new(message).at(format!("rank {}", place.rank)).hint(hint);
            return Err(Error::Distributed { fault, lost_peer: !only_strangers });
        }
        thread::sleep(POLL * 5);
    }
}

fn look(place: &Place, port: u16, signals: &Signals) -> Result<Found> {
    let addresses: Vec<_> = match (place.host.as_str(), port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Ok(Found::Nobody(format!("the name can't be resolved: {error}"))),
    };
    let reach = |address| TcpStream::connect_timeout(address, Duration::from_secs(2));
    let mut reason = "the name has no address".to_owned();
    let is_there = addresses.iter().any(|address| reach(address).map_err(|error| reason = error.to_string()).is_ok());
    if !is_there {
        return Ok(Found::Nobody(reason));
    }
    // What listens there may never answer: only another thread can be left behind.
    let (sender, answer) = channel();
    let host = place.host.clone();
    thread::spawn(move || sender.send(Store::open(&host, port, false, ANSWER)));
    let until = Instant::now() + ANSWER;
    let store = loop {
        match answer.recv_timeout(POLL) {
            Ok(Ok(store)) => break store,
            Ok(Err(reason)) => return Ok(Found::Stranger(first_line(&reason).to_owned())),
            Err(RecvTimeoutError::Timeout) if signals.asked() => return Err(Error::InterruptedEarly),
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
            Err(_) => return Ok(Found::Stranger("what listens there does not answer as a store".to_owned())),
        }
    };
    if place.server == Server::Launcher {
        return Ok(Found::Own(Box::new(store)));
    }
    // Rank 0 says whose the store is right after it has opened it.
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        match store.get(OWNER) {
            Ok(Some(owner)) if owner == place.job.as_bytes() => return Ok(Found::Own(Box::new(store))),
            Ok(Some(_)) => return Ok(Found::Stranger("the store of another job".to_owned())),
            Ok(None) if Instant::now() < until => thread::sleep(POLL),
            Ok(None) => return Ok(Found::Stranger("a store that is not infomax's".to_owned())),
            Err(reason) => return Ok(Found::Nobody(first_line(&reason).to_owned())),
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
