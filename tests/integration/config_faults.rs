//! Rows C01-C08 of the fault matrix: whatever is wrong with a config is said with its place and what to do.

use crate::support::figures::figure;
use infomax::config::{ComponentSchemas, Fault, Resolved, Sources, contradictions, dependences, host_schema, resolve};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Components as plugins would declare them.
pub struct Known;

impl ComponentSchemas for Known {
    fn schema(&self, kind: &str, name: &str, _path: Option<&str>) -> Result<Value, Fault> {
        let number = |low: f64, high: f64, default: f64| json!({"type": "number", "format": "double", "description": "A number.", "minimum": low, "maximum": high, "default": default});
        let count = |low: u64, high: u64, default: u64| json!({"type": "integer", "format": "uint64", "description": "A count.", "minimum": low, "maximum": high, "default": default});
        let flag = json!({"type": "boolean", "description": "A switch.", "default": false});
        let fields = match (kind, name.split('@').next().unwrap_or(name)) {
            ("dataset", "shapes") => json!({"images": count(1, 1_000_000, 1000)}),
            ("dataset", "cifar10") => {
                json!({"root": {"type": "string", "description": "The folder.", "default": "data"}})
            }
            ("augmentation", "amdim") => {
                json!({"size": {"type": "integer", "format": "uint32", "description": "Pixels.",
                "minimum": 0, "maximum": u32::MAX, "enum": [32, 64, 128], "default": 32}})
            }
            ("encoder", "amdim") => json!({"ndf": count(1, 4096, 128), "n_rkhs": count(1, 65_536, 1024),
                "depth": count(1, 100, 3), "use_bn": flag}),
            ("loss", "amdim") => {
                json!({"tclip": number(0.1, 1000.0, 20.0), "pairs": {"type": "object", "additionalProperties": false,
                "description": "Map pairs.", "properties": {"weight": number(0.0, 10.0, 1.0), "mode": {"description": "How.",
                "enum": ["mean", "sum"], "default": "mean"}}}})
            }
            ("loss", "vicreg") => json!({"std_weight": number(0.0, 1000.0, 25.0)}),
            _ => return Err(Fault::new(format!("no {kind} is called `{name}`")).hint("known: `amdim`, `vicreg`")),
        };
        Ok(json!({"type": "object", "additionalProperties": false, "properties": fields}))
    }
}

pub const BASE: &str = "[dataset]\nname = \"shapes\"\n[augmentation]\nname = \"amdim\"\n[encoder]\nname = \"amdim\"\n[loss]\nname = \"amdim\"\n";

fn from_text(text: &str) -> Result<Resolved, Vec<Fault>> {
    from_bytes(text.as_bytes())
}

pub fn from_bytes(bytes: &[u8]) -> Result<Resolved, Vec<Fault>> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("experiment.toml");
    fs::write(&file, bytes).unwrap();
    resolve(&Sources { files: vec![file], ..Sources::default() }, &Known)
}

pub fn with_set(text: &str, set: &[String]) -> Result<Resolved, Vec<Fault>> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("experiment.toml");
    fs::write(&file, text).unwrap();
    resolve(&Sources { files: vec![file], set: set.to_vec(), ..Sources::default() }, &Known)
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    file
}

/// Every table and field of a value, as (table, key).
fn keys(value: &Value, table: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        found.push((table.clone(), key.clone()));
        table.push(key.clone());
        keys(value, table, found);
        table.pop();
    }
}

/// The same value with one key renamed.
fn renamed(value: &Value, table: &[String], old: &str, new: &str) -> Value {
    let mut value = value.clone();
    let mut place = &mut value;
    for key in table {
        place = &mut place[key];
    }
    let fields = place.as_object_mut().unwrap();
    *fields = fields
        .iter()
        .map(|(k, v)| (if k == old { new.to_owned() } else { k.clone() }, v.clone()))
        .collect::<Map<_, _>>();
    value
}

