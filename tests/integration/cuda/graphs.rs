//! Steps as CUDA graphs, on the stand-in with graphs of its own (`graphs.cpp`): the numbers of steps without them to the bit, no
//! wait, nothing of the host's within a replay, and what can't be captured goes on without, told why.

use super::standin::{Case, HEAD, On, amdim, case, local_dim, reports, resnet, standin, total, vit};
use crate::{
    exported::runs::both,
    support::{
        faulty::fixture,
        figures::{figure, is_whole},
        workspace::{built, root, shared},
    },
    training::{assert_ok, metrics},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

const ON: (&str, &str) = ("train.cuda_graphs", "true");
const EACH: (&str, &str) = ("train.log_every_steps", "1");
const STEPS: u64 = 24;
/// What is said once steps are replayed.
const CAPTURED: &str = "forward and backward pass are";
const COUNTED: &str = "_ZN4fake12count_kernelERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE";

/// The folder of the stand-in with graphs; none, said loudly, where its sources are missing.
fn with_graphs() -> Option<&'static Path> {
    static BUILT: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let objects = standin()?.parent().expect("it is called `lib`").join("build-files");
        let folder = built().join("fakecuda-graphs");
        fs::create_dir_all(&folder).unwrap();
        let (source, library) = (root().join("tests/integration/cuda/graphs.cpp"), folder.join("libtorch_cuda.so"));
        let mut objects: Vec<PathBuf> = fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path()).collect();
        objects.sort();
        let changed = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
        if objects.iter().chain([&source]).all(|file| changed(file) < changed(&library)) {
            return Some(folder);
        }
        let libtorch = std::env::var_os("LIBTORCH").map_or_else(|| root().join(".libtorch/link"), PathBuf::from);
        let libtorch = root().join(libtorch);
        let mut build = Command::new("g++");
        build.args([
            "-std=c++17",
            "-O1",
            "-fPIC",
            "-fvisibility=hidden",
            "-D_GLIBCXX_USE_CXX11_ABI=1",
            "-w",
            "-shared",
        ]);
        build.arg("-I").arg(shared()?.join("fakecuda/src"));
        build.arg("-I").arg(libtorch.join("include"));
        build.arg("-I").arg(libtorch.join("include/torch/csrc/api/include"));
        let made = folder.join(format!("{}.so", std::process::id()));
        build.arg("-o").arg(&made).arg(source).args(objects).arg(format!("-Wl,--wrap={COUNTED}"));
        build.arg("-L").arg(libtorch.join("lib")).args(["-ltorch_cpu", "-lc10", "-ldl"]);
        let output = build.output().expect("g++ runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(made, library).unwrap();
        Some(folder)
    });
    BUILT.as_deref()
}

fn command(case: &Case, folder: &Path, steps: u64, more: &[(&str, &str)]) -> Command {
    let mut command = case.command(folder, On::Cuda, steps, more);
    command.env("LD_LIBRARY_PATH", with_graphs().expect("asked before"));
    command.env("GRAPHS_REPORT", folder.join("graphs.json"));
    command
}

fn train(case: &Case, folder: &Path, steps: u64, more: &[(&str, &str)]) -> Output {
    let output = command(case, folder, steps, more).output().expect("the binary runs");
    assert_ok(&output);
    output
}

/// What the double counted.
fn counts(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("graphs.json")).unwrap()).unwrap()
}

/// What the history of a run says of graphs.
fn said(folder: &Path) -> String {
    let history: Value = serde_json::from_slice(&fs::read(folder.join("runs/run/history.json")).unwrap()).unwrap();
    history["parts"].as_array().unwrap().last().unwrap()["graphs"].as_str().unwrap_or_default().to_owned()
}

/// Every value of every step, and the trained encoder.
fn result(folder: &Path) -> (Vec<Value>, Vec<u8>) {
    let run = folder.join("runs/run");
    (metrics(&run), fs::read(run.join("encoder.safetensors")).unwrap())
}

