//! Which of several processes this one is, and where they meet, as a launcher's environment says.

use super::launcher::{self, Variables};
use crate::{
    error::{Error, Fault, Result},
    hash::sha256_bytes,
};

/// Set by a launcher that serves the store itself, as torchrun's agent and our supervisor do.
pub const STORE_IS_SERVED: &str = "TORCHELASTIC_USE_AGENT_STORE";
/// This machine, for processes that are all on it: it needs no name service.
pub const LOOPBACK: &str = "127.0.0.1";

/// Who serves the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// This process: it is rank 0, and nobody else does.
    ThisProcess,
    /// Rank 0, which says there whose the store is.
    RankZero,
    /// The launcher's own, in which nobody says so.
    Launcher,
}

impl Server {
    /// Where rank 0 serves it.
    pub(super) fn among_ranks(rank: usize) -> Self {
        if rank == 0 { Self::ThisProcess } else { Self::RankZero }
    }
}

/// Which process this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub rank: usize,
    pub world_size: usize,
    /// Among the processes of this machine: its number picks the GPU.
    pub local_rank: usize,
    /// Where the store is.
    pub host: String,
    /// Where it may listen, in order.
    pub ports: Vec<u16>,
    pub server: Server,
    /// What tells this job's processes from those of others: job, step and restart, as far as the launcher says.
    pub job: String,
}

impl Place {
    /// What the process's environment says; none where it trains alone.
    ///
    /// # Errors
    /// Variables of which some are missing or make no sense, each named (exit code 2).
    pub fn from_environment() -> Result<Option<Self>> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    /// The same of other variables.
    ///
    /// # Errors
    /// As [`Place::from_environment`].
    pub fn from_variables(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let variables = Variables(get);
        let found = launcher::torchrun(&variables)?;
        let found = found.map_or_else(|| launcher::slurm(&variables), |place| Ok(Some(place)))?;
        let found = found.map_or_else(|| launcher::mpi(&variables), |place| Ok(Some(place)))?;
        Ok(found)
    }
}

/// Refuses a rank that is not one of so many, of all or of this machine's.
pub(super) fn check_ranks(rank: usize, world_size: usize, local_rank: usize, local_world_size: usize) -> Result<()> {
    if rank < world_size && local_rank < local_world_size.max(1) {
        return Ok(());
    }
    let message = format!(
        "the environment says rank {rank} of {world_size}, and {local_rank} of {local_world_size} on this machine"
    );
    Err(Error::config(Fault::new(message).hint("ranks count from 0: look at how the processes are started")))
}

