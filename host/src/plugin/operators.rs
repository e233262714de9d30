//! The operator table that plugins compute with: libtorch's dispatcher behind the interface of `infomax_abi::operators`.

use super::draws;
use crate::{
    config::nearest,
    native,
    tensor::{borrow, lend},
};
use infomax_abi::{
    Extension, FfiTensorFacts, FfiValue, OperatorTable, OperatorTableRef, TensorPtr,
    abi_stable::{
        prefix_type::PrefixTypeTrait,
        std_types::{RStr, RString},
    },
    operators::{Generator, Operator, as_extension},
};
use infomax_sdk::Key;
use std::{
    cell::RefCell,
    ffi::{CString, c_char},
    ptr,
    sync::OnceLock,
};

unsafe extern "C" {
    fn infomax_operator(name: *const c_char, overload: *const c_char, results: *mut u32) -> Operator;
    fn infomax_operator_names() -> *mut c_char;
    fn infomax_operator_signature(operator: Operator) -> *mut c_char;
    fn infomax_operator_call(
        operator: Operator,
        values: *const FfiValue,
        count: usize,
        results: *mut FfiValue,
        room: usize,
    ) -> *mut c_char;
    fn infomax_free_list(value: *const FfiValue);
    fn infomax_handle_clone(tensor: TensorPtr) -> TensorPtr;
    fn infomax_handle_drop(tensor: TensorPtr);
    fn infomax_tensor_facts(tensor: TensorPtr) -> FfiTensorFacts;
    fn infomax_tensor_sizes(tensor: TensorPtr, sizes: *mut i64, room: usize) -> usize;
    fn infomax_tensor_from_bytes(
        kind: u32,
        sizes: *const i64,
        rank: usize,
        bytes: *const u8,
        length: usize,
        device: u64,
        made: *mut TensorPtr,
    ) -> *mut c_char;
    fn infomax_tensor_to_bytes(tensor: TensorPtr, kind: u32, bytes: *mut u8, length: usize) -> *mut c_char;
    fn infomax_tensor_parameter(tensor: TensorPtr, made: *mut TensorPtr) -> *mut c_char;
    fn infomax_plugin_autocast(device_type: u32, enabled: u32) -> u32;
    fn infomax_gradients(
        tensors: *const TensorPtr,
        weights: *const TensorPtr,
        count: usize,
        others: *const TensorPtr,
        other_count: usize,
        keep_graph: u32,
        differentiable: u32,
        gradients: *mut TensorPtr,
    ) -> *mut c_char;
    fn infomax_generator(seed: u64, device: u64, made: *mut Generator) -> *mut c_char;
    fn infomax_generator_drop(generator: Generator);
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The table, as plugins find it among the host's extensions.
pub fn table() -> Extension {
    static TABLE: OnceLock<Shared> = OnceLock::new();
    let make = || {
        Shared(
            OperatorTable {
                resolve,
                call,
                last_error,
                free_list,
                clone_handle,
                drop_handle,
                facts,
                sizes,
                from_bytes,
                to_bytes,
                parameter,
                grad_mode,
                autocast,
                gradients,
                generator,
                drop_generator,
                derived_generator,
                signature,
            }
            .leak_into_prefix(),
        )
    };
    as_extension(TABLE.get_or_init(make).0)
}

struct Shared(OperatorTableRef);

/// Keeps a message for `last_error`; 0 where there is none, as the table's functions answer.
fn status(message: *mut c_char) -> u32 {
    native::check(message).map_or_else(
        |said| {
            keep(said);
            1
        },
        |()| 0,
    )
}

fn keep(message: String) {
    LAST_ERROR.with(|last| *last.borrow_mut() = message);
}

extern "C" fn last_error() -> RString {
    LAST_ERROR.with(|last| last.take()).into()
}

extern "C" fn resolve(name: RStr<'_>, overload: RStr<'_>, results: &mut u32) -> Operator {
    let (Ok(name_c), Ok(overload_c)) = (CString::new(name.as_str()), CString::new(overload.as_str())) else {
        keep("an operator's name holds a NUL".to_owned());
        return ptr::null();
    };
    // SAFETY: both are NUL-terminated, the result is written before it is read.
    let operator = unsafe { infomax_operator(name_c.as_ptr(), overload_c.as_ptr(), results) };
    if operator.is_null() {
        keep(unknown(&name, &overload));
    }
    operator
}

extern "C" fn signature(operator: Operator) -> RString {
    // SAFETY: the plugin passes an operator that `resolve` gave; the shim makes the string for this caller.
    unsafe { native::own(infomax_operator_signature(operator)) }.into()
}

/// Says that there is no such operator, and what was most likely meant.
fn unknown(name: &str, overload: &str) -> String {
    // SAFETY: the shim makes the string for this caller.
    let names = unsafe { native::own(infomax_operator_names()) };
    let full = if overload.is_empty() { name.to_owned() } else { format!("{name}.{overload}") };
    let base = |line: &str| line.split_once('.').map_or_else(|| line.to_owned(), |(base, _)| base.to_owned());
    let mut overloads: Vec<&str> = names.lines().filter(|line| base(line) == name).collect();
    overloads.sort_unstable();
    if !overloads.is_empty() {
        return format!("libtorch has no operator `{full}`; its overloads: {}", overloads.join(", "));
    }
    let mut known: Vec<String> = names.lines().filter(|line| !line.contains("::_")).map(base).collect();
    known.sort_unstable();
    known.dedup();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("libtorch has no operator `{full}`; did you mean `{near}`?"),
        None => format!("libtorch has no operator `{full}`"),
    }
}