/// Every key, also those without an effect.
fn known_text() -> Value {
    serde_json::to_value(from_text(BASE).unwrap().experiment).unwrap()
}

#[test]
fn c01_missing_file_names_the_nearest_and_no_parent_is_searched() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "configs/experiments/cifar10.toml", BASE);
    write(folder.path(), "configs/decoy.toml", BASE);
    for (wrong, near) in
        [("experiments/cifra10.toml", "cifar10.toml"), ("experiment/cifar10.toml", "experiments/cifar10.toml")]
    {
        let file = folder.path().join("configs").join(wrong);
        let faults = resolve(&Sources { files: vec![file], ..Sources::default() }, &Known).unwrap_err();
        assert!(faults[0].message.contains("does not exist") && faults[0].message.contains(wrong), "{faults:?}");
        assert!(faults[0].hint.as_deref().unwrap().contains(near), "{faults:?}");
    }
    let decoy = folder.path().join("configs/experiments/decoy.toml");
    assert!(resolve(&Sources { files: vec![decoy], ..Sources::default() }, &Known).is_err());
}

#[test]
fn c01_extends_is_resolved_under_configs_and_cycles_are_refused() {
    let folder = TempDir::new().unwrap();
    write(
        folder.path(),
        "configs/methods/amdim.toml",
        "[encoder]\nname = \"amdim\"\n[loss]\nname = \"amdim\"\n[augmentation]\nname = \"amdim\"\n",
    );
    write(folder.path(), "configs/datasets/shapes.toml", "[dataset]\nname = \"shapes\"\n[train]\nseed = 3\n");
    let file =
        write(folder.path(), "configs/experiments/a.toml", "extends = [\"methods/amdim\", \"datasets/shapes\"]\n");
    let resolved = resolve(&Sources { files: vec![file], ..Sources::default() }, &Known).unwrap();
    assert_eq!(resolved.experiment.train.seed, 3);

    write(folder.path(), "configs/x.toml", "extends = \"y\"\n");
    let file = write(folder.path(), "configs/y.toml", "extends = [\"x\"]\n");
    let faults = resolve(&Sources { files: vec![file], ..Sources::default() }, &Known).unwrap_err();
    assert!(
        faults[0].message.contains("circle") && faults[0].at.as_deref().unwrap().ends_with("x.toml:1"),
        "{faults:?}"
    );

    let file = write(folder.path(), "configs/z.toml", "\nextends = [\n  \"methods/amdin\",\n]\n");
    let faults = resolve(&Sources { files: vec![file], ..Sources::default() }, &Known).unwrap_err();
    assert!(faults[0].at.as_deref().unwrap().ends_with("z.toml:3"), "{faults:?}");
    assert!(faults[0].hint.as_deref().unwrap().contains("methods/amdim.toml"), "{faults:?}");
}

#[test]
fn c02_what_is_not_toml_is_refused_with_line_and_column() {
    let mutated: [(&[u8], &str); 12] = [
        (b"\xef\xbb\xbf[train]\nseed = 1\n", ":1:1"),
        (b"\xff\xfe[\0t\0", ":1:1"),
        (b"[train]\nseed = 1\0\n", ":2:9"),
        (b"[train]\nseed = \xff\n", ":2:8"),
        (b"[train\nseed = 1\n", ":1:"),
        (b"[train]\nseed 1\n", ":2:"),
        (b"[train]\nseed = \n", ":2:"),
        (b"[train]\nseed = 1\nseed = 2\n", ":3:"),
        (b"[train]\nseed = \"a\n", ":2:"),
        (b"[train]\nbetas = [1, 2\n", ":2:"),
        (b"[train]\nseed = 01\n", ":2:"),
        (b"{\"train\": {\"seed\": 1}}\n", ":1:"),
    ];
    for (bytes, place) in mutated {
        let faults = from_bytes(bytes).unwrap_err();
        let at = faults[0].at.as_deref().unwrap();
        assert!(at.contains(&format!("experiment.toml{place}")), "{}: {faults:?}", bytes.escape_ascii());
    }
}

