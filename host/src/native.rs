//! The C++ shim's functions, made safe: what tch 0.24 lacks.

pub mod download;
pub mod graphs;
pub mod memory;
pub mod precision;
pub mod processor;
pub mod products;
pub mod upload;
pub mod watch;
pub mod work;

use precision::AutocastState;
use std::ffi::{CStr, c_char, c_int};
use tch::Tensor;

pub(crate) type Pointer = *const std::ffi::c_void;

unsafe extern "C" {
    fn infomax_free(message: *mut c_char);
    fn infomax_torch_version() -> *const c_char;
    fn infomax_has_nccl() -> c_int;
    fn infomax_version(tensor: Pointer) -> i64;
    fn infomax_warn_to(tell: extern "C" fn(*const c_char));
    fn infomax_backward(tensors: *const Pointer, gradients: *const Pointer, count: usize) -> *mut c_char;
    fn infomax_adam(
        parameters: *const Pointer,
        gradients: *const Pointer,
        means: *const Pointer,
        squares: *const Pointer,
        steps: *const Pointer,
        count: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        decoupled: c_int,
        withheld: Pointer,
    ) -> *mut c_char;
    fn infomax_sgd(
        parameters: *const Pointer,
        gradients: *const Pointer,
        momenta: *const Pointer,
        count: usize,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        nesterov: c_int,
        withheld: Pointer,
    ) -> *mut c_char;
    fn infomax_lars(
        parameters: *const Pointer,
        gradients: *const Pointer,
        momenta: *const Pointer,
        count: usize,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        trust: f64,
        clip: c_int,
        withheld: Pointer,
    ) -> *mut c_char;
    fn infomax_average(
        slow: *const Pointer,
        fast: *const Pointer,
        count: usize,
        keep: f64,
        withheld: Pointer,
    ) -> *mut c_char;
    fn infomax_copy(to: *const Pointer, from: *const Pointer, count: usize) -> *mut c_char;
    fn infomax_restore(tensors: *const Pointer, before: *const Pointer, count: usize, withheld: Pointer)
    -> *mut c_char;
    fn infomax_clear_gradients(tensors: *const Pointer, count: usize) -> *mut c_char;
    fn infomax_set_gradient(tensor: Pointer, gradient: Pointer) -> *mut c_char;
    fn infomax_norm(tensors: *const Pointer, count: usize, norm: *mut Pointer) -> *mut c_char;
    fn infomax_grad_mode() -> c_int;
    fn infomax_set_grad_mode(enabled: c_int);
    fn infomax_threads() -> c_int;
    fn infomax_set_threads(count: c_int);
}

/// A message of libtorch, the first line that says something: a C++ backtrace may follow.
pub type NativeResult<T> = Result<T, String>;

pub(crate) fn pointers(tensors: &[Tensor]) -> Vec<Pointer> {
    tensors.iter().map(|tensor| tensor.as_ptr().cast()).collect()
}

pub(crate) fn check(message: *mut c_char) -> NativeResult<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns null or a NUL-terminated string that `infomax_free` frees.
    let text = unsafe { own(message) };
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("libtorch failed without a word");
    Err(line.trim_end().to_owned())
}

/// A text of the shim's.
///
/// # Safety
/// A NUL-terminated string that `infomax_free` frees, not used again.
pub(crate) unsafe fn own(text: *mut c_char) -> String {
    // SAFETY: the caller's promise.
    let own = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: freed once, not used again.
    unsafe { infomax_free(text) };
    own
}

/// Whether gradients are tracked on this thread.
pub(crate) fn grad_mode() -> bool {
    // SAFETY: reads a value of this thread.
    unsafe { infomax_grad_mode() != 0 }
}

/// Tracks gradients on this thread, or does not.
pub(crate) fn set_grad_mode(enabled: bool) {
    // SAFETY: sets a value of this thread that libtorch allows to change at any time.
    unsafe { infomax_set_grad_mode(c_int::from(enabled)) };
}

/// Backward from several tensors, each with its gradient of the same shape.
///
/// # Errors
/// libtorch's message.
pub fn backward(tensors: &[Tensor], gradients: &[Tensor]) -> NativeResult<()> {
    assert_eq!(tensors.len(), gradients.len());
    let (tensors, gradients) = (pointers(tensors), pointers(gradients));
    // SAFETY: both lists hold `count` live tensors.
    check(unsafe { infomax_backward(tensors.as_ptr(), gradients.as_ptr(), tensors.len()) })
}

