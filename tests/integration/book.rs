//! The book's examples do what they promise: each is a plugin outside of the workspace that trains, or is refused by the
//! compiler for the reason that the page gives.

use crate::{
    authoring::{build, cargo},
    support::{ended::infomax, figures::figure, image_tree, workspace::root},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The examples of a page with this mark behind their opening line.
fn examples(page: &str, mark: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(format!("sdk/src/book/{page}.md"))).unwrap();
    // Text, example, text, example, …; an example begins with its mark.
    let parts = text.split("\n```").skip(1).step_by(2);
    parts.filter_map(|part| part.strip_prefix(&format!("{mark}\n")).map(str::to_owned)).collect()
}

/// A new crate of a kind.
fn new(folder: &Path, kind: &str, name: &str) -> PathBuf {
    let told = infomax(folder, &["plugin", "new", kind, name]);
    assert_eq!(told.code, 0, "{}", told.seen());
    folder.join(name)
}

/// Puts an example in the place of a new crate's component: its config into `config.rs`, the rest into `lib.rs`, without what
/// is there to show its use.
fn put(own: &Path, example: &str, config: &str, export: &str) {
    let shown = |line: &&str| !line.starts_with("let ") && !line.starts_with("# ");
    let code = example.lines().take_while(shown).collect::<Vec<_>>().join("\n");
    // Items: parts behind an empty line that begin at the margin.
    let (mut items, mut of_config) = (String::new(), String::new());
    let mut is_config = false;
    for part in code.split("\n\n") {
        if !part.starts_with(' ') {
            is_config = part.contains("JsonSchema)]") || part.starts_with(&format!("impl Default for {config} "));
        }
        let to = if is_config { &mut of_config } else { &mut items };
        to.push_str(&format!("{part}\n\n"));
    }
    assert!(of_config.contains(&format!("pub struct {config} ")), "{code}");
    let of_serde = |line: &&str| line.starts_with("use schemars::") || line.starts_with("use serde::");
    let uses: Vec<&str> = code.lines().filter(of_serde).collect();
    let items: Vec<&str> = items.lines().filter(|line| !of_serde(line)).collect();
    let paths = if of_config.contains("PathBuf") { "use std::path::PathBuf;\n" } else { "" };
    fs::write(own.join("src/config.rs"), format!("{}\n{paths}\n{of_config}", uses.join("\n"))).unwrap();
    let library = format!(
        "mod config;\n\nuse config::{config};\n{}\ninfomax_sdk::export_plugin! {{\n    {export}\n}}\n",
        items.join("\n")
    );
    fs::write(own.join("src/lib.rs"), library).unwrap();
}

#[test]
fn the_books_examples_build_outside_and_train() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let lists = lists(folder);
    let lists: Vec<&str> = lists.iter().flat_map(|setting| ["--set", setting]).collect();
    // Kind and page, place among the page's examples, name, config and component.
    let cases = [
        ("loss", 0, "agreement", "Agreement", "infomax_sdk::projected::Projected<Agreement>"),
        ("loss", 1, "follow", "FollowConfig", "Follow"),
        ("encoder", 0, "small-conv", "SmallConvConfig", "SmallConv"),
        ("augmentation", 0, "cutout", "CutoutConfig", "Cutout"),
        ("dataset", 0, "csv", "CsvConfig", "Csv"),
    ];
    for (kind, place, name, config, component) in cases {
        let own = new(folder, kind, name);
        let kinds = if kind == "loss" { "losses".to_owned() } else { format!("{kind}s") };
        let export = format!("{kinds}: {{ \"{name}\" => {component} }}");
        put(&own, &examples(kind, "")[place], config, &export);
        let manifest = fs::read_to_string(own.join("build.rs")).unwrap();
        let given = manifest.split("config::").nth(1).and_then(|rest| rest.split('>').next()).expect("a type");
        fs::write(own.join("build.rs"), manifest.replace(given, config)).unwrap();
        build(&own);
        let small = ["train.steps=3", "train.batch_size=8", "optimizer.warmup_steps=0"];
        let mut arguments = vec!["train", "experiment.toml"];
        arguments.extend(small.iter().flat_map(|setting| ["--set", setting]));
        arguments.extend(lists.iter().filter(|_| kind == "dataset"));
        let trained = infomax(&own, &arguments);
        assert_eq!(trained.code, 0, "{name}: {}", trained.seen());
        assert!(own.join(format!("runs/{name}/encoder.safetensors")).is_file(), "{name}: {}", trained.seen());
    }
}

/// Lists of photographs for the dataset, and the settings that name them.
fn lists(folder: &Path) -> [String; 2] {
    let photographs = image_tree::PHOTOGRAPHS;
    for name in photographs {
        fs::write(folder.join(name), image_tree::fixture(name)).unwrap();
    }
    ["train", "test"].map(|split| {
        let path = folder.join(format!("{split}.csv"));
        let row = |i: usize| format!("{},{}\n", photographs[i % photographs.len()], ["one", "two"][i % 2]);
        fs::write(&path, "path,label\n".to_owned() + &(0..16).map(row).collect::<String>()).unwrap();
        format!("dataset.config.{split}={}", path.display())
    })
}

/// Rustdoc's own check of the code is nightly's alone.
#[test]
fn p16_what_is_lent_can_not_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let examples = examples("failing", "compile_fail,E0521");
    assert_eq!(examples.len(), 2);
    let own = new(folder.path(), "loss", "keeper");
    for example in &examples {
        fs::write(own.join("src/lib.rs"), example).unwrap();
        let output = cargo(&own, "check");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("error[E0521]: borrowed data escapes"), "{said}");
        assert_eq!(said.matches("\nerror[").count() + usize::from(said.starts_with("error[")), 1, "{said}");
        // What is kept is all that is wrong.
        let copied: Vec<&str> = example.lines().filter(|line| !line.contains("// error: ")).collect();
        fs::write(own.join("src/lib.rs"), copied.join("\n")).unwrap();
        let output = cargo(&own, "check");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    figure("P16", "borrows that outlive the call refused by the compiler", examples.len(), examples.len());
}
