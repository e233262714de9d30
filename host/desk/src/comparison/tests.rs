//! Comparisons of members that are made up: grouping, counting, what is refused.

use super::*;
use crate::record::Memory;
use serde_json::{Value, json};

/// A run that came to its end with these values at steps 10, 20, …
pub fn done(settings: &[(&str, Value)], seed: u64, values: &[f64]) -> Member {
    let curve: Vec<At> = values.iter().zip(1..).map(|(value, n)| (n * 10, *value)).collect();
    let best = curve.iter().copied().filter(|(_, value)| value.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1));
    let metric = Metric { untrained: Some(10.0), last: curve.last().copied(), best, curve, is_tested: true };
    let figures = Figures {
        steps: values.len() as u64 * 10,
        wall_seconds: Some(60.0 + seed as f64),
        images_per_second: Some(300.0),
        memory: Some(Memory { process_bytes: seed << 20, device_bytes: None }),
        metrics: BTreeMap::from([(DEFAULT_METRIC.to_owned(), metric)]),
        ..Figures::default()
    };
    member(settings, seed, Outcome::Done(Box::new(figures)))
}

/// A run with an outcome.
pub fn member(settings: &[(&str, Value)], seed: u64, outcome: Outcome) -> Member {
    let settings: Settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let words: Vec<String> = settings.values().map(|value| columns::cell(Some(value))).collect();
    let rung = settings.get(RUNG).and_then(Value::as_u64).map(|rung| rung as usize);
    Member { name: format!("{}-{seed}", words.join("-")), settings, seed: Some(seed), rung, outcome }
}

