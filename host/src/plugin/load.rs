//! Loads a checked library from a private copy: own dlopen (every symbol now, nothing global), abi_stable's header,
//! version, and its layout check in both directions, because its own check refuses a plugin of an older minor version.
//! Never unloaded.

use super::{Candidate, PluginError, private_copy::PrivateCopy, probe, services::services, torch_files};
use infomax_abi::{
    PluginModuleRef,
    abi_stable::{
        StableAbi,
        abi_stability::abi_checking::check_layout_compatibility,
        library::{AbiHeaderRef, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL},
        type_layout::TypeLayout,
    },
};
use infomax_sdk::guard::from_ffi;
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use std::{
    collections::HashMap,
    mem::ManuallyDrop,
    path::PathBuf,
    sync::{LazyLock, Mutex, PoisonError},
};

/// A loaded library.
#[derive(Clone)]
pub struct Library {
    /// Where it came from.
    pub candidate: Candidate,
    /// Its table of functions, valid for the life of the process.
    pub module: PluginModuleRef,
    /// The bytes that were loaded.
    copy: PrivateCopy,
}

impl Library {
    /// Where this process can read the bytes that were loaded, whatever became of the file.
    pub fn bytes(&self) -> PathBuf {
        self.copy.path()
    }
}

/// Libraries by the hash of their file: each is loaded once per process.
static LOADED: LazyLock<Mutex<HashMap<String, (PluginModuleRef, PrivateCopy)>>> = LazyLock::new(Mutex::default);

/// Loads a library, or finds it loaded.
///
/// # Errors
/// A refusal in one line.
pub fn load(candidate: &Candidate) -> Result<Library, PluginError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((module, copy)) = loaded.get(&candidate.sha256) {
        return Ok(Library { candidate: candidate.clone(), module: *module, copy: *copy });
    }
    let copy = PrivateCopy::of(candidate)?;
    probe::in_child(candidate)?;
    let module = open(candidate, copy)?;
    loaded.insert(candidate.sha256.clone(), (module, copy));
    Ok(Library { candidate: candidate.clone(), module, copy })
}

fn open(candidate: &Candidate, copy: PrivateCopy) -> Result<PluginModuleRef, PluginError> {
    let refuse = |reason: String, hint: &str| PluginError::refused(&candidate.path, reason, hint);
    // SAFETY: the file was checked; what its constructors do is the user's own code, run with the user's rights.
    let handle = unsafe { Handle::open(Some(copy.path()), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        refuse(format!("the system can't load it: {}", one_line(&named(&error, candidate, copy))), "rebuild it here")
    })?;
    let handle = ManuallyDrop::new(handle);
    if let Some([first, second]) = torch_files::twice() {
        let reason = format!("it brought a second libtorch into the process: {second} beside {first}");
        return Err(refuse(reason, "build it against the host's libtorch (`LIBTORCH`)"));
    }
    let no_entry = "export components with `infomax_sdk::export_plugin!`";
    // SAFETY: the symbol is abi_stable's header, which is checked before it is read further.
    let header = unsafe { handle.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }
        .map(|symbol| {
            // SAFETY: the symbol's address is the header's, in a library that is never unloaded.
            unsafe { std::mem::transmute::<*mut std::ffi::c_void, AbiHeaderRef>(symbol.as_raw_ptr()) }
        })
        .map_err(|_| refuse("it has no entry: the symbol of `export_plugin!` is missing".to_owned(), no_entry))?;
    let rebuild = format!("rebuild it against infomax-sdk {}", env!("CARGO_PKG_VERSION"));
    let header = header.upgrade().map_err(|error| refuse(header_reason(&error).to_owned(), &rebuild))?;
    let theirs = header.layout().ok_or_else(|| refuse("it carries no layout to check".to_owned(), &rebuild))?;
    check_layout(PluginModuleRef::LAYOUT, theirs).map_err(|detail| {
        log::debug!("layout of {}:\n{detail}", candidate.path.display());
        refuse("its interface has another layout than this host's".to_owned(), &rebuild)
    })?;
    // SAFETY: one layout is a prefix of the other, and accessors of fields beyond the shorter one return none.
    let module = unsafe { header.init_root_module_with_unchecked_layout::<PluginModuleRef>() }
        .map_err(|error| refuse(format!("its entry does not start: {}", one_line(&error)), &rebuild))?;
    module.start()(services())
        .into_result()
        .map_err(|error| refuse(format!("it does not start: {}", from_ffi(error)), &rebuild))?;
    Ok(module)
}

/// Accepts a plugin of the same, an older or a newer minor version.
fn check_layout(ours: &'static TypeLayout, theirs: &'static TypeLayout) -> Result<(), String> {
    check_layout_compatibility(ours, theirs)
        .or_else(|first| check_layout_compatibility(theirs, ours).map_err(|_| first.to_string()))
}

/// abi_stable's own message fills a page.
fn header_reason(error: &LibraryError) -> &'static str {
    match error {
        LibraryError::InvalidAbiHeader(_) => "its entry was made by another version of abi_stable",
        LibraryError::InvalidCAbi { .. } => "its compiler passes values in another way than this host's",
        _ => "its entry does not fit",
    }
}

/// The system's message with the file's own name in place of the copy's.
fn named(error: &dyn std::fmt::Display, candidate: &Candidate, copy: PrivateCopy) -> String {
    error.to_string().replace(&*copy.path().to_string_lossy(), &candidate.path.to_string_lossy())
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(200).collect()
}
