//! What a process has once and a plugin may change under everybody: the working directory, the locale, the handlers of the signals
//! that ask a run to end.

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString, c_int},
    fs::{self, File},
    mem::MaybeUninit,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    sync::Mutex,
};

const SIGNALS: [(c_int, &str); 3] = [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM"), (libc::SIGUSR1, "SIGUSR1")];

/// How it all was.
pub(super) struct ProcessWide {
    folder: File,
    /// Device and inode.
    place: (u64, u64),
    locale: CString,
    handlers: [libc::sigaction; SIGNALS.len()],
}

impl ProcessWide {
    /// How it all is; none where the system does not tell.
    pub fn now() -> Option<Self> {
        let folder = File::open(".").ok()?;
        let metadata = folder.metadata().ok()?;
        let mut handlers = [None; SIGNALS.len()];
        for (handler, (signal, _)) in handlers.iter_mut().zip(SIGNALS) {
            *handler = Some(handler_of(signal)?);
        }
        Some(Self {
            folder,
            place: (metadata.dev(), metadata.ino()),
            locale: locale()?.to_owned(),
            handlers: handlers.map(|handler| handler.expect("filled above")),
        })
    }

    /// Puts back what is otherwise now, and says once who left it so.
    pub fn put_back(&self, component: &str, call: &str) {
        if fs::metadata(".").map_or(true, |now| (now.dev(), now.ino()) != self.place) {
            // SAFETY: the descriptor is a folder's, open as long as `self`.
            unsafe { libc::fchdir(self.folder.as_raw_fd()) };
            tell(component, call, "the working directory");
        }
        if locale().is_none_or(|now| now != self.locale.as_c_str()) {
            // SAFETY: a NUL-terminated name that `setlocale` itself has given.
            unsafe { libc::setlocale(libc::LC_ALL, self.locale.as_ptr()) };
            tell(component, call, "the locale");
        }
        for ((signal, name), before) in SIGNALS.into_iter().zip(&self.handlers) {
            let is_other = |now: libc::sigaction| now.sa_sigaction != before.sa_sigaction;
            if handler_of(signal).is_some_and(is_other) {
                // SAFETY: what the system gave for this signal.
                unsafe { libc::sigaction(signal, before, std::ptr::null_mut()) };
                tell(component, call, &format!("the handler of {name}"));
            }
        }
    }
}

/// Says that a component left something changed; once, however many steps it does so.
pub(crate) fn tell(component: &str, call: &str, what: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let text = format!("{component} left {what} changed in `{call}`; put back");
    if TOLD.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(text.clone()) {
        log::warn!("{text}");
    }
}

fn locale() -> Option<&'static CStr> {
    // SAFETY: asks only; the answer is null or a NUL-terminated name that lives until the locale is changed.
    unsafe {
        let name = libc::setlocale(libc::LC_ALL, std::ptr::null());
        (!name.is_null()).then(|| CStr::from_ptr(name))
    }
}

fn handler_of(signal: c_int) -> Option<libc::sigaction> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: asks only; the place is valid for writing, and written where the call succeeds.
    unsafe { (libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) == 0).then(|| now.assume_init()) }
}
