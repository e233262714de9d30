//! The stages that learn from labels: classifiers on a frozen encoder, and encoder and classifier together.

use crate::{
    support::binary::{errors, run},
    training::{assert_ok, metrics, train},
};
use infomax::checkpoint::read_tensors;
use std::{fs, path::Path};

const PRETRAINED: &str = "encoder.weights=runs/pretrained/encoder.safetensors";

/// The mean of a loss over the first and over the last rows of a run.
fn first_and_last(run: &Path, name: &str) -> (f64, f64) {
    let values: Vec<f64> = metrics(run).iter().filter_map(|row| row.get(name)?.as_f64()).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (mean(&values[..5]), mean(&values[values.len() - 5..]))
}

fn encoder(run: &Path) -> Vec<u8> {
    fs::read(run.join("encoder.safetensors")).unwrap()
}

fn stage<'a>(stage: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let without_mlp = more.contains(&"evaluation.mlp=false");
    let dropout: &[&str] = if without_mlp { &[] } else { &["evaluation.mlp_dropout=0"] };
    [&["train.steps=60", "optimizer.lr=2e-3", PRETRAINED, stage], dropout, more].concat()
}

#[test]
fn classifiers_learn_on_an_encoder_that_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "pretrained", &[]));
    for protocol in ["clean", "paper"] {
        let protocol = format!("evaluation.protocol={protocol}");
        let name = protocol.replace(['.', '='], "-");
        assert_ok(&train(folder.path(), &name, &stage("train.stage=classifiers", &[&protocol])));
        let own = runs.join(&name);
        for loss in ["loss/linear", "loss/mlp"] {
            let (first, last) = first_and_last(&own, loss);
            assert!(last < first - 0.05, "{name}: {loss} {first} to {last}");
        }
        let row = &metrics(&own)[0];
        assert!(row.get("loss/g2l_1t5").is_none(), "the loss plugin has no say: {row}");
        let [before, after] = [&runs.join("pretrained"), &own].map(|run| read_tensors(&encoder(run)).unwrap().tensors);
        for (tensor, before) in before {
            // The published protocol refreshes running statistics for its test.
            let is_statistic = tensor.contains("running_") || tensor.ends_with("num_batches_tracked");
            assert!(before == after[&tensor] || (is_statistic && name.ends_with("paper")), "`{tensor}` has changed");
        }
    }
}

#[test]
fn fine_tuning_moves_the_encoder_and_fits_labels_better_than_classifiers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "pretrained", &[]));
    assert_ok(&train(folder.path(), "frozen", &stage("train.stage=classifiers", &["evaluation.mlp=false"])));
    assert_ok(&train(folder.path(), "tuned", &stage("train.stage=finetune", &[])));
    assert!(encoder(&runs.join("tuned")) != encoder(&runs.join("pretrained")), "the encoder has not moved");
    let (first, tuned) = first_and_last(&runs.join("tuned"), "loss");
    let (_, frozen) = first_and_last(&runs.join("frozen"), "loss");
    assert!(tuned < first - 0.1 && tuned < frozen - 0.05, "{first} to {tuned}; {frozen} on the frozen encoder");
    let rows = metrics(&runs.join("tuned"));
    let lists = |name: &str| rows.iter().any(|row| row.get(name).is_some());
    assert!(lists("loss/mlp") && lists("linear_top1") && lists("mlp_top1"));
}

#[test]
fn both_stages_go_on_to_the_same_bytes_after_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "pretrained", &[]));
    for (name, stage_of) in [("classifiers", "train.stage=classifiers"), ("finetune", "train.stage=finetune")] {
        let settings = [PRETRAINED, stage_of];
        assert_ok(&train(folder.path(), &format!("{name}-whole"), &settings));
        assert_ok(&train(folder.path(), &format!("{name}-cut"), &settings));
        let cut = runs.join(format!("{name}-cut"));
        for late in ["step-000000008", "step-000000012", "step-000000014"] {
            fs::remove_dir_all(cut.join("checkpoints").join(late)).unwrap();
        }
        fs::rename(runs.join("pretrained"), runs.join("moved")).unwrap();
        assert_ok(&run(folder.path(), &["train", "--resume", &format!("runs/{name}-cut")]));
        fs::rename(runs.join("moved"), runs.join("pretrained")).unwrap();
        crate::training::assert_same(&runs.join(format!("{name}-whole")), &cut);
    }
}

#[test]
fn fine_tuning_on_two_processes_equals_one() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    assert_ok(&train(folder.path(), "pretrained", &[]));
    for (name, stage_of) in [("classifiers", "train.stage=classifiers"), ("finetune", "train.stage=finetune")] {
        let one = format!("{name}-one");
        assert_ok(&train(folder.path(), &one, &[PRETRAINED, stage_of, "batch_norm.chunk_size=8"]));
        let two = format!("{name}-two");
        assert_ok(&train(folder.path(), &two, &[PRETRAINED, stage_of, "distributed.nproc=2"]));
        for (one, two) in metrics(&runs.join(&one)).iter().zip(&metrics(&runs.join(&two))) {
            let [a, b] = [one, two].map(|row| row.get("loss").and_then(|v| v.as_f64()).unwrap_or(0.0));
            assert!((a - b).abs() <= 2e-4 * a.abs(), "{name}, step {}: {a} and {b}", one["step"]);
        }
    }
}

#[test]
fn labels_that_are_not_there_are_missed_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), "run", &["train.stage=finetune", "evaluation.linear=false"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
}
