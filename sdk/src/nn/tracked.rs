//! The counters of normalisations, raised together at the end of a call: on a GPU one operator instead of one each.

use crate::{
    Tensor,
    tensor::{Argument, Operator, Tensors},
};
use infomax_abi::TensorPtr;
use std::cell::RefCell;

thread_local! {
    /// The counters of the call under way.
    static PENDING: RefCell<Option<Vec<Pending>>> = const { RefCell::new(None) };
}

struct Pending {
    /// Whose it is.
    handle: TensorPtr,
    counter: Tensor,
    /// By how much it rises.
    by: i64,
}

/// Raises a counter by one, at the end of the call under way where there is one.
#[track_caller]
pub(super) fn count(counter: &Tensor) {
    let was_kept = PENDING.with_borrow_mut(|pending| {
        let Some(pending) = pending else { return false };
        match pending.iter_mut().find(|pending| pending.handle == counter.handle()) {
            Some(pending) => pending.by += 1,
            None => pending.push(Pending { handle: counter.handle(), counter: counter.clone(), by: 1 }),
        }
        true
    });
    if !was_kept {
        let _ = counter.add_(1);
    }
}

/// Runs a call, and raises the counters of what normalised in it.
pub(crate) fn raised_after<T>(call: impl FnOnce() -> T) -> T {
    /// Leaves nothing behind where the call unwinds.
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            PENDING.set(None);
        }
    }
    let forget = Forget;
    PENDING.set(Some(Vec::new()));
    let result = call();
    let mut rest = PENDING.take().unwrap_or_default();
    drop(forget);
    while let Some(&Pending { by, .. }) = rest.first() {
        let (same, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|pending| pending.by == by);
        raise(&same.into_iter().map(|pending| pending.counter).collect::<Vec<_>>(), by);
        rest = others;
    }
    result
}

fn raise(counters: &[Tensor], by: i64) {
    static OPERATOR: Operator = Operator::new("aten::_foreach_add_", "Scalar");
    let [] = OPERATOR.several(&[Tensors::lend(counters).value(), by.value()]);
}
