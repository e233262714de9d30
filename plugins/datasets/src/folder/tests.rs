use super::*;
use std::{
    ffi::OsStr,
    os::unix::{fs::symlink, net::UnixListener},
    process::Command,
    time::Instant,
};
use tempfile::TempDir;

fn tree(files: &[&[u8]]) -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for file in files {
        put(root.path(), file, file);
    }
    root
}

fn put(root: &Path, file: &[u8], content: &[u8]) {
    let path = root.join(OsStr::from_bytes(file));
    fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    fs::write(path, content).expect("written");
}

fn config(root: &TempDir) -> config::ImageFolder {
    config::ImageFolder { root: root.path().to_owned(), ..Default::default() }
}

fn open(root: &TempDir) -> Result<ImageFolder> {
    ImageFolder::create(&config(root))
}

fn refused(root: &TempDir) -> String {
    open(root).err().expect("refused").message.replace(&names::path(root.path()), "ROOT")
}

fn contents(folder: &ImageFolder, split: usize) -> Vec<(String, i64)> {
    let read = |index| {
        let sample = folder.read(split, index).expect("a file");
        let Image::Encoded(bytes) = sample.image else { panic!("a file's bytes") };
        (names::escape(&bytes), sample.label)
    };
    (0..folder.facts().splits[split].length).map(read).collect()
}

#[test]
fn layouts_are_found() {
    for (layout, train, test) in [
        (Layout::Plain, "train", "test"),
        (Layout::Plain, "train", "val"),
        (Layout::ImageNet, "ILSVRC2012_img_train", "ILSVRC2012_img_val"),
        (Layout::Places205, "places205_256_train", "places205_256_val"),
    ] {
        let file = |split: &str, class: &str| format!("{split}/{class}/1.JPEG").into_bytes();
        let files = [file(train, "b"), file(train, "a"), file(test, "a"), file(test, "b")];
        let root = tree(&files.each_ref().map(Vec::as_slice));
        let folder = ImageFolder::create(&config::ImageFolder { layout, ..config(&root) }).expect("sound");
        let facts = folder.facts();
        assert_eq!(facts.class_names, ["a", "b"]);
        assert_eq!((facts.roles.train, facts.roles.test), (vec![0], vec![1]));
        assert_eq!(contents(&folder, 1)[1], (format!("{test}/b/1.JPEG"), 1));
    }
    let direct = open(&tree(&[b"cat/1.png", b"dog/2.png"])).expect("class folders directly");
    assert_eq!((direct.facts().splits.len(), direct.facts().roles.test.len()), (1, 0));
    let alone = open(&tree(&[b"val/cat/1.png", b"val/dog/2.png"])).expect("the only split");
    assert_eq!(alone.facts().class_names, ["cat", "dog"]);
    let named = tree(&[b"x/a/1.png", b"x/b/1.png", b"y/a/1.png", b"y/b/1.png"]);
    let names = config::ImageFolder { train: Some("x".into()), test: Some("y".into()), ..config(&named) };
    assert_eq!(ImageFolder::create(&names).expect("named").facts().splits.len(), 2);
}

#[test]
fn d11_empty_missing_and_single_classes_are_named() {
    let root = tree(&[b"train/a/1.jpg", b"train/b/1.jpg", b"test/a/1.jpg", b"test/b/notes.txt"]);
    assert_eq!(
        refused(&root),
        "class folders without an image in `ROOT/test`: `b`; passed over: 1 (no image by its name: `.txt`)"
    );
    let allowed = config::ImageFolder { allow_empty_classes: true, ..config(&root) };
    let notes = ImageFolder::create(&allowed).expect("allowed").facts().notes.join("\n");
    assert!(notes.contains("1 (no image by its name: `.txt`)") && notes.contains("without an image: `b`"), "{notes}");
    let root = tree(&[b"train/a/1.jpg", b"train/b/1.jpg", b"test/a/1.jpg", b"test/c/1.jpg"]);
    assert_eq!(refused(&root), "classes in `ROOT/test` that `ROOT/train` lacks: `c`");
    let root = tree(&[b"train/a/1.jpg", b"train/b/1.jpg", b"test/a/1.jpg"]);
    assert_eq!(refused(&root), "classes in `ROOT/train` that `ROOT/test` lacks: `b`");
    assert_eq!(refused(&tree(&[b"a/1.jpg"])), "`ROOT` holds a single class, `a`");
    assert_eq!(
        refused(&tree(&[b"1.txt"])),
        "`ROOT` holds no image; passed over: 1 (no image by its name: `.txt`), first `ROOT/1.txt`"
    );
}

