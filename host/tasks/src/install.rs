//! Installs the pinned libtorch into `.libtorch`, or accepts the user's own.
//!
//! `.libtorch/site` holds the unpacked wheels, `.libtorch/link` what a build links: never a CUDA library, so that one build
//! serves CPU and GPU. Both are made beside and renamed; the stamp comes last, so a torn installation is made anew.

use crate::{
    Set, machine,
    stop::{DISK, Stop},
    wheels,
};
use std::{
    env,
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

/// What an installation takes while it is made: wheels, pip's copy of one, and what is unpacked.
const ROOM: &str = "make room on the disk: libtorch takes 1.6 GB while it is installed, with CUDA 7 GB";

/// The root of the checkout.
pub fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.ancestors().nth(2).unwrap_or(&package).to_path_buf()
}

/// Makes sure that there is a libtorch to build with.
pub fn setup(set: Set) -> Result<(), Stop> {
    machine::check_compiler()?;
    let home = root().join(".libtorch");
    // Cargo's own `[env]` says where ours lies; anything else is the user's.
    let own = env::var_os("LIBTORCH")
        .map(PathBuf::from)
        .filter(|path| *path != home.join("link") && !path.as_os_str().is_empty());
    if let Some(path) = own {
        return check_own(&path);
    }
    machine::check_platform()?;
    let cuda = set.cuda || (!set.cpu && machine::has_gpu());
    fs::create_dir_all(&home).map_err(|error| Stop::file("make the folder", &home, &error))?;
    let _lock = lock(&home)?;
    // The larger set serves the CPU too.
    if is_installed(&home, true) || (!cuda && is_installed(&home, false)) {
        return Ok(());
    }
    machine::check_python()?;
    let incoming = home.join(format!("incoming-{}", process::id()));
    remove_leftovers(&home)?;
    let installed = install(&home, &incoming, cuda);
    // What can't be removed now, the next installation removes.
    let _ = fs::remove_dir_all(&incoming);
    installed
}

fn check_own(path: &Path) -> Result<(), Stop> {
    let header = path.join("include/torch/headeronly/version.h");
    let shown = path.display();
    let hint = "unset LIBTORCH to let `cargo setup` fetch the right one";
    let text = fs::read_to_string(&header).map_err(|error| {
        Stop::new(format!("LIBTORCH = `{shown}` holds no libtorch {}: `{}`: {error}", wheels::TORCH, header.display()))
            .hint(hint)
    })?;
    let part = |name: &str| {
        let define = format!("#define TORCH_VERSION_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&define)).unwrap_or("?").trim().to_owned()
    };
    let version = format!("{}.{}.{}", part("MAJOR"), part("MINOR"), part("PATCH"));
    if version != wheels::TORCH {
        return Err(
            Stop::new(format!("LIBTORCH = `{shown}` is libtorch {version}, expected {}", wheels::TORCH)).hint(hint)
        );
    }
    eprintln!("libtorch {version} of your own: {shown}");
    Ok(())
}

/// One installation at a time; the kernel takes the lock back when the process ends.
fn lock(home: &Path) -> Result<File, Stop> {
    let path = home.join("lock");
    let file = File::create(&path).map_err(|error| Stop::file("write", &path, &error))?;
    file.lock().map_err(|error| Stop::file("lock", &path, &error))?;
    Ok(file)
}

/// The stamp names the set by its requirements, then lists each file with its size.
fn is_installed(home: &Path, cuda: bool) -> bool {
    let Ok(stamp) = fs::read_to_string(home.join("stamp")) else { return false };
    let Some(files) = stamp.strip_prefix(&stamp_head(cuda)) else { return false };
    let right = |line: &str| {
        let (size, path) = line.split_once(' ')?;
        let facts = fs::metadata(home.join("site").join(path)).ok()?;
        (facts.len().to_string() == size).then_some(())
    };
    let links = [
        "include/torch/headeronly/version.h",
        "build-version",
        "lib/libtorch.so",
        "lib/libtorch_cpu.so",
        "lib/libc10.so",
        "lib/libgomp.so",
    ];
    files.lines().all(|line| right(line).is_some()) && links.iter().all(|name| home.join("link").join(name).exists())
}

fn stamp_head(cuda: bool) -> String {
    format!("{}layout 1\n", wheels::requirements(cuda))
}

fn remove_leftovers(home: &Path) -> Result<(), Stop> {
    let entries = fs::read_dir(home).map_err(|error| Stop::file("read", home, &error))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("incoming-")) {
            fs::remove_dir_all(&path).map_err(|error| Stop::file("remove", &path, &error))?;
        }
    }
    Ok(())
}

