//! O05: a driver that is killed or interrupted at any time.

use super::small::{ablate, cells, results, run, start, states, study, times_finished};
use crate::support::{
    binary::infomax,
    figures::{figure, is_whole},
};
use infomax_sdk::Key;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Points of one seed each.
fn axes(points: usize) -> String {
    let rates: Vec<String> = (1..=points).map(|point| format!("{point}e-5")).collect();
    format!("[axes]\n\"optimizer.lr\" = [{}]\n", rates.join(", "))
}

fn all_results(folder: &Path) -> BTreeMap<String, Vec<serde_json::Value>> {
    let name = |cell: &Path| cell.file_name().unwrap().to_string_lossy().into_owned();
    cells(folder).iter().map(|cell| (name(cell), results(cell))).collect()
}

/// A driver whose words nobody reads: a pipe would fill up.
fn start_unheard(folder: &Path) -> Child {
    let mut command = infomax(folder, &["ablate", "run", "small.toml", "--workers", "2"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn o05_a_driver_killed_twenty_times_trains_every_cell_once() {
    let (points, kills) = if is_whole() { (500, 20) } else { (12, 4) };
    let folder = study("", &axes(points));
    let folder = folder.path();
    // The kills fall into the whole of the study, however fast it is: each when so many cells have begun, and a moment later.
    let mut rng = Key::new(5).purpose("o05").rng();
    let mut begun: Vec<usize> = (0..kills).map(|_| rng.below(points as u64 - 3) as usize).collect();
    begun.sort_unstable();
    let mut killed = 0;
    for begun in begun {
        let mut driver = start_unheard(folder);
        let started = Instant::now();
        while cells(folder).len() < begun && started.elapsed() < Duration::from_secs(600) {
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_secs_f64(rng.uniform(0.1, 0.8)));
        killed += usize::from(driver.try_wait().unwrap().is_none());
        driver.kill().unwrap(); // its cells' processes are asked to end by the kernel
        driver.wait().unwrap();
    }
    assert!(killed * 2 >= kills, "the study ended before it was killed: {killed} of {kills}");
    let last = start(folder, "run", &["--workers", "2"]).wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(last.status.success(), "{out}{}", String::from_utf8_lossy(&last.stderr));
    assert!(out.contains(&format!("{points} cells are done")), "{out}");
    let all = cells(folder);
    assert_eq!(all.len(), points, "lost or doubled");
    let once = all.iter().filter(|cell| times_finished(cell) == 1).count();
    assert_eq!(once, points, "each comes to its end exactly once");
    assert_eq!(states(folder).get("done"), Some(&points));

    // What was never interrupted has the same results.
    let undisturbed = study("", &axes(points));
    assert_eq!(start_unheard(undisturbed.path()).wait().unwrap().code(), Some(0));
    let (ours, theirs) = (all_results(folder), all_results(undisturbed.path()));
    let alike = theirs.iter().filter(|(cell, results)| ours.get(*cell) == Some(results)).count();
    assert_eq!(alike, points);
    let reported = |folder: &Path| {
        let report = ablate(folder, "report", &["--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&report.out).unwrap();
        json["groups"].as_array().unwrap().iter().map(|group| group["last"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(reported(folder), reported(undisturbed.path()), "the report is another one");
    figure("O05", &format!("cells trained once, driver killed {killed} times"), once, points);
}

#[test]
fn an_interrupted_study_saves_its_cells_and_goes_on() {
    let folder = study("budget = { steps = 400 }", &axes(2));
    let folder = folder.path();
    let driver = start(folder, "run", &["--workers", "2"]);
    let began = Instant::now();
    let under_way = || {
        cells(folder)
            .iter()
            .filter(|cell| cell.join("run/metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0))
            .count()
    };
    while under_way() < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came to that");
        thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: the child was started here and is waited for below.
    unsafe { libc::kill(driver.id() as libc::pid_t, libc::SIGINT) };
    let output = driver.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{err}");
    assert!(err.contains("interrupted; 2 cells are left") && err.contains("infomax ablate run small.toml"), "{err}");
    assert_eq!(states(folder).get("interrupted"), Some(&2));
    run(folder, &["--workers", "2"]);
    for cell in cells(folder) {
        assert_eq!(times_finished(&cell), 1);
        let steps: Vec<u64> = results(&cell)
            .iter()
            .filter(|row| row.get("lr").is_some())
            .map(|row| row["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, (1..=400).collect::<Vec<_>>(), "every update once");
    }
    assert!(fs::read_dir(folder.join("runs/studies")).unwrap().count() > 0);
}