#[test]
fn d12_loops_pipes_sockets_and_dangling_links_are_passed_over() {
    let root = tree(&[b"a/1.jpg", b"a/deep/2.jpg", b"b/3.jpg"]);
    let at = |name: &str| root.path().join(name);
    symlink("..", at("a/deep/up.jpg")).expect("a loop");
    symlink(root.path(), at("b/root")).expect("a loop");
    symlink("nowhere.jpg", at("b/dangling.jpg")).expect("a link");
    symlink("3.jpg", at("b/linked.jpg")).expect("a link");
    assert!(Command::new("mkfifo").arg(at("b/pipe.jpg")).status().expect("mkfifo").success());
    let _socket = UnixListener::bind(at("b/socket.jpg")).expect("a socket");
    symlink("/dev/zero", at("b/zero.jpg")).expect("a link to a device");
    let start = Instant::now();
    let folder = open(&root).expect("sound");
    assert!(start.elapsed().as_secs_f64() < 1.0);
    let notes = folder.facts().notes.join("\n");
    assert!(notes.contains("3 (a pipe, socket or device)") && notes.contains("1 (a dangling link)"), "{notes}");
    assert!(notes.contains("(a folder that was seen already)"), "{notes}");
    let locations: Vec<String> = (0..folder.facts().splits[0].length).map(|index| folder.locate(0, index)).collect();
    assert!(locations.iter().any(|location| location.ends_with("b/linked.jpg")), "links to files count");
    assert_eq!(locations.len(), 4, "a link to the classes' folder adds no image of another class: {locations:?}");
    let index = locations.iter().position(|location| location.ends_with("/b/3.jpg")).expect("there");
    fs::remove_file(at("b/3.jpg")).expect("removed");
    assert!(Command::new("mkfifo").arg(at("b/3.jpg")).status().expect("mkfifo").success());
    assert!(folder.read(0, index as u64).is_err(), "a pipe in a file's place is refused at once");
}

#[test]
fn d13_any_name_works_in_a_stable_order() {
    let long = [b"a/".as_slice(), &[b'x'; 251], b".jpg"].concat();
    let names: [&[u8]; 8] = [
        b"a/\xFF\xFE.jpg",
        b"a/new\nline.jpg",
        &long,
        b"a/Case.jpg",
        b"a/case.jpg",
        "a/\u{e9}.jpg".as_bytes(),
        "a/e\u{301}.jpg".as_bytes(),
        b"\xC3/1.jpg",
    ];
    let root = tree(&names);
    let order = contents(&open(&root).expect("sound"), 0);
    let mut sorted: Vec<&[u8]> = names.to_vec();
    sorted.sort();
    assert_eq!(order.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), sorted.map_escape());
    for _ in 0..2 {
        assert_eq!(contents(&open(&root).expect("sound"), 0), order);
    }
    let folder = open(&root).expect("sound");
    assert_eq!(folder.facts().class_names, ["a", "\\xc3"]);
    assert!((0..8).all(|index| !folder.locate(0, index).contains('\n')));
}

trait MapEscape {
    fn map_escape(&self) -> Vec<String>;
}

impl MapEscape for Vec<&[u8]> {
    fn map_escape(&self) -> Vec<String> {
        self.iter().map(|name| names::escape(name)).collect()
    }
}

#[test]
fn d17_the_fingerprint_follows_names_and_sizes() {
    let files: [&[u8]; 3] = [b"a/1.jpg", b"a/2.jpg", b"b/3.jpg"];
    let fingerprint = |root: &TempDir| open(root).expect("sound").facts().fingerprint;
    let root = tree(&files);
    let before = fingerprint(&root);
    assert_eq!(before, fingerprint(&tree(&files)), "wherever the dataset lies");
    put(root.path(), b"a/2.jpg", b"another length");
    let replaced = fingerprint(&root);
    fs::remove_file(root.path().join("a/2.jpg")).expect("removed");
    let removed = fingerprint(&root);
    put(root.path(), b"a/0.jpg", b"appended");
    let all = [before, replaced, removed, fingerprint(&root)];
    assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])), "{all:?}");
}

#[test]
fn d02_every_flipped_bit_is_caught_by_the_hash_manifest() {
    let files: [&[u8]; 3] = [b"a/1.jpg", b"a/\xFF.jpg", b"b/3.jpg"];
    let root = tree(&files);
    hashes::write(root.path(), files, &root.path().join(hashes::FILE));
    let folder = open(&root).expect("sound");
    assert_eq!(contents(&folder, 0).len(), 3);
    let path = root.path().join("a/1.jpg");
    let bytes = fs::read(&path).expect("read");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).expect("written");
        let error = folder.read(0, 0).expect_err("flipped");
        assert!(error.message.starts_with("`a/1.jpg` has the SHA-256"), "{error}");
    }
    fs::write(&path, &bytes).expect("written");
    put(root.path(), b"b/4.jpg", b"new");
    let error = open(&root).expect("sound").read(0, 3).expect_err("not listed");
    assert!(error.message.starts_with("`b/4.jpg` is not in the hash manifest"), "{error}");
    put(root.path(), hashes::FILE.as_bytes(), b"{\"version\":2,\"files\":{}}");
    assert!(refused(&root).ends_with("can't be used: version 2, expected 1"));
}
