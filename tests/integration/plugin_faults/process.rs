//! What a plugin does to the whole process: hangs, leaks, ends it, changes what there is once, takes all memory. Through the real
//! binary; rows P13 to P19.

use crate::{
    support::{
        binary::{errors, run},
        faulty::{self, Made, fault, faulty, fixture, request, training},
        figures::figure,
    },
    training::{assert_ok, metrics},
};
use infomax::{
    checkpoint::CheckpointSet,
    plugin::{Candidate, Kind, load},
};
use serde_json::json;
use std::{
    env, fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// An experiment on the faulty encoder and the faulty loss with these configs.
fn experiment(folder: &Path, encoder: &str, loss: &str) {
    let configs = format!("encoder.config = {{ {encoder} }}\nloss.config = {{ {loss} }}\n");
    faulty::experiment(folder, &(configs + "train.workers = 1\n"));
}

fn train(folder: &Path, name: &str, more: &[&str]) -> Output {
    training(folder, name, more).output().unwrap()
}

#[test]
fn p13_a_call_that_hangs_ends_the_run_with_a_word_on_where() {
    let calls = [("encoder", "forward"), ("loss", "forward"), ("loss", "create"), ("loss", "before_step")];
    let mut noticed = 0;
    for (kind, callback) in calls {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        // From the fourth step on, where the callback knows of steps.
        let config = format!("callback = \"{callback}\", fault = \"hang\", step = 3");
        let (encoder, loss) = if kind == "encoder" { (config.as_str(), "") } else { ("", config.as_str()) };
        experiment(folder, encoder, loss);
        let began = Instant::now();
        let mut child = training(folder, "run", &["plugins.call_timeout_seconds=1"]);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // From the last checkpoint on nothing happens: the limit, and at most two seconds more.
        let newest = folder.join("runs/run/checkpoints/step-000000003");
        while callback == "forward" && !newest.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "{kind} `{callback}`: no third checkpoint");
            thread::sleep(Duration::from_millis(5));
        }
        let since = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{kind} `{callback}` was not noticed");
            thread::sleep(Duration::from_millis(5));
        };
        let latency = since.elapsed();
        let output = child.wait_with_output().unwrap();
        let text = errors(&output, folder);
        assert_eq!(status.code(), Some(3), "{text}");
        let expected = format!("error: {kind} `faulty` has not come back from `{callback}` for 1 s\n  at: ");
        assert!(text.contains(&expected), "{text}");
        assert!(text.contains("infomax-plugin-faulty 0.1.0") && text.contains("nanosleep"), "{text}");
        assert!(text.contains("infomax_faulty::") && text.contains("hint: it hangs"), "{text}");
        if callback == "forward" {
            assert!(text.contains("at: step 3, rank 0, "), "{text}");
            assert!(latency < Duration::from_millis(3000), "noticed after {latency:?}");
            let (newest, passed_over) = CheckpointSet::new(folder.join("runs/run/checkpoints")).newest();
            assert!(newest.is_some_and(|newest| newest.manifest.step == 3) && passed_over.is_empty());
        }
        noticed += 1;
    }
    figure("P13", "hanging calls noticed within two seconds of the limit", noticed, calls.len());
}

#[test]
fn p11_an_operator_without_a_derivative_is_its_components_fault() {
    let mut told = 0;
    for (kind, accumulation) in [("encoder", 1), ("encoder", 2), ("loss", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let config = "callback = \"forward\", fault = \"no_derivative\"";
        let (encoder, loss) = if kind == "encoder" { (config, "") } else { ("", config) };
        experiment(folder.path(), encoder, loss);
        let output = train(folder.path(), "run", &[&format!("train.accumulation_steps={accumulation}")]);
        let text = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(3), "{text}");
        let expected = format!("error: {kind} `faulty` failed in `backward`: ");
        told += usize::from(text.contains(&expected) && text.contains("derivative for 'nextafter' is not implemented"));
        assert!(text.contains("\n  at: step 0, rank 0, ") && text.contains("`infomax plugin check`"), "{text}");
    }
    figure("P11", "operators without a derivative told with their component", told, 3);
}

