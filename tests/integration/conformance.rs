//! Every reference plugin through the conformance kit, by the command that an author calls: in a process of its own, since the
//! kit watches what all of a process share, libtorch's generator and the memory.

use crate::support::{ended::infomax, faulty::fixture, workspace::built};
use std::{path::Path, process::Command};

fn conforms(library: &Path, settings: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut arguments = vec!["plugin", "check", library.to_str().expect("a path in text")];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let told = infomax(folder.path(), &arguments);
    assert!(told.code == 0 && told.out.contains(" checks passed, 0 failed"), "{}", told.seen());
}

#[test]
fn amdim_conforms() {
    let small = ["encoder.amdim.ndf=8", "encoder.amdim.n_rkhs=32", "encoder.amdim.depth=2"];
    conforms(&built().join("libinfomax_amdim.so"), &small);
}

#[test]
fn datasets_conform() {
    conforms(&built().join("libinfomax_datasets.so"), &[]);
}

#[test]
fn losses_conform() {
    // Their default heads are for a GPU.
    let wide = "align-uniform barlow-twins byol dcl dino lejepa mmcr moco-v2 nt-xent simsiam supcon swav vicreg w-mse";
    let narrow: Vec<String> = wide.split(' ').map(|loss| format!("loss.{loss}.projector_hidden=128")).collect();
    let mut narrow: Vec<&str> = narrow.iter().map(String::as_str).collect();
    narrow.extend([
        "loss.swav.prototypes=256",
        "loss.byol.predictor_hidden=128",
        "loss.dino.prototypes=256",
        "loss.moco-v2.queue_size=512",
    ]);
    conforms(&built().join("libinfomax_losses.so"), &narrow);
}

#[test]
fn augmentations_conform() {
    conforms(&built().join("libinfomax_augmentations.so"), &[]);
}

#[test]
fn encoders_conform() {
    conforms(&built().join("libinfomax_encoders.so"), &[]);
}

#[test]
fn a_plugin_without_fault_conforms() {
    conforms(&fixture("faulty"), &[]);
}

/// c10d writes down the exchanges of a process in a map without a lock; two ranks in one process would break it now and then. What
/// would size the record is not even read.
#[test]
fn c10d_does_not_write_down_what_two_ranks_in_one_process_exchange() {
    let mut command = Command::new("timeout"); // a process whose record can't be made hangs
    command.arg("120").arg(built().join("infomax")).args(["plugin", "check", "--only", "faulty"]);
    command.arg(fixture("faulty")).args(["--set", "encoder.faulty.callback=forward"]);
    command.args(["--set", "encoder.faulty.fault=shared_statistics"]);
    command.env("TORCH_FR_BUFFER_SIZE", "many").env("TORCH_NCCL_TRACE_BUFFER_SIZE", "many");
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("two ranks against one: with shared BatchNorm"), "{output:?}");
}

/// What `plugin check` says of the faulty component of a kind with a fault.
fn said_of(kind: &str, fault: &str, callback: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let library = fixture("faulty");
    let (callback, fault) = (format!("{kind}.faulty.callback={callback}"), format!("{kind}.faulty.fault={fault}"));
    let arguments = ["plugin", "check", library.to_str().expect("a path in text"), "--set", &callback, "--set", &fault];
    let told = infomax(folder.path(), &arguments);
    assert_ne!(told.code, 0, "{}", told.seen());
    told.out
}

#[test]
fn statistics_of_one_ranks_images_do_not_conform_those_of_the_sdk_do() {
    for (fault, expected) in [
        (
            "own_statistics",
            "the map `r1` over two ranks, with `batch_norm.mode = \"sync\"`, differs from one process's by ",
        ),
        ("own_statistics", "normalise by `nn::BatchNorm` or `Tensor::batch_norm`, whose statistics the host shares"),
        (
            "branches",
            "two ranks do not call the same BatchNorm layers in the same order: let no call in `forward` depend",
        ),
    ] {
        let said = said_of("encoder", fault, "forward");
        let failed: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("FAIL")).collect();
        assert!(failed.len() == 1 && failed[0].contains("two ranks against one: "), "{fault}: {said}");
        assert!(failed[0].contains(expected), "{fault}: {said}");
    }
    conforms(&fixture("faulty"), &["encoder.faulty.callback=forward", "encoder.faulty.fault=shared_statistics"]);
}

#[test]
fn views_in_batch_that_differ_from_views_one_by_one_do_not_conform() {
    for (callback, fault, expected) in [
        ("batch_views", "gradient_wrong", "2 of 255 apart from what `train_views` makes by the same key"),
        ("batch_views", "by_place", "the views of an image depend on what else is in the batch"),
        ("batch_views", "shape", "expected [12, 4, 4, 3] of Uint8"),
        ("batch_views", "view_too_few", "1 views, expected 2"),
        ("draw", "missing", "a number is not written"),
        ("draw", "panic", "panicked: faulty Draw"),
    ] {
        let said = said_of("augmentation", fault, callback);
        assert!(said.contains("views in batch") && said.contains(expected), "{callback} {fault}: {said}");
    }
}
