//! A folder of images in classes, and an experiment on it that takes half a second.

use super::{
    ended::{Ended, infomax},
    workspace::{component, root},
};
use infomax::{dataset::Source, error::Result, plugin::Kind};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Sound JPEG files among the decoder's fixtures.
pub const PHOTOGRAPHS: [&str; 7] =
    ["baseline.jpg", "progressive.jpg", "subsampled.jpg", "restarts.jpg", "gray.jpg", "cmyk.jpg", "ycck.jpg"];

/// One of the decoder's fixtures.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = root().join("sdk/image/tests/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder that holds `tree/train/<class>/<image>` and `experiment.toml`.
pub struct ImageTree(TempDir);

impl ImageTree {
    /// Without images.
    pub fn empty() -> Self {
        let tree = Self(TempDir::new().expect("a folder"));
        fs::create_dir_all(tree.path("tree")).expect("created");
        tree.experiment("tree");
        tree
    }

    /// Two classes of sound photographs, `00.jpg` and on.
    pub fn sound(images: usize) -> Self {
        let tree = Self::empty();
        for image in 0..images {
            tree.put(Self::name(image), &fixture(PHOTOGRAPHS[image % PHOTOGRAPHS.len()]));
        }
        tree
    }

    /// Where `sound` puts an image.
    pub fn name(image: usize) -> String {
        format!("train/{}/{image:02}.jpg", ["a", "b"][image % 2])
    }

    /// Writes the experiment on a root.
    pub fn experiment(&self, root: &str) {
        let root = toml::Value::from(root);
        let text = format!(
            r#"
[dataset]
name = "image-folder"
config = {{ root = {root} }}
[augmentation]
name = "amdim"
config = {{ size = 32 }}
[encoder]
name = "amdim"
config = {{ size = 32, ndf = 4, n_rkhs = 16, depth = 1 }}
[loss]
name = "amdim"
[train]
steps = 3
batch_size = 4
threads = 1
workers = 2
device = "cpu"
log_every_steps = 1
[optimizer]
warmup_steps = 0
milestones = []
[evaluation]
linear = false
mlp = false
[record]
name = "run"
plot = false
contact_sheet = false
"#
        );
        fs::write(self.path("experiment.toml"), text).expect("written");
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.0.path().join(name.as_ref())
    }

    /// Below the images' root.
    pub fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.path("tree").join(OsStr::from_bytes(name.as_ref()))
    }

    /// Writes a file below the images' root.
    pub fn put(&self, name: impl AsRef<[u8]>, bytes: &[u8]) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, bytes).expect("written");
    }

    /// Runs the binary on the experiment: `run(&["data", "scan"], &["--json"])`.
    pub fn run(&self, command: &[&str], more: &[&str]) -> Ended {
        infomax(self.0.path(), &[command, &["experiment.toml"], more].concat())
    }

    /// `infomax data scan --json`: how it ended and its report.
    pub fn scan(&self, more: &[&str]) -> (Ended, Value) {
        let ended = self.run(&["data", "scan"], &[&["--json"], more].concat());
        let report = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.seen()));
        (ended, report)
    }

    /// The dataset, opened through its library.
    pub fn open(&self, table: Value) -> Result<Source> {
        let mut config = json!({"root": self.path("tree")});
        for (key, value) in table["config"].as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let mut table = table;
        table["name"] = json!("image-folder");
        table["config"] = config;
        open("image-folder", table)
    }

    /// Replaces the folder's path in a text.
    pub fn without_path(&self, text: &str) -> String {
        text.replace(&self.0.path().display().to_string(), "FOLDER")
    }
}

/// Opens a dataset through its library; the table is that of a config.
pub fn open(name: &str, table: Value) -> Result<Source> {
    let table = serde_json::from_value(table).expect("a table `dataset`");
    Source::open(&component(Kind::Dataset, name), &table, None)
}

/// The numbers of a run's metrics, bit by bit.
pub fn losses(run: &Path) -> Vec<u64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.map(|row| row["loss"].as_f64().expect("a loss").to_bits()).collect()
}
