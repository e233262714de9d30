//! Where and beside what the binary runs: folders that can't be written, two runs at once, limits, odd variables, nobody who reads
//! what it says.

use crate::{
    support::{
        binary::{errors, infomax, run},
        ended::infomax_as,
        figures::figure,
        workspace::{built, root},
    },
    training::{arguments, assert_ok, metrics, train},
};
use std::{
    fs::{self, File},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const SHORT: [&str; 4] =
    ["train.steps=4", "evaluation.every_steps=4", "record.plot=false", "record.contact_sheet=false"];

fn in_folder(runs: &str) -> Vec<String> {
    arguments("run", &[SHORT.as_slice(), &[&format!("record.run_directory={runs}")]].concat())
}

/// Before data are read: within a second, whatever the dataset.
#[test]
fn o01_an_output_folder_that_can_t_be_written_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let cases = ["file", "file/below", "/proc/nowhere", "/dev/null/x"];
    for runs in cases {
        let began = Instant::now();
        let output = run(folder.path(), &in_folder(runs));
        let text = errors(&output, folder.path());
        assert!(!output.status.success() && began.elapsed() < Duration::from_secs(5), "{runs}: {text}");
        assert!(text.starts_with("error: can't make the folder `"), "{runs}: {text}");
    }
    // As a user who may read everything and write nowhere.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("bin");
    fs::create_dir(&copy).unwrap();
    let list = in_folder("runs");
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    if root_may_be_left() {
        let ended = infomax_as(folder.path(), &list, Some(65534));
        if ended.err.contains("Permission denied") && ended.err.contains("can't make the folder `runs`") {
            assert_ne!(ended.code, 0);
        } else {
            eprintln!("SKIPPED: the build folder can't be read by another user: {}", ended.seen());
        }
    }
    figure("O01", "folders refused at once", cases.len(), cases.len());
}

