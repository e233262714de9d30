//! The published code's two command lines, as they stand but for the sizes: pre-train on a folder laid out like ImageNet, then
//! train classifiers from that checkpoint on one laid out like Places205. Real photographs, 128 pixels.

use crate::{
    support::{
        binary::{errors, experiment, run},
        workspace::shared,
    },
    training::{assert_ok, metrics},
};
use infomax::checkpoint::read_tensors;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The photographs of the shared sample, in order.
fn photographs(folder: &Path) -> Option<Vec<PathBuf>> {
    let archive = shared()?.join("data/imagenet-sample.tar");
    if !archive.is_file() {
        eprintln!("SKIPPED: {} is missing", archive.display());
        return None;
    }
    let into = folder.join("photographs");
    fs::create_dir(&into).unwrap();
    assert!(Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(&into).status().unwrap().success());
    let mut found = Vec::new();
    let mut folders = vec![into];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Some(found)
}

/// Class folders of a layout: three classes, of each so many photographs to train on and to test on.
fn lay_out(photographs: &mut impl Iterator<Item = PathBuf>, root: &Path, splits: [(&str, usize); 2], classes: &[&str]) {
    for (split, count) in splits {
        for class in classes {
            let folder = root.join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for photograph in photographs.by_ref().take(count) {
                fs::copy(&photograph, folder.join(photograph.file_name().unwrap())).unwrap();
            }
        }
    }
}

#[test]
fn published_command_lines_pre_train_and_then_train_classifiers() {
    let folder = tempfile::tempdir().unwrap();
    let Some(photographs) = photographs(folder.path()) else { return };
    let mut photographs = photographs.into_iter();
    let classes = ["n01440764", "n01496331", "n01530575"];
    let splits = [("ILSVRC2012_img_train", 6), ("ILSVRC2012_img_val", 2)];
    lay_out(&mut photographs, &folder.path().join("imagenet"), splits, &classes);
    let splits = [("places205_256_train", 6), ("places205_256_val", 2)];
    lay_out(&mut photographs, &folder.path().join("places"), splits, &["abbey", "airport_terminal", "alley"]);

    // Tests share the cores, so each operation has one.
    let sizes = "--ndf 4 --n_rkhs 32 --batch_size 8 --tclip 20.0 --res_depth 2 --set train.threads=1 --set optimizer.warmup_steps=1";
    let line = |text: String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let output = run(folder.path(), &words);
        assert!(output.status.success(), "{text}: {}", errors(&output, folder.path()));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = line(format!("train {sizes} --dataset IN128 --input_dir imagenet --amp --run_name first"));
    let is_told = ["training in bf16", "training in f32"].iter().any(|told| said.contains(told));
    assert!(is_told, "a CPU has no loss scaling to do, and may have no bf16: {said}");
    let first = folder.path().join("runs/first");
    let rows = metrics(&first);
    // Two updates an epoch for fifty epochs, the learning rate a fifth from the thirtieth and again from the forty-fifth.
    let rates: Vec<(u64, f64)> =
        rows.iter().filter_map(|row| Some((row["step"].as_u64()?, row.get("lr")?.as_f64()?))).collect();
    assert_eq!(rates.last().unwrap().0, 100);
    assert!((rates.last().unwrap().1 - 2e-4 * 0.04).abs() < 1e-9, "{rates:?}");
    assert!(rows.iter().any(|row| row.get("loss/g2l_1t5").is_some() && row.get("loss/linear").is_some()));

    for (name, checkpoint) in [("of-run", "runs/first"), ("of-file", "runs/first/encoder.safetensors")] {
        line(format!(
            "train --finetune --checkpoint_path {checkpoint} {sizes} --dataset Places205 --input_dir places --amp --run_name {name}"
        ));
        let second = folder.path().join("runs").join(name);
        let tensors = |run: &Path| read_tensors(&fs::read(run.join("encoder.safetensors")).unwrap()).unwrap().tensors;
        assert!(tensors(&first) == tensors(&second), "the encoder stays as it was");
        let rows = metrics(&second);
        let last = rows.iter().rfind(|row| row.get("loss/linear").is_some()).unwrap();
        assert_eq!(last["step"].as_u64(), Some(30), "fifteen epochs of two updates");
        assert!(last.get("loss/g2l_1t5").is_none());
        assert!(rows.last().unwrap().get("linear_top1").is_some() && rows.last().unwrap().get("mlp_top1").is_some());
    }
}

/// Classifiers on the encoder of a published `.pth`.
#[test]
fn classifiers_train_on_a_published_checkpoint() {
    let Some(file) = shared().map(|shared| shared.join("golden/amdim32_ndf8_rkhs64_d2.pth")).filter(|f| f.is_file())
    else {
        return eprintln!("SKIPPED: the recorded `.pth` is missing");
    };
    let folder = tempfile::tempdir().unwrap();
    let weights = format!("encoder.weights={:?}", file.display().to_string());
    let settings = [
        "train.stage=classifiers",
        weights.as_str(),
        "encoder.config={ size = 32, ndf = 8, n_rkhs = 64, depth = 2, use_bn = false }",
        "dataset.config.train_length=64",
        "dataset.config.test_length=32",
        "train.batch_size=16",
        "train.steps=20",
        "train.device=cpu",
        "train.threads=1",
        "optimizer.warmup_steps=0",
        "evaluation.untrained=false",
        "evaluation.every_steps=20",
        "record.name=run",
    ];
    let demo = experiment("shapes-demo");
    let mut arguments = vec!["train", demo.as_str()];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    assert_ok(&run(folder.path(), &arguments));
    let trained = fs::read(folder.path().join("runs/run/encoder.safetensors")).unwrap();
    let trained = read_tensors(&trained).unwrap().tensors;
    assert_ok(&run(folder.path(), &["checkpoint", "import", &file.display().to_string(), "--out", "imported"]));
    let imported = fs::read(folder.path().join("imported/encoder.safetensors")).unwrap();
    assert!(trained == read_tensors(&imported).unwrap().tensors);
}
