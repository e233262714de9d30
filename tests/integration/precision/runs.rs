//! Whole runs in another precision: what is refused, what is said, the curve against f32.

use crate::{
    support::{
        binary::{errors, experiment, infomax, run},
        faulty::fixture,
    },
    training::{assert_ok, metrics, train},
};
use serde_json::Value;

#[test]
fn tf32_on_a_cpu_is_refused_in_the_config() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), "run", &["train.precision=tf32"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()), @r"
    error: `train.precision` = `tf32` is a format of NVIDIA GPUs, but `train.device` = `cpu`
      at: --set train.precision=tf32 and --set train.device=cpu
    hint: use `bf16` or `f32`, or a GPU
    ");
}

#[test]
fn tf32_without_a_gpu_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let config = experiment("shapes-demo");
    let arguments = ["train", &config, "--set", "train.precision=tf32", "--set", "record.name=run"];
    let output = infomax(folder.path(), &arguments).env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()), @r"
    error: `train.precision` = `tf32` is a format of NVIDIA GPUs, but the device is the CPU
    hint: use `bf16` or `f32`, or a GPU: `train.device`
    ");
    assert!(!folder.path().join("runs/run").exists(), "the name is taken");
}

#[test]
fn amp_on_a_cpu_says_its_precision_and_trains_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = experiment("shapes-demo");
    let set = ["train.device=cpu", "train.threads=1", "train.steps=2", "train.batch_size=8", "encoder.config.ndf=4"];
    let more = ["encoder.config.n_rkhs=16", "evaluation.untrained=false", "optimizer.warmup_steps=0"];
    let data = ["dataset.config.train_length=16", "dataset.config.test_length=10", "record.name=run"];
    let mut arguments = vec!["train", &config, "--amp"];
    set.iter().chain(&more).chain(&data).for_each(|value| arguments.extend(["--set", value]));
    let output = run(folder.path(), &arguments);
    assert_ok(&output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let written =
        |run: &str| std::fs::read_to_string(folder.path().join("runs").join(run).join("config.toml")).unwrap();
    let without = "`--amp` on a CPU without bf16 instructions (AVX512-BF16 or AMX): training in f32, which is 9 times as fast there\n";
    if infomax::native::processor::has_bf16() {
        assert!(text.starts_with("`--amp` on a CPU: training in bf16, which needs no loss scaling\n"), "{text}");
        assert!(written("run").contains("precision = \"bf16\""), "{}", written("run"));
    } else {
        assert!(text.starts_with(without) && written("run").contains("precision = \"f32\""), "{text}");
    }
    // oneDNN's own limit takes the instructions away on any machine.
    let limited = |name: &str, arguments: &[&str]| {
        let name = format!("record.name={name}");
        let mut command = infomax(folder.path(), arguments);
        let output = command.args(["--set", &name]).env("ONEDNN_MAX_CPU_ISA", "AVX2").output().unwrap();
        assert_ok(&output);
        output
    };
    let output = limited("amp", &arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with(without) && written("amp").contains("precision = \"f32\""), "{text}");
    let plain: Vec<&str> = arguments.iter().copied().filter(|argument| *argument != "--amp").collect();
    let output = limited("explicit", &[&plain[..], &["--set", "train.precision=bf16"]].concat());
    let text = errors(&output, folder.path());
    assert!(text.contains("is about 9 times as slow as `f32`") && written("explicit").contains("\"bf16\""), "{text}");

    let output = run(folder.path(), &[&arguments[..], &["--set", "train.precision=f16"]].concat());
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()), @r"
    error: `--amp` and `--set train.precision=…` both choose the precision
    hint: give one of them
    ");
}

#[test]
fn autocast_that_a_plugin_leaves_on_is_reported_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{:?}", fixture("faulty").to_string_lossy());
    let faulty = |fault: &str| {
        let text = format!(
            "extends = []\n[dataset]\nname = \"shapes\"\nconfig = {{ train_length = 32, test_length = 10 }}\n\
             [augmentation]\nname = \"amdim\"\nconfig = {{ size = 32 }}\n\
             [encoder]\nname = \"faulty\"\npath = {path}\nconfig = {{ callback = \"forward\", fault = \"{fault}\" }}\n\
             [loss]\nname = \"faulty\"\npath = {path}\n[optimizer]\nwarmup_steps = 0\nmilestones = []\n\
             [train]\nsteps = 3\nbatch_size = 8\nthreads = 1\ndevice = \"cpu\"\nlog_every_steps = 1\n\
             [evaluation]\nlinear = false\nmlp = false\n[record]\nname = \"{fault}\"\nplot = false\n\
             contact_sheet = false\n"
        );
        std::fs::write(folder.path().join("experiment.toml"), text).unwrap();
        run(folder.path(), &["train", "experiment.toml"])
    };
    let output = faulty("autocast_left");
    assert_ok(&output);
    let text = errors(&output, folder.path());
    assert!(text.contains("encoder `faulty` left autocast changed in `forward`; put back"), "{text}");
    let output = faulty("none");
    assert_ok(&output);
    assert!(!errors(&output, folder.path()).contains("autocast"));
}

fn losses(rows: &[Value]) -> Vec<f64> {
    rows.iter().filter_map(|row| row["loss"].as_f64()).collect()
}

#[test]
fn fifty_steps_in_bf16_stay_within_the_noise_of_f32() {
    let folder = tempfile::tempdir().unwrap();
    let small = [
        "encoder.config.ndf=16",
        "encoder.config.n_rkhs=64",
        "dataset.config.train_length=512",
        "train.batch_size=32",
        "train.steps=50",
        "evaluation.every_steps=50",
        "checkpoint.every_steps=50",
    ];
    let curve = |name: &str, more: &[&str]| {
        assert_ok(&train(folder.path(), name, &[&small, more].concat()));
        let curve = losses(&metrics(&folder.path().join("runs").join(name)));
        assert_eq!(curve.len(), 50);
        curve
    };
    let end = |curve: &[f64]| curve[30..].iter().sum::<f64>() / 20.0;
    let single = curve("f32", &[]);
    let mixed = curve("bf16", &["train.precision=bf16"]);
    let seeds = [2, 3, 4].map(|seed| end(&curve(&format!("seed-{seed}"), &[&format!("train.seed={seed}")])));
    let noise = seeds.iter().map(|other| (other - end(&single)).abs()).fold(0.0, f64::max);
    assert!(end(&single) < single[0] - 1.0, "nothing is learned: {single:?}");
    let apart = (end(&mixed) - end(&single)).abs();
    assert!(apart > 0.0, "bf16 computed in f32");
    assert!(apart <= noise, "bf16 ends {apart:.4} from f32, other seeds {noise:.4}");
    let worst = single.iter().zip(&mixed).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max);
    println!("ends {apart:.4} apart, seeds {noise:.4}; largest step {worst:.4}");
    assert!(worst < 0.03, "a step's loss is {worst:.4} of f32's away");
}
