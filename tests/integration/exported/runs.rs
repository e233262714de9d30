//! Runs with components out of files, as a user starts them.

use super::recorded::kept;
use crate::{
    cuda::{
        numbers::assert_near,
        standin::{Case, On, case, on_device, standin},
    },
    resume::exact::{copy, cut},
    support::{binary::run, golden_file::relative, workspace::root},
    training::{assert_ok, assert_same, metrics},
};
use infomax::checkpoint::read_tensors;
use std::{fs, path::Path};

/// An encoder and a loss out of files, with more settings.
pub(crate) fn both(name: &'static str, encoder: &str, loss: &str, more: &[(&str, &str)]) -> Case {
    let file = |name: &str| format!("{{ file = \"{}\" }}", kept("").join(format!("{name}.pt2")).display());
    let (encoder, loss) = (file(encoder), file(loss));
    let own = [
        ("encoder.name", "exported"),
        ("encoder.config", encoder.as_str()),
        ("loss.name", "exported"),
        ("loss.config", loss.as_str()),
        ("train.log_every_steps", "1"),
    ];
    let mut own: Vec<(&str, &str)> =
        own.into_iter().filter(|(key, _)| more.iter().all(|(other, _)| key != other)).collect();
    own.extend(more);
    case(name, "nt-xent", &own)
}

fn rows(case: &Case, folder: &Path, on: On) -> Vec<serde_json::Value> {
    assert_ok(&case.train(folder, on, 6, &[]));
    metrics(&folder.join("runs/run"))
}

#[test]
fn exported_components_train_beside_native_ones() {
    let folder = tempfile::tempdir().unwrap();
    let head = "{ projector_hidden = 32, projector_dim = 16 }";
    let resnet = [("encoder.name", "resnet18"), ("encoder.config", "{ stem = \"small\", width = 16, n_rkhs = 16 }")];
    let cases = [
        both("both", "small", "projected", &[]),
        both("native-loss", "small", "projected", &[("loss.name", "nt-xent"), ("loss.config", head)]),
        both("amdim", "small", "projected", &[("loss.name", "amdim"), ("loss.config", "{}")]),
        both("native-encoder", "small", "projected", &resnet),
        both("queue", "small", "queue-16", &[]),
        both("drop", "small-drop", "projected", &[]),
        both("bf16", "small", "projected", &[("train.precision", "bf16")]),
        both("f16", "small", "projected", &[("train.precision", "f16")]),
        // Batches must be even; the last of the 33 images to test on is not.
        both("even", "small-even", "projected", &[("dataset.config", "{ train_length = 64, test_length = 33 }")]),
    ];
    for case in cases {
        let rows = rows(&case, &folder.path().join(case.name), On::Cpu);
        let losses: Vec<f64> = rows.iter().filter_map(|row| row["loss"].as_f64()).collect();
        assert!(losses.len() >= 6 && losses.iter().all(|loss| loss.is_finite()), "{}: {losses:?}", case.name);
    }
}

/// Shared BatchNorm makes two processes one, also where the loss is taken in parts.
#[test]
fn two_ranks_of_exported_components_equal_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = kept("").join("agreement.pt2");
    let parts = format!("{{ file = \"{}\", mean_over_images = true }}", file.display());
    let sync = ("batch_norm.mode", "sync");
    for (name, more) in [("whole", &[sync][..]), ("parts", &[sync, ("loss.config", parts.as_str())])] {
        let case = both(name, "small", "projected", more);
        let (one, two) = (folder.path().join(format!("{name}-1")), folder.path().join(format!("{name}-2")));
        assert_ok(&case.train(&one, On::Cpu, 4, &[]));
        assert_ok(&case.clone().on_two().train(&two, On::Cpu, 4, &[]));
        let encoder = |folder: &Path| {
            read_tensors(&fs::read(folder.join("runs/run/encoder.safetensors")).unwrap()).unwrap().tensors
        };
        let (one, two) = (encoder(&one), encoder(&two));
        assert!(one.keys().eq(two.keys()) && one.len() > 10);
        // Together: some biases have no gradient but rounding's, which the optimizer makes as large as any other.
        let all = |tensors: &std::collections::BTreeMap<String, tch::Tensor>| {
            let flat: Vec<_> = tensors.values().map(|t| t.to_kind(tch::Kind::Double).flatten(0, -1)).collect();
            tch::Tensor::cat(&flat, 0)
        };
        let off = relative(&all(&two), &all(&one));
        assert!(off < 1e-5, "{name}: off by {off:.1e}");
    }
}

#[test]
fn runs_of_exported_components_on_the_stand_in_give_the_cpus_numbers() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for case in [
        both("both", "small", "projected", &[]),
        both("f16", "small", "queue-16", &[("train.precision", "f16")]),
        both("nccl-sync", "small", "projected", &[("batch_norm.mode", "sync")]).on_two(),
    ] {
        let [own, expected] =
            [On::Cuda, On::Cpu].map(|on| rows(&case, &folder.path().join(format!("{}-{on:?}", case.name)), on));
        assert_near(case.name, &own, &expected);
    }
}

