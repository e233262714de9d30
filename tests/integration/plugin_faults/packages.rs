//! `infomax plugin pack`, `add` and `remove`: from a file, a folder and a URL; what is damaged, foreign or hostile stays outside.

use crate::{
    support::{
        binary::{errors, infomax, run},
        faulty::fixture,
        figures::figure,
    },
    training::assert_ok,
};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
    thread,
};

/// A folder with an author's texts and a packed library, in `packages`.
fn packed() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("README.md", "# faulty"), ("LICENSE-MIT", "as you like"), ("LICENSE-APACHE", "as you like")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let library = fixture("faulty");
    assert_ok(&run(folder.path(), &["plugin", "pack", &library.to_string_lossy()]));
    let archives: Vec<PathBuf> = fs::read_dir(folder.path().join("packages"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".tar.gz"))
        .collect();
    assert_eq!(archives.len(), 1);
    (folder, archives[0].clone())
}

/// A user's folder with a config that names the plugin's components.
fn user() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "[dataset]\nname = \"faulty\"\n[augmentation]\nname = \"faulty\"\n[encoder]\nname = \"faulty\"\n[loss]\n\
                name = \"faulty\"\n[optimizer]\nwarmup_steps = 0\nmilestones = []\n[train]\nsteps = 2\nbatch_size = 8\n\
                device = \"cpu\"\n[evaluation]\nlinear = false\nmlp = false\n[record]\nplot = false\ncontact_sheet = false\n\
                report = false\n";
    fs::write(folder.path().join("experiment.toml"), text).unwrap();
    folder
}

fn add(folder: &Path, more: &[&str]) -> Output {
    run(folder, &[&["plugin", "add"], more].concat())
}

fn refused(folder: &Path, more: &[&str], expected: &str) {
    let output = add(folder, more);
    let text = errors(&output, folder);
    assert!(matches!(output.status.code(), Some(2 | 3)), "{more:?}: {text}");
    assert!(text.contains(expected) && text.contains("hint: "), "{expected}: {text}");
    let left: Vec<_> = fs::read_dir(folder.join(".infomax/plugins")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{expected}: {left:?}");
}

#[test]
fn a_packed_plugin_is_added_trained_with_and_removed() {
    let (author, archive) = packed();
    // The same files are the same archive.
    let first = fs::read(&archive).unwrap();
    assert_ok(&run(author.path(), &["plugin", "pack", &fixture("faulty").to_string_lossy()]));
    assert!(fs::read(&archive).unwrap() == first);
    let index = fs::read_to_string(author.path().join("packages/index.json")).unwrap();
    assert_eq!(index.matches("\"name\": \"infomax-plugin-faulty\"").count(), 1, "{index}");

    let sources = [archive.clone(), author.path().join("packages")];
    for source in &sources {
        let user = user();
        let user = user.path();
        assert_ok(&run(user, &["plugin", "lock"]));
        let before = run(user, &["train", "experiment.toml"]);
        assert_eq!(before.status.code(), Some(2), "{}", errors(&before, user));
        let output = add(user, &[&source.to_string_lossy()]);
        assert_ok(&output);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(out.contains("added infomax-plugin-faulty 0.1.0") && out.contains("plugins.lock has it"), "{out}");
        assert!(user.join(".infomax/plugins/infomax-plugin-faulty/README.md").is_file());
        assert!(user.join(".infomax/plugins/infomax-plugin-faulty/LICENSE-MIT").is_file());
        assert_ok(&run(user, &["train", "experiment.toml", "--locked"]));
        // The same once more changes nothing.
        assert_ok(&add(user, &[&source.to_string_lossy()]));

        let output = run(user, &["plugin", "remove", "faulty"]);
        assert_ok(&output);
        let text = errors(&output, user);
        assert!(text.contains("`./experiment.toml` still names the loss `faulty`"), "{text}");
        assert_eq!(fs::read_dir(user.join(".infomax/plugins")).unwrap().count(), 0);
        assert!(!fs::read_to_string(user.join("plugins.lock")).unwrap().contains("faulty"));
        let output = run(user, &["plugin", "remove", "faulty"]);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output, user));
    }
}

