//! Several drivers on one folder, as on several machines; a SLURM array.

use super::small::{ablate, cells, counts, start, states, study, times_finished};
use std::{fs, path::Path, process::Command};

const SIX: &str = "[axes]\n\"optimizer.lr\" = [1e-3, 2e-3, 3e-3]\n";

#[test]
fn drivers_side_by_side_share_the_cells() {
    let folder = study("seeds = [1, 2]", SIX);
    let folder = folder.path();
    let drivers: Vec<_> = (0..3).map(|_| start(folder, "run", &["--workers", "1"])).collect();
    let mut trained = 0;
    for driver in drivers {
        let output = driver.wait_with_output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
        let line = out.lines().find(|line| line.contains("of them trained now")).unwrap();
        assert!(line.starts_with("6 cells are done"), "each waits for the others: {line}");
        let number = line.split(", ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        trained += number.parse::<usize>().unwrap();
    }
    assert_eq!(trained, 6, "no cell was trained twice");
    assert!(cells(folder).iter().all(|cell| times_finished(cell) == 1));
}

#[test]
fn a_slurm_array_trains_each_missing_cell() {
    let folder = study("seeds = [1]", SIX);
    let folder = folder.path();
    assert_eq!(ablate(folder, "run", &["--cell", "2"]).code, 0);
    let plan = ablate(folder, "plan", &["--slurm", "it's.sh", "--at-once", "4", "--sbatch", "--partition=cpu"]);
    assert_eq!(plan.code, 0, "{}", plan.seen());
    let script = fs::read_to_string(folder.join("it's.sh")).unwrap();
    for line in ["#SBATCH --array=0-1%4", "#SBATCH --partition=cpu", "#SBATCH --job-name=small"] {
        assert!(script.lines().any(|known| known == line), "{line} is not in\n{script}");
    }
    for task in 0..2 {
        // As SLURM runs it, from anywhere.
        let mut bash = Command::new("bash");
        bash.arg(folder.join("it's.sh")).current_dir("/").env("SLURM_ARRAY_TASK_ID", task.to_string());
        bash.envs([("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1"), ("SLURM_JOB_ID", "7")]);
        let output = bash.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(states(folder), counts(&[("done", 3)]));
    assert_eq!(ablate(folder, "plan", &["--slurm", "more.sh"]).code, 2, "nothing is missing");
    assert!(!Path::new(&folder.join("more.sh")).exists());
}
