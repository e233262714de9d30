//! The metrics of runs as one table for other tools: CSV or Parquet, a row for each row of metrics or for each value. Rows pass
//! through one after the other, so that runs of any length need little memory.

mod cells;
mod csv;
mod parquet;
mod table;

pub use table::{Shape, Table};

use crate::{
    error::{Error, Fault, Result},
    record::fill_whole,
};
use cells::Sink;
use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

/// The form of a file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    Parquet,
}

impl Form {
    /// The form of a file.
    ///
    /// # Errors
    /// A name that says none.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => {
                let fault = Fault::new(format!("`{}` does not say its form", path.display()));
                Err(Error::config(fault.hint("end its name in `.csv` or `.parquet`")))
            }
        }
    }
}

/// Writes a table to a file, which is there whole or not at all; the number of rows.
///
/// # Errors
/// Damaged metrics, or the system's, with the path.
pub fn write(table: &Table, path: &Path) -> Result<u64> {
    let form = Form::of(path)?;
    fill_whole(path, |file| {
        let file = BufWriter::new(file);
        match form {
            Form::Csv => fill(table, &mut csv::Csv::begin(file, table.columns()), path),
            Form::Parquet => parquet::Parquet::begin(file, table.columns())
                .map_err(|error| parquet::told(error, path))
                .and_then(|mut sink| fill(table, &mut sink, path)),
        }
    })
}

/// Writes a table as CSV to standard output; nobody reading is no error.
///
/// # Errors
/// Damaged metrics, or the system's.
pub fn print(table: &Table) -> Result<()> {
    let out = BufWriter::new(io::stdout().lock());
    match fill(table, &mut csv::Csv::begin(out, table.columns()), Path::new("standard output")) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map(drop),
    }
}

fn fill(table: &Table, sink: &mut impl Sink, path: &Path) -> Result<u64> {
    let mut rows = 0;
    table.each(&mut |cells| {
        rows += 1;
        sink.row(cells, path)
    })?;
    sink.end(path)?;
    Ok(rows)
}

/// Flushes what a sink has written to.
fn flushed(out: &mut impl Write, path: &Path) -> Result<()> {
    out.flush().map_err(Error::io("write", path))
}
