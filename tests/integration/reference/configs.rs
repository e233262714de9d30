//! The shipped fragments fit together: every method on every dataset, with its own encoder and with others.

use crate::support::{
    binary::{errors, run},
    workspace::{registry, root},
};
use infomax::{
    config::{ComponentSchemas, Fault, Sources, resolve},
    error::Error,
    plugin::{Kind, Registry},
    train::Setup,
};
use serde_json::Value;
use std::{fs, path::Path};

/// Methods whose loss compares maps of several locations.
const MULTISCALE: [&str; 2] = ["amdim", "local-dim"];

struct Schemas<'a>(&'a Registry);

impl ComponentSchemas for Schemas<'_> {
    fn schema(&self, kind: &str, name: &str, path: Option<&str>) -> Result<Value, Fault> {
        let kind = Kind::from_name(kind).expect("one of the four");
        self.0.schema(kind, name, path.map(Path::new)).map_err(|error| error.fault())
    }
}

/// The names of the shipped files of a folder.
pub fn shipped(folder: &str) -> Vec<String> {
    let files = fs::read_dir(root().join("configs").join(folder)).expect("shipped configs");
    let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<String> = files.map(|file| stem(&file.unwrap().path())).collect();
    names.sort();
    names
}

/// Resolves fragments and loads and describes the components: everything short of allocating them.
fn planned(registry: &Registry, fragments: &[String], settings: &[&str]) -> Result<Setup, String> {
    let text = |faults: Vec<Fault>| faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n");
    let sources = Sources {
        files: fragments.iter().map(|name| root().join("configs").join(format!("{name}.toml"))).collect(),
        set: settings.iter().map(|setting| (*setting).to_owned()).collect(),
        ..Sources::default()
    };
    let resolved = resolve(&sources, &Schemas(registry)).map_err(text)?;
    Setup::new(&resolved.experiment, registry, "cpu").map_err(|error: Error| error.to_string())
}

/// Plans a method on a dataset, and checks what can be told from outside.
fn plans(registry: &Registry, method: &str, dataset: &str, settings: &[&str]) {
    let setup = planned(registry, &[format!("methods/{method}"), format!("datasets/{dataset}")], settings)
        .unwrap_or_else(|error| panic!("{method} on {dataset} with {settings:?}:\n{error}"));
    assert_eq!(setup.loss.name, method, "a method is called as its loss");
    let expected = match dataset {
        "imagenet" | "places205" => 128,
        "stl10" => 64,
        _ => 32,
    };
    assert_eq!(setup.augmentation_description.eval_size, [expected; 2], "{method} on {dataset}");
}

#[test]
fn every_method_plans_with_its_own_encoder_and_others() {
    let registry = registry();
    let methods = shipped("methods");
    assert_eq!(methods.len(), 16);
    for method in &methods {
        let multiscale = MULTISCALE.contains(&method.as_str());
        let heads = if multiscale { "encoder.config={ n_rkhs = 128 }" } else { "encoder.config={ width = 16 }" };
        for settings in [&[][..], &["encoder.name=resnet18", heads], &["encoder.name=amdim"]] {
            plans(&registry, method, "shapes", settings);
        }
        plans(&registry, method, "imagenet", &[]);
    }
}

#[test]
fn every_dataset_plans_with_methods_for_vectors_and_for_maps() {
    let registry = registry();
    for dataset in shipped("datasets") {
        plans(&registry, "nt-xent", &dataset, &[]);
        plans(&registry, "amdim", &dataset, &[]);
    }
}

#[test]
fn every_method_is_shown_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| root().join("configs").join(format!("{name}.toml")).display().to_string();
    for method in shipped("methods") {
        let files = [file(&format!("methods/{method}")), file("datasets/shapes")];
        for settings in [&[][..], &["--set", "encoder.name=resnet18"]] {
            let output = run(folder.path(), &[&["config", "show", &files[0], &files[1]], settings].concat());
            assert!(output.status.success(), "{method} {settings:?}: {}", errors(&output, folder.path()));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let shown: toml::Table = text.parse().unwrap_or_else(|error| panic!("{method}: {error}\n{text}"));
            assert_eq!(shown["loss"]["name"].as_str(), Some(method.as_str()));
            if !settings.is_empty() {
                assert_eq!(shown["encoder"]["name"].as_str(), Some("resnet18"));
            }
        }
    }
}

/// A ResNet's head, not its representation, is what the loss compares with local maps, whatever their widths.
#[test]
fn amdims_loss_takes_a_resnets_heads() {
    let fragments = ["methods/amdim", "datasets/shapes"].map(str::to_owned);
    for config in ["{ n_rkhs = 128 }", "{ n_rkhs = 128, width = 16 }"] {
        let settings = ["encoder.name=resnet18", &format!("encoder.config={config}")];
        let setup = planned(&registry(), &fragments, &settings).unwrap_or_else(|error| panic!("{error}"));
        assert!(setup.encoder_description.maps.iter().any(|map| map.name == "pool"));
        for need in &setup.loss_description.needs {
            assert_eq!(need.maps, ["r1", "r5", "r7"], "{config}");
        }
    }
}

