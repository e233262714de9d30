//! The C++ shim around libtorch's c10d, made safe: see `native/collectives.cpp` and `native/batch_norm.cpp`.

use crate::native::{NativeResult, Pointer, check, pointers};
use std::{
    ffi::{CString, c_char, c_int, c_void},
    ptr::null_mut,
    time::Duration,
};
use tch::Tensor;

unsafe extern "C" {
    fn infomax_store_serve(port: *mut u16, timeout_ms: i64, store: *mut *mut c_void) -> *mut c_char;
    fn infomax_store_open(
        host: *const c_char,
        port: u16,
        serves: c_int,
        timeout_ms: i64,
        store: *mut *mut c_void,
    ) -> *mut c_char;
    fn infomax_store_free(store: *mut c_void);
    fn infomax_store_set(store: *mut c_void, key: *const c_char, value: *const u8, length: usize) -> *mut c_char;
    fn infomax_store_get(
        store: *mut c_void,
        key: *const c_char,
        value: *mut *mut c_char,
        length: *mut usize,
    ) -> *mut c_char;
    fn infomax_free(memory: *mut c_char);
    fn infomax_group_join(
        store: *mut c_void,
        prefix: *const c_char,
        address: *const c_char,
        rank: c_int,
        size: c_int,
        timeout_ms: i64,
        checked: c_int,
        nccl: c_int,
        group: *mut *mut c_void,
    ) -> *mut c_char;
    fn infomax_group_free(group: *mut c_void);
    fn infomax_group_sum(group: *mut c_void, tensor: Pointer) -> *mut c_char;
    fn infomax_group_gather(group: *mut c_void, input: Pointer, output: Pointer) -> *mut c_char;
    fn infomax_group_scatter_sum(group: *mut c_void, input: Pointer, output: Pointer) -> *mut c_char;
    fn infomax_group_broadcast(group: *mut c_void, tensor: Pointer, root: c_int) -> *mut c_char;
    fn infomax_reducer_new(
        group: *mut c_void,
        parameters: *const Pointer,
        count: usize,
        bucket_bytes: i64,
        varies: c_int,
        reducer: *mut *mut c_void,
    ) -> *mut c_char;
    fn infomax_reducer_free(reducer: *mut c_void);
    fn infomax_reducer_prepare(reducer: *mut c_void, outputs: *const Pointer, count: usize) -> *mut c_char;
    fn infomax_reached(
        outputs: *const Pointer,
        output_count: usize,
        parameters: *const Pointer,
        count: usize,
        reached: *mut u8,
    ) -> *mut c_char;
    fn infomax_batch_norm_policy(parts: i64, group: *mut c_void);
}

fn milliseconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX)
}

fn text(value: &str) -> NativeResult<CString> {
    CString::new(value).map_err(|_| format!("`{}` holds a NUL", value.escape_debug()))
}

/// The place where processes meet: its server, which lives as long as this value, or a client of it.
#[derive(Debug)]
pub struct Store(*mut c_void);

// SAFETY: the store's server has a thread of its own; this value only ends it.
unsafe impl Send for Store {}

impl Store {
    /// Serves a store on all interfaces, on a port of the system's choice where none is given; gives the port.
    ///
    /// # Errors
    /// A port that is taken, in libtorch's words.
    pub fn serve(port: Option<u16>, timeout: Duration) -> NativeResult<(Self, u16)> {
        let (mut port, mut store) = (port.unwrap_or(0), null_mut());
        // SAFETY: both out-parameters outlive the call.
        check(unsafe { infomax_store_serve(&mut port, milliseconds(timeout), &mut store) })?;
        Ok((Self(store), port))
    }
}

impl Store {
    /// Opens the store of a host and a port; `serves`: this process is where it lies.
    ///
    /// # Errors
    /// A port that is taken, or nobody who answers in time, in libtorch's words.
    pub fn open(host: &str, port: u16, serves: bool, timeout: Duration) -> NativeResult<Self> {
        let (host, mut store) = (text(host)?, null_mut());
        // SAFETY: the text and the out-parameter outlive the call.
        check(unsafe {
            infomax_store_open(host.as_ptr(), port, c_int::from(serves), milliseconds(timeout), &mut store)
        })?;
        Ok(Self(store))
    }

    /// Puts bytes under a key.
    ///
    /// # Errors
    /// A store that is gone, in libtorch's words.
    pub fn set(&self, key: &str, value: &[u8]) -> NativeResult<()> {
        let key = text(key)?;
        // SAFETY: the store is live; key and value outlive the call.
        check(unsafe { infomax_store_set(self.0, key.as_ptr(), value.as_ptr(), value.len()) })
    }

    /// The bytes under a key, if there are any by now.
    ///
    /// # Errors
    /// A store that is gone, in libtorch's words.
    pub fn get(&self, key: &str) -> NativeResult<Option<Vec<u8>>> {
        let (key, mut value, mut length) = (text(key)?, null_mut(), 0);
        // SAFETY: the store is live; key and out-parameters outlive the call.
        check(unsafe { infomax_store_get(self.0, key.as_ptr(), &mut value, &mut length) })?;
        if value.is_null() {
            return Ok(None);
        }
        // SAFETY: the shim has allocated `length` bytes at `value`, and nobody else frees them.
        let bytes = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), length) }.to_vec();
        // SAFETY: as above; freed once.
        unsafe { infomax_free(value) };
        Ok(Some(bytes))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: made by `infomax_store_serve`, freed once.
        unsafe { infomax_store_free(self.0) };
    }
}