#[test]
fn c03_one_wrong_letter_in_any_key_is_caught() {
    let base = known_text();
    let mut all = Vec::new();
    keys(&base, &mut Vec::new(), &mut all);
    let (mut tried, mut caught, mut proposed) = (0, 0, 0);
    for (table, key) in &all {
        let letters: Vec<char> = key.chars().collect();
        let mut mutations = Vec::new();
        for position in 0..letters.len() {
            let mut less = letters.clone();
            less.remove(position);
            mutations.push(less);
            let mut more = letters.clone();
            more.insert(position, 'q');
            mutations.push(more);
            if position + 1 < letters.len() && letters[position] != letters[position + 1] {
                let mut swapped = letters.clone();
                swapped.swap(position, position + 1);
                mutations.push(swapped);
            }
        }
        for mutation in mutations {
            let wrong: String = mutation.into_iter().collect();
            tried += 1;
            let text = toml::to_string(&renamed(&base, table, key, &wrong)).unwrap();
            let faults = from_text(&text).err().unwrap_or_default();
            let shown = if wrong.is_empty() { "`\"\"`".to_owned() } else { format!("`{wrong}`") };
            let found = faults.iter().find(|fault| {
                fault.message.contains("unknown") && (fault.message.contains(&shown) || wrong.is_empty())
            });
            let Some(fault) = found else { panic!("`{wrong}` for `{key}` in {table:?} was not caught: {faults:?}") };
            assert!(
                fault.at.as_deref().is_some_and(|at| at.contains("experiment.toml:")) && fault.hint.is_some(),
                "{fault:?}"
            );
            caught += 1;
            proposed += usize::from(fault.hint.as_deref().unwrap().contains(&format!("`{key}`")));
        }
    }
    figure("C03", "mistyped keys caught", caught, tried);
    println!("c03: {} keys, the right one proposed {proposed} times", all.len());
    assert_eq!(caught, tried);
    assert!(proposed * 10 >= tried * 9, "the right key was proposed {proposed} of {tried} times only");
}

/// Every number of a schema, as (path, schema); elements of lists too.
fn numbers(schema: &Value, path: &str, found: &mut Vec<(String, Value, bool)>) {
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let of =
            |schema: &Value| schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("").to_owned();
        match of(field).as_str() {
            "integer" | "number" => found.push((path, field.clone(), false)),
            "array" if matches!(of(&field["items"]).as_str(), "integer" | "number") => {
                found.push((path, field["items"].clone(), true));
            }
            _ => numbers(field, &path, found),
        }
    }
}

