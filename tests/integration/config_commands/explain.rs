//! Row C08, the part of `config explain`: where a value comes from and what its key means.

use super::shipped::{DEMO, with_configs};
use crate::support::binary::{errors, infomax, run};
use std::{fs, path::Path, process::Output};

fn text(output: &Output, folder: &Path) -> String {
    assert!(output.status.success(), "{}", errors(output, folder));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn explained(arguments: &[&str]) -> String {
    let folder = with_configs();
    text(&run(folder.path(), &[&["config", "explain"], arguments].concat()), folder.path())
}

#[test]
fn c08_explain_lists_every_layer_in_order() {
    let folder = with_configs();
    let own = "extends = [\"experiments/shapes-demo\"]\n[optimizer]\nlr = 3e-3\n";
    fs::write(folder.path().join("configs/a.toml"), own).unwrap();
    let arguments =
        ["config", "explain", "optimizer.lr", "configs/a.toml", "--seed", "3", "--set", "optimizer.lr=5e-3"];
    let mut command = infomax(folder.path(), &arguments);
    let output = command.env("INFOMAX__OPTIMIZER__LR", "4e-3").output().unwrap();
    insta::assert_snapshot!(text(&output, folder.path()), @r"
    optimizer.lr = 0.005

    default                                  0.0002  overridden
    configs/methods/amdim.toml:18            0.0002  overridden
    configs/experiments/shapes-demo.toml:18  0.001   overridden
    configs/a.toml:3                         0.003   overridden
    environment INFOMAX__OPTIMIZER__LR       0.004   overridden
    --set optimizer.lr=5e-3                  0.005   holds

    meaning:  Learning rate after the warm-up.
    takes:    a finite number from 0.0 to 1000.0
    unit:     dimensionless
    default:  0.0002
    ");
}

/// The layers, lowest first, each over all below it.
#[test]
fn c08_explain_shows_each_layer_over_those_below() {
    let folder = with_configs();
    let own = "extends = [\"experiments/shapes-demo\"]\n[train]\nseed = 11\n";
    fs::write(folder.path().join("configs/a.toml"), own).unwrap();
    let (file, environment, flag, set) = (1, 2, 4, 8);
    let mut right = 0;
    for given in 0..16 {
        let mut arguments = vec!["config", "explain", "train.seed"];
        arguments.push(if given & file != 0 { "configs/a.toml" } else { DEMO });
        arguments.extend(["--seed", "13"].iter().filter(|_| given & flag != 0));
        arguments.extend(["--set", "train.seed=14"].iter().filter(|_| given & set != 0));
        let mut command = infomax(folder.path(), &arguments);
        if given & environment != 0 {
            command.env("INFOMAX__TRAIN__SEED", "12");
        }
        let all = [
            ("default", 1, true),
            ("configs/a.toml:3", 11, given & file != 0),
            ("environment INFOMAX__TRAIN__SEED", 12, given & environment != 0),
            ("command line, --seed", 13, given & flag != 0),
            ("--set train.seed=14", 14, given & set != 0),
        ];
        let expected: Vec<_> = all.iter().filter(|(.., given)| *given).collect();
        let told = text(&command.output().unwrap(), folder.path());
        let lines: Vec<&str> = told.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), expected.len(), "{told}");
        for (index, (line, (place, value, _))) in lines.iter().zip(&expected).enumerate() {
            let fate = if index + 1 == expected.len() { "holds" } else { "overridden" };
            let told = line.strip_prefix(place).unwrap_or_else(|| panic!("{told}"));
            assert_eq!(told.split_whitespace().collect::<Vec<_>>(), [value.to_string().as_str(), fate]);
        }
        assert!(told.starts_with(&format!("train.seed = {}\n", expected.last().unwrap().1)), "{told}");
        right += 1;
    }
    crate::support::figures::figure("C08", "combinations of layers explained", right, 16);
}