fn loss(name: &str) -> [(&'static str, Value); 1] {
    [("loss.name", json!(name))]
}

fn of(members: Vec<Member>) -> Comparison {
    Comparison::of("a study", members, &Options::default()).unwrap()
}

#[test]
fn runs_that_differ_in_their_seed_alone_are_one_row() {
    let members = vec![
        done(&loss("amdim"), 1, &[20.0, 30.0]),
        done(&loss("byol"), 1, &[20.0, 25.0]),
        done(&loss("amdim"), 2, &[34.0, 32.0]),
        done(&loss("byol"), 2, &[20.0, 26.0]),
    ];
    let comparison = of(members);
    assert_eq!(comparison.groups.len(), 2);
    let amdim = &comparison.groups[0];
    assert_eq!((amdim.label.as_str(), amdim.members.as_slice()), ("amdim", &[0, 2][..]));
    assert_eq!((amdim.last.unwrap().mean, amdim.best.unwrap().mean), (31.0, 32.0));
    assert_eq!((amdim.wall_seconds.unwrap().mean, amdim.memory.unwrap().process_bytes), (61.5, 2 << 20));
    assert!(amdim.difference.is_none(), "it is the baseline");
    let difference = comparison.groups[1].difference.unwrap();
    assert_eq!((difference.mean, difference.pairs), (-5.5, 2));
    assert!(difference.inference.is_ok());
}

#[test]
fn points_of_a_search_are_compared_where_they_were_trained_equally_long() {
    let cell = |name: &str, rung: usize, seed: u64, value: f64| {
        done(&[("loss.name", json!(name)), (RUNG, json!(rung))], seed, &[value])
    };
    let cells = |name: &str, rung: usize, value: f64| [1, 2].map(|seed| cell(name, rung, seed, value + seed as f64));
    let missing = member(&[("loss.name", json!("byol")), (RUNG, json!(3))], 1, Outcome::Missing);
    let all = [
        cells("amdim", 1, 20.0),
        cells("byol", 1, 25.0),
        cells("dcl", 1, 10.0),
        cells("amdim", 2, 30.0),
        cells("byol", 2, 41.0),
    ];
    let all = all.into_iter().flatten().chain([missing]).chain(cells("amdim", 3, 60.0)).collect();
    let comparison = of(all);
    let told: Vec<(&str, Option<f64>, Against)> = comparison
        .groups
        .iter()
        .zip(&comparison.against)
        .map(|(group, against)| (group.label.as_str(), group.difference.map(|difference| difference.mean), *against))
        .collect();
    let expected = [
        ("amdim, rung 1", None, Against::Itself),
        ("byol, rung 1", None, Against::Rung(2)),
        ("dcl, rung 1", Some(-10.0), Against::Baseline(Some(0))),
        ("amdim, rung 2", None, Against::Itself),
        ("byol, rung 2", Some(11.0), Against::Baseline(Some(3))),
        ("byol, rung 3", None, Against::Rung(2)),
        ("amdim, rung 3", None, Against::Itself),
    ];
    assert_eq!(told, expected);
    assert_eq!(comparison.baseline, 6, "its last rung stands for it");
    for text in [comparison.to_text(Format::Table), comparison.to_text(Format::Markdown), to_page(&comparison)] {
        assert!(text.contains("at rung 2") && text.contains("trained equally long"), "{text}");
    }
    // One test a point, not one a row.
    assert!(comparison.to_text(Format::Csv).lines().filter(|line| line.contains(",true,")).count() == 3);
    let effects = effects::order(&comparison);
    assert_eq!(
        effects.iter().map(|&index| comparison.groups[index].label.as_str()).collect::<Vec<_>>(),
        ["byol, rung 2", "amdim, rung 3", "dcl, rung 1"]
    );
}

#[test]
fn failed_missing_and_unfinished_runs_stay_in_the_table() {
    let failed = Outcome::Failed { told: "`loss` was not finite\u{1b}[2J".to_owned(), exit_code: Some(6) };
    let Outcome::Done(figures) = done(&loss("byol"), 3, &[11.0]).outcome else { unreachable!() };
    let members = vec![
        done(&loss("amdim"), 1, &[30.0]),
        done(&loss("amdim"), 2, &[31.0]),
        done(&loss("byol"), 1, &[f64::NAN]),
        member(&loss("byol"), 2, failed),
        member(&loss("byol"), 3, Outcome::Unfinished { is_running: true, figures }),
        member(&loss("byol"), 4, Outcome::Missing),
    ];
    let comparison = of(members);
    let byol = &comparison.groups[1];
    let expected = Counts { done: 0, without_value: 1, failed: 1, unfinished: 1, missing: 1 };
    assert_eq!((byol.counts, byol.counts.all(), byol.last, byol.difference), (expected, 4, None, None));
    let told: Vec<String> = comparison.shortfalls().collect();
    assert_eq!(
        told,
        [
            "not finite: byol-1 (seed 1): its last linear_top1 is no number",
            "diverged: byol-2 (seed 2): `loss` was not finite\\u{1b}[2J (exit code 6)",
            "running: byol-3 (seed 3): step 10, linear_top1 11.00 so far",
            "missing: byol-4 (seed 4) has not begun",
        ]
    );
    let forms = [Format::Table, Format::Markdown, Format::Csv, Format::Latex, Format::Json];
    let texts = forms.map(|format| comparison.to_text(format)).into_iter().chain([to_page(&comparison)]);
    for text in texts {
        assert!(text.contains("byol-2") && text.contains("has not begun"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("NaN"), "{text}");
    }
    assert!(comparison.to_text(Format::Table).contains("0 of 4"));
    assert!(to_png(&comparison).is_ok());
}

#[test]
fn one_seed_has_no_interval_and_it_is_said() {
    let comparison = of(vec![done(&loss("amdim"), 1, &[30.0]), done(&loss("byol"), 1, &[33.0])]);
    let text = comparison.to_text(Format::Table);
    assert!(text.contains("+3.00 (n = 1: no interval)"), "{text}");
    assert!(text.contains("a single seed tells nothing of the spread"), "{text}");
}

#[test]
fn a_seed_that_is_there_twice_counts_once() {
    let twice = [done(&loss("amdim"), 1, &[30.0]), done(&loss("amdim"), 1, &[32.0]), done(&loss("amdim"), 2, &[35.0])];
    let comparison = of(twice.to_vec());
    let group = &comparison.groups[0];
    assert_eq!(group.values, [(Some(1), 31.0), (Some(2), 35.0)]);
    assert_eq!((group.last.unwrap().count, group.counts.done), (2, 3));
    assert!(comparison.notes.iter().any(|note| note.contains("same settings and seed")), "{:?}", comparison.notes);
}

#[test]
fn a_study_that_has_not_begun_is_a_table_too() {
    let members = vec![member(&loss("amdim"), 1, Outcome::Missing), member(&loss("byol"), 1, Outcome::Missing)];
    let comparison = of(members);
    assert_eq!(comparison.metric, DEFAULT_METRIC);
    assert!(comparison.to_text(Format::Table).contains("0 of 1"));
    assert!(to_page(&comparison).contains("0 of 2") && to_png(&comparison).is_ok());
}

#[test]
fn the_baseline_is_the_one_that_is_named() {
    let members = vec![done(&loss("amdim"), 1, &[30.0]), done(&loss("byol"), 1, &[33.0])];
    for baseline in [Baseline::Member(1), Baseline::Settings(loss("byol").map(|(k, v)| (k.to_owned(), v)).into())] {
        let options = Options { baseline: Some(baseline), ..Options::default() };
        let comparison = Comparison::of("", members.clone(), &options).unwrap();
        assert_eq!((comparison.baseline, comparison.groups[0].difference.unwrap().mean), (1, -3.0));
    }
    let settings = loss("simsiam").map(|(key, value)| (key.to_owned(), value)).into();
    let options = Options { baseline: Some(Baseline::Settings(settings)), ..Options::default() };
    let fault = &Comparison::of("", members.clone(), &options).unwrap_err().faults()[0];
    assert_eq!(fault.message, "no group of runs has `loss.name` = \"simsiam\"");
    let options = Options { metric: Some("linear_top".to_owned()), ..Options::default() };
    let fault = &Comparison::of("", members, &options).unwrap_err().faults()[0];
    assert_eq!(fault.hint.as_deref(), Some("did you mean `linear_top1`?"));
    assert!(Comparison::of("", Vec::new(), &Options::default()).is_err());
}

#[test]
fn whatever_is_written_there_stays_text() {
    let evil = "</script></style><script>alert(1)</script>\"'&<img src=x onerror=y>|=1+1\\end{tabular}%$_";
    let members = vec![
        done(&[("loss.name", json!(evil)), (evil, json!(1))], 1, &[30.0, 31.0]),
        done(&[("loss.name", json!("=cmd|' /C calc'!A0")), (evil, json!(2))], 1, &[30.0, 32.0]),
        member(
            &[("loss.name", json!("b")), (evil, json!(evil))],
            1,
            Outcome::Failed { told: evil.to_owned(), exit_code: None },
        ),
    ];
    let options = Options { notes: vec![evil.to_owned()], ..Options::default() };
    let comparison = Comparison::of(evil, members, &options).unwrap();
    let page = to_page(&comparison);
    assert!(page.matches("&lt;script&gt;").count() > 10);
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
    assert_eq!((page.matches("<style").count(), page.matches("</style").count()), (1, 1));
    assert!(!page.contains("<img"));
    let latex = comparison.to_text(Format::Latex);
    assert_eq!(
        latex.lines().filter(|line| !line.starts_with('%')).collect::<String>().matches("\\end{tabular}").count(),
        1
    );
    assert!(comparison.to_text(Format::Csv).contains("'=cmd"));
    // Between backticks Markdown shows everything as it is.
    assert!(comparison.to_text(Format::Markdown).split('`').step_by(2).all(|part| !part.contains("<script")));
    let json: Value = serde_json::from_str(&comparison.to_text(Format::Json)).unwrap();
    assert_eq!(json["groups"][0]["settings"]["loss.name"], evil);
}

#[test]
fn large_comparisons_are_small_pages() {
    let members: Vec<Member> = (0..300)
        .flat_map(|n| {
            let values: Vec<f64> = (0..50).map(|k| 30.0 + f64::from(n % 17) + f64::from(k) * 0.1).collect();
            (1..4).map(move |seed| done(&[("train.steps", json!(n))], seed, &values)).collect::<Vec<_>>()
        })
        .collect();
    let comparison = of(members);
    let page = to_page(&comparison);
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
    let picture = image::load_from_memory(&to_png(&comparison).unwrap()).unwrap();
    assert!((picture.width(), picture.height() < 2000) == (1200, true), "{}", picture.height());
}