#[test]
fn c04_every_bad_number_is_caught_with_key_value_range_and_line() {
    let mut schema = host_schema();
    for (kind, name) in [("dataset", "shapes"), ("augmentation", "amdim"), ("encoder", "amdim"), ("loss", "amdim")] {
        schema["properties"][kind]["properties"]["config"] = Known.schema(kind, name, None).unwrap();
    }
    let mut fields = Vec::new();
    numbers(&schema, "", &mut fields);
    let (mut tried, mut caught) = (0, 0);
    for (path, field, listed) in &fields {
        let below = field["minimum"].as_f64().expect("each number has a least value") - 1.0;
        let above = field["maximum"].as_f64().expect("each number has a largest value") * 2.0 + 1.0;
        let is_integer = field["type"].to_string().contains("integer");
        let below = if is_integer { format!("{}", below as i64) } else { format!("{below:?}") };
        let above = if is_integer { format!("{}", above as i128) } else { format!("{above:?}") };
        let bad = ["\"text\"", "true", &below, &above, "nan", "-inf", "1e400", "99999999999999999999999"];
        for value in bad {
            tried += 1;
            let value = if *listed { format!("[{value}, {value}]") } else { value.to_owned() };
            let (table, key) = path.rsplit_once('.').unwrap();
            // Its own line under its own header, so that the place is known.
            let text = with_line(BASE, table, key, &value);
            let line = text.lines().position(|l| l.starts_with(&format!("{key} = "))).unwrap() + 1;
            let Err(faults) = from_text(&text) else { panic!("`{path} = {value}` was accepted") };
            let fault = faults
                .iter()
                .find(|fault| fault.message.contains(&format!("`{path}")))
                .unwrap_or_else(|| panic!("{path}: {faults:?}"));
            assert!(fault.message.contains("expected"), "{fault:?}");
            let allowed = field["enum"].as_array().cloned();
            let allowed = allowed.unwrap_or_else(|| vec![field["minimum"].clone(), field["maximum"].clone()]);
            assert!(allowed.iter().all(|value| fault.message.contains(&value.to_string())), "{fault:?}");
            assert!(fault.at.as_deref().unwrap().ends_with(&format!("experiment.toml:{line}")), "{line} {fault:?}");
            assert!(fault.hint.is_some(), "{fault:?}");
            caught += 1;
        }
    }
    figure("C04", "bad numbers caught", caught, tried);
    assert_eq!(caught, tried);
    assert_eq!(tried, fields.len() * 8);
}

/// The text with one line more in a table, which is made where it isn't there.
fn with_line(text: &str, table: &str, key: &str, value: &str) -> String {
    let header = format!("[{table}]\n");
    match text.contains(&header) {
        true => text.replace(&header, &format!("{header}{key} = {value}\n")),
        false => format!("{text}{header}{key} = {value}\n"),
    }
}

