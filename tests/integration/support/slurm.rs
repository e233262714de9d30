//! A SLURM of one machine, started for a test: munge, the controller and one node.

use super::binary::infomax;
use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The cluster, ended when dropped.
pub struct Slurm {
    folder: TempDir,
    daemons: Vec<Child>,
}

impl Slurm {
    /// None, said loudly, where SLURM is not installed or does not come up (its daemons want root).
    pub fn start() -> Option<Self> {
        let missing = ["munged", "slurmctld", "slurmd", "srun"].into_iter().find(|name| !is_installed(name));
        if let Some(name) = missing {
            eprintln!("SKIPPED: no `{name}` here; Debian's packages are slurm-wlm and munge");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let host = host();
        write_files(folder.path(), &host);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut daemons = vec![daemon(
            folder.path(),
            "munged",
            &[
                "--force".into(),
                "--foreground".into(),
                format!("--socket={}", path("munge/socket")),
                format!("--key-file={}", path("munge/key")),
                format!("--pid-file={}", path("munge/pid")),
                format!("--log-file={}", path("munge/log")),
                format!("--seed-file={}", path("munge/seed")),
            ],
        )];
        wait_until(Duration::from_secs(10), || folder.path().join("munge/socket").exists());
        let conf = path("slurm.conf");
        daemons.push(daemon(folder.path(), "slurmctld", &["-D".into(), "-i".into(), "-f".into(), conf.clone()]));
        daemons.push(daemon(folder.path(), "slurmd", &["-D".into(), "-N".into(), host, "-f".into(), conf]));
        let slurm = Self { folder, daemons };
        let is_idle = || {
            let output = slurm.command("sinfo").args(["-h", "-o", "%t"]).output().expect("sinfo runs");
            String::from_utf8_lossy(&output.stdout).trim() == "idle"
        };
        if wait_until(Duration::from_secs(30), is_idle) {
            return Some(slurm);
        }
        eprintln!("SKIPPED: SLURM does not come up here; it needs root");
        None
    }

    /// One of SLURM's commands, with none of this process's `INFOMAX_…` variables.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf")).env("OMP_WAIT_POLICY", "passive");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INFOMAX_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// `srun OPTIONS infomax ARGUMENTS` in a folder.
    pub fn srun(&self, folder: &Path, options: &[&str], arguments: &[String]) -> Command {
        let program = infomax(folder, arguments);
        let mut command = self.command("srun");
        command.args(options).arg(program.get_program()).args(arguments).current_dir(folder);
        command
    }

    /// Submits a script; its output goes to `out` in the folder. Gives the job's number.
    pub fn submit(&self, folder: &Path, options: &[&str], script: &str) -> String {
        let mut command = self.command("sbatch");
        command.args(["--parsable", "--open-mode=append", "-o", "out"]).args(options).current_dir(folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sbatch runs");
        let text = format!("#!/bin/bash\n{script}\n");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("sbatch ends");
        assert!(output.status.success(), "sbatch takes the script");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The word that SLURM has for a job's state: `RUNNING`, `COMPLETED`, ….
    pub fn state(&self, job: &str) -> String {
        let output: Output = self.command("scontrol").args(["show", "job", job]).output().expect("scontrol runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let state = text.split_whitespace().find_map(|word| word.strip_prefix("JobState="));
        state.unwrap_or_default().to_owned()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
        }
        thread::sleep(Duration::from_millis(200));
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// Whether it came to that in time.
pub fn wait_until(limit: Duration, is: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if is() {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// Whether a program lies on the search path, or where Debian puts daemons.
pub fn is_installed(name: &str) -> bool {
    program(name).is_some()
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn daemon(folder: &Path, name: &str, arguments: &[String]) -> Child {
    let out = fs::File::create(folder.join(format!("{name}.out"))).expect("created");
    let same = out.try_clone().expect("a second handle");
    let mut command = Command::new(program(name).expect("seen before"));
    command.args(arguments).env("SLURM_CONF", folder.join("slurm.conf")).stdin(Stdio::null()).stdout(out).stderr(same);
    command.spawn().expect("a daemon starts")
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("a machine has a name");
    name.trim().split('.').next().expect("a first part").to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn write_files(folder: &Path, host: &str) {
    use std::os::unix::fs::PermissionsExt;
    for name in ["munge", "state", "spool"] {
        fs::create_dir(folder.join(name)).expect("made");
    }
    fs::set_permissions(folder.join("munge"), fs::Permissions::from_mode(0o700)).expect("set");
    let key: Vec<u8> = (0..1024u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(folder.join("munge/key"), key).expect("written");
    fs::set_permissions(folder.join("munge/key"), fs::Permissions::from_mode(0o600)).expect("set");
    let (controller, node, folder_text) = (free_port(), free_port(), folder.display());
    // Eight processors, whatever there are: tests want several tasks at once.
    let conf = format!(
        "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
         AuthType=auth/munge\nAuthInfo=socket={folder_text}/munge/socket\nCredType=cred/munge\n\
         StateSaveLocation={folder_text}/state\nSlurmdSpoolDir={folder_text}/spool\n\
         SlurmctldPidFile={folder_text}/ctld.pid\nSlurmdPidFile={folder_text}/d.pid\n\
         SlurmctldLogFile={folder_text}/ctld.log\nSlurmdLogFile={folder_text}/d.log\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n\
         ReturnToService=2\nSlurmdParameters=config_overrides\nSelectType=select/cons_tres\n\
         SelectTypeParameters=CR_Core\nSchedulerParameters=sched_interval=1,batch_sched_delay=0\nMinJobAge=300\n\
         KillWait=30\nNodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=100 State=UNKNOWN\n\
         PartitionName=p Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
    );
    fs::write(folder.join("slurm.conf"), conf).expect("written");
}
