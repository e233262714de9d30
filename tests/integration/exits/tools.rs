//! Runs in the stores of Trackio, MLflow and W&B, put there and read back through their own clients.

use super::runs;
use crate::{
    resume::exact::copy,
    support::{
        binary::run,
        python::{printed, python_with},
    },
    training::assert_ok,
};
use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Output},
};

/// Hands runs over; `words` after the tool's name.
fn hand_over(python: &OsString, folder: &Path, tool: &str, words: &[&str]) -> Output {
    let mut command = Command::new(python);
    command.arg("infomax_read.py").arg(tool).args(words).current_dir(folder);
    // Nothing of the machine's own, and nothing over the network.
    command
        .env("HOME", folder)
        .env("WANDB_MODE", "offline")
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("DO_NOT_TRACK", "1");
    command.output().unwrap()
}

/// Once, twice, and again after the run has gone on; `script` reads the store after each and compares it with the run's metrics.
fn goes_and_comes_back(module: &str, tool: &str, store: &str, script: &str) {
    let Some(python) = python_with(module) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = &temporary.path().join("copy");
    copy(runs(), folder);
    let both = ["runs/whole", "runs/diverged", "--store", store];
    let check = || {
        let told = printed(&python, &format!("{}\n{script}", include_str!("tools.py")), folder);
        assert!(told.ends_with("equal\n"), "{told}");
    };
    let output = hand_over(&python, folder, tool, &both);
    assert_ok(&output);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("whole: ") && told.contains("diverged: ") && told.contains(" rows in "), "{told}");
    check();
    let output = hand_over(&python, folder, tool, &both);
    assert_ok(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("already in ").count(), 2);
    check();
    assert_ok(&run(folder, &["train", "--resume", "runs/whole", "--set", "train.steps=18"]));
    let output = hand_over(&python, folder, tool, &both);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && errors.contains("whole: it had ") && errors.contains("--replace"),
        "{errors}"
    );
    assert_ok(&hand_over(&python, folder, tool, &[&both[..], &["--replace"]].concat()));
    check();
}

#[test]
fn trackio_reads_back_every_row_of_a_run() {
    let script = r#"
os.environ["TRACKIO_DIR"] = str(folder / "trackio")
from trackio import Api
from trackio.sqlite_storage import SQLiteStorage
found = {}
for run in Api().runs("infomax"):
    assert run.config["train.seed"] == 1 and run.config["infomax"]["libtorch"] == "2.11.0" and run.name not in found
    found[run.name] = SQLiteStorage.get_logs("infomax", run.name, run_id=run.id)
assert sorted(found) == ["diverged", "whole"]
for name, logs in found.items():
    times = [datetime.fromisoformat(log.pop("timestamp")).timestamp() for log in logs]
    equal(name, logs, times)
print("equal")
"#;
    goes_and_comes_back("trackio", "trackio", "trackio", script);
}

#[test]
fn mlflow_reads_back_every_value_of_a_run() {
    let script = r#"
import mlflow
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
table = mlflow.search_runs(experiment_names=["infomax"])
assert sorted(table["tags.mlflow.runName"]) == ["diverged", "whole"] and set(table["params.train.seed"]) == {"1"}
assert dict(zip(table["tags.mlflow.runName"], table["status"])) == {"whole": "FINISHED", "diverged": "FAILED"}
client = mlflow.MlflowClient()
for run_id, name in zip(table["run_id"], table["tags.mlflow.runName"]):
    for metric in expected(name)["names"]:
        history = client.get_metric_history(run_id, metric)
        # What two rows say alike at one time, such as the epoch, is one value there.
        wanted = sorted({point(row, metric, time) for row, time in zip(*expected(name)["rows"]) if metric in row})
        told = sorted((m.step, m.timestamp, str(m.value)) for m in history)
        assert told == wanted, (metric, told[:3], wanted[:3])
print("equal")
"#;
    goes_and_comes_back("mlflow", "mlflow", "sqlite:///mlflow.db", script);
}

#[test]
fn wandb_reads_back_every_step_of_an_offline_run() {
    let script = r#"
import subprocess
wandb = str(Path(sys.executable).parent / "wandb")
offline = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
assert len(offline) == 2, offline
listed = subprocess.run([wandb, "sync", "--dry-run"], cwd=folder, capture_output=True, text=True)
assert "Would sync 2 run(s)" in listed.stderr + listed.stdout, listed
names = []
for file in offline:
    told = subprocess.run([wandb, "leet", "inspect", "--json", str(file)], capture_output=True, text=True, check=True).stdout
    records = [json.loads(line) for line in told.splitlines()]
    [made] = [record["run"] for record in records if record["type"] == "run"]
    name, config = made["display_name"], made["config"]["update"]
    logs = [record["history"]["item"] for record in records if record["type"] == "history"]
    summary = {}
    for record in records:
        summary.update(record.get("summary", {}).get("update", {}))
    names.append(name)
    assert config["train.seed"] == 1 and config["infomax"]["libtorch"] == "2.11.0"
    assert summary["infomax_state"] == {"whole": "done", "diverged": "diverged"}[name]
    times = [log.pop("_timestamp") for log in logs]
    for log in logs:
        log.pop("_runtime")
        log["step"] = log.pop("_step")
    equal(name, logs, times, merged=True)
assert sorted(names) == ["diverged", "whole"]
print("equal")
"#;
    goes_and_comes_back("wandb", "wandb", ".", script);
}
