//! Planning a study of 1,000 cells: every config resolved, every combination of components asked whether it fits, the state of each
//! cell looked up.
//!
//! `cargo bench --bench plan`, after `cargo build --release --workspace`. Prints the peak of memory too.

use criterion::Criterion;
use infomax::{
    plugin::Registry,
    study::{Plan, Study, planned},
};
use std::{fs, hint::black_box, path::Path, path::PathBuf, time::Duration};

const LIFETIME: Duration = Duration::from_secs(600);

fn study(folder: &Path) -> PathBuf {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/experiments/shapes-demo.toml");
    let text = format!(
        "base = [\"{}\"]\nseeds = [1, 2, 3, 4, 5]\nbudget = {{ steps = 1000 }}\n[axes]\n\
         loss = [\"amdim\", \"nt-xent\", \"vicreg\", \"dcl\", \"barlow-twins\"]\n\
         \"optimizer.lr\" = [1e-3, 2e-3, 3e-3, 4e-3, 5e-3]\n\
         \"train.batch_size\" = [16, 32, 64, 128]\n\
         \"optimizer.weight_decay\" = [0.0, 1e-4]\n",
        base.display()
    );
    let file = folder.join("thousand.toml");
    fs::write(&file, text).expect("a temporary folder can be written");
    file
}

fn main() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let file = study(folder.path());
    // The libraries of the same build.
    let built = std::env::current_exe().expect("a bench has a file");
    let built = built.ancestors().find(|folder| folder.join("libinfomax_amdim.so").exists());
    let built = built.expect("run `cargo build --release --workspace` first").to_owned();
    let registry = Registry::search(vec![built], &[], None);
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    criterion.bench_function("plan and pre-flight of 1,000 cells", |bencher| {
        bencher.iter(|| {
            let study = Study::read(&file).unwrap_or_else(|error| panic!("{error}"));
            let plan = Plan::new(study, &registry, &[], LIFETIME).unwrap_or_else(|error| panic!("{error}"));
            let cells = planned(&plan).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(cells.iter().filter(|cell| cell.state == "missing").count(), 1000);
            black_box(cells)
        });
    });
    criterion.final_summary();
    let peak = infomax::record::peak_resident_bytes().unwrap_or(0);
    println!("peak of memory: {} MiB", peak >> 20);
}