/// A case, what is said of it, and whether the fast loop has it.
fn cases() -> Vec<(Case, &'static str, bool)> {
    let head = |more: &str| format!("{HEAD}{more}");
    let f16 = ("train.precision", "f16");
    let overflow = ("train.loss_scale.initial", "1e12");
    vec![
        (amdim("amdim", &[]), CAPTURED, true),
        (amdim("amdim-f16", &[f16, overflow]), CAPTURED, true),
        (amdim("amdim-bf16", &[("train.precision", "bf16")]), CAPTURED, true),
        (amdim("amdim-accumulation", &[("train.accumulation_steps", "2")]), CAPTURED, true),
        (amdim("amdim-resident", &[("dataset.on_device", "always")]), CAPTURED, false),
        (amdim("amdim-chunks", &[("batch_norm.chunk_size", "8")]), CAPTURED, false),
        // Of which some batches have images without a label, and are not replayed.
        (amdim("amdim-labels", &[("train.batch_size", "8"), ("dataset.label_fraction", "0.96")]), CAPTURED, true),
        (amdim("amdim-tests", &[("evaluation.every_steps", "7"), ("checkpoint.every_steps", "5")]), CAPTURED, false),
        (amdim("classifiers", &[("train.stage", "classifiers")]), "only the stage `pretrain` has them", false),
        (both("exported", "small", "projected", &[]), CAPTURED, true),
        (both("exported-draws", "small-drop", "queue-16", &[f16, overflow]), CAPTURED, true),
        (resnet("nt-xent", "nt-xent", HEAD, &[]), CAPTURED, true),
        (resnet("dcl", "dcl", HEAD, &[]), CAPTURED, false),
        (resnet("supcon", "supcon", HEAD, &[]), CAPTURED, false),
        (resnet("moco-v2", "moco-v2", &head(", queue_size = 64"), &[f16, overflow]), CAPTURED, true),
        (resnet("byol", "byol", &head(", predictor_hidden = 32"), &[("train.precision", "bf16")]), CAPTURED, true),
        (resnet("simsiam", "simsiam", &head(", predictor_hidden = 32"), &[]), CAPTURED, false),
        (resnet("swav", "swav", &head(", prototypes = 30, freeze_prototypes_steps = 5"), &[]), CAPTURED, true),
        (
            resnet(
                "dino",
                "dino",
                &head(", prototypes = 30, freeze_prototypes_steps = 5, teacher_temperature_warmup_steps = 9"),
                &[],
            ),
            CAPTURED,
            true,
        ),
        (
            resnet(
                "dino-warming-up",
                "dino",
                &head(", prototypes = 30, freeze_prototypes_steps = 0, teacher_temperature_warmup_steps = 100"),
                &[],
            ),
            "no CUDA graphs yet: steps differ: `aten::div",
            true,
        ),
        (
            resnet(
                "dino-later",
                "dino",
                &head(", prototypes = 30, freeze_prototypes_steps = 20, teacher_temperature_warmup_steps = 0"),
                &[],
            ),
            "no CUDA graphs yet: the loss will differ at step",
            true,
        ),
        (resnet("vicreg", "vicreg", HEAD, &[]), CAPTURED, false),
        (resnet("barlow-twins", "barlow-twins", HEAD, &[]), CAPTURED, false),
        (resnet("align-uniform", "align-uniform", HEAD, &[]), CAPTURED, false),
        (
            resnet("w-mse", "w-mse", "projector_hidden = 32, projector_dim = 4, whitening_batch = 8", &[]),
            CAPTURED,
            true,
        ),
        (resnet("mmcr", "mmcr", HEAD, &[]), CAPTURED, false),
        (resnet("lejepa", "lejepa", HEAD, &[]), CAPTURED, true),
        (local_dim(), CAPTURED, false),
        (vit(), CAPTURED, false),
    ]
}

