//! Calling an operator: looked up once, then by its handle.

use super::{
    Argument, Tensor, Value,
    failure::{fail, fail_on},
    host::table,
};
use infomax_abi::{
    FfiValue, TensorPtr,
    operators::{self as abi, Operator as Handle},
};
use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

/// An operator's results.
#[derive(Debug)]
pub struct Outputs(Vec<Output>);

/// One result of an operator.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Nothing, or something that has no place here.
    None,
    /// A tensor, which may be undefined.
    Tensor(Tensor),
    /// A list of tensors.
    Tensors(Vec<Tensor>),
    /// A whole number, or a truth value: 0 or 1.
    Int(i64),
    /// A number.
    Double(f64),
}

/// Room for the results of any operator of libtorch 2.
const MOST_RESULTS: usize = 16;

const EMPTY: FfiValue = FfiValue { tag: abi::VALUE_NONE, count: 0, bits: 0 };

/// An operator of libtorch, looked up on first use.
pub(crate) struct Operator {
    name: &'static str,
    overload: &'static str,
    resolved: OnceLock<Resolved>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Resolved {
    pub(super) handle: Handle,
    results: u32,
}

// SAFETY: what the handle points to never changes and lives as long as the process.
unsafe impl Send for Resolved {}
// SAFETY: as above.
unsafe impl Sync for Resolved {}

impl Operator {
    pub const fn new(name: &'static str, overload: &'static str) -> Self {
        Self { name, overload, resolved: OnceLock::new() }
    }

    #[track_caller]
    fn resolved(&self) -> Resolved {
        match self.resolved.get() {
            Some(&resolved) => resolved,
            None => {
                let resolved = resolve(self.name, self.overload);
                *self.resolved.get_or_init(|| resolved)
            }
        }
    }