#[test]
fn a_run_of_exported_components_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let every = [("checkpoint.every_steps", "1"), ("checkpoint.keep", "100")];
    for case in [both("queue", "small-drop", "queue-16", &[]), both("projected", "small", "projected", &[])] {
        let folder = folder.path().join(case.name);
        assert_ok(&case.train(&folder, On::Cpu, 14, &every));
        let (whole, again) = (folder.join("runs/run"), folder.join("runs/again"));
        copy(&whole, &again);
        cut(&again, 5);
        let resumed = ["train", "--resume", &again.to_string_lossy()];
        assert_ok(&on_device(&folder, &resumed, On::Cpu).output().unwrap());
        assert_same(&whole, &again);
    }
}

/// Weights of several names are trained once, averaged once over ranks, and come back under all of their names.
#[test]
fn tied_weights_stay_one() {
    let folder = tempfile::tempdir().unwrap();
    let trained = |name: &'static str, processes: usize| {
        let sync = [
            ("batch_norm.mode", "sync"),
            ("loss.config", "{ projector_hidden = 16, projector_dim = 16 }"),
            ("loss.name", "byol"),
        ];
        let case = Case { processes, ..both(name, "small-tied", "projected", &sync) };
        assert_ok(&case.train(&folder.path().join(name), On::Cpu, 4, &[]));
        let run = folder.path().join(name).join("runs/run");
        read_tensors(&fs::read(run.join("encoder.safetensors")).unwrap()).unwrap().tensors
    };
    let (one, two) = (trained("one", 1), trained("two", 2));
    for tensors in [&one, &two] {
        assert!(tensors["one.weight"].equal(&tensors["other.weight"]), "the names say different things");
    }
    for name in ["one.weight", "other.weight", "norm.running_mean", "norm.running_var"] {
        let off = relative(&two[name], &one[name]);
        assert!(off < 1e-4, "{name}: off by {off:.1e}");
    }
}

/// The file is part of what the run is: it is compared when the run goes on, and kept for whoever looks at the encoder later.
#[test]
fn the_file_of_a_component_is_kept_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("mine.pt2");
    fs::copy(kept("").join("small.pt2"), &own).unwrap();
    let config = format!("{{ file = \"{}\" }}", own.display());
    let case =
        both("kept", "small", "projected", &[("encoder.config", config.as_str()), ("checkpoint.every_steps", "3")]);
    assert_ok(&case.train(folder.path(), On::Cpu, 6, &[]));
    let run_folder = folder.path().join("runs/run");
    let identity: serde_json::Value = serde_json::from_slice(&fs::read(run_folder.join("run.json")).unwrap()).unwrap();
    assert_eq!(identity["files"].as_object().unwrap().len(), 2, "{identity}");

    fs::copy(kept("").join("small-drop.pt2"), &own).unwrap();
    cut(&run_folder, 3);
    let run_text = run_folder.to_string_lossy().into_owned();
    let resumed = run(folder.path(), &["train", "--resume", &run_text]);
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(resumed.status.code() == Some(5) && said.contains("the file of `encoder.config.file` changed"), "{said}");
    // Its own copy, whatever became of the file.
    fs::remove_file(&own).unwrap();
    let resumed = run(folder.path(), &["train", "--resume", &run_text]);
    let said = String::from_utf8_lossy(&resumed.stdout).into_owned();
    assert!(
        resumed.status.success() && said.contains("its own copy takes the place"),
        "{said}{}",
        String::from_utf8_lossy(&resumed.stderr)
    );
    for command in ["evaluate", "embed"] {
        let output = run(folder.path(), &[command, &run_text]);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A study with files as an axis: another file is another cell, the same file under another name is the same cell.
#[test]
fn a_study_has_an_axis_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let to = |name: &str| folder.path().join(name);
    fs::copy(kept("").join("small.pt2"), to("one.pt2")).unwrap();
    fs::copy(kept("").join("small-drop.pt2"), to("two.pt2")).unwrap();
    let configs = root().join("configs");
    let study = format!(
        "question = \"Which network?\"\nbase = [\"{0}/methods/nt-xent\", \"{0}/datasets/shapes\"]\nseeds = [1]\nbudget = {{ steps = 2 }}\n\
         [config]\ntrain = {{ threads = 1, workers = 0, batch_size = 16 }}\ndataset.config = {{ train_length = 64, test_length = 32 }}\n\
         loss.config = {{ projector_hidden = 16, projector_dim = 16 }}\nevaluation = {{ mlp = false, untrained = false }}\n\
         optimizer.warmup_epochs = 0\nrecord = {{ plot = false, contact_sheet = false, report = false }}\n[axes]\n\
         encoder = [{{ name = \"exported\", config = {{ file = \"one.pt2\" }} }}, {{ name = \"exported\", config = {{ file = \"two.pt2\" }} }}]\n",
        configs.display()
    );
    fs::write(to("files.toml"), study).unwrap();
    let ran = run(folder.path(), &["ablate", "run", "files.toml"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let table = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(table.contains("one.pt2") && table.contains("two.pt2"), "{table}");
}