/// How a process joins its group.
pub struct Joining<'a> {
    /// Where all of them have come to.
    pub store: &'a Store,
    /// Apart from other groups at the same store.
    pub prefix: &'a str,
    /// This machine's address, as the others reach it.
    pub address: &'a str,
    pub rank: usize,
    pub size: usize,
    /// How long an exchange waits.
    pub timeout: Duration,
    /// Whether different calls on different ranks are told from one another, at the cost of one more exchange a call.
    pub checked: bool,
    /// Whether CUDA tensors go through NCCL: where each process has a GPU of its own. Through gloo otherwise.
    pub nccl: bool,
}

/// A joined group.
pub struct RawGroup(*mut c_void);

// SAFETY: c10d's process groups may be used from any thread; the host calls one collective at a time.
unsafe impl Send for RawGroup {}
// SAFETY: as above.
unsafe impl Sync for RawGroup {}

impl RawGroup {
    pub fn join(joining: &Joining<'_>) -> NativeResult<Self> {
        let (prefix, address) = (text(joining.prefix)?, text(joining.address)?);
        let mut group = null_mut();
        // SAFETY: the strings and the out-parameter outlive the call; ranks fit an int, as they count processes.
        check(unsafe {
            infomax_group_join(
                joining.store.0,
                prefix.as_ptr(),
                address.as_ptr(),
                joining.rank as c_int,
                joining.size as c_int,
                milliseconds(joining.timeout),
                c_int::from(joining.checked),
                c_int::from(joining.nccl),
                &mut group,
            )
        })?;
        Ok(Self(group))
    }

    pub fn sum(&self, tensor: &Tensor) -> NativeResult<()> {
        // SAFETY: group and tensor are live.
        check(unsafe { infomax_group_sum(self.0, tensor.as_ptr().cast()) })
    }

    pub fn gather(&self, input: &Tensor, output: &Tensor) -> NativeResult<()> {
        // SAFETY: group and tensors are live.
        check(unsafe { infomax_group_gather(self.0, input.as_ptr().cast(), output.as_ptr().cast()) })
    }

    pub fn scatter_sum(&self, input: &Tensor, output: &Tensor) -> NativeResult<()> {
        // SAFETY: group and tensors are live.
        check(unsafe { infomax_group_scatter_sum(self.0, input.as_ptr().cast(), output.as_ptr().cast()) })
    }

    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> NativeResult<()> {
        // SAFETY: group and tensor are live.
        check(unsafe { infomax_group_broadcast(self.0, tensor.as_ptr().cast(), root as c_int) })
    }
}

impl Drop for RawGroup {
    fn drop(&mut self) {
        // SAFETY: made by `infomax_group_join`, freed once.
        unsafe { infomax_group_free(self.0) };
    }
}

/// A reducer of gradients; holds its own reference to the group.
pub struct RawReducer(*mut c_void);

// SAFETY: used by the training thread alone, or moved as a whole.
unsafe impl Send for RawReducer {}

impl RawReducer {
    /// `varies`: whether a step may leave parameters out.
    pub fn new(group: &RawGroup, parameters: &[Tensor], bucket_bytes: i64, varies: bool) -> NativeResult<Self> {
        let list = pointers(parameters);
        let mut reducer = null_mut();
        // SAFETY: the list holds `len` live tensors; the out-parameter outlives the call.
        check(unsafe {
            infomax_reducer_new(group.0, list.as_ptr(), list.len(), bucket_bytes, c_int::from(varies), &mut reducer)
        })?;
        Ok(Self(reducer))
    }

    pub fn prepare(&self, outputs: &[Tensor]) -> NativeResult<()> {
        let list = pointers(outputs);
        // SAFETY: the reducer and the `len` tensors are live.
        check(unsafe { infomax_reducer_prepare(self.0, list.as_ptr(), list.len()) })
    }
}

impl Drop for RawReducer {
    fn drop(&mut self) {
        // SAFETY: made by `infomax_reducer_new`, freed once.
        unsafe { infomax_reducer_free(self.0) };
    }
}

/// Which of some parameters a backward pass from these outputs reaches.
///
/// # Errors
/// libtorch's message.
pub fn reached(outputs: &[Tensor], parameters: &[Tensor]) -> NativeResult<Vec<bool>> {
    let (outputs, list) = (pointers(outputs), pointers(parameters));
    let mut flags = vec![0u8; list.len()];
    // SAFETY: both lists hold as many live tensors as is said, and there is a flag for each parameter.
    check(unsafe { infomax_reached(outputs.as_ptr(), outputs.len(), list.as_ptr(), list.len(), flags.as_mut_ptr()) })?;
    Ok(flags.into_iter().map(|flag| flag != 0).collect())
}

/// Sets which samples share BatchNorm statistics in this thread's calls.
///
/// # Safety
/// A group must live until the policy is set to none again, and until no graph made meanwhile runs backward any more.
pub unsafe fn set_batch_norm_policy(parts: i64, group: Option<&RawGroup>) {
    // SAFETY: the caller's promise.
    unsafe { infomax_batch_norm_policy(parts, group.map_or(null_mut(), |group| group.0)) };
}
