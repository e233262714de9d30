//! Which call of an encoder or a loss the training thread is in, and how long each takes: for the watchdog, for what a component
//! leaves changed in the process, and for words where it ends the process.
//!
//! Only the thread that began the watch is watched; elsewhere a call costs a look at a flag.

use super::{Component, process_wide::ProcessWide, watchdog};
use std::{
    cell::{Cell, RefCell},
    ffi::c_int,
    ptr::null_mut,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What the host exits with where a component ended the process as if all were well.
const ENDED: c_int = 3;
/// A call this many times as long as the mean of those before it is told.
const OUTLIER: u32 = 10;
/// Below, nobody would care.
const LEAST_OUTLIER: Duration = Duration::from_secs(1);

/// A function of a component, known for as long as the process lives.
pub(super) struct Call {
    pub component: String,
    pub library: String,
    pub name: &'static str,
    /// What is said where the process ends in it; made before, since nothing can be made then.
    words: String,
    spent: Cell<Spent>,
}

/// How long calls took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// All together.
    pub total: Duration,
    /// How many.
    pub calls: u32,
}

/// The call that is under way; null between calls.
static CURRENT: AtomicPtr<Call> = AtomicPtr::new(null_mut());
/// Calls begun: two looks that find the same number found the same call.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// Whether a run is under way, so that nobody but the host may end the process.
static TRAINS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
    static KNOWN: RefCell<Vec<&'static Call>> = const { RefCell::new(Vec::new()) };
    static BEFORE: RefCell<Option<ProcessWide>> = const { RefCell::new(None) };
}

/// A call under way, until this is dropped.
pub struct UnderWay(Option<(&'static Call, Instant)>);

/// Begins a call.
pub fn enter(component: &Component, name: &'static str) -> UnderWay {
    if !IS_WATCHED.get() {
        return UnderWay(None);
    }
    let call = known(component, name);
    put_back("a dataset, an augmentation or a thread of a plugin", "some call");
    BEGUN.fetch_add(1, Ordering::Relaxed);
    CURRENT.store(std::ptr::from_ref(call).cast_mut(), Ordering::Release);
    UnderWay(Some((call, Instant::now())))
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Some((call, began)) = self.0 else { return };
        CURRENT.store(null_mut(), Ordering::Release);
        put_back(&call.component, call.name);
        let (took, spent) = (began.elapsed(), call.spent.get());
        if spent.calls >= OUTLIER && took >= LEAST_OUTLIER && took > spent.total / spent.calls * OUTLIER {
            let (usual, took) = ((spent.total / spent.calls).as_secs_f64(), took.as_secs_f64());
            log::warn!("{} took {took:.1} s in `{}`, where it usually takes {usual:.3} s", call.component, call.name);
        }
        call.spent.set(Spent { total: spent.total + took, calls: spent.calls + 1 });
    }
}

fn known(component: &Component, name: &'static str) -> &'static Call {
    let origin = &component.origin;
    KNOWN.with_borrow_mut(|known| {
        let is_it = |call: &&&Call| call.name == name && call.component == origin.component && call.library == origin.library;
        if let Some(call) = known.iter().find(is_it) {
            return *call;
        }
        let words = format!(
            "\nerror: {} ended the process in `{name}`\n  at: {}\nhint: it is a bug of the plugin: tell its author; saved checkpoints \
             stay valid, go on with `--resume`\n",
            origin.component, origin.library
        );
        let (component, library) = (origin.component.clone(), origin.library.clone());
        // As many as the components' functions.
        let call: &'static Call = Box::leak(Box::new(Call { component, library, name, words, spent: Cell::default() }));
        known.push(call);
        call
    })
}

fn put_back(component: &str, call: &str) {
    BEFORE.with_borrow(|before| before.as_ref().map_or((), |before| before.put_back(component, call)));
}

/// How long this thread's calls of the components whose name begins so have taken since the watch began: `loss`.
pub fn spent_in(kind: &str) -> Duration {
    let of_kind = |call: &&&Call| call.component.starts_with(kind);
    KNOWN.with_borrow(|known| known.iter().filter(of_kind).map(|call| call.spent.get().total).sum())
}

/// A watch over this thread's calls, until this is dropped.
pub struct Watch(());

impl Watch {
    /// Begins it. A call that takes longer than `limit` ends the process with a word on where it hangs; `rank` is told there.
    pub fn begin(limit: Option<Duration>, rank: usize) -> Self {
        IS_WATCHED.set(true);
        BEFORE.set(ProcessWide::now());
        TRAINS.store(true, Ordering::Relaxed);
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            // SAFETY: the function is the program's own and does not unwind.
            unsafe { libc::atexit(at_exit) };
        });
        watchdog::start(limit, rank);
        Self(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        IS_WATCHED.set(false);
        BEFORE.set(None);
        TRAINS.store(false, Ordering::Relaxed);
        watchdog::stop();
    }
}

/// The call under way with its number; none between calls.
pub(super) fn current() -> Option<(&'static Call, u64)> {
    let begun = BEGUN.load(Ordering::Acquire);
    // SAFETY: null, or a call that is never freed.
    unsafe { CURRENT.load(Ordering::Acquire).as_ref() }.map(|call| (call, begun))
}

// SAFETY: other threads read what never changes; `spent` is used by the thread that made the call alone.
unsafe impl Sync for Call {}

extern "C" fn at_exit() {
    if !TRAINS.load(Ordering::Relaxed) {
        return;
    }
    say_where();
    // SAFETY: ends the process at once; checkpoints are whole or not there.
    unsafe { libc::_exit(ENDED) };
}

/// Says which call the process ends in.
pub(super) fn say_where() {
    const SOMEWHERE: &str = "\nerror: a plugin ended the process: a dataset, an augmentation, or a thread of its own\nhint: it is a \
                             bug of the plugin: tell its author; saved checkpoints stay valid, go on with `--resume`\n";
    let words = current().map_or(SOMEWHERE, |(call, _)| &call.words);
    // SAFETY: `write` may be called in a signal handler; the text lives for ever.
    unsafe { libc::write(libc::STDERR_FILENO, words.as_ptr().cast(), words.len()) };
}
