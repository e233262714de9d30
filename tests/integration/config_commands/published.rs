//! The published command lines resolve as they stand, from any folder.

use super::shipped::with_configs;
use crate::support::binary::{errors, experiment, run};
use infomax::config::{difference, read_resolved};
use serde_json::{Value, json};
use std::{fs, path::Path};

const PRETRAIN: &str =
    "--ndf 192 --n_rkhs 1536 --batch_size 480 --tclip 20.0 --res_depth 8 --dataset IN128 --input_dir DIR --amp";
const FINETUNE: &str = "--finetune --checkpoint_path CPT.pth --ndf 192 --n_rkhs 1536 --batch_size 480 --tclip 20.0 \
     --res_depth 8 --dataset Places205 --input_dir DIR --amp";

/// What a command line resolves to, in a folder without any configs, on the CPU.
fn shown(arguments: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = ["config", "show"].into_iter().chain(arguments.split_whitespace()).collect();
    let output = run(folder.path(), &[&arguments[..], &["--set", "train.device=cpu"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output, folder.path()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

fn refused(arguments: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = ["train"].into_iter().chain(arguments.split_whitespace()).collect();
    let output = run(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?} left something");
    errors(&output, folder.path())
}

#[test]
fn published_pretraining_line_resolves() {
    let shown = shown(PRETRAIN);
    assert_eq!(shown["dataset"]["name"], "image-folder");
    assert_eq!(
        (&shown["dataset"]["config"]["root"], &shown["dataset"]["config"]["layout"]),
        (&json!("DIR"), &json!("imagenet"))
    );
    assert_eq!(
        (&shown["augmentation"]["name"], &shown["augmentation"]["config"]["size"]),
        (&json!("amdim"), &json!(128))
    );
    let encoder = json!({"ndf": 192, "n_rkhs": 1536, "depth": 8, "use_bn": false});
    assert_eq!((&shown["encoder"]["name"], &shown["encoder"]["config"]), (&json!("amdim"), &encoder));
    assert_eq!((&shown["loss"]["name"], &shown["loss"]["config"]["tclip"]), (&json!("amdim"), &json!(20.0)));
    let optimizer = json!({"name": "adam", "lr": 2e-4, "betas": [0.8, 0.999], "eps": 1e-8, "weight_decay": 1e-5,
        "exclude_bias_and_norm": false, "schedule": "milestones", "warmup_steps": 500, "milestones": [30, 45],
        "milestone_factor": 0.2});
    assert_eq!(shown["optimizer"], optimizer);
    let train = &shown["train"];
    assert_eq!((&train["epochs"], &train["batch_size"], &train["seed"]), (&json!(50), &json!(480), &json!(1)));
    assert_eq!(train["precision"], "bf16", "`--amp` on a CPU");
    assert_eq!(shown["record"]["run_directory"], "runs");
}

#[test]
fn published_classifier_line_resolves() {
    let shown = shown(FINETUNE);
    assert_eq!(
        (&shown["dataset"]["config"]["root"], &shown["dataset"]["config"]["layout"]),
        (&json!("DIR"), &json!("places205"))
    );
    assert_eq!((&shown["train"]["stage"], &shown["encoder"]["weights"]), (&json!("classifiers"), &json!("CPT.pth")));
    assert_eq!((&shown["train"]["epochs"], &shown["optimizer"]["milestones"]), (&json!(15), &json!([7, 12])));
}

#[test]
fn both_spellings_of_a_flag_mean_the_same() {
    for (one, other) in [
        ("--res_depth 4", "--n_depth 4"),
        ("--res-depth 4", "--n-depth 4"),
        ("--batch_size 32 --n_rkhs 64 --use_bn 1", "--batch-size 32 --n-rkhs 64 --use-bn 1"),
        ("--learning_rate 1e-3 --output_dir out --run_name a", "--learning-rate 1e-3 --output-dir out --run-name a"),
    ] {
        assert_eq!(shown(one), shown(other));
    }
}

#[test]
fn remaining_flags_set_their_keys() {
    let shown = shown("--use_bn 1 --learning_rate 1e-3 --seed 7 --output_dir out --run_name 12 --dataset STL10");
    assert_eq!(shown["encoder"]["config"]["use_bn"], json!(true));
    assert_eq!((&shown["optimizer"]["lr"], &shown["train"]["seed"]), (&json!(1e-3), &json!(7)));
    assert_eq!((&shown["record"]["run_directory"], &shown["record"]["name"]), (&json!("out"), &json!("12")));
    assert_eq!((&shown["dataset"]["name"], &shown["augmentation"]["config"]["size"]), (&json!("stl10"), &json!(64)));
}

/// The shipped experiment has the paper's larger model and batch; nothing else differs from the script's defaults.
#[test]
fn published_defaults_are_those_of_the_shipped_experiment() {
    // Where the shipped files are started from, their relative paths are those of the working directory.
    let folder = with_configs();
    let value = |name: &str, arguments: &[&str]| {
        let output = run(folder.path(), &[&["config", "show"], arguments].concat());
        assert!(output.status.success(), "{}", errors(&output, folder.path()));
        fs::write(folder.path().join(name), &output.stdout).unwrap();
        read_resolved(&folder.path().join(name)).unwrap()
    };
    let published = value("a.toml", &["--dataset", "C10"]);
    let shipped = value("b.toml", &["configs/experiments/cifar10-amdim.toml"]);
    let keys: Vec<String> = difference(&published, &shipped).into_iter().map(|change| change.key).collect();
    assert_eq!(keys, ["encoder.config.depth", "encoder.config.n_rkhs", "encoder.config.ndf", "train.batch_size"]);

    let published = value(
        "a.toml",
        &["--dataset", "IN128", "--ndf", "192", "--n_rkhs", "1536", "--n_depth", "8", "--batch_size", "480"],
    );
    let shipped = value("b.toml", &["configs/experiments/imagenet-amdim.toml"]);
    assert_eq!(difference(&published, &shipped), []);
}

#[test]
fn flags_stand_above_files_and_environment_and_below_set() {
    let folder = tempfile::tempdir().unwrap();
    let demo = experiment("shapes-demo");
    let flags = ["--seed", "7", "--ndf", "8", "--set", "train.seed=8"];
    let output = run(folder.path(), &[&["config", "explain", "train.seed", &demo], &flags[..]].concat());
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout), @r"
    train.seed = 8

    default               1  overridden
    command line, --seed  7  overridden
    --set train.seed=8    8  holds

    meaning:  Where all randomness comes from.
    takes:    an integer from 0 to 9223372036854775807
    unit:     dimensionless
    default:  1
    ");
    let shown = shown(&format!("{demo} --ndf 8"));
    // With a file, what isn't given keeps what the file says.
    assert_eq!((&shown["encoder"]["config"]["ndf"], &shown["encoder"]["config"]["depth"]), (&json!(8), &json!(1)));
    assert_eq!((&shown["dataset"]["name"], &shown["train"]["steps"]), (&json!("shapes"), &json!(1000)));
    let output = run(folder.path(), &["config", "explain", "encoder.config.ndf", "--dataset", "IN128", "--ndf", "192"]);
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout), @r"
    encoder.config.ndf = 192

    default                      128  overridden
    published default for IN128  128  overridden
    command line, --ndf          192  holds

    meaning:  Channels of the first layer.
    takes:    an integer from 1 to 4096
    unit:     channels
    default:  128
    ");
}

#[test]
fn bad_values_name_the_flag_and_what_it_takes() {
    insta::assert_snapshot!(refused("--ndf many"), @r#"
    error: `encoder.config.ndf` is a string ("many"), expected an integer from 1 to 4096
      at: command line, --ndf
    hint: `encoder.config.ndf`: channels of the first layer
    "#);
    insta::assert_snapshot!(refused("--tclip 1000 --seed -1"), @r"
    error: `loss.config.tclip` is 1000.0, expected a finite number from 0.1 to 80.0
      at: command line, --tclip
    hint: `loss.config.tclip`: scores are squashed to ±tclip by tanh
    error: `train.seed` is -1, expected an integer from 0 to 9223372036854775807
      at: command line, --seed
    hint: `train.seed`: where all randomness comes from
    ");
    insta::assert_snapshot!(refused("--dataset imagenet"), @r"
    error: invalid value 'imagenet' for '--dataset <NAME>'
      [possible values: C10, C100, STL10, IN128, Places205]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused("--use_bn yes"), @r"
    error: invalid value 'yes' for '--use_bn <0|1>'
      [possible values: 0, 1]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused("--run_name a/b"), @r"
    error: `record.name` is `a/b`, expected text like `cifar10-seed1`
      at: command line, --run_name
    hint: `record.name`: the run directory's name: letters, digits, `.`, `_`, `-`
    ");
}

#[test]
fn flags_of_a_new_run_are_refused_where_a_run_goes_on() {
    insta::assert_snapshot!(refused("--resume runs/x --ndf 8"), @r"
    error: `--ndf` describes a new run, `--resume` goes on with one
    hint: leave it out; what may change is set with `--set`
    ");
    insta::assert_snapshot!(refused("--classifiers --dataset C10"), @r"
    error: `--classifiers` trains on a frozen encoder, but nothing says on which
    hint: name its weights: `--cpt_load_path PATH`
    ");
}

#[test]
fn run_without_a_name_gets_a_numbered_directory_under_output_dir() {
    let folder = tempfile::tempdir().unwrap();
    let cifar = folder.path().join("cifar");
    fs::create_dir_all(cifar.join("cifar-10-batches-bin")).unwrap();
    let files = (1..=5).map(|n| format!("data_batch_{n}")).chain(["test_batch".to_owned()]);
    for (index, file) in files.enumerate() {
        // Ten images: a label and 3 × 32 × 32 bytes each.
        let byte = |n: u32| if n % 3073 == 0 { (n / 3073) as u8 } else { (n * 7 + index as u32) as u8 };
        let records: Vec<u8> = (0..10 * 3073).map(byte).collect();
        fs::write(cifar.join("cifar-10-batches-bin").join(format!("{file}.bin")), records).unwrap();
    }
    let cifar = cifar.to_string_lossy().into_owned();
    let train = |more: &[&str]| {
        let small = ["--ndf", "4", "--n_rkhs", "16", "--n_depth", "1", "--batch_size", "8", "--output_dir", "out"];
        let set = [
            "train.steps=1",
            "optimizer.warmup_steps=0",
            "train.device=cpu",
            "train.threads=1",
            "dataset.config.allow_subset=true",
            "evaluation.linear=false",
            "evaluation.mlp=false",
            "record.plot=false",
            "record.contact_sheet=false",
        ];
        let mut arguments = vec!["train", "--input_dir", &cifar];
        arguments.extend(small);
        set.iter().for_each(|setting| arguments.extend(["--set", setting]));
        let output = run(folder.path(), &[&arguments[..], more].concat());
        assert!(output.status.success(), "{}", errors(&output, folder.path()));
    };
    train(&[]);
    train(&[]);
    train(&["--run_name", "mine"]);
    for name in ["amdim-c10-1", "amdim-c10-2", "mine"] {
        assert!(Path::new(&folder.path().join("out").join(name).join("encoder.safetensors")).is_file(), "{name}");
    }
}
