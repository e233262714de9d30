//! Random search and successive halving: chosen by held-out images, rung by rung.

use super::small::{ablate, counts, planned, run, states, study};

const RATES: &str = "[axes]\n\"optimizer.lr\" = { min = 1e-5, max = 1e-2, scale = \"log\" }\n";
const HELD_OUT: [&str; 2] = ["--set", "evaluation.holdout_fraction=0.25"];

#[test]
fn a_random_search_draws_its_points_and_keeps_them() {
    let folder = study("search = { kind = \"random\", samples = 3 }", RATES);
    let folder = folder.path();
    let refused = ablate(folder, "plan", &[]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("a search would choose by the test split"), "{}", refused.seen());
    let out = run(folder, &HELD_OUT);
    assert!(out.contains("3 cells are done, 3 of them trained now"), "{out}");
    let again = run(folder, &HELD_OUT);
    assert!(again.contains("3 cells are done, 0 of them trained now"), "{again}");
}

#[test]
fn halving_trains_the_best_of_each_rung_longer() {
    let head = "budget = { steps = 4 }\nsearch = { kind = \"halving\", samples = 4, factor = 2, rungs = 3 }";
    let folder = study(head, RATES);
    let folder = folder.path();
    let text = std::fs::read_to_string(folder.join("small.toml")).unwrap();
    let text = text.replace("untrained = false,", "untrained = false, holdout_fraction = 0.25,");
    std::fs::write(folder.join("small.toml"), text).unwrap();
    assert_eq!(states(folder), counts(&[("missing", 4)]), "later rungs are not known yet");
    let plan = ablate(folder, "plan", &[]);
    assert!(
        plan.out.contains("rung 2: 2 points with a budget of 2, to be chosen when the rung before is done"),
        "{}",
        plan.seen()
    );
    let out = run(folder, &[]);
    assert!(out.contains("7 cells are done"), "{out}");
    let cells = planned(folder);
    assert_eq!(cells.len(), 7);
    let rung = |rung: u64| cells.iter().filter(move |cell| cell["rung"] == rung);
    assert_eq!([1, 2, 3].map(|number| rung(number).count()), [4, 2, 1]);
    // Who goes on did best on the held-out images.
    let value = |cell: &serde_json::Value| {
        let run = folder.join("runs/cells").join(cell["id"].as_str().unwrap());
        let rows = super::small::results(&run);
        rows.iter().rev().find_map(|row| row.get("linear_top1").and_then(serde_json::Value::as_f64)).unwrap()
    };
    for number in [1, 2] {
        let of = |cell: &serde_json::Value| cell["settings"].clone();
        let promoted: Vec<_> = rung(number + 1).map(of).collect();
        let (went_on, stayed): (Vec<_>, Vec<_>) = rung(number).partition(|cell| promoted.contains(&of(cell)));
        let least = went_on.iter().map(|cell| value(cell)).fold(f64::INFINITY, f64::min);
        assert!(stayed.iter().all(|cell| value(cell) <= least), "rung {number}");
    }
    assert!(run(folder, &[]).contains("7 cells are done, 0 of them trained now"));
}