/// What Adam is told beside the tensors.
#[derive(Clone, Copy, Debug)]
pub struct AdamSettings {
    pub lr: f64,
    pub betas: [f64; 2],
    pub weight_decay: f64,
    pub eps: f64,
    /// Take the decay off the parameter (AdamW) instead of adding it to the gradient.
    pub decoupled: bool,
}

/// Parameters with their gradients and Adam's state, position by position.
pub struct AdamTensors<'a> {
    pub parameters: &'a [Tensor],
    pub gradients: &'a [Tensor],
    pub means: &'a [Tensor],
    pub squares: &'a [Tensor],
    /// f32 scalars.
    pub steps: &'a [Tensor],
}

/// An f32 scalar on the device that says whether an update is withheld: where it is 1 nothing changes. None: it is made.
pub type Withheld<'a> = Option<&'a Tensor>;

fn optional(tensor: Option<&Tensor>) -> Pointer {
    tensor.map_or(std::ptr::null(), |tensor| tensor.as_ptr().cast())
}

/// One update of Adam, in place.
///
/// # Errors
/// libtorch's message.
pub fn adam(tensors: &AdamTensors<'_>, settings: AdamSettings, withheld: Withheld<'_>) -> NativeResult<()> {
    let count = tensors.parameters.len();
    let lists = [tensors.parameters, tensors.gradients, tensors.means, tensors.squares, tensors.steps].map(pointers);
    assert!(lists.iter().all(|list| list.len() == count));
    let [parameters, gradients, means, squares, steps] = &lists;
    // SAFETY: every list holds `count` live tensors.
    check(unsafe {
        infomax_adam(
            parameters.as_ptr(),
            gradients.as_ptr(),
            means.as_ptr(),
            squares.as_ptr(),
            steps.as_ptr(),
            count,
            settings.lr,
            settings.betas[0],
            settings.betas[1],
            settings.weight_decay,
            settings.eps,
            c_int::from(settings.decoupled),
            optional(withheld),
        )
    })
}

/// What gradient descent with momentum is told beside the tensors.
#[derive(Clone, Copy, Debug)]
pub struct MomentumSettings {
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    pub rule: MomentumRule,
}

/// Which gradient descent with momentum.
#[derive(Clone, Copy, Debug)]
pub enum MomentumRule {
    /// PyTorch's SGD.
    Sgd { nesterov: bool },
    /// With a factor per layer.
    Lars { trust: f64, clip: bool },
}

/// One update of gradient descent with momentum, in place; `momenta` begin at zero.
///
/// # Errors
/// libtorch's message.
pub fn descend(
    parameters: &[Tensor],
    gradients: &[Tensor],
    momenta: &[Tensor],
    settings: MomentumSettings,
    withheld: Withheld<'_>,
) -> NativeResult<()> {
    let count = parameters.len();
    let lists = [parameters, gradients, momenta].map(pointers);
    assert!(lists.iter().all(|list| list.len() == count));
    let [p, g, m] = lists.each_ref().map(Vec::as_ptr);
    let MomentumSettings { lr, momentum, weight_decay, rule } = settings;
    let withheld = optional(withheld);
    // SAFETY: every list holds `count` live tensors.
    check(unsafe {
        match rule {
            MomentumRule::Sgd { nesterov } => {
                infomax_sgd(p, g, m, count, lr, momentum, weight_decay, c_int::from(nesterov), withheld)
            }
            MomentumRule::Lars { trust, clip } => {
                infomax_lars(p, g, m, count, lr, momentum, weight_decay, trust, c_int::from(clip), withheld)
            }
        }
    })
}

/// Moves slow copies towards tensors, in place: keep · slow + (1 − keep) · fast.
///
/// # Errors
/// libtorch's message.
pub fn average(slow: &[Tensor], fast: &[Tensor], keep: f64, withheld: Withheld<'_>) -> NativeResult<()> {
    assert_eq!(slow.len(), fast.len());
    let (slow, fast) = (pointers(slow), pointers(fast));
    // SAFETY: both lists hold `len` live tensors.
    check(unsafe { infomax_average(slow.as_ptr(), fast.as_ptr(), slow.len(), keep, optional(withheld)) })
}

/// Copies tensors into others of the same shapes and kinds.
///
/// # Errors
/// libtorch's message.
pub fn copy(to: &[Tensor], from: &[Tensor]) -> NativeResult<()> {
    assert_eq!(to.len(), from.len());
    let (to, from) = (pointers(to), pointers(from));
    // SAFETY: both lists hold `len` live tensors.
    check(unsafe { infomax_copy(to.as_ptr(), from.as_ptr(), to.len()) })
}