#[test]
fn c05_contradictions_name_both_keys() {
    let broken: [(&str, &[&str]); 26] = [
        ("optimizer.warmup_steps train.steps", &["train.steps=10", "optimizer.warmup_steps=11"]),
        (
            "optimizer.warmup_steps train.images",
            &["train.images=4000", "train.batch_size=40", "optimizer.warmup_steps=101"],
        ),
        ("optimizer.warmup_epochs train.epochs", &["optimizer.warmup_epochs=3", "train.epochs=2"]),
        ("optimizer.schedule train.seconds", &["optimizer.schedule=cosine", "train.seconds=60"]),
        (
            "optimizer.nesterov optimizer.momentum",
            &["optimizer.name=sgd", "optimizer.nesterov=true", "optimizer.momentum=0"],
        ),
        ("train.images train.batch_size", &["train.images=10", "train.batch_size=11"]),
        (
            "evaluation.holdout_fraction evaluation.linear",
            &["evaluation.holdout_fraction=0.1", "evaluation.linear=false", "evaluation.mlp=false"],
        ),
        (
            "evaluation.untrained evaluation.linear",
            &["evaluation.untrained=true", "evaluation.linear=false", "evaluation.mlp=false"],
        ),
        (
            "evaluation.protocol evaluation.holdout_fraction",
            &["evaluation.protocol=paper", "evaluation.holdout_fraction=0.1"],
        ),
        ("optimizer.milestones optimizer.milestone_factor", &["optimizer.milestones=[3, 3]"]),
        ("train.batch_size distributed.nproc", &["train.batch_size=6", "distributed.nproc=4"]),
        ("train.batch_size train.accumulation_steps", &["train.batch_size=6", "train.accumulation_steps=4"]),
        ("batch_norm.chunk_size train.batch_size", &["train.batch_size=8", "batch_norm.chunk_size=3"]),
        ("batch_norm.mode batch_norm.chunk_size", &["batch_norm.mode=sync", "batch_norm.chunk_size=2"]),
        ("encoder.weights_key encoder.weights", &["encoder.weights_key=teacher"]),
        ("encoder.weights_prefix encoder.weights", &["encoder.weights_prefix=module."]),
        ("encoder.weights_grid encoder.weights", &["encoder.weights_grid=[8, 16]"]),
        ("dataset.label_fraction dataset.label_list", &["dataset.label_fraction=0.1", "dataset.label_list=names.txt"]),
        ("dataset.on_bad dataset.max_bad_fraction", &["dataset.on_bad=skip", "dataset.max_bad_fraction=0"]),
        ("train.epochs train.steps", &["train.epochs=1", "train.steps=1000"]),
        ("checkpoint.keep_best evaluation.holdout_fraction", &["checkpoint.keep_best=1"]),
        (
            "checkpoint.keep_best checkpoint.best_metric",
            &["checkpoint.keep_best=1", "checkpoint.best_metric=knn_top1", "evaluation.holdout_fraction=0.1"],
        ),
        ("evaluation.stop_on_collapse evaluation.collapse", &["evaluation.stop_on_collapse=true"]),
        ("train.stage evaluation.linear", &["train.stage=finetune", "evaluation.linear=false"]),
        ("train.precision train.device", &["train.precision=tf32", "train.device=cpu"]),
        (
            "train.loss_scale.initial train.loss_scale.floor",
            &["train.precision=f16", "train.loss_scale.initial=2", "train.loss_scale.floor=4"],
        ),
    ];
    for (pair, set) in broken {
        let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
        let faults = with_set(BASE, &set).unwrap_err();
        for key in pair.split(' ') {
            assert!(faults.iter().any(|fault| fault.message.contains(&format!("`{key}`"))), "{pair}: {faults:?}");
        }
        assert!(faults[0].at.as_deref().unwrap().starts_with("--set") && faults[0].hint.is_some(), "{faults:?}");
    }
    for keys in contradictions() {
        assert!(broken.iter().any(|(pair, _)| *pair == keys.join(" ")), "no test breaks {keys:?}");
    }
    // One image a batch and one checkpoint kept contradict what the fields are for; their ranges say so.
    for (set, allowed) in [("train.batch_size=1", "from 2"), ("checkpoint.keep=1", "from 2")] {
        assert!(with_set(BASE, &[set.to_owned()]).unwrap_err()[0].message.contains(allowed));
    }
}

/// A value that a field takes, as text.
fn some_value(key: &str) -> String {
    let schema = host_schema();
    let field = key.split('.').fold(&schema, |schema, key| &schema["properties"][key]);
    let default = Some(&field["default"]).filter(|default| !default.is_null());
    default.or(Some(&field["minimum"])).filter(|value| !value.is_null()).expect("a value that it takes").to_string()
}

/// Another value of a key than some.
fn other_value(key: &str, than: &[&str]) -> String {
    let schema = host_schema();
    let field = key.split('.').fold(&schema, |schema, key| &schema["properties"][key]);
    if field["type"] == "boolean" {
        return "false".to_owned();
    }
    let listed = field["enum"].as_array().into_iter().flatten();
    let consts = field["oneOf"].as_array().into_iter().flatten().map(|branch| &branch["const"]);
    let mut names = listed.chain(consts).filter_map(Value::as_str);
    names.find(|name| !than.contains(name)).expect("another value").to_owned()
}