fn install(home: &Path, incoming: &Path, cuda: bool) -> Result<(), Stop> {
    let (size, what) = if cuda { ("2.6 GB", "for CPU and CUDA") } else { ("0.5 GB", "for the CPU") };
    eprintln!("fetching libtorch {} {what}, {size}, once", wheels::TORCH);
    let (downloads, site, link) = (incoming.join("wheels"), incoming.join("site"), incoming.join("link"));
    for folder in [&downloads, &site, &link.join("lib")] {
        fs::create_dir_all(folder).map_err(|error| Stop::file("make the folder", folder, &error))?;
    }
    download(incoming, &downloads, cuda)?;
    eprintln!("unpacking");
    let files = unpack(&downloads, &site)?;
    make_links(&site, &link).map_err(|error| Stop::file("make the links in", &link, &error))?;

    let stamp = home.join("stamp");
    remove_file(&stamp).map_err(|error| Stop::file("remove", &stamp, &error))?;
    for (new, name) in [(&site, "site"), (&link, "link")] {
        let place = home.join(name);
        if place.symlink_metadata().is_ok() {
            let old = incoming.join(format!("old-{name}"));
            fs::rename(&place, &old).map_err(|error| Stop::file("move away", &place, &error))?;
        }
        fs::rename(new, &place).map_err(|error| Stop::file("move to", &place, &error))?;
    }
    let written = incoming.join("stamp");
    fs::write(&written, stamp_head(cuda) + &files).map_err(|error| Stop::file("write", &written, &error))?;
    fs::rename(&written, &stamp).map_err(|error| Stop::file("move to", &stamp, &error))?;
    eprintln!("libtorch {} is in {}", wheels::TORCH, home.display());
    Ok(())
}

fn download(incoming: &Path, downloads: &Path, cuda: bool) -> Result<(), Stop> {
    let requirements = incoming.join("requirements.txt");
    fs::write(&requirements, wheels::requirements(cuda)).map_err(|error| Stop::file("write", &requirements, &error))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--no-deps",
        "--require-hashes",
    ]);
    pip.args(["--only-binary=:all:", "--implementation", "cp", "--python-version", wheels::PYTHON]);
    for platform in wheels::platforms() {
        pip.args(["--platform", &platform]);
    }
    // pip unpacks nothing here but keeps its temporary files there; `/tmp` may be small.
    pip.env("TMPDIR", incoming).arg("--dest").arg(downloads).arg("--requirement").arg(&requirements);
    // Progress goes to standard output as it comes; what went wrong is read to tell a full disk from a missing network.
    let pip = pip.stdin(Stdio::null()).stdout(Stdio::inherit()).output();
    let output = pip.map_err(|error| Stop::new(format!("can't run python3: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    let mut stop = Stop::new(format!("pip could not fetch libtorch ({})", output.status));
    if said.contains("No space left") || said.contains("Disk quota") {
        stop.code = DISK;
        return Err(stop.hint(ROOM));
    }
    Err(stop.hint(
        "the lines above say why: no network, or a proxy that needs `PIP_PROXY`; run the command again afterwards",
    ))
}

/// Unpacks and removes the wheels; gives the stamp's list of files.
fn unpack(downloads: &Path, site: &Path) -> Result<String, Stop> {
    let mut python = Command::new("python3");
    python.args(["-c", include_str!("unpack.py")]).arg(downloads).arg(site).stderr(Stdio::inherit());
    let output = python.output().map_err(|error| Stop::new(format!("can't run python3: {error}")))?;
    if !output.status.success() {
        let stop =
            Stop::with_code(format!("the wheels can't be unpacked into `{}`", site.display()), output.status.code());
        let hint = if stop.code == DISK { ROOM } else { "run the command again" };
        return Err(stop.hint(hint));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder that `LIBTORCH` names.
fn make_links(site: &Path, link: &Path) -> io::Result<()> {
    fs::write(link.join("build-version"), format!("{}\n", wheels::TORCH))?;
    symlink("../site/torch/include", link.join("include"))?;
    let libraries = Path::new("../../site/torch/lib");
    let lib = link.join("lib");
    for name in ["libtorch_cpu.so", "libc10.so"] {
        symlink(libraries.join(name), lib.join(name))?;
    }
    symlink("libtorch_cpu.so", lib.join("libtorch.so"))?;
    let mut names = fs::read_dir(site.join("torch/lib"))?.flatten().map(|entry| entry.file_name());
    let gomp = names
        .find(|name| name.to_string_lossy().starts_with("libgomp"))
        .ok_or_else(|| io::Error::other("the wheel holds no libgomp"))?;
    symlink(libraries.join(gomp), lib.join("libgomp.so"))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
