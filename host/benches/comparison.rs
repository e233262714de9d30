//! A report over a thousand runs, two hundred groups of five seeds: reading, comparing, the table and the page.

use criterion::{Criterion, criterion_group, criterion_main};
use infomax::{
    comparison::{Comparison, Member, Options, to_page, to_terminal},
    record::{MetricsFile, Row, peak_resident_bytes},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const GROUPS: u64 = 200;
const SEEDS: u64 = 5;
const ROWS: u64 = 200;
/// Rows between two tests.
const TEST_EVERY: u64 = 20;

/// A run directory as far as a comparison reads it.
fn write_run(run: &Path, group: u64, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(run)?;
    let losses = ["amdim", "nt-xent", "vicreg", "byol"];
    let loss = losses[(group % 4) as usize];
    let depth = group / 4;
    // A resolved config has about a hundred values.
    let rest: String = (0..80).map(|key| format!("field_{key} = {key}\n")).collect();
    let config = format!(
        "[dataset]\nname = \"cifar10\"\n[encoder]\nname = \"amdim\"\n[encoder.config]\ndepth = {depth}\n{rest}[loss]\n\
         name = \"{loss}\"\n[optimizer]\nname = \"adam\"\nlr = 0.0002\n[train]\nsteps = 2000\nseed = {seed}\n\
         [evaluation]\nholdout_fraction = 0.0\n[record]\nname = \"run-{group}-{seed}\"\n"
    );
    fs::write(run.join("config.toml"), config)?;
    let history =
        r#"{"parts":[{"began":1,"from_step":0,"memory":{"process_bytes":800000000},"end":{"at":9,"how":"finished"}}]}"#;
    fs::write(run.join("history.json"), history)?;
    let mut metrics = MetricsFile::open(&run.join("metrics.jsonl"))?;
    for row in 1..=ROWS {
        let noise = |k: u64| ((row * 7919 + k * 104_729 + seed * 31 + group * 17) % 1000) as f64 / 1000.0;
        let named = |name: &str, value: f64| (name.to_owned(), value);
        let (step, seconds) = (row * 10, row as f64 * 0.4);
        let mut values = vec![named("loss", 4.0 + noise(1))];
        values.extend((0..4).map(|k| named(&format!("loss/term_{k}"), noise(k))));
        let clocks = ["lr", "skipped_steps", "images_per_second", "waiting_for_data", "checkpoint_stall_seconds"];
        values.extend(clocks.iter().map(|name| named(name, 300.0 * noise(9))));
        metrics.append(&Row { step, epoch: 0, seconds, values })?;
        if row % TEST_EVERY == 0 {
            let results = ["linear_top1", "mlp_top1", "knn_top1", "feature_std", "rankme"];
            let values = results.map(|name| named(name, 30.0 + depth as f64 * 0.1 + noise(5))).to_vec();
            metrics.append(&Row { step, epoch: 0, seconds, values })?;
        }
    }
    Ok(())
}

fn report(runs: &[PathBuf]) -> usize {
    let members = Member::read_all(runs).expect("the runs can be read");
    let comparison = Comparison::of("a thousand runs", members, &Options::default()).expect("they can be compared");
    assert_eq!(comparison.groups.len() as u64, GROUPS);
    to_terminal(&comparison).len() + to_page(&comparison).len()
}

fn comparison(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut runs = Vec::new();
    for (group, seed) in (0..GROUPS).flat_map(|group| (1..=SEEDS).map(move |seed| (group, seed))) {
        let run = folder.path().join(format!("run-{group}-{seed}"));
        write_run(&run, group, seed).expect("a run can be written");
        runs.push(run);
    }
    let mib = || peak_resident_bytes().unwrap_or(0) >> 20;
    let before = mib();
    report(&runs);
    println!("peak memory of one report over {} runs: {} MiB ({before} before it)", runs.len(), mib());
    let mut group = c.benchmark_group("comparison");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("report_1000_runs", |b| b.iter(|| report(&runs)));
    group.finish();
}

criterion_group!(benches, comparison);
criterion_main!(benches);
