//! Which of several processes this one is, and where they meet: from the environment, as torchrun sets it, as our own
//! supervisor sets it, or as SLURM's srun does.

use crate::error::{Error, Fault, Result};
use std::{
    net::{IpAddr, ToSocketAddrs, UdpSocket},
    str::FromStr,
};

/// Set by a launcher that serves the store itself, as torchrun's agent and our supervisor do.
pub const STORE_IS_SERVED: &str = "TORCHELASTIC_USE_AGENT_STORE";
const PORTS: std::ops::Range<u32> = 15_000..30_000; // below Linux's range for outgoing connections

/// Which process this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub rank: usize,
    pub world_size: usize,
    /// Among the processes of this machine: its number picks the GPU.
    pub local_rank: usize,
    /// How many processes this machine has.
    pub local_world_size: usize,
    /// Where the store is.
    pub host: String,
    pub port: u16,
    /// Whether this process serves the store.
    pub serves: bool,
}

impl Place {
    /// What the process's environment says; none where it trains alone.
    ///
    /// # Errors
    /// Variables of which some are missing or make no sense, each named (exit code 2).
    pub fn from_environment() -> Result<Option<Self>> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    fn from_variables(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let variables = Variables { get };
        if get("RANK").is_some() || get("WORLD_SIZE").is_some() {
            return variables.torchrun().map(Some);
        }
        // Inside a batch script or an interactive allocation there is no step: the process is alone.
        let is_step = get("SLURM_STEP_ID").is_some_and(|id| id.parse::<u64>().is_ok());
        if is_step && get("SLURM_PROCID").is_some() { variables.slurm() } else { Ok(None) }
    }

    /// This machine's address towards the others: the one that a packet to the store would leave from.
    pub fn own_address(&self) -> String {
        let towards = || -> std::io::Result<IpAddr> {
            let target =
                (self.host.as_str(), self.port).to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
            let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(target)?; // sends nothing
            Ok(socket.local_addr()?.ip())
        };
        towards().map_or_else(|_| self.host.clone(), |address| address.to_string())
    }
}

struct Variables<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    fn text(&self, name: &str) -> Result<String> {
        let missing = || {
            let fault = Fault::new(format!("the environment has `RANK` or `WORLD_SIZE`, but not `{name}`"));
            Error::config(fault.hint(
                "torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; unset RANK and WORLD_SIZE to \
                 train alone",
            ))
        };
        (self.get)(name).ok_or_else(missing)
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.text(name)?;
        let wrong =
            |_| Error::config(Fault::new(format!("the environment has `{name}` = `{text}`, expected a number")));
        text.parse().map_err(wrong)
    }

    fn number_or<T: FromStr>(&self, name: &str, other: T) -> Result<T> {
        if (self.get)(name).is_some() { self.number(name) } else { Ok(other) }
    }

    fn torchrun(&self) -> Result<Place> {
        let (rank, world_size) = (self.number("RANK")?, self.number("WORLD_SIZE")?);
        let place = Place {
            rank,
            world_size,
            local_rank: self.number_or("LOCAL_RANK", 0)?,
            local_world_size: self.number_or("LOCAL_WORLD_SIZE", 1)?,
            host: self.text("MASTER_ADDR")?,
            port: self.number("MASTER_PORT")?,
            serves: rank == 0 && !(self.get)(STORE_IS_SERVED).is_some_and(|value| value.eq_ignore_ascii_case("true")),
        };
        if place.rank >= place.world_size {
            let message = format!("the environment has `RANK` = {rank} with `WORLD_SIZE` = {world_size}");
            return Err(Error::config(Fault::new(message).hint("ranks count from 0")));
        }
        Ok(place)
    }

    fn slurm(&self) -> Result<Option<Place>> {
        let tasks = if (self.get)("SLURM_STEP_NUM_TASKS").is_some() { "SLURM_STEP_NUM_TASKS" } else { "SLURM_NTASKS" };
        let world_size: usize = self.number(tasks)?;
        if world_size < 2 {
            return Ok(None);
        }
        let rank: usize = self.number("SLURM_PROCID")?;
        let nodes = (self.get)("SLURM_STEP_NODELIST").or_else(|| (self.get)("SLURM_JOB_NODELIST")).unwrap_or_default();
        let job: u32 = (self.get)("SLURM_JOB_ID").and_then(|id| id.parse().ok()).unwrap_or(0);
        let port = match (self.get)("MASTER_PORT") {
            Some(_) => self.number("MASTER_PORT")?,
            None => (PORTS.start + job % (PORTS.end - PORTS.start)) as u16,
        };
        let host = (self.get)("MASTER_ADDR").unwrap_or_else(|| first_host(&nodes));
        if host.is_empty() {
            let fault = Fault::new("srun started several processes, but the environment doesn't say on which machines");
            return Err(Error::config(fault.hint("set MASTER_ADDR to the machine of the first process")));
        }
        let local_rank = self.number("SLURM_LOCALID")?;
        let local_world_size = self.number_or("SLURM_NTASKS_PER_NODE", 1)?;
        Ok(Some(Place { rank, world_size, local_rank, local_world_size, host, port, serves: rank == 0 }))
    }
}

