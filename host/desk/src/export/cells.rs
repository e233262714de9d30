//! What a table is made of, whatever file it becomes.

use crate::error::Result;
use std::path::Path;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    /// A number that every row has; it may be NaN.
    Number,
    /// A number that a row may lack, which is something else than NaN.
    Optional,
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Text(&'a str),
    Integer(u64),
    Number(f64),
    Absent,
}

/// What takes rows.
pub trait Sink {
    /// Takes a row with a cell for each column. `path`: the file, for errors.
    ///
    /// # Errors
    /// The system's.
    fn row(&mut self, cells: &[Cell<'_>], path: &Path) -> Result<()>;

    /// No row follows.
    ///
    /// # Errors
    /// The system's.
    fn end(&mut self, path: &Path) -> Result<()>;
}
