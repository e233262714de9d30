//! Every reference plugin through the SDK's conformance kit, loaded as a user loads it; and one that misbehaves, which
//! must not pass.

use crate::support::{
    faulty::{fixture, loaded},
    workspace::built,
};
use infomax::conformance::{Report, check};
use serde_json::{Value, json};
use std::path::Path;

fn checked(library: &Path, configs: &[(&str, &str, Value)]) -> Report {
    infomax::native::set_threads(1);
    let library = loaded(library).unwrap_or_else(|error| panic!("{}", error.fault()));
    let manifest = serde_json::to_vec(&library.candidate.manifest).unwrap();
    check(library.module, &manifest, configs)
}

#[test]
fn amdim_conforms() {
    let small = json!({ "ndf": 8, "n_rkhs": 32, "depth": 2 });
    checked(&built().join("libinfomax_amdim.so"), &[("encoder", "amdim", small)]).assert();
}

#[test]
fn datasets_conform() {
    checked(&built().join("libinfomax_datasets.so"), &[]).assert();
}

#[test]
fn losses_conform() {
    checked(&built().join("libinfomax_losses.so"), &[]).assert();
}

#[test]
fn augmentations_conform() {
    checked(&built().join("libinfomax_augmentations.so"), &[]).assert();
}

#[test]
fn encoders_conform() {
    checked(&built().join("libinfomax_encoders.so"), &[]).assert();
}

#[test]
fn a_plugin_without_fault_conforms() {
    checked(&fixture("faulty"), &[]).assert();
}

/// Each fault is found by the check that is there for it, and nothing of the other components is blamed.
#[test]
fn faults_are_found() {
    let cases: [(&str, Value, &str); 14] = [
        ("dataset", json!({ "callback": "read", "fault": "panic" }), "reading"),
        ("augmentation", json!({ "callback": "train_views", "fault": "panic" }), "every byte, by the key alone"),
        ("augmentation", json!({ "callback": "eval_view", "fault": "panic" }), "any image"),
        ("encoder", json!({ "callback": "create", "fault": "panic" }), "creation"),
        ("encoder", json!({ "callback": "forward", "fault": "shape" }), "maps"),
        ("encoder", json!({ "callback": "forward", "fault": "detached" }), "maps"),
        ("encoder", json!({ "callback": "forward", "fault": "replaced" }), "modes"),
        ("encoder", json!({ "callback": "load", "fault": "panic" }), "state"),
        ("loss", json!({ "callback": "describe", "fault": "view_too_few" }), "description"),
        ("loss", json!({ "callback": "forward", "fault": "shape" }), "purity"),
        ("loss", json!({ "callback": "forward", "fault": "detached" }), "gradients"),
        ("loss", json!({ "callback": "forward", "fault": "term_not_a_number" }), "degenerate batches"),
        ("loss", json!({ "callback": "forward", "fault": "threads_left" }), "purity"),
        ("loss", json!({ "callback": "after_update", "fault": "panic" }), "after an update"),
    ];
    for (kind, config, expected) in cases {
        let report = checked(&fixture("faulty"), &[(kind, "faulty", config.clone())]);
        let found = report.findings.iter().any(|finding| finding.check == expected);
        assert!(found, "{kind} {config}: `{expected}` found nothing:\n{report}");
        let of_kind = |finding: &infomax::conformance::Finding| finding.component == format!("{kind} `faulty`");
        assert!(report.findings.iter().all(of_kind), "{kind} {config}: others are blamed:\n{report}");
    }
}
