//! What a step asks of libtorch, through `host/native/watch.cpp`: a line for each operator, so that two steps can be compared.

use super::{Pointer, own, pointers};
use std::ffi::{CString, c_char, c_int, c_void};
use tch::Tensor;

unsafe extern "C" {
    fn infomax_watch_begin(known: *const Pointer, count: usize, keeps: c_int) -> *mut c_void;
    fn infomax_watch_mark(line: *const c_char);
    fn infomax_watch_end(watch: *mut c_void) -> *mut c_char;
    fn infomax_watch_free(watch: *mut c_void);
}

/// A watch that is over; memory that it was asked to keep is there as long as this is.
#[derive(Debug)]
pub struct Watched {
    /// A line for each operator, and the marks between them.
    pub text: String,
    _kept: Kept,
}

#[derive(Debug)]
struct Kept(*mut c_void);

// SAFETY: what it holds is counted atomically, and only freed.
unsafe impl Send for Kept {}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { infomax_watch_free(self.0) }
    }
}

/// Runs some work of this thread and writes down what it asks of libtorch. Tensors that are `known` are told apart by their
/// positions; with `keeps`, memory that was there before is kept.
pub fn watched<T>(known: &[Tensor], keeps: bool, work: impl FnOnce() -> T) -> (T, Watched) {
    struct End(*mut c_void);
    impl End {
        fn end(self) -> Watched {
            // SAFETY: ended once, and held by what is given, which frees it.
            let text = unsafe { own(infomax_watch_end(self.0)) };
            let kept = Kept(self.0);
            std::mem::forget(self);
            Watched { text, _kept: kept }
        }
    }
    impl Drop for End {
        /// Where the work panicked.
        fn drop(&mut self) {
            drop(Self(self.0).end());
        }
    }
    let known = pointers(known);
    // SAFETY: the tensors live for the call, which keeps none of them.
    let end = End(unsafe { infomax_watch_begin(known.as_ptr(), known.len(), c_int::from(keeps)) });
    let given = work();
    (given, end.end())
}

/// Writes a line of the caller's own into the watch that goes on, if one does.
pub fn mark(line: &str) {
    let line = CString::new(line).expect("a mark has no NUL");
    // SAFETY: a NUL-terminated string, which is copied.
    unsafe { infomax_watch_mark(line.as_ptr()) }
}