/// The refusal of a plan, without the library's path.
fn refusal(method: &str, settings: &[&str]) -> String {
    let fragments = [format!("methods/{method}"), "datasets/shapes".to_owned()];
    let Err(text) = planned(&registry(), &fragments, settings) else { panic!("{method} takes {settings:?}") };
    text.lines().filter(|line| !line.trim_start().starts_with("at: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn losses_that_need_maps_refuse_encoders_without_them() {
    insta::assert_snapshot!(refusal("amdim", &["encoder.name=vit-tiny"]));
    insta::assert_snapshot!(refusal("amdim", &["encoder.name=wide-resnet"]));
    insta::assert_snapshot!(refusal("amdim", &["encoder.name=resnet18"]));
    insta::assert_snapshot!(refusal("local-dim", &["encoder.name=vit-tiny"]));
    insta::assert_snapshot!(refusal("local-dim", &["encoder.name=wide-resnet"]));
    insta::assert_snapshot!(refusal("local-dim", &["loss.config.local_map=r3"]));
}

#[test]
fn amdims_encoder_refuses_views_of_other_sizes() {
    insta::assert_snapshot!(refusal("amdim", &["augmentation.name=multi-crop"]), @"
    error: encoder `amdim` failed in `describe`: views of 16×16 beside 32×32, but the encoder `amdim` takes one size
    hint: choose another `augmentation.name` or another encoder
    ");
    insta::assert_snapshot!(refusal("amdim", &["augmentation.name=simclr", "augmentation.config.size=48"]), @"
    error: encoder `amdim` failed in `describe`: the encoder `amdim` can't take views of 48×48
    hint: set `augmentation.config.size` to 32, 64 or 128
    ");
}

/// Every method says how long and in which batches it was published, and its learning rate is for that batch.
#[test]
fn every_method_trains_as_published_and_its_rate_follows_the_batch() {
    let registry = registry();
    let resolved = |method: &str, set: &[&str]| {
        let sources = Sources {
            files: ["methods", "datasets"]
                .map(|folder| {
                    root().join("configs").join(folder).join(if folder == "methods" { method } else { "cifar10" })
                })
                .map(|path| path.with_extension("toml"))
                .to_vec(),
            set: set.iter().map(|setting| (*setting).to_owned()).collect(),
            ..Sources::default()
        };
        resolve(&sources, &Schemas(&registry)).unwrap().experiment
    };
    for method in shipped("methods") {
        let text = fs::read_to_string(root().join("configs/methods").join(format!("{method}.toml"))).unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        let published = |key: &str| table["train"][key].as_integer().unwrap_or_else(|| panic!("{method} has no {key}"));
        let (batch, epochs) = (published("batch_size") as u64, published("epochs") as u64);
        let experiment = resolved(&method, &[]);
        assert_eq!((experiment.train.batch_size, experiment.train.epochs), (batch, Some(epochs)), "{method}");
        let doubled = resolved(&method, &[&format!("train.batch_size={}", 2 * batch)]);
        let factor = doubled.optimizer.lr / experiment.optimizer.lr;
        let fixed = ["amdim", "local-dim"].contains(&method.as_str());
        assert!((factor - if fixed { 1.0 } else { 2.0 }).abs() < 1e-12, "{method}: {factor}");
        let own = resolved(&method, &["optimizer.lr=0.125", "train.batch_size=64"]);
        assert_eq!(own.optimizer.lr, 0.125, "{method}: a rate that is said alone is meant as it stands");
    }
}

/// Below 8 channels libtorch writes past a buffer on some processors: nothing is made of such a width.
#[test]
fn widths_below_8_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| root().join("configs").join(format!("{name}.toml")).display().to_string();
    let files = [file("methods/nt-xent"), file("datasets/shapes")];
    for name in ["resnet18", "resnet34", "resnet50"] {
        for width in [7, 4, 1] {
            let (name, width) = (format!("encoder.name={name}"), format!("encoder.config.width={width}"));
            for command in ["train", "config show"] {
                let words: Vec<&str> = command.split(' ').collect();
                let set = ["--set", &name, "--set", &width, "--set", "train.device=cpu"];
                let files: &[String] = if command == "train" { &files[..1] } else { &files };
                let files: Vec<&str> = files.iter().map(String::as_str).collect();
                let output = run(folder.path(), &[&words[..], &files, &set].concat());
                let text = errors(&output, folder.path());
                assert_eq!(output.status.code(), Some(2), "{command} {name} {width}: {text}");
                assert!(text.contains("`encoder.config.width`") && text.contains('8'), "{text}");
            }
        }
    }
    assert!(!folder.path().join("runs").exists());
}
