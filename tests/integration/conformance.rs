//! Every reference plugin through the conformance kit, by the command that an author calls: in a process of its own, since the
//! kit watches what all of a process share, libtorch's generator and the memory.

use crate::support::{ended::infomax, faulty::fixture, workspace::built};
use std::path::Path;

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