#[test]
fn c08_explain_tells_a_plugins_field() {
    insta::assert_snapshot!(explained(&["loss.config.tclip", DEMO]), @r"
    loss.config.tclip = 20.0

    default                        20.0  overridden
    configs/methods/amdim.toml:14  20.0  holds

    meaning:  Scores are squashed to ±tclip by tanh.
    takes:    a finite number from 0.1 to 80.0
    unit:     dimensionless
    default:  20.0
    ");
}

#[test]
fn c08_explain_tells_what_a_later_choice_drops() {
    insta::assert_snapshot!(explained(&["train.epochs", DEMO]), @r"
    train.epochs is not set

    configs/methods/amdim.toml:28  300  dropped: a later choice makes it meaningless

    meaning:  How long to train, in passes over the dataset. One of `epochs`, `steps`, `images`, `seconds` is given; 300 epochs where none is.
    takes:    an integer from 1 to 1000000
    unit:     epochs
    default:  not set
    ");
    insta::assert_snapshot!(explained(&["optimizer.betas", DEMO, "--set", "optimizer.name=sgd"]), @r"
    optimizer.betas has no effect with `optimizer.name` = `sgd`

    default                        [0.8, 0.999]  dropped: a later choice makes it meaningless
    configs/methods/amdim.toml:19  [0.8, 0.999]  dropped: a later choice makes it meaningless

    meaning:    Decay of the running mean of the gradient and of its square (`adam`, `adamw`).
    takes:      a list of 2 values, each a finite number from 0.0 to 0.999999999
    unit:       dimensionless
    default:    [0.8, 0.999]
    acts with:  `optimizer.name` = `adam` or `adamw`
    ");
}

#[test]
fn c08_explain_lists_a_table() {
    insta::assert_snapshot!(explained(&["checkpoint", DEMO]), @r#"
    checkpoint: When the state is saved.

    checkpoint.every_steps      200            configs/experiments/shapes-demo.toml:27
    checkpoint.every_epochs     not set
    checkpoint.keep             2              default
    checkpoint.keep_best        0              default
    checkpoint.best_metric      "linear_top1"  default
    checkpoint.verify           true           default
    checkpoint.overlap_steps    1              default
    checkpoint.timeout_seconds  600            default
    "#);
    insta::assert_snapshot!(explained(&["loss.config", DEMO]), @r#"
    loss.config: AMDIM's objective: features of one view must pick out those of the other among all images of the batch.

    loss.config.tclip            20.0                   configs/methods/amdim.toml:14
    loss.config.clip             true                   default
    loss.config.regulariser      0.05                   default
    loss.config.pairs            ["1t5", "1t7", "5t5"]  default
    loss.config.source_location  "random"               default
    loss.config.directions       "both"                 default
    loss.config.f32_products     false                  default
    "#);
}

#[test]
fn c08_explain_needs_no_config_for_the_hosts_keys() {
    insta::assert_snapshot!(explained(&["train.precision"]), @r#"
    train.precision = "f32"

    default  "f32"  holds

    meaning:  The number format of the encoder's and the loss's arithmetic; parameters stay f32 in each.
    takes:    one of `f32`, `tf32`, `f16`, `bf16`
    default:  "f32"
    "#);
}

#[test]
fn c08_explain_proposes_the_nearest_key() {
    let folder = with_configs();
    let told = |key: &str, config: &[&str]| {
        let output = run(folder.path(), &[&["config", "explain", key], config].concat());
        assert_eq!(output.status.code(), Some(2), "{key}");
        errors(&output, folder.path())
    };
    for (key, near) in [
        ("optimizer.lrr", "optimizer.lr"),
        ("train.lr", "optimizer.lr"),
        ("batch_szie", "train.batch_size"),
        ("loss.config.tclap", "loss.config.tclip"),
        ("trian", "train"),
    ] {
        let text = told(key, &[DEMO]);
        assert_eq!(text, format!("error: unknown key `{key}`\nhint: did you mean `{near}`?\n"));
    }
    insta::assert_snapshot!(told("loss.config.tclip", &[]), @r"
    error: unknown key `loss.config.tclip`
    hint: the fields of `loss.config` are the component's: name a config that chooses one
    ");
    insta::assert_snapshot!(told("nonsense", &[]), @r"
    error: unknown key `nonsense`
    hint: the tables are `dataset`, `augmentation`, `encoder`, `loss`, `optimizer`, `train`, `evaluation`, `checkpoint`, `distributed`, `batch_norm`, `record`, `plugins`
    ");
}

/// Every value that is shown is explained, and its place is that of a line that says it.
#[test]
fn c08_explain_knows_every_key_of_a_shown_config() {
    let folder = with_configs();
    let arguments = ["config", "show", "configs/experiments/cifar10-minus-gray.toml"];
    let shown: toml::Table = text(&run(folder.path(), &arguments), folder.path()).parse().unwrap();
    let mut asked = 0;
    for table in shown.keys() {
        let told = text(&run(folder.path(), &["config", "explain", table, arguments[2]]), folder.path());
        for line in told.lines().skip(2) {
            let (key, rest) = line.split_once(' ').unwrap();
            let value =
                key.split('.').try_fold(&toml::Value::Table(shown.clone()), |value, key| value.get(key)).cloned();
            assert_eq!(value.is_none(), rest.trim_start().starts_with("not set"), "{line}");
            if let Some((file, number)) = rest.rsplit_once(' ').unwrap_or_default().1.rsplit_once(':') {
                let source = fs::read_to_string(folder.path().join(file)).unwrap();
                let said = source.lines().nth(number.parse::<usize>().unwrap() - 1).unwrap().to_owned();
                assert!(said.contains(key.rsplit('.').next().unwrap()), "{line}: {said}");
            }
            asked += 1;
        }
    }
    println!("C08: {asked} keys explained");
    assert!(asked > 90, "{asked}");
}

#[test]
fn c08_explain_shows_what_a_rate_for_another_batch_comes_to() {
    let shown = explained(&[
        "optimizer.lr",
        "configs/methods/nt-xent.toml",
        "configs/datasets/cifar10.toml",
        "--set",
        "train.batch_size=64",
    ]);
    assert!(shown.contains("comes to:  a learning rate of 0.1 = 0.4 × `train.batch_size` 64 / 256"), "{shown}");
    let alone = explained(&[
        "optimizer.lr",
        "configs/methods/nt-xent.toml",
        "configs/datasets/cifar10.toml",
        "--set",
        "optimizer.lr=0.3",
    ]);
    assert!(alone.starts_with("optimizer.lr = 0.3\n") && !alone.contains("comes to"), "{alone}");
    let reference = ["optimizer.lr_reference_batch", "configs/methods/nt-xent.toml", "configs/datasets/cifar10.toml"];
    let dropped = explained(&[&reference[..], &["--set", "optimizer.lr=0.3"]].concat());
    assert!(dropped.contains("dropped: a later choice makes it meaningless"), "{dropped}");
}

#[test]
fn names_of_experiments_plugins_and_other_tools_get_an_answer() {
    let folder = with_configs();
    let folder = folder.path();
    let shown = text(&run(folder, &["config", "explain", "learning_rate", "shapes-demo"]), folder);
    assert!(shown.starts_with("optimizer.lr = 0.001\n"), "{shown}");
    let whole = text(&run(folder, &["config", "show", "shapes-demo"]), folder);
    assert_eq!(whole, text(&run(folder, &["config", "show", "configs/experiments/shapes-demo.toml"]), folder));
    let assigned = run(folder, &["train", "train.steps=10"]);
    assert_eq!(assigned.status.code(), Some(2));
    assert!(errors(&assigned, folder).contains("`--set train.steps=10`"), "{}", errors(&assigned, folder));
    for name in ["amdim", "infomax-plugin-losses", "resnet18"] {
        assert!(text(&run(folder, &["plugin", "inspect", name]), folder).starts_with("infomax-plugin-"), "{name}");
    }
    let unknown = run(folder, &["plugin", "inspect", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(errors(&unknown, folder).contains("infomax plugin list"), "{}", errors(&unknown, folder));
}