#[test]
fn c05_fields_without_effect_are_refused_unless_an_earlier_layer_says_them() {
    let file = |settings: &[String]| {
        settings.iter().fold(BASE.to_owned(), |text, setting| {
            let (path, value) = setting.split_once('=').unwrap();
            let (table, key) = path.rsplit_once('.').unwrap();
            let is_toml = format!("x = {value}").parse::<toml::Table>().is_ok();
            with_line(&text, table, key, &if is_toml { value.to_owned() } else { format!("{value:?}") })
        })
    };
    let mut pairs = 0;
    for (field, choices) in dependences() {
        let said = format!("{field}={}", some_value(&field));
        let off: Vec<String> =
            choices.iter().map(|(key, values)| format!("{key}={}", other_value(key, values))).collect();
        let refused = |faults: Vec<Fault>| {
            let fault =
                faults.iter().find(|fault| fault.message.starts_with(&format!("`{field}` has no effect with ")));
            let fault = fault.unwrap_or_else(|| panic!("{field}: {faults:#?}")).clone();
            assert!(choices.iter().all(|(key, _)| fault.message.contains(&format!("`{key}`"))), "{fault:?}");
            assert!(choices.iter().all(|(key, _)| fault.hint.as_ref().unwrap().contains(key)), "{fault:?}");
            fault
        };
        // In one layer, and where the choice came first.
        let together = [&off[..], std::slice::from_ref(&said)].concat();
        refused(from_text(&file(&together)).unwrap_err());
        refused(with_set(BASE, &together).unwrap_err());
        let fault = refused(with_set(&file(&off), std::slice::from_ref(&said)).unwrap_err());
        let at = fault.at.unwrap();
        assert!(at.starts_with(&format!("--set {said} and ")) && at.contains("experiment.toml:"), "{at}");
        for (key, values) in choices {
            for value in *values {
                let mut on = off.clone();
                on.retain(|setting| !setting.starts_with(&format!("{key}=")));
                on.push(format!("{key}={value}"));
                let acting = [&on[..], std::slice::from_ref(&said)].concat();
                // Under its choice a field is taken; under a later, other choice it is dropped.
                let resolved = from_text(&file(&acting)).unwrap_or_else(|faults| panic!("{acting:?}: {faults:#?}"));
                assert!(resolved.origins[&field].last().unwrap().at.contains("experiment.toml:"), "{field}");
                let dropped = with_set(&file(&acting), &off).unwrap_or_else(|faults| panic!("{acting:?}: {faults:#?}"));
                assert!(!dropped.origins.contains_key(&field), "{field}");
                for resolved in [resolved, dropped] {
                    assert_eq!(from_text(&resolved.toml).unwrap().toml, resolved.toml);
                }
                pairs += 1;
            }
        }
    }
    println!("C05: {pairs} pairs of a field and a choice that it acts under");
    assert!(pairs >= 30);
}

#[test]
fn c05_defaults_that_make_a_field_meaningless_are_named() {
    let faults = with_set(BASE, &["optimizer.momentum=0.9".to_owned()]).unwrap_err();
    insta::assert_snapshot!(faults[0], @r"
    `optimizer.momentum` has no effect with `optimizer.name` = `adam`
      at: --set optimizer.momentum=0.9
    hint: leave it out; it acts with `optimizer.name` = `sgd` or `lars`
    ");
}

#[test]
fn c06_five_faults_are_listed_in_one_run() {
    let text = format!(
        "{BASE}config = {{ tclap = 1.0 }}\n[train]\nbatch_szie = 1\nseed = \"x\"\ndevice = \"gpu\"\n[trian]\nepochs = 1\n[optimizer]\nlr = nan\n"
    );
    let faults = from_text(&text).unwrap_err();
    let wanted = [
        ("unknown field `tclap` in table `loss.config`", 9, Some("did you mean `tclip`?")),
        ("unknown field `batch_szie` in table `train`", 11, Some("did you mean `batch_size`?")),
        ("`train.seed` is a string", 12, None),
        ("`train.device` is `gpu`", 13, None),
        ("unknown table `trian`", 14, Some("did you mean `train`?")),
        ("`optimizer.lr` is nan, expected a finite number from 0.0 to 1000.0", 17, None),
    ];
    for (message, line, hint) in wanted {
        let found = faults
            .iter()
            .find(|fault| fault.message.starts_with(message))
            .unwrap_or_else(|| panic!("{message}: {faults:#?}"));
        assert!(found.at.as_deref().unwrap().ends_with(&format!("experiment.toml:{line}")), "{found:?}");
        assert!(hint.is_none() || found.hint.as_deref() == hint, "{found:?}");
    }
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
}

#[test]
fn c06_unknown_component_is_a_fault_beside_the_others() {
    let faults = with_set(BASE, &["loss.name=amdin".to_owned(), "train.sead=1".to_owned()]).unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0].at.as_deref(), Some("--set loss.name=amdin"));
}

