//! Two machines, as two network namespaces of this one: two ranks in each, in a launcher's environment.

use super::launch::{arguments, losses, losses_apart, text};
use crate::support::binary::{errors, infomax, run};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Two namespaces with a cable between them; gone when dropped.
struct Machines {
    names: [String; 2],
    addresses: [String; 2],
}

impl Machines {
    /// None, said loudly, where this user may not make namespaces or iproute2 is missing.
    fn new(number: u8) -> Option<Self> {
        Self::in_network(number, "10.231")
    }

    /// The same with addresses that begin so.
    fn in_network(number: u8, network: &str) -> Option<Self> {
        let id = std::process::id();
        let names = ["a", "b"].map(|letter| format!("infomax-{id}-{number}-{letter}"));
        let addresses = [1, 2].map(|host| format!("{network}.{number}.{host}"));
        let machines = Self { names, addresses };
        let (a, b) = (&machines.names[0], &machines.names[1]);
        let cable = [format!("ix{id}{number}a"), format!("ix{id}{number}b")]
            .map(|name| name[name.len() - 12.min(name.len())..].to_owned());
        let made = ip(&["netns", "add", a])
            && ip(&["netns", "add", b])
            && ip(&["link", "add", &cable[0], "netns", a, "type", "veth", "peer", "name", &cable[1], "netns", b])
            && [0, 1].iter().all(|&i| {
                let (name, link) = (&machines.names[i], &cable[i]);
                ip(&["-n", name, "link", "set", link, "name", "cable"])
                    && ip(&["-n", name, "addr", "add", &format!("{}/24", machines.addresses[i]), "dev", "cable"])
                    && ip(&["-n", name, "link", "set", "lo", "up"])
                    && ip(&["-n", name, "link", "set", "cable", "up"])
            });
        if made {
            return Some(machines);
        }
        eprintln!("SKIPPED: no network namespaces here: they need root and iproute2");
        None
    }

    /// Gives the first machine a name, which it knows itself as 127.0.1.1, as Debian has it, and the other by its address. Gone with
    /// the value.
    fn name_first(&self, name: &str) -> Names {
        let folders = self.names.clone().map(|machine| Path::new("/etc/netns").join(machine));
        for (folder, address) in folders.iter().zip(["127.0.1.1", &self.addresses[0]]) {
            fs::create_dir_all(folder).expect("made");
            fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n{address} {name}\n")).expect("written");
        }
        Names(folders)
    }

    /// Starts two ranks on each machine.
    fn start(&self, folder: &Path, name: &str, more: &[&str]) -> Vec<Child> {
        self.start_at(&self.addresses[0], folder, name, more)
    }

    /// The same, with this as the address to meet at.
    fn start_at(&self, address: &str, folder: &Path, name: &str, more: &[&str]) -> Vec<Child> {
        let list = arguments(name, more);
        let start = |rank: usize| {
            let inner = infomax(folder, &list);
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &self.names[rank / 2]]).arg(inner.get_program()).args(inner.get_args());
            command.current_dir(folder).env("OMP_WAIT_POLICY", "passive");
            let numbers = [("RANK", rank), ("LOCAL_RANK", rank % 2), ("WORLD_SIZE", 4), ("LOCAL_WORLD_SIZE", 2)];
            command.envs(numbers.map(|(name, number)| (name, number.to_string())));
            command.envs([("MASTER_ADDR", address), ("MASTER_PORT", "29517")]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ip runs")
        };
        (0..4).map(start).collect()
    }

    fn cut_cable(&self) {
        assert!(ip(&["-n", &self.names[1], "link", "set", "cable", "down"]));
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "del", name]);
        }
    }
}

/// What names mean on each machine, while this lives.
struct Names([PathBuf; 2]);

impl Drop for Names {
    fn drop(&mut self) {
        for folder in &self.0 {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    output.is_ok_and(|status| status.success())
}

fn all(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(|child| child.wait_with_output().expect("a process ends")).collect()
}

#[test]
fn two_machines_with_two_ranks_each_equal_one_process() {
    let Some(machines) = Machines::new(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let outputs = all(machines.start(folder.path(), "machines", &[]));
    for output in &outputs {
        assert!(output.status.success(), "{}", text(output));
    }
    let list = arguments("one", &["batch_norm.chunk_size=4"]);
    let output = run(folder.path(), &list);
    assert!(output.status.success(), "{}", text(&output));
    let runs = folder.path().join("runs");
    let worst = losses_apart(&runs.join("one"), &runs.join("machines"), 12);
    println!("two machines, two ranks each: loss within {worst:.1e}");
    assert!(worst < 1e-5, "{worst:.1e}");
}

#[test]
fn a_machine_that_knows_its_own_name_as_127_0_1_1_is_met_by_others() {
    for (number, network) in [(3, "10.232"), (4, "192.168")] {
        let Some(machines) = Machines::in_network(number, network) else { return };
        let _names = machines.name_first("first-machine");
        let folder = tempfile::tempdir().unwrap();
        let more = ["distributed.meeting_seconds=60", "train.steps=4"];
        for output in all(machines.start_at("first-machine", folder.path(), "named", &more)) {
            assert!(output.status.success(), "{network}: {}", text(&output));
        }
        assert_eq!(losses(&folder.path().join("runs/named")).len(), 4);
    }
}

#[test]
fn the_interface_that_is_named_is_used_and_one_that_is_not_there_is_told() {
    let Some(machines) = Machines::new(5) else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = arguments("one", &["train.steps=2"]);
    let start = |interface: &str, rank: usize| {
        let inner = infomax(folder.path(), &list);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &machines.names[rank]]).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(folder.path()).env("OMP_WAIT_POLICY", "passive").env("GLOO_SOCKET_IFNAME", interface);
        command.envs([("RANK", rank.to_string()), ("LOCAL_RANK", "0".into()), ("WORLD_SIZE", "2".into())]);
        command.envs([("LOCAL_WORLD_SIZE", "1"), ("MASTER_PORT", "29519"), ("MASTER_ADDR", &machines.addresses[0])]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ip runs")
    };
    for output in all(vec![start("cable", 0), start("cable", 1)]) {
        assert!(output.status.success(), "{}", text(&output));
    }
    let output = all(vec![start("eth7", 1)]).remove(0);
    let said = errors(&output, folder.path());
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`GLOO_SOCKET_IFNAME` = `eth7`") && said.contains("cable"), "{said}");
}

#[test]
fn cut_link_between_machines_ends_the_run_with_an_error() {
    let Some(machines) = Machines::new(2) else { return };
    let folder = tempfile::tempdir().unwrap();
    let more = ["train.steps=100000", "distributed.timeout_seconds=4"];
    let children = machines.start(folder.path(), "cut", &more);
    let began = Instant::now();
    while losses(&folder.path().join("runs/cut")).len() < 3 {
        assert!(began.elapsed() < Duration::from_secs(120), "no 3 steps in two minutes");
        thread::sleep(Duration::from_millis(10));
    }
    machines.cut_cable();
    let began = Instant::now();
    for output in all(children) {
        let said = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert!(said.contains("  at: step ") && said.contains("hint: another process died, hangs or"), "{said}");
    }
    println!("seconds from the cut to the end: {:.1}, of which 4 are the deadline", began.elapsed().as_secs_f64());
    assert!(began.elapsed() < Duration::from_secs(60));
}