fn root_may_be_left() -> bool {
    // SAFETY: `geteuid` has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn o02_of_two_runs_in_one_directory_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let rounds = 20;
    for round in 0..rounds {
        let name = format!("run-{round}");
        let start = || {
            let mut command = infomax(folder.path(), &arguments(&name, &SHORT));
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
        let codes = outputs.each_ref().map(|output| output.status.code());
        assert!(codes == [Some(0), Some(2)] || codes == [Some(2), Some(0)], "{codes:?}");
        let loser = outputs.iter().find(|output| !output.status.success()).unwrap();
        let text = errors(loser, folder.path());
        // The later one may come when the first is done.
        assert!(text.contains("is in use by ") || text.contains("is not empty"), "{text}");
    }
    figure("O02", "rounds with exactly one winner", rounds, rounds);
}

#[test]
fn o03_the_lock_of_a_process_that_is_gone_is_taken_over_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        infomax(folder.path(), &arguments("run", &["train.steps=100000", "evaluation.every_steps=100000"]));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let path = folder.path().join("runs/run/checkpoints");
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // While it lives, it is named.
    let output = run(folder.path(), &["train", "--resume", "runs/run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output, folder.path()).contains(&format!("process {} on ", child.id())));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    let more = ["--set", "train.steps=20", "--set", "evaluation.every_steps=20"];
    let steps = fs::read_dir(&path).unwrap().count();
    assert!(steps > 0);
    let output = run(folder.path(), &[&["train", "--resume", "runs/run"], more.as_slice()].concat());
    let text = errors(&output, folder.path());
    assert!(text.contains(&format!("process {} on ", child.id())) && text.contains("it is taken over"), "{text}");
    // A process that ended well leaves no name.
    let output = run(folder.path(), &[&["train", "--resume", "runs/run"], more.as_slice()].concat());
    assert!(!errors(&output, folder.path()).contains("taken over"), "{}", errors(&output, folder.path()));
}

#[test]
fn o04_a_foreign_directory_is_no_run() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("foreign")).unwrap();
    fs::write(folder.path().join("foreign/notes.txt"), "mine").unwrap();
    let output = run(folder.path(), &["train", "--resume", "foreign"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
    let output = run(folder.path(), &["train", "--resume", "missing"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(errors(&output, folder.path()));
    assert_eq!(fs::read_dir(folder.path().join("foreign")).unwrap().count(), 1, "nothing is left in it");
}

#[test]
fn o08_few_open_files_are_raised_or_told() {
    let folder = tempfile::tempdir().unwrap();
    let words: Vec<String> = arguments("soft", &SHORT).iter().map(|word| format!("'{word}'")).collect();
    let with = |limit: &str, words: &[String]| {
        let command = format!("{limit}; exec {} {}", built().join("infomax").display(), words.join(" "));
        Command::new("sh").arg("-c").arg(command).current_dir(folder.path()).output().unwrap()
    };
    // A soft limit is the process's own to raise.
    assert_ok(&with("ulimit -S -n 16", &words));
    let words: Vec<String> = arguments("hard", &SHORT).iter().map(|word| format!("'{word}'")).collect();
    assert_ok(&with("ulimit -n 64", &words));
    let output = with("ulimit -n 12", &words);
    assert_eq!(output.status.code(), Some(8));
    insta::assert_snapshot!(errors(&output, folder.path()), @r"
    error: this process may have 12 open files, a run needs 64
    hint: allow more: `ulimit -n 64`
    ");
}

#[test]
fn o09_odd_environments_do_not_matter_or_are_told() {
    let folder = tempfile::tempdir().unwrap();
    type Variables<'a> = &'a [(&'a str, Option<&'a str>)];
    let odd: [(&str, Variables<'_>); 7] = [
        ("no-home", &[("HOME", None), ("XDG_DATA_HOME", None), ("XDG_CACHE_HOME", None)]),
        ("home-gone", &[("HOME", Some("/nonexistent"))]),
        ("plain-locale", &[("LANG", Some("C")), ("LC_ALL", Some("C"))]),
        ("odd-locale", &[("LC_ALL", Some("xx_YY.nothing"))]),
        ("odd-zone", &[("TZ", Some("Mars/Phobos"))]),
        ("no-temporary-folder", &[("TMPDIR", Some("/nonexistent"))]),
        ("cache-is-a-file", &[("XDG_CACHE_HOME", Some("/dev/null"))]),
    ];
    assert_ok(&train(folder.path(), "control", &SHORT));
    let runs = folder.path().join("runs");
    for (name, variables) in odd {
        let mut command = infomax(folder.path(), &arguments(name, &SHORT));
        for (variable, value) in variables {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        let output = command.output().unwrap();
        assert_ok(&output);
        assert_eq!(metrics(&runs.join("control")), metrics(&runs.join(name)), "{name}");
    }
    // A working directory that is gone.
    let gone = folder.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let words: Vec<String> = arguments("gone", &SHORT).iter().map(|word| format!("'{word}'")).collect();
    let binary = built().join("infomax");
    let command = format!("rmdir '{}'; exec {} {}", gone.display(), binary.display(), words.join(" "));
    let output = Command::new("sh").arg("-c").arg(&command).current_dir(&gone).output().unwrap();
    let text = errors(&output, folder.path());
    assert!(!output.status.success() && text.contains("error: the working directory does not exist"), "{text}");
    figure("O09", "environments that work or are told", odd.len() + 1, odd.len() + 1);
}

/// Every message that a test holds says what, and what to do.
#[test]
fn o10_every_error_says_what_to_do() {
    let (mut errors, mut without) = (0, Vec::new());
    let mut folders = vec![root().join("tests"), root().join("host/src"), root().join("host/desk/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "snap") {
                let text = fs::read_to_string(&path).unwrap();
                let body = text.splitn(3, "---").nth(2).unwrap_or_default();
                for error in body.split("\nerror: ").skip(1) {
                    errors += 1;
                    // A bug of the program is the one thing that a user can't mend.
                    if !error.contains("hint: ") && !error.starts_with("bug in infomax") {
                        without.push(format!("{}: {}", path.display(), error.lines().next().unwrap_or_default()));
                    }
                }
            }
        }
    }
    assert!(without.is_empty(), "{without:#?}");
    assert!(errors > 20, "only {errors} errors are held by snapshots");
    figure("O10", "errors in snapshots with a hint", errors, errors);
}

/// What the environment holds does not end up in a run's files, and neither does a home folder.
#[test]
fn o11_variables_and_the_home_folder_stay_out_of_a_run_s_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = infomax(folder.path(), &arguments("run", &[]));
    command.env("HOME", "/home/a-name-nobody-should-read").env("SECRET_TOKEN", "hunter2-in-a-variable");
    assert_ok(&command.output().unwrap());
    let mut folders = vec![folder.path().join("runs/run")];
    let mut looked = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            looked += 1;
            let bytes = fs::read(&path).unwrap();
            for word in ["a-name-nobody-should-read", "hunter2-in-a-variable"] {
                let holds = bytes.windows(word.len()).any(|window| window == word.as_bytes());
                assert!(!holds, "{} holds `{word}`", path.display());
            }
        }
    }
    figure("O11", "files without a variable or a home", looked, looked);
}

#[test]
fn t18_nobody_reads_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    assert_ok(&train(folder.path(), "control", &SHORT));
    let runs = folder.path().join("runs");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut cases = 0;
    let mut check = |name: &str, command: &mut Command| {
        let status = command.status().unwrap();
        assert!(status.success(), "{name}: {status}");
        assert_eq!(metrics(&runs.join("control")), metrics(&runs.join(name)), "{name}");
        cases += 1;
    };
    check("full-out", infomax(folder.path(), &arguments("full-out", &SHORT)).stdout(full()));
    check("full-err", infomax(folder.path(), &arguments("full-err", &SHORT)).stderr(full()).stdout(Stdio::null()));
    // A pipe whose reader is gone.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    check("closed", infomax(folder.path(), &arguments("closed", &SHORT)).stdout(writer));
    let words: Vec<String> = arguments("head", &SHORT).iter().map(|word| format!("'{word}'")).collect();
    let command = format!("{} {} | head -1", built().join("infomax").display(), words.join(" "));
    check("head", Command::new("sh").arg("-c").arg(command).current_dir(folder.path()).stdout(Stdio::null()));
    check("nowhere", infomax(folder.path(), &arguments("nowhere", &SHORT)).stdin(Stdio::null()).stdout(Stdio::null()));
    // A log that can't grow.
    full_log(folder.path());
    cases += 1;
    figure("T18", "runs that nobody reads, unchanged", cases, cases);
}

fn full_log(folder: &Path) {
    assert_ok(&train(folder, "log", &SHORT));
    let log = folder.join("runs/log/infomax.log");
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let output = run(folder, &["train", "--resume", "runs/log", "--set", "train.steps=8"]);
    assert_ok(&output);
    let text = errors(&output, folder);
    assert_eq!(text.matches("the log can't be written").count(), 1, "it is said, once: {text}");
}

/// libgomp reads its environment when it is loaded, before `main`, and tells what it read.
#[test]
fn openmp_s_threads_wait_briefly_unless_the_user_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let told = |user: &[(&str, &str)]| {
        let mut command = infomax(folder.path(), &["-v", "train", "--help"]);
        command.env_remove("OMP_WAIT_POLICY").env("OMP_DISPLAY_ENV", "verbose").envs(user.iter().copied());
        let output = command.output().unwrap();
        assert_ok(&output);
        errors(&output, folder.path())
    };
    let own = told(&[]);
    assert!(own.contains("GOMP_SPINCOUNT = '1000'"), "{own}");
    // Started by the dynamic linker, it is not the linker that is started again.
    let linker = Path::new("/lib64/ld-linux-x86-64.so.2");
    if linker.exists() {
        let mut command = Command::new(linker);
        command.arg(built().join("infomax")).args(["train", "--help"]).env_remove("OMP_WAIT_POLICY");
        let output = command.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("Usage: infomax train"), "{output:?}");
    }
    for (name, value, said) in [
        ("GOMP_SPINCOUNT", "7", "GOMP_SPINCOUNT = '7'"),
        ("OMP_WAIT_POLICY", "passive", "GOMP_SPINCOUNT = '0'"),
        ("OMP_WAIT_POLICY", "active", "GOMP_SPINCOUNT = '30000000000'"),
    ] {
        let text = told(&[(name, value)]);
        assert!(text.contains(said), "{name}={value}: {text}");
    }
}
