//! Parquet: texts, 64-bit integers and doubles, compressed by Snappy. A group of rows is held in memory at a time.

use super::cells::{Cell, Column, Kind, Sink};
use crate::error::{Error, Result};
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use std::{io::Write, path::Path, sync::Arc};

/// Rows of a group, where there are few columns.
const ROWS: usize = 1 << 16;
/// Values of a group: 64 MiB of doubles.
const VALUES: usize = 1 << 22;

pub struct Parquet<W: Write + Send> {
    /// None once it is closed.
    writer: Option<SerializedFileWriter<W>>,
    columns: Vec<Held>,
    rows: usize,
    most_rows: usize,
}

/// The values of a column in the group that is not written yet.
enum Held {
    Text(Vec<ByteArray>),
    Integer(Vec<i64>),
    Number(Vec<f64>),
    /// Values, and for each row whether it has one (1) or not (0).
    Optional(Vec<f64>, Vec<i16>),
}

impl<W: Write + Send> Parquet<W> {
    pub fn begin(out: W, columns: &[Column]) -> std::result::Result<Self, ParquetError> {
        let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<std::result::Result<_, _>>()?;
        let schema = Type::group_type_builder("metrics").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("infomax {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        let held = |column: &Column| match column.kind {
            Kind::Text => Held::Text(Vec::new()),
            Kind::Integer => Held::Integer(Vec::new()),
            Kind::Number => Held::Number(Vec::new()),
            Kind::Optional => Held::Optional(Vec::new(), Vec::new()),
        };
        let most_rows = (VALUES / columns.len().max(1)).clamp(1, ROWS);
        Ok(Self { writer: Some(writer), columns: columns.iter().map(held).collect(), rows: 0, most_rows })
    }

    fn write_group(&mut self) -> std::result::Result<(), ParquetError> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.rows > 0) else { return Ok(()) };
        let mut group = writer.next_row_group()?;
        for held in &mut self.columns {
            let mut column =
                group.next_column()?.ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
            match held {
                Held::Text(values) => {
                    column.typed::<ByteArrayType>().write_batch(values, None, None)?;
                    values.clear();
                }
                Held::Integer(values) => {
                    column.typed::<Int64Type>().write_batch(values, None, None)?;
                    values.clear();
                }
                Held::Number(values) => {
                    column.typed::<DoubleType>().write_batch(values, None, None)?;
                    values.clear();
                }
                Held::Optional(values, levels) => {
                    column.typed::<DoubleType>().write_batch(values, Some(levels), None)?;
                    values.clear();
                    levels.clear();
                }
            }
            column.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl<W: Write + Send> Sink for Parquet<W> {
    fn row(&mut self, cells: &[Cell<'_>], path: &Path) -> Result<()> {
        for (held, cell) in self.columns.iter_mut().zip(cells) {
            match (held, cell) {
                (Held::Text(values), Cell::Text(text)) => values.push(ByteArray::from(*text)),
                (Held::Integer(values), Cell::Integer(number)) => values.push(number.cast_signed()),
                (Held::Number(values), Cell::Number(number)) => values.push(*number),
                (Held::Optional(values, levels), Cell::Number(number)) => {
                    values.push(*number);
                    levels.push(1);
                }
                (Held::Optional(_, levels), Cell::Absent) => levels.push(0),
                _ => return Err(Error::Bug { what: "a cell of another kind than its column".to_owned() }),
            }
        }
        self.rows += 1;
        if self.rows < self.most_rows {
            return Ok(());
        }
        self.write_group().map_err(|error| told(error, path))
    }

    fn end(&mut self, path: &Path) -> Result<()> {
        self.write_group().map_err(|error| told(error, path))?;
        let closed = self.writer.take().map_or(Ok(()), |writer| writer.close().map(drop));
        closed.map_err(|error| told(error, path))
    }
}

fn field(column: &Column) -> std::result::Result<Type, ParquetError> {
    let (physical, repetition, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Repetition::REQUIRED, Some(LogicalType::String)),
        Kind::Integer => (Physical::INT64, Repetition::REQUIRED, None),
        Kind::Number => (Physical::DOUBLE, Repetition::REQUIRED, None),
        Kind::Optional => (Physical::DOUBLE, Repetition::OPTIONAL, None),
    };
    let builder = Type::primitive_type_builder(&column.name, physical);
    builder.with_repetition(repetition).with_logical_type(logical).build()
}

/// An error as it is told: the system's, such as a full disk, as that.
pub fn told(error: ParquetError, path: &Path) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::io("write", path)(*source),
            Err(source) => Error::Bug { what: format!("can't write `{}`: {source}", path.display()) },
        },
        other => Error::Bug { what: format!("can't write `{}`: {other}", path.display()) },
    }
}