#[test]
fn steps_as_graphs_give_the_numbers_of_steps_without_to_the_bit() {
    if with_graphs().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let wanted = std::env::var("INFOMAX_GRAPHS_CASE").ok();
    let cases: Vec<_> = cases().into_iter().filter(|(_, _, fast)| *fast || is_whole() || wanted.is_some()).collect();
    for (case, expected, _) in cases.iter().filter(|(case, ..)| wanted.as_ref().is_none_or(|name| name == case.name)) {
        let (plain, graphs) = (folder.path().join(format!("{}-0", case.name)), folder.path().join(case.name));
        train(case, &plain, STEPS, &[EACH]);
        train(case, &graphs, STEPS, &[EACH, ON]);
        let (text, counts) = (said(&graphs), counts(&graphs));
        assert!(text.contains(expected), "{}: {text}", case.name);
        let replays = counts["replays"].as_u64().unwrap();
        assert_eq!(replays > 0, *expected == CAPTURED, "{}: {counts}", case.name);
        assert!(result(&plain) == result(&graphs), "{}: other numbers", case.name);
        println!("{}: {text}; {counts}", case.name);
    }
    figure("CUDA", "runs as graphs with the same numbers", cases.len(), cases.len());
}

/// What a replayed step costs: the number of operators outside of the graphs may only fall.
#[test]
fn a_replayed_step_waits_for_nothing_and_holds_no_more_memory() {
    if with_graphs().is_none() {
        return;
    }
    // Both ask the loss of as many later steps.
    const SHORT: u64 = 14;
    const LONG: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    for (case, most) in [
        (amdim("amdim", &[]), 15),
        (amdim("amdim-f16", &[("train.precision", "f16")]), 37),
        (resnet("nt-xent", "nt-xent", HEAD, &[]), 29),
        (resnet("byol", "byol", &format!("{HEAD}, predictor_hidden = 32"), &[]), 38),
    ] {
        let counted = |steps: u64| {
            let folder = folder.path().join(format!("{}-{steps}", case.name));
            train(&case, &folder, steps, &[("train.log_every_steps", "1000"), ON]);
            let mut reports = reports(&folder);
            assert_eq!(reports.len(), 1, "{}", case.name);
            (reports.remove(0), counts(&folder))
        };
        let ((before, graphs_before), (after, graphs_after)) = (counted(SHORT), counted(LONG));
        let per_step = |of: &dyn Fn(&Value, &Value) -> i64| {
            (of(&after, &graphs_after) - of(&before, &graphs_before)) as f64 / (LONG - SHORT) as f64
        };
        assert_eq!(per_step(&|report, _| total(&report["waits"])), 0.0, "{}: waits a step", case.name);
        assert_eq!(per_step(&|report, _| report["to_device"]["count"].as_i64().unwrap()), 1.0, "{}", case.name);
        let peak = |report: &Value| report["memory"][0]["bytes_peak"].clone();
        assert_eq!(peak(&before), peak(&after), "{}: memory that is taken", case.name);
        let kernels = per_step(&|report, _| total(&report["kernels"]));
        let within = per_step(&|_, graphs| graphs["kernels"].as_i64().unwrap());
        let replays = per_step(&|_, graphs| graphs["replays"].as_i64().unwrap());
        let count = |report: &Value, graphs: &Value| {
            report["memory"][0]["allocations"].as_i64().unwrap() - graphs["allocations"].as_i64().unwrap()
        };
        let allocations = per_step(&count);
        println!(
            "{}: {replays} replays, {within} operators within, {kernels} and {allocations} allocations beside",
            case.name
        );
        assert!(within > kernels, "{}", case.name);
        assert!(kernels <= f64::from(most), "{}: {kernels} launches beside the graphs, {most} before", case.name);
    }
}

#[test]
fn a_run_of_graphs_goes_on_as_if_nothing_had_been() {
    if with_graphs().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let case = amdim("resumed", &[("optimizer.schedule", "milestones"), ("train.precision", "bf16")]);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&case, &whole, STEPS, &[EACH]);
    train(&case, &parts, STEPS / 2, &[EACH, ON]);
    let arguments = ["train", "--resume", "runs/run", "--set", &format!("train.steps={STEPS}")];
    let mut again = super::standin::on_device(&parts, &arguments, On::Cuda);
    let output = again.env("LD_LIBRARY_PATH", with_graphs().unwrap()).output().unwrap();
    assert_ok(&output);
    assert!(said(&parts).contains(&format!("from step {} on", STEPS / 2 + 5)), "{}", said(&parts));
    let steps = |rows: Vec<Value>| -> Vec<Value> { rows.into_iter().filter(|row| row["loss"].is_number()).collect() };
    let ((own, encoder), (expected, expected_encoder)) = (result(&parts), result(&whole));
    assert_eq!(steps(own), steps(expected));
    assert!(encoder == expected_encoder);
}

