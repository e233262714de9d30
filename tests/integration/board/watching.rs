//! A study that is watched while its driver is killed and started again: what is shown is what is, and the study notices nothing.

use super::page::shown;
use crate::{
    studies::small::{cells, results, study},
    support::{
        binary::infomax,
        figures::{figure, is_whole},
    },
};
use infomax::{
    record::{Ending, History},
    study::{CellState, Store},
};
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a state may be shown that is none any more: promised, and allowed where other tests have the cores too.
const PROMISED: Duration = Duration::from_secs(5);
const ALLOWED: Duration = Duration::from_secs(15);

fn driver(folder: &Path) -> Child {
    let mut command = infomax(folder, &["ablate", "run", "small.toml", "--workers", "2"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How each cell stands, by the files and locks that drivers go by.
fn truth(folder: &Path) -> BTreeMap<String, &'static str> {
    let store = Store::new(&folder.join("runs"), Duration::from_secs(600));
    let word = |id: &str| match store.state(id) {
        Ok(CellState::Running(_)) => "training",
        Ok(CellState::Done) => "done",
        Ok(CellState::Failed(_)) => "failed",
        Ok(CellState::Missing { has_begun: true }) => "interrupted",
        _ => "waiting",
    };
    let all = cells(folder).into_iter().map(|cell| cell.file_name().unwrap().to_string_lossy().into_owned());
    all.map(|id| (id.clone(), word(&id))).collect()
}

/// How each cell is shown.
fn seen(page: &str) -> BTreeMap<String, String> {
    let rows = page.split("data-name=\"runs/cells/").skip(1);
    let row = |row: &str| {
        Some((row.split('"').next()?.to_owned(), row.split("data-state=\"").nth(1)?.split('"').next()?.to_owned()))
    };
    rows.filter_map(row).collect()
}

#[test]
fn a_watched_study_is_shown_as_it_is_and_is_not_disturbed() {
    let (points, kills) = if is_whole() { (60, 6) } else { (8, 2) };
    let late = if is_whole() { PROMISED } else { ALLOWED };
    let rates: Vec<String> = (1..=points).map(|point| format!("{point}e-5")).collect();
    let axes = format!("[axes]\n\"optimizer.lr\" = [{}]\n", rates.join(", "));
    let folder = study("budget = { steps = 12 }", &axes);
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("runs")).unwrap();
    let board = shown(folder, &[]);
    let is_over = AtomicBool::new(false);
    let (mut wrong, mut looks) = (0, 0);
    thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut truths: Vec<(Instant, BTreeMap<String, &'static str>)> = Vec::new();
            let (mut wrong, mut looks) = (Vec::new(), 0);
            while !is_over.load(Ordering::Relaxed) {
                truths.push((Instant::now(), truth(folder)));
                let page = board.get("/?cells=1").body;
                let _ = board.get("/study?name=runs/studies/small");
                truths.push((Instant::now(), truth(folder)));
                truths.retain(|(at, _)| at.elapsed() < late);
                let shown = seen(&page);
                for (id, state) in &shown {
                    looks += 1;
                    let was =
                        |(_, states): &(Instant, BTreeMap<String, &str>)| states.get(id).is_none_or(|own| own == state);
                    if !truths.iter().any(was) {
                        wrong.push((id.clone(), state.clone(), truths.last().unwrap().1.get(id).copied()));
                    }
                }
                thread::sleep(Duration::from_millis(150));
            }
            (wrong, looks)
        });
        for kill in 1..=kills {
            let mut running = driver(folder);
            let began = Instant::now();
            while cells(folder).len() < points as usize * kill / (kills + 1)
                && began.elapsed() < Duration::from_secs(300)
            {
                thread::sleep(Duration::from_millis(20));
            }
            thread::sleep(Duration::from_millis(700));
            running.kill().unwrap();
            running.wait().unwrap();
            thread::sleep(PROMISED / 2);
        }
        let ended = driver(folder).wait().unwrap();
        thread::sleep(late);
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.success());
        let (all, count) = watched.join().unwrap();
        all.iter().for_each(|wrong| println!("shown too long: {wrong:?}"));
        (wrong, looks) = (all.len(), count);
    });
    figure("board", "looks at cells that show how they stand, or stood within 5 s", looks - wrong, looks);
    assert!(wrong == 0 && looks > 0);
    let page = board.get("/study?name=runs/studies/small").body;
    assert!(page.contains(&format!("{points} of {points} done")), "{page}");
    assert_eq!(seen(&board.get("/?cells=1").body).values().filter(|state| *state == "done").count(), points as usize);

    let undisturbed = study("budget = { steps = 12 }", &axes);
    assert!(driver(undisturbed.path()).wait().unwrap().success());
    let of = |folder: &Path| -> Vec<_> {
        cells(folder).iter().map(|cell| (cell.file_name().unwrap().to_owned(), results(cell))).collect()
    };
    assert_eq!(of(folder), of(undisturbed.path()), "watched and not");
    for cell in cells(folder) {
        let parts = History::read(&cell.join("run")).unwrap().parts;
        assert!(parts.last().unwrap().end.as_ref().is_some_and(|end| end.how == Ending::Finished));
    }
}

#[test]
fn a_run_is_followed_from_its_first_step_to_its_death() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("runs")).unwrap();
    let board = shown(folder, &[]);
    assert!(board.get("/").body.contains("No run lies here yet"));
    let set = [
        "train.steps=100000",
        "train.batch_size=4",
        "encoder.config.ndf=4",
        "encoder.config.n_rkhs=16",
        "encoder.config.depth=1",
        "dataset.config.train_length=40",
        "dataset.config.test_length=20",
        "train.log_every_steps=1",
        "evaluation.untrained=false",
        "record.contact_sheet=false",
    ];
    let config = crate::support::binary::experiment("shapes-demo");
    let mut line = vec!["train", config.as_str()];
    set.iter().for_each(|set| line.extend(["--set", set]));
    let mut run =
        infomax(folder, &line).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !folder.join("runs/shapes-demo-1/metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0) {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not begin");
        thread::sleep(Duration::from_millis(50));
    }
    board.soon("/", "data-state=\"training\"");
    let page = board.soon("/run?name=runs/shapes-demo-1", "by step");
    assert!(page.contains("of 100,000") && page.contains("Waiting for data"), "{page}");
    let stamp = page.split("data-stamp=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    thread::sleep(Duration::from_secs(3));
    let parts = board.get(&format!("/run?name=runs/shapes-demo-1&live={stamp}"));
    assert_eq!(parts.status, 200);
    let parts: serde_json::Value = serde_json::from_str(&parts.body).unwrap();
    assert!(parts["parts"]["p-curves"].as_str().unwrap().contains("Loss") && parts["stamp"] != stamp.as_str());
    run.kill().unwrap();
    run.wait().unwrap();
    board.soon("/", "data-state=\"lost\"");
    let list = board.get("/").body;
    let stamp = list.split("data-stamp=\"").nth(1).unwrap().split('"').next().unwrap();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(board.get(&format!("/?live={stamp}")).status, 204, "nothing changes any more");
}