#[test]
fn p13_a_slow_loss_is_told_with_its_share_of_a_step() {
    let folder = tempfile::tempdir().unwrap();
    experiment(folder.path(), "", "callback = \"forward\", fault = \"sleep\"");
    let output = train(folder.path(), "run", &["train.steps=14"]);
    assert_ok(&output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("loss `faulty` is slow: it takes ")).expect(&text);
    let share: f64 = line.split("it takes ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(share > 50.0 && share <= 100.0, "{line}");
    assert_eq!(text.matches("is slow").count(), 1, "told once");
    // One that isn't slow is told nothing.
    experiment(folder.path(), "callback = \"forward\", fault = \"sleep\"", "");
    let output = train(folder.path(), "encoder", &["train.steps=14"]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("is slow"));
}

const CHILD: &str = "INFOMAX_TEST_P14";

/// Runs this test alone in a process of its own, whose memory nobody else changes.
#[test]
fn p14_a_thousand_uses_neither_crash_nor_grow() {
    const TIMES: usize = 1000;
    if env::var_os(CHILD).is_none() {
        fixture("faulty"); // built here, so that the child builds nothing
        let name = "plugin_faults::process::p14_a_thousand_uses_neither_crash_nor_grow";
        let mut child = Command::new(env::current_exe().unwrap());
        let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let growth: i64 = text.split("grown by ").nth(1).expect(&text).split(' ').next().unwrap().parse().unwrap();
        // Per use: a tensor of the smallest kind that leaked would be hundreds of bytes each.
        assert!(growth < 128 * (TIMES as i64 - 200), "{growth} bytes in {TIMES} uses");
        figure("P14", "loads, uses and drops without growth", TIMES, TIMES);
        return;
    }
    infomax::native::set_threads(1);
    let resident = || {
        let text = fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
    };
    let path = fixture("faulty");
    let mut early = 0;
    for time in 0..TIMES {
        if time == 200 {
            early = resident();
        }
        // In threads that end after it: a library's thread-locals are dropped with them.
        let path = path.clone();
        thread::spawn(move || {
            load(&Candidate::read(&path, &[]).unwrap()).unwrap_or_else(|error| panic!("{}", error.fault()));
            for kind in Kind::ALL {
                let mut made =
                    Made::new(&faulty(kind), &request(json!({}))).unwrap_or_else(|e| panic!("{}", e.fault()));
                let callback = match kind {
                    Kind::Dataset => "read",
                    Kind::Augmentation => "train_views",
                    Kind::Encoder | Kind::Loss => "forward",
                };
                super::calls::call(&mut made, callback).unwrap_or_else(|error| panic!("{}", error.fault()));
            }
        })
        .join()
        .unwrap();
    }
    println!("grown by {} bytes", resident() - early);
}

#[test]
fn p15_memory_that_grows_with_every_step_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let more =
        ["train.steps=400", "checkpoint.every_steps=400", "evaluation.every_steps=400", "train.log_every_steps=100"];
    experiment(folder.path(), "", "callback = \"forward\", fault = \"leak\"");
    let output = train(folder.path(), "leaks", &more);
    assert_ok(&output);
    let text = errors(&output, folder.path());
    let line = text.lines().find(|line| line.contains("memory grows by ")).expect(&text);
    let step: u64 = line.split("step ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
    let rate: f64 = line.split("grows by ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(step < 300 && (rate - 1.0).abs() < 0.3, "{line}");
    assert!(line.contains("loss `faulty`"), "{line}");
    experiment(folder.path(), "", "");
    let output = train(folder.path(), "does-not", &more);
    assert_ok(&output);
    assert!(!errors(&output, folder.path()).contains("memory grows"), "{}", errors(&output, folder.path()));
    figure("P15", "leaks of a mebibyte a step told", 1, 1);
}

#[test]
fn p16_an_input_that_is_changed_in_place_is_an_error() {
    let cases = [
        (
            "changes_input",
            "callback = \"forward\", fault = \"changes_input\"",
            "",
            "encoder `faulty` failed in `forward`: it changed view 0",
        ),
        (
            "loss",
            "",
            "callback = \"forward\", fault = \"changes_input\"",
            "failed in `forward`: it changed `r1` of view 0",
        ),
        (
            "after",
            "",
            "callback = \"after_update\", fault = \"changes_input\"",
            "failed in `after_update`: it changed `r1` of view 1",
        ),
    ];
    for (name, encoder, loss, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        experiment(folder.path(), encoder, loss);
        let output = train(folder.path(), name, &[]);
        let text = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(expected) && text.contains("which it was lent, in place"), "{text}");
        assert!(text.contains("step 0") && text.contains("hint: make a copy"), "{text}");
    }
    figure("P16", "changed inputs detected", cases.len(), cases.len());
}

#[test]
fn p17_what_all_share_is_put_back_and_the_numbers_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    experiment(folder, "", "");
    assert_ok(&train(folder, "control", &[]));
    let callbacks = ["create", "before_step", "after_update"];
    for callback in callbacks {
        experiment(folder, "", &format!("callback = \"{callback}\", fault = \"globals\""));
        // A relative folder for runs: one that the working directory's change would lead astray.
        let output = train(folder, callback, &[]);
        assert_ok(&output);
        let text = errors(&output, folder);
        for what in [
            "gradient tracking",
            "autocast",
            "the number of threads",
            "the working directory",
            "the locale",
            "the handler of SIGINT",
        ] {
            let expected = format!("loss `faulty` left {what} changed in `{callback}`; put back");
            assert_eq!(text.matches(&expected).count(), 1, "{expected}: {text}");
        }
        assert_eq!(metrics(&folder.join("runs").join(callback)), metrics(&folder.join("runs/control")), "{callback}");
        let encoder = |name: &str| fs::read(folder.join("runs").join(name).join("encoder.safetensors")).unwrap();
        assert!(encoder(callback) == encoder("control") || callback == "create", "{callback}: other weights");
    }
    figure("P17", "callbacks that change what all share, put back", callbacks.len(), callbacks.len());
}