#[test]
fn c07_only_the_prefix_is_read_from_the_environment() {
    let file = TempDir::new().unwrap();
    let path = write(file.path(), "experiment.toml", BASE);
    let with = |variables: &[(&str, &str)]| {
        let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        resolve(&Sources { files: vec![path.clone()], environment, ..Sources::default() }, &Known)
    };
    let polluted = [
        ("SSL_CERT_DIR", "/x"),
        ("INFOMAX_SHARED", "1"),
        ("INFOMAX_PLUGIN_PATH", "/y"),
        ("TRAIN__SEED", "9"),
        ("INFOMAX__TRAIN__SEED", "7"),
    ];
    assert_eq!(with(&polluted).unwrap().experiment.train.seed, 7);
    for (name, value) in [
        ("INFOMAX__TRAIN__SEDE", "1"),
        ("INFOMAX__TRIAN__SEED", "1"),
        ("INFOMAX__TRAIN__SEED", "-1"),
        ("INFOMAX__", "1"),
        ("INFOMAX__TRAIN", "1"),
    ] {
        let faults = with(&[(name, value)]).unwrap_err();
        assert_eq!(faults[0].at, Some(format!("environment {name}")), "{faults:?}");
    }
}

#[test]
fn c08_equal_inputs_in_any_order_give_equal_bytes() {
    let set = [
        "train.seed=5",
        "optimizer.lr=1",
        "loss.config.tclip=3",
        "encoder.config.ndf=16",
        "record.plot=false",
        "train.steps=1e6",
    ];
    let lines = [
        "[train]\nbatch_size = 64\nworkers = 2\n",
        "[dataset]\nname = \"shapes\"\nconfig = { images = 7 }\n",
        "[augmentation]\nname = \"amdim\"\n",
        "[encoder]\nname = \"amdim\"\nconfig.depth = 1\nconfig.n_rkhs = 8\n",
        "[loss]\nconfig = { pairs = { mode = \"sum\" } }\nname = \"amdim\"\n",
    ];
    let mut equal = 0;
    let mut first: Option<Resolved> = None;
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut shuffled = |list: &[&str]| {
        let mut list: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
        (1..list.len()).rev().for_each(|i| list.swap(i, draw(i + 1)));
        list
    };
    for _ in 0..100 {
        let resolved = with_set(&shuffled(&lines).concat(), &shuffled(&set)).unwrap();
        let first = first.get_or_insert_with(|| resolved.clone());
        equal += usize::from(
            resolved.toml == first.toml && resolved.digest == first.digest && resolved.experiment == first.experiment,
        );
    }
    figure("C08", "orders of layers byte-equal", equal, 100);
    assert_eq!(equal, 100);

    let folder = TempDir::new().unwrap();
    let first = first.unwrap();
    let file = write(folder.path(), "resolved.toml", &first.toml);
    assert_eq!(Resolved::from_file(&file, &[], &Known).unwrap().toml, first.toml);
}

