//! CUDA graphs and the stream on which they are captured, through `host/native/graphs.cpp`.

use super::{NativeResult, check};
use std::{
    ffi::{c_char, c_int, c_void},
    marker::PhantomData,
    ptr,
};

unsafe extern "C" {
    fn infomax_has_graphs() -> c_int;
    fn infomax_side_begin(device: c_int, made: *mut *mut c_void) -> *mut c_char;
    fn infomax_side_end(side: *mut c_void) -> *mut c_char;
    fn infomax_graph_pool(device: c_int, id: *mut u64) -> *mut c_char;
    fn infomax_graph_begin(device: c_int, pool: *const u64, made: *mut *mut c_void) -> *mut c_char;
    fn infomax_graph_end(graph: *mut c_void) -> *mut c_char;
    fn infomax_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn infomax_graph_free(graph: *mut c_void);
}

/// Whether the loaded libtorch has CUDA graphs.
pub fn has_graphs() -> bool {
    // SAFETY: looks names up.
    unsafe { infomax_has_graphs() != 0 }
}

/// While this lives, this thread's work goes to a stream of its own, in order with the one before.
#[must_use = "the stream before comes back when this is dropped"]
pub struct Side {
    side: *mut c_void,
    /// The current stream belongs to this thread.
    thread: PhantomData<*const ()>,
}

impl Side {
    /// Begins.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn begin(device: usize) -> NativeResult<Self> {
        let mut side = ptr::null_mut();
        // SAFETY: the result is written before it is read.
        check(unsafe { infomax_side_begin(device as c_int, &raw mut side) })?;
        Ok(Self { side, thread: PhantomData })
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // SAFETY: ended once, on the thread that began it.
        if let Err(message) = check(unsafe { infomax_side_end(self.side) }) {
            log::warn!("the stream before did not come back: {message}");
        }
    }
}

/// Memory of graphs that are replayed in the order of their capture.
#[derive(Clone, Copy, Debug)]
pub struct Pool([u64; 2]);

impl Pool {
    /// A new one; waits for the device.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn new(device: usize) -> NativeResult<Self> {
        let mut id = [0; 2];
        // SAFETY: room for two numbers.
        check(unsafe { infomax_graph_pool(device as c_int, id.as_mut_ptr()) })?;
        Ok(Self(id))
    }
}

/// What a stream was given between two moments, to be given again as a whole.
#[derive(Debug)]
pub struct Graph(*mut c_void);

// SAFETY: a graph may be replayed and destroyed by any one thread at a time.
unsafe impl Send for Graph {}

impl Graph {
    /// Gives it to the current stream.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn replay(&self) -> NativeResult<()> {
        // SAFETY: captured to its end.
        check(unsafe { infomax_graph_replay(self.0) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: captured to its end, destroyed once.
        unsafe { infomax_graph_free(self.0) }
    }
}

/// A capture that goes on: what the current stream is given is not done but written down. Ends where it is dropped.
#[must_use = "the capture ends when this is dropped"]
pub struct Capture {
    graph: *mut c_void,
    thread: PhantomData<*const ()>,
}

impl Capture {
    /// Begins.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn begin(device: usize, pool: Pool) -> NativeResult<Self> {
        let mut graph = ptr::null_mut();
        // SAFETY: the result is written before it is read.
        check(unsafe { infomax_graph_begin(device as c_int, pool.0.as_ptr(), &raw mut graph) })?;
        Ok(Self { graph, thread: PhantomData })
    }

    /// Ends.
    ///
    /// # Errors
    /// libtorch's message, where the device refused what it was given; nothing was done then.
    pub fn end(self) -> NativeResult<Graph> {
        let graph = self.graph;
        std::mem::forget(self);
        // SAFETY: ended once; where that fails nobody uses it again.
        check(unsafe { infomax_graph_end(graph) })?;
        Ok(Graph(graph))
    }
}

impl Drop for Capture {
    /// Where something failed on the way.
    fn drop(&mut self) {
        // SAFETY: ended once.
        if check(unsafe { infomax_graph_end(self.graph) }).is_ok() {
            drop(Graph(self.graph));
        }
    }
}