/// Ctrl-C still works in a run whose loss has taken the signal for itself.
#[test]
fn p17_a_signal_is_heard_though_a_plugin_ignores_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    experiment(folder, "", "callback = \"before_step\", fault = \"globals\"");
    let more = ["train.steps=100000", "checkpoint.every_steps=100000", "evaluation.every_steps=100000"];
    let mut child = training(folder, "run", &more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !folder.join("runs/run/metrics.jsonl").metadata().is_ok_and(|file| file.len() > 0) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the signal");
        thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: `kill` has no preconditions; the child is waited for below.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

#[test]
fn p18_a_plugin_that_ends_the_process_leaves_a_run_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    experiment(folder, "", "");
    assert_ok(&train(folder, "control", &[]));
    let ways = [("exit", Some(3)), ("abort", None), ("segfault", None)];
    let mut resumed = 0;
    for (fault, code) in ways {
        let once = folder.join(format!("{fault}-happened"));
        let config = format!("callback = \"forward\", fault = \"{fault}\", step = 5, once = \"{}\"", once.display());
        experiment(folder, "", &config);
        let output = train(folder, fault, &[]);
        let text = errors(&output, folder);
        assert_eq!(output.status.code(), code, "{fault}: {text}");
        assert!(
            text.contains("error: loss `faulty` ended the process in `forward`\n  at: infomax-plugin-faulty"),
            "{text}"
        );
        // A crash, and where.
        let stack = text.split_once(" in thread `infomax-engine`; its stack, the innermost first:\n");
        let has_place = |stack: &str| stack.lines().any(|frame| frame.contains("forward"));
        assert_eq!(stack.is_some_and(|(_, stack)| has_place(stack)), code.is_none(), "{text}");
        let own = folder.join("runs").join(fault);
        let (newest, passed_over) = CheckpointSet::new(own.join("checkpoints")).newest();
        // The last one may have been under way.
        let step = newest.expect("a whole checkpoint").manifest.step;
        assert!((4..=5).contains(&step) && passed_over.is_empty(), "{fault}: {step} {passed_over:?}");
        assert_ok(&run(folder, &["checkpoint", "verify", &own.to_string_lossy()]));
        assert_ok(&run(folder, &["train", "--resume", &own.to_string_lossy()]));
        assert_eq!(metrics(&own), metrics(&folder.join("runs/control")), "{fault}");
        resumed += 1;
    }
    figure("P18", "runs resumed after their process was ended", resumed, ways.len());
}

#[test]
fn p19_a_huge_allocation_is_out_of_memory() {
    let kinds = ["encoder", "loss"];
    for kind in kinds {
        let folder = tempfile::tempdir().unwrap();
        let config = "callback = \"create\", fault = \"huge\"";
        let (encoder, loss) = if kind == "encoder" { (config, "") } else { ("", config) };
        experiment(folder.path(), encoder, loss);
        let output = train(folder.path(), "run", &[]);
        let text = errors(&output, folder.path());
        assert_eq!(output.status.code(), Some(8), "{text}");
        assert!(text.contains(&format!("{kind} `faulty` failed in `create`")), "{text}");
        assert!(text.contains("1099511627776 bytes") && text.contains("hint: lower `train.batch_size`"), "{text}");
    }
    for kind in Kind::ALL {
        let Err(error) = Made::new(&faulty(kind), &fault("create", "huge")) else { panic!("a tebibyte was there") };
        assert_eq!(error.exit_code(), 8, "{}", error.fault());
    }
    figure("P19", "huge allocations told as such", kinds.len() + Kind::ALL.len(), kinds.len() + Kind::ALL.len());
}
