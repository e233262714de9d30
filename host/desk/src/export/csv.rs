//! CSV after RFC 4180: numbers in full precision, `NaN` where one is not finite, nothing where a row lacks it.

use super::{
    cells::{Cell, Column, Sink},
    flushed,
};
use crate::{
    error::{Error, Result},
    rows::csv_line,
};
use std::{io::Write, path::Path};

pub struct Csv<W> {
    out: W,
    /// The header, until it is written.
    header: Option<Vec<String>>,
}

impl<W: Write> Csv<W> {
    pub fn begin(out: W, columns: &[Column]) -> Self {
        Self { out, header: Some(columns.iter().map(|column| column.name.clone()).collect()) }
    }

    fn line(&mut self, cells: &[String], path: &Path) -> Result<()> {
        self.out.write_all(csv_line(cells).as_bytes()).map_err(Error::io("write", path))
    }

    fn head(&mut self, path: &Path) -> Result<()> {
        self.header.take().map_or(Ok(()), |header| self.line(&header, path))
    }
}

impl<W: Write> Sink for Csv<W> {
    fn row(&mut self, cells: &[Cell<'_>], path: &Path) -> Result<()> {
        self.head(path)?;
        let texts: Vec<String> = cells.iter().map(text).collect();
        self.line(&texts, path)
    }

    fn end(&mut self, path: &Path) -> Result<()> {
        self.head(path)?;
        flushed(&mut self.out, path)
    }
}

fn text(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Text(text) => (*text).to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Number(number) => format!("{number:?}"),
        Cell::Absent => String::new(),
    }
}
