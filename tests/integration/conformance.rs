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
    conforms(&built().join("libinfomax_losses.so"), &[]);
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