    /// The one tensor that it gives.
    #[track_caller]
    pub fn one(&self, values: &[Value<'_>]) -> Tensor {
        let mut result = EMPTY;
        run(self.name, self.resolved(), values, std::slice::from_mut(&mut result));
        tensor(self.name, result)
    }

    /// The tensors that it gives.
    #[track_caller]
    pub fn several<const N: usize>(&self, values: &[Value<'_>]) -> [Tensor; N] {
        let mut results = [EMPTY; N];
        run(self.name, self.resolved(), values, &mut results);
        results.map(|result| tensor(self.name, result))
    }

    /// The list of tensors that it gives.
    #[track_caller]
    pub fn list(&self, values: &[Value<'_>]) -> Vec<Tensor> {
        let mut result = EMPTY;
        run(self.name, self.resolved(), values, std::slice::from_mut(&mut result));
        match output(result) {
            Output::Tensors(tensors) => tensors,
            _ => fail(short(self.name), "it gives no list of tensors"),
        }
    }
}

/// Calls any operator by its name, `aten::name` or `aten::name.overload`, with the arguments of its schema in order; those left
/// out at the end, and [`Value::DEFAULT`], are its defaults.
#[track_caller]
pub fn call(name: &str, arguments: &[&dyn Argument]) -> Outputs {
    static KNOWN: Mutex<Option<HashMap<String, Resolved>>> = Mutex::new(None);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known().get_or_insert_default().get(name).copied();
    let (base, overload) = name.split_once('.').unwrap_or((name, ""));
    let resolved = found.unwrap_or_else(|| {
        let resolved = resolve(base, overload);
        known().get_or_insert_default().insert(name.to_owned(), resolved);
        resolved
    });
    let values: Vec<Value<'_>> = arguments.iter().map(|argument| argument.value()).collect();
    outputs(base, resolved, &values)
}

/// Runs an operator for all its results.
#[track_caller]
pub(super) fn outputs(name: &str, operator: Resolved, values: &[Value<'_>]) -> Outputs {
    let mut results = [EMPTY; MOST_RESULTS];
    run(name, operator, values, &mut results);
    Outputs(results.into_iter().take(operator.results as usize).map(output).collect())
}

impl Outputs {
    /// The only result, a tensor.
    #[track_caller]
    pub fn tensor(self) -> Tensor {
        match self.0.into_iter().next() {
            Some(Output::Tensor(tensor)) => tensor,
            other => fail("tensor", &format!("the first result is {other:?}, not a tensor")),
        }
    }

    /// All results, in order.
    pub fn all(self) -> Vec<Output> {
        self.0
    }

    /// All results that are tensors, also those in lists.
    pub fn tensors(self) -> Vec<Tensor> {
        let of = |output| match output {
            Output::Tensor(tensor) => vec![tensor],
            Output::Tensors(tensors) => tensors,
            Output::None | Output::Int(_) | Output::Double(_) => Vec::new(),
        };
        self.0.into_iter().flat_map(of).collect()
    }

    /// The only result, a number.
    #[track_caller]
    pub fn number(self) -> f64 {
        match self.0.into_iter().next() {
            Some(Output::Int(number)) => number as f64,
            Some(Output::Double(number)) => number,
            other => fail("number", &format!("the first result is {other:?}, not a number")),
        }
    }
}

#[track_caller]
pub(super) fn resolve(name: &str, overload: &str) -> Resolved {
    let mut results = 0;
    let handle = table().resolve()(name.into(), overload.into(), &mut results);
    if handle.is_null() {
        fail(short(name), &table().last_error()());
    }
    if results as usize > MOST_RESULTS {
        fail(short(name), &format!("it gives {results} results, more than this SDK takes"));
    }
    Resolved { handle, results }
}

#[inline]
#[track_caller]
fn run(name: &str, operator: Resolved, values: &[Value<'_>], results: &mut [FfiValue]) {
    // A value is its form at the boundary, by `repr(transparent)`.
    let pointer: *const FfiValue = values.as_ptr().cast();
    let status = table().call()(operator.handle, pointer, values.len(), results.as_mut_ptr(), results.len());
    if status != 0 {
        failed(name, values);
    }
}

#[cold]
#[track_caller]
fn failed(name: &str, values: &[Value<'_>]) -> ! {
    let message = table().last_error()();
    let shapes: Vec<String> = values.iter().filter_map(|value| shape(&value.ffi)).collect();
    fail_on(short(name), &shapes.join(" and "), &message)
}

/// The shape of a tensor, or of several.
fn shape(value: &FfiValue) -> Option<String> {
    let of = |handle: TensorPtr| {
        if handle.is_null() {
            return "none".to_owned();
        }
        // SAFETY: the handle is lent by the caller of the operator; it is not freed here.
        let tensor = std::mem::ManuallyDrop::new(unsafe { Tensor::from_handle(handle) });
        format!("{:?}", tensor.size())
    };
    match value.tag {
        abi::VALUE_TENSOR => Some(of(value.bits as TensorPtr)),
        abi::VALUE_TENSORS => {
            // SAFETY: the value is a list of so many handles, alive for the call.
            let list = unsafe { handles(value) };
            Some(format!("({})", list.iter().map(|&handle| of(handle)).collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    }
}

/// # Safety
/// The value is a live list of handles.
unsafe fn handles(value: &FfiValue) -> &[TensorPtr] {
    if value.count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(value.bits as *const TensorPtr, value.count as usize) }
}

/// `aten::sum` is `sum` to an author.
fn short(name: &str) -> &str {
    name.strip_prefix("aten::").unwrap_or(name)
}

#[track_caller]
fn tensor(name: &str, result: FfiValue) -> Tensor {
    match output(result) {
        Output::Tensor(tensor) => tensor,
        other => fail(short(name), &format!("it gives {other:?} where a tensor was expected")),
    }
}

/// Takes a result over.
fn output(result: FfiValue) -> Output {
    match result.tag {
        // SAFETY: a result's handle is the caller's.
        abi::VALUE_TENSOR => Output::Tensor(unsafe { Tensor::from_handle(result.bits as TensorPtr) }),
        abi::VALUE_TENSORS => {
            // SAFETY: the host gave a list of so many handles; each becomes the caller's.
            let tensors = unsafe { handles(&result).iter().map(|&handle| Tensor::from_handle(handle)).collect() };
            table().free_list()(result);
            Output::Tensors(tensors)
        }
        abi::VALUE_INTS => {
            table().free_list()(result);
            Output::None
        }
        abi::VALUE_INT | abi::VALUE_BOOL => Output::Int(result.bits as i64),
        abi::VALUE_DOUBLE => Output::Double(f64::from_bits(result.bits)),
        _ => Output::None,
    }
}
