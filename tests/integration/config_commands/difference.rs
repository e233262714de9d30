//! `infomax config diff`.

use super::shipped::{DEMO, with_configs};
use crate::support::binary::{errors, run};
use std::fs;

fn told(arguments: &[&str]) -> String {
    let folder = with_configs();
    for (run, seed) in [("a", 1), ("b", 2)] {
        fs::create_dir_all(folder.path().join(run)).unwrap();
        let text =
            format!("[train]\nseed = {seed}\nsteps = 5\n\n[loss]\nname = \"amdim\"\nconfig = {{ tclip = 20.0 }}\n");
        fs::write(folder.path().join(run).join("config.toml"), text).unwrap();
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    let set = "extends = [\"experiments/shapes-demo\"]\n[optimizer]\nname = \"sgd\"\n[train]\nepochs = 2\n";
    fs::write(folder.path().join("configs/sgd.toml"), set).unwrap();
    let output = run(folder.path(), &[&["config", "diff"], arguments].concat());
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    format!("exit {}\n{out}{}", output.status.code().unwrap(), errors(&output, folder.path()))
}

#[test]
fn diff_lists_what_differs_between_runs() {
    insta::assert_snapshot!(told(&["a", "b"]), @r"
    exit 0
    key         a  b
    train.seed  1  2
    ");
}

#[test]
fn diff_of_equal_runs_says_so() {
    insta::assert_snapshot!(told(&["a", "a"]), @r"
    exit 0
    nothing differs
    ");
}

#[test]
fn diff_of_files_compares_what_they_resolve_to() {
    insta::assert_snapshot!(told(&[DEMO, "configs/sgd.toml"]), @r#"
    exit 0
    key                 configs/experiments/shapes-demo.toml  configs/sgd.toml
    optimizer.betas     [0.8, 0.999]                          not set
    optimizer.eps       1e-8                                  not set
    optimizer.momentum  not set                               0.9
    optimizer.name      "adam"                                "sgd"
    optimizer.nesterov  not set                               false
    train.epochs        not set                               2
    train.steps         1000                                  not set
    "#);
}

#[test]
fn diff_refuses_what_is_neither_run_nor_config() {
    insta::assert_snapshot!(told(&["a", "empty"]), @r"
    exit 2
    error: `empty` holds no `config.toml`
    hint: give a run directory or a config file
    ");
    insta::assert_snapshot!(told(&["a", "nothing"]), @r"
    exit 2
    error: config file `nothing` does not exist
    hint: give the path of a file, seen from the working directory
    ");
}
