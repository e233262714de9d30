//! Folders: empty and missing classes, links, pipes, sockets, what can't be read, strange names.

use crate::support::{
    ended::infomax_as,
    image_tree::{ImageTree, fixture},
};
use insta::assert_snapshot;
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    process::Command,
    time::Instant,
};

const NOBODY: u32 = 65_534;

#[test]
fn d11_empty_missing_and_single_classes_are_refused_with_their_folders() {
    let image = fixture("baseline.jpg");
    let cases: [(&str, &[&str]); 4] = [
        ("d11_empty", &["train/a/1.jpg", "train/b/1.jpg", "train/c/notes.txt"]),
        ("d11_only_in_train", &["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg"]),
        ("d11_only_in_val", &["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/1.jpg", "val/c/1.jpg"]),
        ("d11_single", &["train/a/1.jpg"]),
    ];
    for (name, files) in cases {
        let tree = ImageTree::empty();
        files.iter().for_each(|file| tree.put(file, &image));
        let ended = tree.run(&["train"], &[]);
        assert_eq!(ended.code, 4, "{}", ended.seen());
        let plugin = |line: &&str| !line.contains(".so");
        assert_snapshot!(name, ended.err.lines().filter(plugin).collect::<Vec<_>>().join("\n"));
        let allowed = tree.run(&["data", "scan"], &["--set", "dataset.config.allow_empty_classes=true"]);
        let refused = name == "d11_only_in_val"; // a class without training images can't be allowed
        assert_eq!(allowed.code, if refused { 4 } else { 0 }, "{name}: {}", allowed.seen());
    }
}

#[test]
fn d12_links_pipes_sockets_and_unreadable_folders_are_passed_over() {
    let tree = ImageTree::sound(8);
    symlink("..", tree.at("train/a/up")).unwrap();
    symlink("../../..", tree.at("train/b/root")).unwrap();
    symlink("nowhere.jpg", tree.at("train/b/dangling.jpg")).unwrap();
    symlink("/dev/zero", tree.at("train/b/zero.jpg")).unwrap();
    assert!(Command::new("mkfifo").arg(tree.at("train/b/pipe.jpg")).status().unwrap().success());
    let _socket = UnixListener::bind(tree.at("train/b/socket.jpg")).unwrap();
    let start = Instant::now();
    let ended = tree.run(&["data", "scan"], &["-v"]);
    println!("D12: scanned in {:?}", start.elapsed());
    assert_eq!(ended.code, 0, "{}", ended.seen());
    assert_snapshot!("d12_passed_over", ended.seen());
}

#[test]
fn d12_what_may_not_be_read_is_told() {
    let tree = ImageTree::sound(8);
    tree.put("train/a/closed/1.jpg", &fixture("baseline.jpg"));
    let mode = |path: std::path::PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(tree.path(""), 0o755);
    mode(tree.at("train/a/closed"), 0o000);
    mode(tree.at("train/b/01.jpg"), 0o000);
    // SAFETY: it only reads the process's user.
    let root = unsafe { libc::geteuid() } == 0;
    let scan = ["data", "scan", "experiment.toml", "-v"];
    let ended = infomax_as(&tree.path(""), &scan, root.then_some(NOBODY));
    mode(tree.at("train/a/closed"), 0o755);
    if ended.code == 126 || ended.err.contains("shared libraries") {
        return eprintln!("SKIPPED: user {NOBODY} can't run the binary: {}", ended.err);
    }
    assert_eq!(ended.code, 4, "{}", ended.seen());
    assert!(ended.err.contains("1 (a folder that can't be read), first `tree/train/a/closed`"), "{}", ended.seen());
    assert_snapshot!("d12_unreadable", ended.out);
}

#[test]
fn d13_any_name_works_in_a_stable_order() {
    let long = [b"train/a/".as_slice(), &[b'x'; 251], b".jpg"].concat();
    let names: [&[u8]; 9] = [
        b"train/a/\xFF\xFE.jpg",
        b"train/a/new\nline.jpg",
        b"train/a/back\\slash\"quote.jpg",
        &long,
        b"train/a/Case.jpg",
        b"train/a/case.jpg",
        "train/a/\u{e9}.jpg".as_bytes(),
        "train/a/e\u{301}.jpg".as_bytes(),
        b"train/\xC3/1.jpg",
    ];
    let tree = ImageTree::empty();
    names.iter().for_each(|name| tree.put(name, b"no image"));
    let (ended, report) = tree.scan(&[]);
    assert_eq!(ended.code, 4);
    let paths: Vec<&str> = report["bad"].as_array().unwrap().iter().map(|bad| bad["path"].as_str().unwrap()).collect();
    assert_snapshot!("d13_names", paths.join("\n"));
    (0..2).for_each(|_| assert_eq!(tree.scan(&[]).1, report));

    // The manifest finds each of them again, also below a root with a name of its own.
    names.iter().for_each(|name| tree.put(name, &fixture("baseline.jpg")));
    let root = "we\\ird\n\u{7f}r\u{f6}\u{f6}t";
    fs::rename(tree.path("tree"), tree.path(root)).unwrap();
    tree.experiment(root);
    let written = tree.run(&["data", "scan"], &["--write-manifest"]);
    assert!(written.code == 0 && written.out.contains(": 9 hashes"), "{}", written.seen());
    assert_eq!(tree.scan(&[]).0.code, 0);
    fs::write(tree.path(root).join("train/a/case.jpg"), fixture("progressive.jpg")).unwrap();
    let (ended, report) = tree.scan(&[]);
    let bad = report["bad"].as_array().unwrap();
    assert!(ended.code == 4 && bad.len() == 1, "{}", ended.seen());
    assert!(bad[0]["reason"].as_str().unwrap().contains("`train/a/case.jpg` has the SHA-256"), "{bad:?}");
}
