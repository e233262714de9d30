//! What plugins draw on a GPU by a key of the step, so that a CUDA graph of one step can be given the numbers of another: noted
//! while a step is watched, given out of memory that stays while it is captured, and drawn anew before each replay.

use super::operators::{call_now, free_generator, handle, new_generator, taken};
use crate::native::{NativeResult, watch::mark};
use infomax_abi::{
    FfiValue,
    operators::{
        DEVICE_CUDA, Generator, Operator, VALUE_BOOL, VALUE_DEFAULT, VALUE_DEVICE, VALUE_DOUBLE, VALUE_GENERATOR,
        VALUE_INT, VALUE_INTS, VALUE_KIND, VALUE_NONE, VALUE_TENSOR,
    },
};
use infomax_sdk::Key;
use std::cell::{Cell, RefCell};
use tch::Tensor;

/// Marks of a watched step, before and after what a draw asks of libtorch.
pub const DRAW: &str = "@draw";
/// See [`DRAW`].
pub const DRAWN: &str = "@drawn";

/// One draw of a step.
#[derive(Debug)]
pub struct Draw {
    operator: Operator,
    values: Vec<Given>,
    /// The numbers that lead from the step's key to the draw's.
    numbers: Vec<u64>,
    device: u64,
    /// Where its numbers lie.
    pub tensor: Tensor,
}

// SAFETY: an operator that was looked up never changes and lives as long as the process.
unsafe impl Send for Draw {}

/// An argument of a draw.
#[derive(Clone, Debug, PartialEq)]
enum Given {
    Plain { tag: u32, count: u32, bits: u64 },
    Ints(Vec<i64>),
    Generator,
}

/// Where a generator's seed comes from.
struct Origin {
    generator: Generator,
    numbers: Option<Vec<u64>>,
    device: u64,
}

enum Doing {
    Nothing,
    Noting { root: Key, draws: Vec<Draw> },
    Giving { draws: Vec<Draw>, next: usize },
}

struct Now {
    doing: Doing,
    generators: Vec<Origin>,
    /// What can't be drawn for another step.
    fault: Option<String>,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static NOW: RefCell<Now> =
        const { RefCell::new(Now { doing: Doing::Nothing, generators: Vec::new(), fault: None }) };
}

/// Runs a step of this thread and notes what it draws by keys that come from `root`.
///
/// # Errors
/// Beside what the work gives: what it draws in a way that can't be repeated for another step.
pub fn noting<T>(root: Key, work: impl FnOnce() -> T) -> (T, Result<Vec<Draw>, String>) {
    let (given, doing, fault) = during(Doing::Noting { root, draws: Vec::new() }, work);
    let Doing::Noting { draws, .. } = doing else { return (given, Ok(Vec::new())) };
    (given, fault.map_or(Ok(draws), Err))
}

/// Runs a step of this thread that draws as a noted one did, and gives it those tensors.
///
/// # Errors
/// Beside what the work gives: that it draws otherwise.
pub fn giving<T>(draws: Vec<Draw>, work: impl FnOnce() -> T) -> (T, Result<Vec<Draw>, String>) {
    let (given, doing, fault) = during(Doing::Giving { draws, next: 0 }, work);
    let Doing::Giving { draws, next } = doing else { return (given, Ok(Vec::new())) };
    let fault = fault.or_else(|| (next < draws.len()).then(|| "it draws less often than the step before".to_owned()));
    (given, fault.map_or(Ok(draws), Err))
}

fn during<T>(doing: Doing, work: impl FnOnce() -> T) -> (T, Doing, Option<String>) {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            ON.set(false);
            NOW.with_borrow_mut(|now| *now = Now { doing: Doing::Nothing, generators: Vec::new(), fault: None });
        }
    }
    let _off = Off;
    NOW.with_borrow_mut(|now| now.doing = doing);
    ON.set(true);
    let given = work();
    let (doing, fault) =
        NOW.with_borrow_mut(|now| (std::mem::replace(&mut now.doing, Doing::Nothing), now.fault.take()));
    (given, doing, fault)
}

impl Draw {
    /// Draws for the step of another key.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn again(&self, root: Key) -> NativeResult<Tensor> {
        let generator = new_generator(derived(root, &self.numbers).torch_seed() as u64, self.device)?;
        let value = |given: &Given| match given {
            Given::Plain { tag, count, bits } => FfiValue { tag: *tag, count: *count, bits: *bits },
            Given::Ints(list) => FfiValue { tag: VALUE_INTS, count: list.len() as u32, bits: list.as_ptr() as u64 },
            Given::Generator => FfiValue { tag: VALUE_GENERATOR, count: 0, bits: generator as u64 },
        };
        let values: Vec<FfiValue> = self.values.iter().map(value).collect();
        let mut result = [FfiValue { tag: VALUE_NONE, count: 0, bits: 0 }];
        // SAFETY: the operator was called before; lists and generator live for the call.
        let called = unsafe { call_now(self.operator, &values, &mut result) };
        // SAFETY: made above, used no more.
        unsafe { free_generator(generator) };
        called?;
        // SAFETY: the operator's result, taken once.
        unsafe { taken(result[0].bits as *mut ()) }.ok_or_else(|| "a draw gave no tensor".to_owned())
    }

    /// What is drawn and by which key of the step, for comparison.
    pub fn described(&self) -> String {
        format!("a draw by {:?}: {:?} of {:?}", self.numbers, self.operator, self.values)
    }
}

