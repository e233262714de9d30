//! O07: a study that is edited between runs.

use super::small::{ablate, cells, counts, run, states, study, write};

const TWO: &str = "[axes]\nloss = [\"amdim\", \"nt-xent\"]\n";

#[test]
fn o07_what_is_added_runs_what_is_removed_is_kept_and_what_changed_is_told() {
    let folder = study("seeds = [1]", TWO);
    let folder = folder.path();
    run(folder, &[]);
    assert_eq!(cells(folder).len(), 2);

    write(folder, "seeds = [1, 2]", TWO);
    let out = run(folder, &[]);
    assert!(out.contains("2 cells are new since the study last ran"), "{out}");
    assert!(out.contains("4 cells are done, 2 of them trained now"), "{out}");

    write(folder, "seeds = [2]", "[axes]\nloss = [\"amdim\"]\n");
    let out = run(folder, &[]);
    assert!(out.contains("3 cells are no longer in the study; their results are kept"), "{out}");
    assert!(out.contains("1 cell is done, 0 of them trained now"), "{out}");
    assert_eq!(cells(folder).len(), 4);

    write(folder, "seeds = [1, 2]", TWO);
    assert_eq!(states(folder), counts(&[("done", 4)]), "what was removed comes back");
    run(folder, &[]);

    // A default that is another one now.
    let plan = ablate(folder, "plan", &["--set", "optimizer.weight_decay=0.5"]);
    assert!(
        plan.out.contains("4 cells are others than when the study last ran (`optimizer.weight_decay` 0.00001 → 0.5)"),
        "{}",
        plan.seen()
    );
    assert!(plan.out.contains("4 missing"), "{}", plan.seen());
    let out = run(folder, &["--set", "optimizer.weight_decay=0.5"]);
    assert!(out.contains("trained anew, the earlier results are kept"), "{out}");
    assert_eq!(cells(folder).len(), 8);
}