#[test]
fn another_build_takes_the_place_only_where_it_is_told_to() {
    let (author, archive) = packed();
    let user = user();
    let user = user.path();
    assert_ok(&add(user, &[&archive.to_string_lossy()]));
    let mut bytes = fs::read(fixture("faulty")).unwrap();
    bytes.push(0);
    let other = author.path().join("libother.so");
    fs::write(&other, bytes).unwrap();
    assert_ok(&run(author.path(), &["plugin", "pack", "libother.so", "--out", "other"]));
    let output = add(user, &[&author.path().join("other").to_string_lossy()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(errors(&output, user).contains("is there already"), "{}", errors(&output, user));
    assert_ok(&add(user, &[&author.path().join("other").to_string_lossy(), "--replace"]));
    let libraries: Vec<_> = fs::read_dir(user.join(".infomax/plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".so"))
        .collect();
    assert_eq!(libraries, ["libother.so"]);
    // The user's own folder.
    let data = author.path().join("data");
    let mut command = infomax(user, &["plugin", "add", &archive.to_string_lossy(), "--user"]);
    assert_ok(&command.env("XDG_DATA_HOME", &data).output().unwrap());
    assert!(data.join("infomax/plugins/libinfomax_faulty.so").is_file());
}

/// Serves a folder's files, as any static server does; until the test ends.
fn served(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let name = request.split(' ').nth(1).unwrap_or("/").trim_start_matches("/plugins/").to_owned();
            let (status, body) = match fs::read(folder.join(name)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}/plugins")
}

#[test]
fn an_index_behind_a_url_is_as_good_as_a_folder() {
    let (author, archive) = packed();
    let packages = author.path().join("packages");
    let url = served(packages.clone());
    for more in [&[][..], &["faulty"], &["infomax-plugin-faulty@0.1.0"]] {
        let user = user();
        assert_ok(&add(user.path(), &[&[url.as_str()], more].concat()));
        assert_ok(&run(user.path(), &["train", "experiment.toml"]));
    }
    let user = user();
    let user = user.path();
    refused(user, &[&url, "nothing"], "has no `nothing` for");
    refused(user, &[&url, "faulty@9.9.9"], "there are: infomax-plugin-faulty 0.1.0 for");
    refused(user, &[&format!("{url}/elsewhere")], "can't be fetched");
    let file = format!("{url}/{}", archive.file_name().unwrap().to_string_lossy());
    refused(user, &[&file], "has no hash to check");
    refused(user, &["http://127.0.0.1:1/plugins"], "can't be fetched");
    // Another archive than the index promises: shorter, longer, of the same length.
    let good = fs::read(&archive).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), flipped] {
        fs::write(&archive, bad).unwrap();
        let expected =
            if fs::metadata(&archive).unwrap().len() > good.len() as u64 { "is longer than" } else { "promises" };
        refused(user, &[&url], expected);
        refused(user, &[&packages.to_string_lossy()], "promises");
    }
    fs::write(&archive, &good).unwrap();
    // An index that leads elsewhere, for another target, or none at all.
    let index = packages.join("index.json");
    let text = fs::read_to_string(&index).unwrap();
    let name = archive.file_name().unwrap().to_string_lossy().into_owned();
    for (from, to, expected) in [
        (name.as_str(), "../x.tar.gz", "would lead elsewhere"),
        ("-unknown-linux-gnu\"", "-apple-darwin\"", "for x86_64-apple-darwin"),
        ("{", "[", "the index can't be read"),
    ] {
        if !cfg!(target_arch = "x86_64") && expected.contains("x86_64") {
            continue;
        }
        fs::write(&index, text.replace(from, to)).unwrap();
        refused(user, &[&packages.to_string_lossy()], expected);
    }
}

/// What an archive holds: a path, the kind of entry, and its bytes.
type Packed<'a> = (&'a str, tar::EntryType, &'a [u8]);

/// An archive with these entries.
fn hostile(path: &Path, entries: &[Packed<'_>]) {
    let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast()));
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        // The crate itself refuses such names: written past it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[test]
fn archives_that_lead_elsewhere_or_hold_no_plugin_are_refused() {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    let library = fs::read(fixture("faulty")).unwrap();
    let user = user();
    let user = user.path();
    let good = ("libx.so", Regular, &library[..]);
    let text = b"text".as_slice();
    let cases: [(&[Packed<'_>], &str); 12] = [
        (&[("../../evil.so", Regular, &library)], "would lead elsewhere"),
        (&[good, ("../evil", Regular, text)], "would lead elsewhere"),
        (&[good, ("/tmp/evil", Regular, text)], "would lead elsewhere"),
        (&[good, ("folder/evil", Regular, text)], "would lead elsewhere"),
        (&[good, (".hidden", Regular, text)], "would lead elsewhere"),
        (&[good, ("folder", Directory, b"")], "is no plain file"),
        (&[good, ("README.md", Symlink, b"")], "is no plain file"),
        (&[good, ("README.md", Link, b"")], "is no plain file"),
        (&[good, good], "is there twice"),
        (&[good, ("liby.so", Regular, &library)], "does not hold one library"),
        (&[("README.md", Regular, text)], "does not hold one library"),
        (&[("libx.so", Regular, text)], "not an ELF shared library"),
    ];
    for (entries, expected) in cases {
        let archive = user.join("archive.tar.gz");
        hostile(&archive, entries);
        refused(user, &["archive.tar.gz"], expected);
    }
    // One that claims to hold two gibibytes.
    let archive = user.join("archive.tar.gz");
    let mut gz = GzEncoder::new(fs::File::create(&archive).unwrap(), Compression::fast());
    let mut header = tar::Header::new_gnu();
    header.set_size(2 << 30);
    header.set_mode(0o644);
    header.set_path("libx.so").unwrap();
    header.set_cksum();
    gz.write_all(header.as_bytes()).unwrap();
    gz.write_all(&vec![0; 1 << 20]).unwrap();
    gz.finish().unwrap();
    refused(user, &["archive.tar.gz"], "more than");
    // Cut anywhere.
    let (_author, archive) = packed();
    let good = fs::read(&archive).unwrap();
    let cuts = 16;
    for cut in 0..cuts {
        fs::write(user.join("archive.tar.gz"), &good[..good.len() * cut / cuts]).unwrap();
        let output = add(user, &["archive.tar.gz"]);
        assert_eq!(output.status.code(), Some(3), "{}", errors(&output, user));
    }
    let tried = cases.len() + 1 + cuts;
    figure("P02", "bad archives refused", tried, tried);
    // What can't be packed.
    for (arguments, expected) in [
        (&["plugin", "pack", "experiment.toml"][..], "not an ELF shared library"),
        (&["plugin", "pack", "libx.so"], "there is no `README.md` to pack"),
    ] {
        fs::write(user.join("libx.so"), &library).unwrap();
        let output = run(user, arguments);
        assert!(errors(&output, user).contains(expected), "{}", errors(&output, user));
    }
}