#[test]
fn c08_every_value_has_its_origins_in_order() {
    let folder = TempDir::new().unwrap();
    let file = write(folder.path(), "a.toml", &format!("{BASE}[train]\nseed = 2\n"));
    let environment = vec![("INFOMAX__TRAIN__SEED".to_owned(), "3".to_owned())];
    let set = vec!["train.seed=4".to_owned(), "loss.name=vicreg".to_owned()];
    let resolved = resolve(&Sources { files: vec![file], environment, set, ..Sources::default() }, &Known).unwrap();
    let origins = &resolved.origins["train.seed"];
    let values: Vec<_> = origins.iter().map(|origin| origin.value.clone()).collect();
    assert_eq!(values, [1, 2, 3, 4]);
    let places: Vec<_> = origins.iter().map(|origin| origin.at.rsplit('/').next().unwrap()).collect();
    assert_eq!(places, ["default", "a.toml:10", "environment INFOMAX__TRAIN__SEED", "--set train.seed=4"]);
    for (table, key) in {
        let mut all = Vec::new();
        keys(&toml::from_str(&resolved.toml).unwrap(), &mut Vec::new(), &mut all);
        all
    } {
        let path = table.iter().chain([&key]).cloned().collect::<Vec<_>>().join(".");
        let is_leaf = resolved.origins.contains_key(&path);
        let is_table =
            resolved.origins.keys().any(|known| known.starts_with(&format!("{path}."))) || path.ends_with("config");
        assert!(is_leaf || is_table, "{path} has no origin");
    }
}

#[test]
fn c08_another_component_drops_the_config_below_it() {
    let text = BASE.replace("[loss]\n", "[loss]\nconfig = { tclip = 3.0 }\n");
    assert!(from_text(&text).unwrap().toml.contains("tclip = 3.0"));
    let resolved = with_set(&text, &["loss.name=vicreg".to_owned(), "loss.config.std_weight=1".to_owned()]).unwrap();
    assert_eq!(resolved.experiment.loss.config, json!({"std_weight": 1.0}));
    let pinned = with_set(&text, &["loss.name=amdim@sha256:00".to_owned()]).unwrap();
    assert_eq!(pinned.experiment.loss.config["tclip"], json!(3.0));
    // A budget in another unit replaces the one below it.
    let budget = with_set(&format!("{text}[train]\nepochs = 7\n"), &["train.steps=1000".to_owned()]).unwrap();
    assert_eq!((budget.experiment.train.epochs, budget.experiment.train.steps), (None, Some(1000)));
}

#[test]
fn c08_shipped_experiments_resolve() {
    struct Any;
    impl ComponentSchemas for Any {
        fn schema(&self, _kind: &str, _name: &str, _path: Option<&str>) -> Result<Value, Fault> {
            Ok(json!({"type": "object"}))
        }
    }
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/experiments");
    let mut tried = 0;
    for entry in fs::read_dir(configs).unwrap() {
        let file = entry.unwrap().path();
        let resolved = resolve(&Sources { files: vec![file.clone()], ..Sources::default() }, &Any);
        let resolved = resolved.unwrap_or_else(|faults| panic!("{}: {faults:#?}", file.display()));
        let size = &resolved.experiment.encoder.config["size"];
        assert!(size.is_null() || *size == resolved.experiment.augmentation.config["size"], "{}", file.display());
        tried += 1;
    }
    assert!(tried >= 4);
}

#[test]
fn c09_huge_and_deep_files_are_refused_in_bounded_time() {
    let start = std::time::Instant::now();
    let mut keys: String = (0..60_000).map(|n| format!("key{n} = 1\n")).collect();
    let faults = from_text(&keys).unwrap_err();
    assert_eq!(faults.last().unwrap().message, format!("and {} more", 60_004 - 100));
    keys.extend((0..600_000).map(|_| "# \n"));
    assert!(from_text(&keys).unwrap_err()[0].message.contains("more than 1048576"));
    for text in [
        "[a]\n".repeat(2),
        format!("[{}]", "a.".repeat(500_000)),
        format!("a = {}", "[".repeat(1_000_000)),
        "a.".repeat(40) + "a = 1",
    ] {
        assert!(from_text(&text).unwrap_err()[0].at.as_deref().unwrap().contains("experiment.toml:"));
    }
    println!("C09: 6 hostile files in {:?}", start.elapsed());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
