//! Processes of this test binary that form a group: each runs one test, which is told by its environment that it is a rank.

use infomax::distributed::{Group, Joining, Place, Store};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(120);
const FOLDER: &str = "INFOMAX_TEST_RANK_OF";

/// Runs `test` (its full name) in `size` processes; their messages where one fails.
pub fn run_as_ranks(test: &str, size: usize, folder: &Path) {
    let (_store, port) = Store::serve(None, TIMEOUT).expect("a store");
    let start = |rank: usize| -> Child {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
        let numbers = [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", size), ("LOCAL_WORLD_SIZE", size)];
        command.envs(numbers.map(|(name, number)| (name, number.to_string())));
        command.envs([("MASTER_ADDR", "127.0.0.1"), ("TORCHELASTIC_USE_AGENT_STORE", "True")]);
        command.env("MASTER_PORT", port.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("INFOMAX_WINOGRAD", "0"); // to compare gradients: see parity.rs
        command.spawn().expect("a process")
    };
    let children: Vec<Child> = (0..size).map(start).collect();
    for (rank, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().expect("a process ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "rank {rank}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
    }
}

fn join(host: &str, port: u16, rank: usize, size: usize) -> Group {
    let store = Store::open(host, port, false, TIMEOUT).expect("a store");
    let joining = Joining {
        store: &store,
        prefix: "test",
        address: "127.0.0.1",
        rank,
        size,
        timeout: TIMEOUT,
        checked: false,
        nccl: false,
    };
    Group::join(&joining).expect("the others")
}

/// The group and the folder of a process that is a rank; none in the test that starts them.
pub fn as_rank() -> Option<(Group, std::path::PathBuf)> {
    let folder = std::env::var_os(FOLDER)?;
    let place = Place::from_environment().expect("an environment").expect("a rank");
    Some((join(&place.host, place.ports[0], place.rank, place.world_size), folder.into()))
}
