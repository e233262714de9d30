//! A process that is killed while it writes: at every operation, at any byte, at any time.

use super::small::{
    INTERVAL, assert_resumes, checkpoints, encoder, every_operation, newest, resume, steps_told, train,
};
use crate::{
    support::{
        binary::infomax,
        figures::{figure, sampled},
    },
    training::{arguments, assert_ok},
};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

#[test]
fn k01_killed_at_every_operation_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Reads too: checkpoints are read back, and old ones are looked at before they go.
    let all = every_operation(folder);
    let whole = encoder(folder, "counted");
    let cases = sampled("k01", all);
    for (site, n) in &cases {
        let case = format!("{site}@{n}");
        let killed = train(folder, "run", &[("INFOMAX_FAULT", &format!("{case}:kill"))]);
        assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{case}: {killed:?}");
        let lost = steps_told(folder, "run") - newest(folder, "run").unwrap_or(0);
        assert!(lost <= INTERVAL, "{case}: {lost} steps lost");
        assert_resumes(folder, "run", &whole, &case);
        fs::remove_dir_all(folder.join("runs/run")).unwrap();
    }
    figure("K01", "killed at an operation, resumed", cases.len(), cases.len());
}

#[test]
fn k01_killed_at_any_byte_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "whole", &[]));
    let whole = encoder(folder, "whole");
    let size: u64 = fs::read_dir(checkpoints(folder, "whole").join("step-000000009"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    // Offsets over all three checkpoints; the clock's digits make some bytes more or less.
    let cases = sampled("k01b", (0..200u64).map(|case| 1 + case * (3 * size - 200) / 199).collect());
    for &offset in &cases {
        let fault = format!("checkpoint.bytes@{offset}:kill");
        let killed = train(folder, "run", &[("INFOMAX_FAULT", &fault)]);
        assert_eq!(killed.status.signal(), Some(libc::SIGKILL), "{fault}: {killed:?}");
        let lost = steps_told(folder, "run") - newest(folder, "run").unwrap_or(0);
        assert!(lost <= INTERVAL, "{fault}: {lost} steps lost");
        assert_resumes(folder, "run", &whole, &fault);
        fs::remove_dir_all(folder.join("runs/run")).unwrap();
    }
    figure("K01", "killed at a byte, resumed", cases.len(), cases.len());
}

#[test]
fn k01_killed_at_any_time_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let began = Instant::now();
    assert_ok(&train(folder, "whole", &[]));
    let duration = began.elapsed();
    let whole = encoder(folder, "whole");
    let cases = sampled("k01t", (0..200u32).collect());
    let mut most = 0;
    for &case in &cases {
        let mut child = infomax(folder, &arguments("run", &super::small::SETTINGS))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(duration.mul_f64((f64::from(case) * 0.618_034).fract()) + Duration::from_millis(1));
        let _ = child.kill();
        child.wait().unwrap();
        let case = format!("kill {case}");
        if !folder.join("runs/run/config.toml").exists() {
            // Nothing had begun; whoever starts it again gets a fresh directory or this one.
            let _ = fs::remove_dir_all(folder.join("runs/run"));
            continue;
        }
        let lost = steps_told(folder, "run") - newest(folder, "run").unwrap_or(0);
        most = most.max(lost);
        assert!(lost <= INTERVAL, "{case}: {lost} steps lost");
        assert_resumes(folder, "run", &whole, &case);
        fs::remove_dir_all(folder.join("runs/run")).unwrap();
    }
    println!("k01: at most {most} steps lost, checkpoints every {INTERVAL}");
    figure("K01", "killed at any time, resumed", cases.len(), cases.len());
}

/// Killed, resumed, killed while that writes, and so on, to the end.
#[test]
fn k01_killed_again_and_again_comes_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_ok(&train(folder, "whole", &[]));
    train(folder, "run", &[("INFOMAX_FAULT", "checkpoint.sync@3:kill")]);
    let mut kills = 1;
    for n in [2, 6, 5, 7, 9, 3] {
        let mut command = infomax(folder, &["train", "--resume", "runs/run"]);
        let killed = command.env("INFOMAX_FAULT", format!("checkpoint.sync@{n}:kill")).output().unwrap();
        kills += usize::from(killed.status.signal() == Some(libc::SIGKILL));
    }
    assert_ok(&resume(folder, "run"));
    assert!(encoder(folder, "run") == encoder(folder, "whole"));
    assert!(kills >= 4, "killed only {kills} times");
}