/// The first machine of SLURM's list: `node[003-007,9],login` is `node003`.
fn first_host(list: &str) -> String {
    let Some((prefix, rest)) = list.split_once('[').filter(|(prefix, _)| !prefix.contains(',')) else {
        return list.split(',').next().unwrap_or_default().to_owned();
    };
    let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let suffix = rest.split_once(']').map_or("", |(_, after)| after.split(',').next().unwrap_or_default());
    format!("{prefix}{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<Option<Place>> {
        let get = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Place::from_variables(&get)
    }

    const TORCHRUN: [(&str, &str); 5] = [
        ("RANK", "3"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_RANK", "1"),
        ("MASTER_ADDR", "10.0.0.1"),
        ("MASTER_PORT", "29500"),
    ];

    #[test]
    fn torchrun_environment_gives_the_place() {
        let expected = Place {
            rank: 3,
            world_size: 4,
            local_rank: 1,
            local_world_size: 1,
            host: "10.0.0.1".to_owned(),
            port: 29_500,
            serves: false,
        };
        assert_eq!(place(&TORCHRUN).unwrap(), Some(expected));
        assert_eq!(place(&[]).unwrap(), None);
        let mut first = TORCHRUN.to_vec();
        first[0].1 = "0";
        assert!(place(&first).unwrap().unwrap().serves);
        first.push((STORE_IS_SERVED, "True"));
        assert!(!place(&first).unwrap().unwrap().serves);
    }

    #[test]
    fn torchrun_environment_with_a_hole_is_refused_by_name() {
        for hole in ["WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"] {
            let rest: Vec<_> = TORCHRUN.into_iter().filter(|(name, _)| *name != hole).collect();
            let error = place(&rest).unwrap_err();
            assert!(error.to_string().contains(hole) && error.exit_code() == 2, "{error}");
        }
        for (name, value) in [("RANK", "x"), ("RANK", "4"), ("MASTER_PORT", "99999")] {
            let mut wrong = TORCHRUN.to_vec();
            wrong.iter_mut().filter(|(n, _)| *n == name).for_each(|pair| pair.1 = value);
            assert!(place(&wrong).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn slurm_step_gives_the_place_and_a_batch_script_does_not() {
        let step = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_PROCID", "5"),
            ("SLURM_STEP_NUM_TASKS", "8"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_STEP_NODELIST", "gpu[003-004]"),
            ("SLURM_JOB_ID", "40007"),
        ];
        let found = place(&step).unwrap().unwrap();
        assert_eq!((found.rank, found.world_size, found.local_rank), (5, 8, 1));
        assert_eq!((found.host.as_str(), found.port, found.serves), ("gpu003", 15_000 + 40_007 % 15_000, false));
        assert_eq!(place(&step[1..]).unwrap(), None);
        assert_eq!(place(&[("SLURM_STEP_ID", "0"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")]).unwrap(), None);
    }

    #[test]
    fn first_host_of_slurm_lists() {
        for (list, first) in
            [("a", "a"), ("a,b", "a"), ("n[1,3-5]", "n1"), ("n[01-02].cluster,m", "n01.cluster"), ("m,n[1-2]", "m")]
        {
            assert_eq!(first_host(list), first, "{list}");
        }
    }

    #[test]
    fn own_address_towards_this_machine_is_the_loopback() {
        let place = Place {
            rank: 0,
            world_size: 1,
            local_rank: 0,
            local_world_size: 1,
            host: "127.0.0.1".into(),
            port: 1,
            serves: true,
        };
        assert_eq!(place.own_address(), "127.0.0.1");
    }
}
