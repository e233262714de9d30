//! The statistics of a comparison against scipy's, on accuracies of all sizes, spreads and numbers of seeds.

use crate::support::{python::python_with, workspace::root};
use infomax::comparison::statistics::{Summary, Test, difference, holm};
use serde_json::{Value, json};
use std::{fs, process::Command};

struct Case {
    a: Vec<f64>,
    b: Vec<f64>,
    is_paired: bool,
}

/// SplitMix64 (Steele, Lea, Flood, 2014), as a number from 0 to 1.
fn noise(n: u64) -> f64 {
    let mut z = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, &count) in [2, 3, 3, 3, 5, 5, 10, 30, 100].iter().enumerate() {
        for scale in [1e-3, 1.0, 40.0] {
            for other in [count, count + 2] {
                let value = |k: u64, of: u64| 50.0 + scale * noise(number as u64 * 1000 + k * 7 + of);
                let a = (0..count).map(|k| value(k, 1) + scale * 0.3).collect();
                let b = (0..other).map(|k| value(k, 500)).collect();
                cases.push(Case { a, b, is_paired: other == count });
            }
        }
    }
    cases
}

fn near(own: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap_or_else(|| panic!("{what}: scipy says {theirs}"));
    let error = (own - theirs).abs();
    assert!(error <= 1e-8 * theirs.abs().max(1e-12), "{what}: {own} and {theirs}");
}

#[test]
fn statistics_agree_with_scipy_s() {
    let Some(python) = python_with("scipy") else { return };
    let cases = cases();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.json");
    let list: Vec<Value> =
        cases.iter().map(|case| json!({ "a": case.a, "b": case.b, "paired": case.is_paired })).collect();
    fs::write(&file, serde_json::to_vec(&list).unwrap()).unwrap();
    let script = root().join("tests/integration/comparison/scipy_tests.py");
    let output = Command::new(python).arg(script).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut p = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        // Seeds that are common make it a paired test.
        let seeded = |values: &[f64], from: u64| -> Vec<(Option<u64>, f64)> {
            values.iter().zip(from..).map(|(value, seed)| (Some(seed), *value)).collect()
        };
        let own = difference(&seeded(&case.a, 0), &seeded(&case.b, if case.is_paired { 0 } else { 1000 })).unwrap();
        let test = own.inference.unwrap();
        assert_eq!(test.test, if case.is_paired { Test::PairedT } else { Test::WelchT });
        let expected = &theirs["tests"][index];
        near(test.statistic, &expected["t"], "t");
        near(test.p, &expected["p"], "p");
        near(test.degrees_of_freedom, &expected["df"], "degrees of freedom");
        near(test.interval[0], &expected["low"], "lower end");
        near(test.interval[1], &expected["high"], "upper end");
        near(Summary::of(&case.a).unwrap().deviation.unwrap(), &expected["sd"][0], "standard deviation");
        near(Summary::of(&case.b).unwrap().deviation.unwrap(), &expected["sd"][1], "standard deviation");
        p.push(test.p);
    }
    for (own, expected) in holm(&p).iter().zip(theirs["holm"].as_array().unwrap()) {
        near(*own, expected, "Holm's correction");
    }
    println!(
        "{} tests as scipy has them, p from {:.1e} to {:.2}",
        p.len(),
        min(&p),
        p.iter().fold(0.0_f64, |a, b| a.max(*b))
    );
}

fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