/// Ports for a job whose launcher names none: the same on all its machines, others for most other jobs.
pub(super) fn ports_of(job: &str) -> Vec<u16> {
    const PORTS: std::ops::Range<u16> = 15_000..30_000; // below Linux's range for outgoing connections
    const TRIED: usize = 4;
    let hash = sha256_bytes(job);
    let port = |pair: &[u8]| PORTS.start + u16::from_be_bytes([pair[0], pair[1]]) % (PORTS.end - PORTS.start);
    hash.chunks_exact(2).take(TRIED).map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<Option<Place>> {
        let get = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Place::from_variables(&get)
    }

    const TORCHRUN: [(&str, &str); 6] = [
        ("RANK", "3"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_RANK", "1"),
        ("LOCAL_WORLD_SIZE", "2"),
        ("MASTER_ADDR", "10.0.0.1"),
        ("MASTER_PORT", "29500"),
    ];

    fn with<'a>(list: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let kept = list.iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        kept.chain(more).copied().collect()
    }

    #[test]
    fn torchrun_environment_gives_the_place() {
        let expected = Place {
            rank: 3,
            world_size: 4,
            local_rank: 1,
            host: "10.0.0.1".to_owned(),
            ports: vec![29_500],
            server: Server::RankZero,
            job: "infomax".to_owned(),
        };
        assert_eq!(place(&TORCHRUN).unwrap(), Some(expected));
        assert_eq!(place(&[]).unwrap(), None);
        let first = with(&TORCHRUN, &[("RANK", "0"), ("LOCAL_RANK", "0")]);
        assert_eq!(place(&first).unwrap().unwrap().server, Server::ThisProcess);
        let served = with(&first, &[(STORE_IS_SERVED, "True")]);
        assert_eq!(place(&served).unwrap().unwrap().server, Server::Launcher);
        let restarted = with(&served, &[("TORCHELASTIC_RUN_ID", "none"), ("TORCHELASTIC_RESTART_COUNT", "2")]);
        assert_eq!(place(&restarted).unwrap().unwrap().job, "infomax/none/2");
        let local = with(&TORCHRUN, &[("LOCAL_WORLD_SIZE", "4"), ("MASTER_ADDR", "no.such.name")]);
        assert_eq!(place(&local).unwrap().unwrap().host, LOOPBACK, "one machine needs no name service");
    }

    #[test]
    fn torchrun_environment_with_a_hole_is_refused_by_name() {
        for hole in ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"] {
            let rest: Vec<_> = TORCHRUN.into_iter().filter(|(name, _)| *name != hole).collect();
            let error = place(&rest).unwrap_err();
            assert!(error.to_string().contains(hole) && error.exit_code() == 2, "{error}");
        }
        for (name, value) in [("RANK", "x"), ("RANK", "4"), ("MASTER_PORT", "99999"), ("LOCAL_RANK", "2")] {
            let error = place(&with(&TORCHRUN, &[(name, value)])).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }

    #[test]
    fn pytorch_operators_variables_without_torchrun_are_refused() {
        for (name, value) in [("PET_NNODES", "2"), ("PET_NNODES", "1:4"), ("PET_NPROC_PER_NODE", "2")] {
            let error = place(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains("torchrun --no-python"), "{error}");
        }
        assert_eq!(place(&[("PET_NNODES", "1"), ("PET_NPROC_PER_NODE", "1")]).unwrap(), None);
    }

    const STEP: [(&str, &str); 8] = [
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "5"),
        ("SLURM_STEP_NUM_TASKS", "8"),
        ("SLURM_LOCALID", "1"),
        ("SLURM_NODEID", "1"),
        ("SLURM_STEP_TASKS_PER_NODE", "4(x2)"),
        ("SLURM_STEP_NODELIST", "gpu[003-004]"),
        ("SLURM_JOB_ID", "40007"),
    ];

    #[test]
    fn slurm_step_gives_the_place_and_a_batch_script_does_not() {
        let found = place(&STEP).unwrap().unwrap();
        assert_eq!((found.rank, found.world_size, found.local_rank), (5, 8, 1));
        assert_eq!((found.host.as_str(), found.server), ("gpu003", Server::RankZero));
        assert_eq!(found.job, "infomax/40007.0");
        assert_eq!(place(&STEP[1..]).unwrap(), None);
        assert_eq!(place(&[("SLURM_STEP_ID", "0"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")]).unwrap(), None);
        // The interactive step of `salloc`, and the shell of `srun --pty`.
        assert_eq!(place(&with(&STEP, &[("SLURM_STEP_ID", "4294967290")])).unwrap(), None);
        assert_eq!(place(&with(&STEP, &[("SLURM_PTY_PORT", "40001")])).unwrap(), None);
    }

    #[test]
    fn slurm_steps_and_jobs_meet_apart() {
        let of = |job: &str, step: &str| {
            place(&with(&STEP, &[("SLURM_JOB_ID", job), ("SLURM_STEP_ID", step)])).unwrap().unwrap()
        };
        let (a, b, c) = (of("40007", "0"), of("40007", "1"), of("55007", "0"));
        assert!(a.job != b.job && a.job != c.job);
        assert!(a.ports != b.ports && a.ports != c.ports && a.ports.iter().all(|port| (15_000..30_000).contains(port)));
        assert_eq!(a.ports, of("40007", "0").ports);
        let again = place(&with(&STEP, &[("SLURM_RESTART_COUNT", "1")])).unwrap().unwrap();
        assert!(again.job != a.job);
        let named = place(&with(&STEP, &[("MASTER_PORT", "12345"), ("MASTER_ADDR", "10.0.0.9")])).unwrap().unwrap();
        assert_eq!((named.ports, named.host.as_str()), (vec![12_345], "10.0.0.9"));
    }

    #[test]
    fn slurm_on_one_node_needs_no_name_service() {
        let one =
            with(&STEP, &[("SLURM_STEP_NUM_NODES", "1"), ("SLURM_STEP_TASKS_PER_NODE", "8"), ("SLURM_NODEID", "0")]);
        let found = place(&one).unwrap().unwrap();
        assert_eq!(found.host.as_str(), LOOPBACK);
        let error = place(&with(&STEP, &[("SLURM_LOCALID", "4")])).unwrap_err();
        assert!(error.to_string().contains("and 4 of 4 on this machine"), "{error}");
    }

    #[test]
    fn mpirun_of_either_kind_gives_the_place() {
        let open = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
            ("PMIX_NAMESPACE", "3123904513"),
        ];
        let found = place(&open).unwrap().unwrap();
        assert_eq!((found.rank, found.world_size, found.local_rank), (1, 2, 1));
        assert_eq!((found.host.as_str(), found.server), (LOOPBACK, Server::RankZero));
        assert!(found.job.contains("3123904513"));
        let hydra = [("PMI_RANK", "0"), ("PMI_SIZE", "2"), ("MPI_LOCALRANKID", "0"), ("MPI_LOCALNRANKS", "2")];
        assert_eq!(place(&hydra).unwrap().unwrap().server, Server::ThisProcess);
        let alone = [("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1")];
        assert_eq!(place(&alone).unwrap(), None);
        for list in [
            with(&open, &[("OMPI_COMM_WORLD_LOCAL_SIZE", "1"), ("OMPI_COMM_WORLD_LOCAL_RANK", "0")]),
            with(&hydra, &[("MPI_LOCALNRANKS", "1")]),
        ] {
            let error = place(&list).unwrap_err();
            assert!(error.to_string().contains("MASTER_ADDR"), "{error}");
            let told = with(&list, &[("MASTER_ADDR", "a"), ("MASTER_PORT", "29500")]);
            assert_eq!(place(&told).unwrap().unwrap().host, "a");
        }
    }
}
