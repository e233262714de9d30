//! Real launchers: torchrun, Open MPI's and MPICH's mpirun, SLURM. Each is skipped, loudly, where it is not installed.

use super::launch::{arguments, losses, text};
use crate::{
    studies::small,
    support::{
        binary::infomax,
        python::python_with,
        slurm::{Slurm, is_installed, wait_until},
    },
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const NOTHING: [&str; 0] = [];

/// A launcher's command line with a small run behind it.
pub fn launched(folder: &Path, launcher: &str, options: &[&str], arguments: &[String]) -> Command {
    let program = infomax(folder, arguments);
    let mut command = Command::new(launcher);
    command.args(options).arg(program.get_program()).args(arguments).current_dir(folder);
    command.env("OMP_WAIT_POLICY", "passive");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INFOMAX_")) {
        command.env_remove(name);
    }
    command
}

/// The runs below a folder.
fn runs(folder: &Path) -> usize {
    fs::read_dir(folder.join("runs")).map_or(0, Iterator::count)
}

#[test]
fn mpirun_of_either_kind_joins_its_processes_to_one_run() {
    let kinds: [(&str, &[&str]); 2] =
        [("mpirun.openmpi", &["--allow-run-as-root", "--oversubscribe", "-n", "2"]), ("mpirun.mpich", &["-n", "2"])];
    for (launcher, options) in kinds {
        if !is_installed(launcher) {
            eprintln!("SKIPPED: no `{launcher}` here; Debian's packages are openmpi-bin and mpich");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = launched(folder.path(), launcher, options, &arguments("run", &NOTHING)).output().unwrap();
        assert!(output.status.success(), "{launcher}: {}", text(&output));
        assert_eq!((runs(folder.path()), losses(&folder.path().join("runs/run")).len()), (1, 12), "{launcher}");
        assert_eq!(text(&output).matches("run directory:").count(), 1, "{}", text(&output));
    }
}

#[test]
fn torchrun_starts_a_killed_worker_again_by_the_same_command() {
    let Some(python) = python_with("torch.distributed.run") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut list = arguments("run", &["train.steps=150", "checkpoint.every_steps=10"]);
    list.extend(["--resume".to_owned(), "auto".to_owned()]);
    let options =
        ["-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node=2", "--max-restarts=2"];
    let mut command = launched(folder.path(), &python.to_string_lossy(), &options, &list);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let run = folder.path().join("runs/run");
    assert!(wait_until(Duration::from_secs(120), || losses(&run).len() >= 20), "it trains");
    let worker = workers(folder.path()).into_iter().find(|(rank, _)| rank == "1").expect("rank 1 runs").1;
    assert!(Command::new("kill").args(["-9", &worker.to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let told = text(&output);
    assert!(told.contains("beginning a run in") && told.contains("going on with the run in"), "{told}");
    assert_eq!(losses(&run).len(), 150, "each step once");
}

/// The processes of the binary that work in a folder, with their ranks.
fn workers(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let is_ours = fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe.ends_with("infomax-engine"))
            && fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder.canonicalize().unwrap());
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let rank = String::from_utf8_lossy(&environment)
            .split('\0')
            .find_map(|pair| pair.strip_prefix("RANK=").map(str::to_owned));
        if let (true, Some(rank)) = (is_ours, rank) {
            found.push((rank, pid));
        }
    }
    found
}

#[test]
fn slurm_steps_join_part_stop_and_tell_why() {
    let Some(slurm) = Slurm::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |name: &str| folder.join("runs").join(name);

    // Two steps of one job at once, on one machine.
    let steps: Vec<String> = ["one", "two"]
        .map(|name| {
            let command = slurm.srun(folder, &["--overlap", "-n", "2"], &arguments(name, &NOTHING));
            let words = command.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>();
            format!("srun {} &", words.join(" "))
        })
        .to_vec();
    let job = slurm.submit(folder, &["-n", "4"], &format!("{}\nwait", steps.join("\n")));
    let out = || fs::read_to_string(folder.join("out")).unwrap_or_default();
    assert!(
        wait_until(Duration::from_secs(90), || slurm.state(&job) == "COMPLETED"),
        "{}: {}",
        slurm.state(&job),
        out()
    );
    assert_eq!((losses(&run("one")).len(), losses(&run("two")).len()), (12, 12), "{}", out());

    // Rank 0 can't begin: all hear of it at once.
    let output = slurm.srun(folder, &["-n", "2"], &arguments("one", &NOTHING)).output().unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.matches("is not empty").count(), 2, "{told}");

    // Every process of a job gets the signal.
    let long = arguments("long", &["train.steps=100000"]);
    let mut command = slurm.srun(folder, &["-J", "long", "-n", "2"], &long);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(Duration::from_secs(60), || losses(&run("long")).len() > 2), "it trains");
    let listed = slurm.command("squeue").args(["-h", "-n", "long", "-o", "%i"]).output().unwrap();
    let job = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    for _ in 0..2 {
        assert!(slurm.command("scancel").args(["--signal=TERM", &job]).status().unwrap().success());
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output));
    assert!(text(&output).contains("the state is saved") && run("long/checkpoints").exists(), "{}", text(&output));
}

#[test]
fn a_study_that_slurm_requeues_is_completed_without_a_flag() {
    let Some(slurm) = Slurm::start() else { return };
    let folder = small::study("budget = { steps = 300 }\n", "[axes]\n\"optimizer.lr\" = [1e-4, 2e-4]\n");
    let folder = folder.path();
    let driver = infomax(folder, &["ablate", "run", "small.toml", "--workers", "2"]);
    let script = format!(
        "exec '{}' {}",
        driver.get_program().to_string_lossy(),
        driver.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    );
    let job = slurm.submit(folder, &["--requeue"], &script);
    let has_begun = || {
        let cells = small::cells(folder);
        cells.len() == 2 && cells.iter().all(|cell| losses(&cell.join("run")).len() > 2)
    };
    let out = || fs::read_to_string(folder.join("out")).unwrap_or_default();
    assert!(wait_until(Duration::from_secs(60), has_begun), "{}", out());
    // TERM to the driver and to its cells, which get the driver's too.
    assert!(slurm.command("scontrol").args(["requeue", &job]).status().unwrap().success());
    assert!(wait_until(Duration::from_secs(40), || slurm.state(&job) != "RUNNING"), "{}", out());
    assert_eq!(small::states(folder).get("failed"), None, "{}", out());
    // Whoever keeps the queue lets it start again; its own waiting time is two minutes.
    let _ = slurm.command("scancel").arg(&job).status();
    small::run(folder, &[]);
    assert_eq!(small::states(folder), small::counts(&[("done", 2)]));
    for cell in small::cells(folder) {
        assert_eq!(losses(&cell.join("run")).len(), 300, "no step is lost or done twice");
    }
}