/// What a graph would freeze or could not hold is seen before anything is captured.
#[test]
fn a_loss_that_can_t_be_repeated_is_told_apart_and_trains_as_ever() {
    if with_graphs().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = format!("{:?}", fixture("faulty"));
    for (kind, fault, reason) in [
        ("loss", "fault = \"waits\"", "`aten::copy_` copies between host and device"),
        ("loss", "fault = \"host_number\"", "`aten::copy_` copies between host and device"),
        ("loss", "fault = \"own_key\"", "by a key that does not come from the step's"),
        ("loss", "fault = \"rhythm\", step = 12", "no CUDA graphs yet: the loss will differ at step 12"),
        ("loss", "fault = \"draws\"", CAPTURED),
        ("encoder", "fault = \"none\"", "the encoder changes what it saves in its forward pass"),
    ] {
        let config = format!("{{ callback = \"forward\", {fault} }}");
        let keys = ["name", "path", "config"].map(|key| format!("{kind}.{key}"));
        let own = [(keys[0].as_str(), "faulty"), (&keys[1], &library), (&keys[2], &config)];
        let (encoder, loss) = (("encoder.config", "{ ndf = 8, n_rkhs = 32, depth = 1 }"), ("loss.name", "faulty"));
        let small = if kind == "loss" { encoder } else { loss };
        let beside = [("loss.path", library.as_str()), ("loss.config", "{}")];
        let beside = if kind == "loss" { &[][..] } else { &beside[..] };
        let case = case("faulty", "amdim", &[&own[..], &[small], beside].concat());
        let (plain, graphs) = (folder.path().join(format!("plain-{fault}")), folder.path().join(fault));
        train(&case, &plain, STEPS, &[EACH]);
        train(&case, &graphs, STEPS, &[EACH, ON]);
        assert!(said(&graphs).contains(reason), "{fault}: {}", said(&graphs));
        assert_eq!(counts(&graphs)["replays"].as_u64().unwrap() > 0, reason == CAPTURED, "{fault}");
        assert!(result(&plain) == result(&graphs), "{fault}: other numbers");
    }
}

/// What the device refuses while it is captured is undone, and the run goes on.
#[test]
fn a_capture_that_fails_costs_nothing_but_the_graphs() {
    if with_graphs().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let case = amdim("failing", &[]);
    let plain = folder.path().join("plain");
    train(&case, &plain, STEPS, &[EACH]);
    for graph in ["0", "1"] {
        let failing = folder.path().join(graph);
        let output = command(&case, &failing, STEPS, &[EACH, ON]).env("GRAPHS_FAIL", graph).output().unwrap();
        assert_ok(&output);
        let counts = counts(&failing);
        assert_eq!(
            (&counts["failed"], &counts["replays"], &counts["pool_is_open"]),
            (&1.into(), &0.into(), &false.into())
        );
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("without CUDA graphs: the step can't be captured"), "{told}");
        assert!(said(&failing).contains("previous error during capture"), "{}", said(&failing));
        assert!(result(&plain) == result(&failing), "other numbers");
    }
}

#[test]
fn where_there_are_no_graphs_it_is_told_why() {
    if with_graphs().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, case, on, reason) in [
        ("cpu", amdim("cpu", &[]), On::Cpu, "the device is the CPU"),
        ("ranks", amdim("ranks", &[]).on_two(), On::Cuda, "several processes train together"),
        ("none", amdim("none", &[]), On::Cuda, "the loaded libtorch has none"),
    ] {
        let folder = folder.path().join(name);
        let output = case.train(&folder, on, 2, &[ON]);
        assert_ok(&output);
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("without CUDA graphs"), "{told}");
        assert!(said(&folder).contains(reason), "{}", said(&folder));
    }
}