extern "C" fn call(
    operator: Operator,
    values: *const FfiValue,
    count: usize,
    results: *mut FfiValue,
    room: usize,
) -> u32 {
    if draws::is_on() {
        // SAFETY: the plugin passes so many live values, and room for so many results.
        let (values, results) = unsafe { (slice(values, count), slice_mut(results, room)) };
        if let Some(called) = draws::called(operator, values, results) {
            return called.map_or_else(failed, |()| 0);
        }
    }
    // SAFETY: the plugin passes an operator that `resolve` gave, and live values and results.
    status(unsafe { infomax_operator_call(operator, values, count, results, room) })
}

fn failed(message: String) -> u32 {
    keep(message);
    1
}

/// # Safety
/// So many live elements, for the call.
unsafe fn slice<'a, T>(pointer: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(pointer, count) } }
}

/// # Safety
/// So many live elements, for the call, which nobody else touches.
unsafe fn slice_mut<'a, T>(pointer: *mut T, count: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    if count == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(pointer, count) } }
}

/// Calls an operator that was looked up.
///
/// # Safety
/// An operator that `resolve` gave, and live values.
pub(super) unsafe fn call_now(
    operator: Operator,
    values: &[FfiValue],
    results: &mut [FfiValue],
) -> native::NativeResult<()> {
    // SAFETY: the caller's promise.
    native::check(unsafe {
        infomax_operator_call(operator, values.as_ptr(), values.len(), results.as_mut_ptr(), results.len())
    })
}

/// Another handle to a tensor, for a plugin.
pub(super) fn handle(tensor: &tch::Tensor) -> TensorPtr {
    // SAFETY: the tensor is live.
    unsafe { infomax_handle_clone(lend(tensor)) }
}

/// Takes a tensor that an operator gave.
///
/// # Safety
/// A handle that an operator gave, not used again.
pub(super) unsafe fn taken(handle: TensorPtr) -> Option<tch::Tensor> {
    // SAFETY: the caller's promise.
    let tensor = unsafe { borrow(handle) };
    // SAFETY: freed once, after an own reference was taken.
    unsafe { infomax_handle_drop(handle) };
    tensor
}

/// A generator with a seed, on a device as the interface numbers them.
pub(super) fn new_generator(seed: u64, device: u64) -> native::NativeResult<Generator> {
    let mut made = ptr::null_mut();
    // SAFETY: the result outlives the call.
    native::check(unsafe { infomax_generator(seed, device, &raw mut made) })?;
    Ok(made)
}

/// Frees one.
///
/// # Safety
/// One that `new_generator` gave, once.
pub(super) unsafe fn free_generator(generator: Generator) {
    // SAFETY: the caller's promise.
    unsafe { infomax_generator_drop(generator) }
}