/// Puts back what tensors were where an update is withheld.
///
/// # Errors
/// libtorch's message.
pub fn restore(tensors: &[Tensor], before: &[Tensor], withheld: &Tensor) -> NativeResult<()> {
    assert_eq!(tensors.len(), before.len());
    let (tensors, before) = (pointers(tensors), pointers(before));
    // SAFETY: both lists hold `len` live tensors, and `withheld` is live.
    check(unsafe { infomax_restore(tensors.as_ptr(), before.as_ptr(), tensors.len(), withheld.as_ptr().cast()) })
}

/// Leaves the tensors without a gradient.
///
/// # Errors
/// libtorch's message.
pub fn clear_gradients(tensors: &[Tensor]) -> NativeResult<()> {
    let list = pointers(tensors);
    // SAFETY: the list holds `len` live tensors.
    check(unsafe { infomax_clear_gradients(list.as_ptr(), list.len()) })
}

/// Puts a gradient in place, as if a backward pass had left it.
///
/// # Errors
/// libtorch's message.
pub fn set_gradient(tensor: &Tensor, gradient: &Tensor) -> NativeResult<()> {
    // SAFETY: both tensors are live.
    check(unsafe { infomax_set_gradient(tensor.as_ptr().cast(), gradient.as_ptr().cast()) })
}

/// The 2-norm of some tensors together, at least one: an f64 scalar where they lie.
///
/// # Errors
/// libtorch's message.
pub fn norm(tensors: &[Tensor]) -> NativeResult<Tensor> {
    let list = pointers(tensors);
    let mut norm: Pointer = std::ptr::null();
    // SAFETY: the list holds `len` live tensors; `norm` outlives the call.
    check(unsafe { infomax_norm(list.as_ptr(), list.len(), &mut norm) })?;
    // SAFETY: the shim has made a tensor for the caller, taken over once.
    Ok(unsafe { Tensor::from_ptr(norm.cast_mut().cast()) })
}

/// How often each tensor has been changed in place: what a component borrows is to have the same number afterwards.
pub fn versions<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<i64> {
    // SAFETY: the tensor is live; the call reads a counter.
    tensors.into_iter().map(|tensor| unsafe { infomax_version(tensor.as_ptr().cast()) }).collect()
}

/// The version that the loaded libtorch gives for itself.
pub fn torch_version() -> &'static str {
    // SAFETY: the shim returns a NUL-terminated string that lives as long as the program.
    unsafe { CStr::from_ptr(infomax_torch_version()) }.to_str().unwrap_or_default()
}

/// Whether NCCL's process group is found in the libtorch_cuda.so that is open.
pub fn has_nccl() -> bool {
    // SAFETY: looks a symbol up.
    unsafe { infomax_has_nccl() != 0 }
}

/// Sends libtorch's warnings of this thread to the log, where a user who looks for them finds them.
pub fn log_warnings() {
    extern "C" fn tell(message: *const c_char) {
        // SAFETY: the shim passes a NUL-terminated string that lives during the call.
        let text = unsafe { CStr::from_ptr(message) }.to_string_lossy();
        log::info!("libtorch: {}", text.lines().next().unwrap_or_default());
    }
    // SAFETY: the function lives as long as the program and does not unwind: formatting text can't panic.
    unsafe { infomax_warn_to(tell) };
}

/// State of libtorch that the host and its plugins share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedState {
    grad_mode: bool,
    threads: i32,
    autocast: AutocastState,
}

impl SharedState {
    /// The state now.
    pub fn now() -> Self {
        // SAFETY: reads a value of this process.
        let threads = unsafe { infomax_threads() };
        Self { grad_mode: grad_mode(), threads, autocast: AutocastState::now() }
    }

    /// Whether gradients are tracked.
    pub fn grad_mode(self) -> bool {
        self.grad_mode
    }

    /// Puts the state back; says what had changed.
    pub fn restore(self) -> Vec<&'static str> {
        let now = Self::now();
        if now == self {
            return Vec::new();
        }
        set_grad_mode(self.grad_mode);
        // SAFETY: sets a value of this process that libtorch allows to change at any time.
        unsafe { infomax_set_threads(self.threads) };
        self.autocast.set();
        let changed = [
            ("gradient tracking", now.grad_mode != self.grad_mode),
            ("autocast", now.autocast != self.autocast),
            ("the number of threads", now.threads != self.threads),
        ];
        changed.into_iter().filter(|(_, is_other)| *is_other).map(|(what, _)| what).collect()
    }
}

/// Sets the number of threads inside one operation.
pub fn set_threads(count: usize) {
    // SAFETY: libtorch allows this at any time; the count is positive.
    unsafe { infomax_set_threads(count.max(1) as c_int) };
}