/// The key that some numbers lead to.
pub fn derived(root: Key, numbers: &[u64]) -> Key {
    numbers.iter().fold(root, |key, number| key.fold(*number))
}

/// Whether draws of this thread are looked at.
pub(super) fn is_on() -> bool {
    ON.get()
}

/// A plugin got a generator.
pub(super) fn made(generator: Generator, key: Option<(Key, &[u64])>, device: u64) {
    if !is_on() || device >> 32 != u64::from(DEVICE_CUDA) {
        return;
    }
    NOW.with_borrow_mut(|now| {
        let known = match (&now.doing, key) {
            (Doing::Noting { root, .. }, Some((from, _))) => *root == from,
            (_, key) => key.is_some(),
        };
        if !known {
            let message = "it draws random numbers by a key that does not come from the step's: a library that was \
                           built with an older SDK does not tell where its keys come from";
            now.fault.get_or_insert(message.to_owned());
        }
        let numbers = key.filter(|_| known).map(|(_, numbers)| numbers.to_vec());
        now.generators.push(Origin { generator, numbers, device });
    });
}

/// A plugin has freed a generator.
pub(super) fn dropped(generator: Generator) {
    if is_on() {
        NOW.with_borrow_mut(|now| now.generators.retain(|origin| origin.generator != generator));
    }
}

/// A call of an operator while draws are looked at; none where it is no draw of a known key on a GPU.
pub(super) fn called(operator: Operator, values: &[FfiValue], results: &mut [FfiValue]) -> Option<NativeResult<()>> {
    let generator = values.iter().find(|value| value.tag == VALUE_GENERATOR)?.bits as Generator;
    NOW.with_borrow_mut(|now| {
        let origin = now.generators.iter().find(|origin| origin.generator == generator)?;
        let (numbers, device) = (origin.numbers.clone()?, origin.device);
        let Some(own) = values.iter().map(given).collect::<Option<Vec<_>>>() else {
            now.fault.get_or_insert("it draws into a tensor of its own".to_owned());
            return None;
        };
        match &mut now.doing {
            Doing::Nothing => None,
            Doing::Noting { draws, .. } => {
                mark(DRAW);
                // SAFETY: the plugin's own call, with its live values.
                let called = unsafe { call_now(operator, values, results) };
                mark(DRAWN);
                if let Err(message) = called {
                    return Some(Err(message));
                }
                let tensor = results.first().filter(|result| result.tag == VALUE_TENSOR);
                // SAFETY: a live tensor of the plugin's.
                let tensor = tensor.and_then(|result| unsafe { crate::tensor::borrow(result.bits as *mut ()) });
                match tensor {
                    Some(tensor) => draws.push(Draw { operator, values: own, numbers, device, tensor }),
                    None => {
                        now.fault.get_or_insert("it draws something other than a tensor".to_owned());
                    }
                }
                Some(Ok(()))
            }
            Doing::Giving { draws, next } => {
                let Some(draw) = draws
                    .get(*next)
                    .filter(|draw| (draw.operator, &draw.values, &draw.numbers) == (operator, &own, &numbers))
                else {
                    let message = "it draws otherwise than in the step before".to_owned();
                    now.fault.get_or_insert(message.clone());
                    return Some(Err(message));
                };
                *next += 1;
                mark(DRAW);
                mark(DRAWN);
                results[0] = FfiValue { tag: VALUE_TENSOR, count: 0, bits: handle(&draw.tensor) as u64 };
                Some(Ok(()))
            }
        }
    })
}

fn given(value: &FfiValue) -> Option<Given> {
    match value.tag {
        VALUE_DEFAULT | VALUE_NONE | VALUE_INT | VALUE_DOUBLE | VALUE_BOOL | VALUE_KIND | VALUE_DEVICE => {
            Some(Given::Plain { tag: value.tag, count: value.count, bits: value.bits })
        }
        VALUE_INTS if value.count == 0 => Some(Given::Ints(Vec::new())),
        VALUE_INTS => {
            // SAFETY: the plugin's list of so many numbers, alive for the call.
            let list = unsafe { std::slice::from_raw_parts(value.bits as *const i64, value.count as usize) };
            Some(Given::Ints(list.to_vec()))
        }
        VALUE_GENERATOR => Some(Given::Generator),
        _ => None,
    }
}