extern "C" fn free_list(value: FfiValue) {
    // SAFETY: the plugin passes a list that `call` gave, once.
    unsafe { infomax_free_list(&raw const value) }
}

extern "C" fn clone_handle(tensor: TensorPtr) -> TensorPtr {
    // SAFETY: the plugin passes a live tensor.
    unsafe { infomax_handle_clone(tensor) }
}

extern "C" fn drop_handle(tensor: TensorPtr) {
    // SAFETY: the plugin passes a handle of its own, once.
    unsafe { infomax_handle_drop(tensor) }
}

extern "C" fn facts(tensor: TensorPtr) -> FfiTensorFacts {
    // SAFETY: the plugin passes a live tensor.
    unsafe { infomax_tensor_facts(tensor) }
}

extern "C" fn sizes(tensor: TensorPtr, sizes: *mut i64, room: usize) -> usize {
    // SAFETY: the plugin passes a live tensor and room for as many numbers as it says.
    unsafe { infomax_tensor_sizes(tensor, sizes, room) }
}

extern "C" fn from_bytes(
    kind: u32,
    sizes: *const i64,
    rank: usize,
    bytes: *const u8,
    length: usize,
    device: u64,
) -> TensorPtr {
    let mut made = ptr::null_mut();
    // SAFETY: the plugin passes lists as long as it says.
    status(unsafe { infomax_tensor_from_bytes(kind, sizes, rank, bytes, length, device, &raw mut made) });
    made
}

extern "C" fn to_bytes(tensor: TensorPtr, kind: u32, bytes: *mut u8, length: usize) -> u32 {
    // SAFETY: the plugin passes a live tensor and as much room as it says.
    status(unsafe { infomax_tensor_to_bytes(tensor, kind, bytes, length) })
}

extern "C" fn parameter(tensor: TensorPtr) -> TensorPtr {
    let mut made = ptr::null_mut();
    // SAFETY: the plugin passes a live tensor.
    status(unsafe { infomax_tensor_parameter(tensor, &raw mut made) });
    made
}

extern "C" fn grad_mode(enabled: u32) -> u32 {
    let before = native::grad_mode();
    if enabled <= 1 {
        native::set_grad_mode(enabled == 1);
    }
    u32::from(before)
}

extern "C" fn autocast(device_type: u32, enabled: u32) -> u32 {
    // SAFETY: a plain function on plain numbers.
    unsafe { infomax_plugin_autocast(device_type, enabled) }
}

extern "C" fn gradients(
    tensors: *const TensorPtr,
    weights: *const TensorPtr,
    count: usize,
    others: *const TensorPtr,
    other_count: usize,
    keep_graph: u32,
    differentiable: u32,
    gradients: *mut TensorPtr,
) -> u32 {
    // SAFETY: the plugin passes lists as long as it says, of live tensors.
    status(unsafe {
        infomax_gradients(tensors, weights, count, others, other_count, keep_graph, differentiable, gradients)
    })
}

extern "C" fn generator(seed: u64, device: u64) -> Generator {
    made(new_generator(seed, device), None, device)
}

extern "C" fn derived_generator(key: *const u64, numbers: *const u64, count: usize, device: u64) -> Generator {
    // SAFETY: the plugin passes both halves of a key, and as many numbers as it says.
    let ([a, b], numbers) = (unsafe { *key.cast::<[u64; 2]>() }, unsafe { slice(numbers, count) });
    let root = Key([a, b]);
    let seed = draws::derived(root, numbers).torch_seed() as u64;
    made(new_generator(seed, device), Some((root, numbers)), device)
}

fn made(made: native::NativeResult<Generator>, key: Option<(Key, &[u64])>, device: u64) -> Generator {
    match made {
        Ok(generator) => {
            draws::made(generator, key, device);
            generator
        }
        Err(message) => {
            keep(message);
            ptr::null_mut()
        }
    }
}

extern "C" fn drop_generator(generator: Generator) {
    draws::dropped(generator);
    // SAFETY: the plugin passes a generator of its own, once.
    unsafe { infomax_generator_drop(generator) }
}
