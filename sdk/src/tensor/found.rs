//! Operators whose names are known only when the program runs, as a file may give them.

use super::{
    Outputs, Value, attempt,
    call::{Resolved, outputs, resolve},
    failure::fail,
    host::table,
};
use crate::Result;

/// An operator, looked up once.
#[derive(Debug)]
pub struct FoundOperator {
    name: String,
    resolved: Resolved,
    /// What it takes, in order.
    pub takes: Vec<Slot>,
    /// What it gives, in order.
    pub gives: Vec<Slot>,
}

/// One argument or result of an operator, as libtorch declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name; results have none.
    pub name: String,
    /// Its type in libtorch's words: `Tensor`, `int[]`, `float?`.
    pub kind: String,
    /// The sets of tensors that it shares memory with, a letter each: what a view gives stands in the set of what it takes.
    pub shares: String,
    /// Whether it is written to.
    pub is_written: bool,
}

impl FoundOperator {
    /// Looks an operator up: `aten::name` or `aten::name.overload`.
    ///
    /// # Errors
    /// There is none: what libtorch has that is like it. A host that can't tell what operators take.
    pub fn find(name: &str) -> Result<Self> {
        attempt(|| {
            let (base, overload) = name.split_once('.').unwrap_or((name, ""));
            let resolved = resolve(base, overload);
            let Some(signature) = table().signature() else {
                fail(
                    name,
                    "this host does not tell what operators take: it is older than this plugin's SDK; update infomax",
                )
            };
            let text = signature(resolved.handle);
            let of = |mark: &str| text.lines().filter_map(|line| slot(line.strip_prefix(mark)?)).collect();
            Self { name: base.to_owned(), resolved, takes: of(">\t"), gives: of("<\t") }
        })
    }

    /// Calls it: arguments in order; those left out at the end, and [`Value::DEFAULT`], are its defaults.
    #[track_caller]
    pub fn call(&self, values: &[Value<'_>]) -> Outputs {
        outputs(&self.name, self.resolved, values)
    }
}

fn slot(line: &str) -> Option<Slot> {
    let mut parts = line.split('\t').map(str::to_owned);
    let (name, kind, shares) = (parts.next()?, parts.next()?, parts.next()?);
    let is_written = shares.ends_with('!');
    Some(Slot { name, kind, shares: shares.trim_end_matches('!').to_owned(), is_written })
}
