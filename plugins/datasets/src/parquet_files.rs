//! `parquet`: files with a column of encoded images, as Hugging Face's sets come: `image` as a struct of `bytes` and `path` (or
//! plain bytes), `label` as numbers or texts, their names in the file's metadata. Labels are read when the set is opened, an
//! image when it is asked for: the pages before it in its row group are skipped.

use crate::{archive::hex, config, labels::in_order, names, records::state_of, shards};
use bytes::Bytes;
use infomax_sdk::{Dataset, DatasetDescription, DatasetFacts, Error, Image, Result, Sample, Split, UNLABELLED};
use parquet::{
    basic::Type as Physical,
    column::reader::ColumnReader,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        reader::{ChunkReader, FileReader, Length},
        serialized_reader::SerializedFileReader,
    },
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

const IMAGES: [&str; 8] = ["image", "img", "images", "picture", "photo", "jpg", "png", "pixel_values"];
const LABELS: [&str; 9] = ["label", "labels", "fine_label", "class", "cls", "target", "category", "coarse_label", "y"];
/// What Hugging Face writes of the columns.
const FEATURES: &str = "huggingface";

/// Parquet files with images.
pub struct Parquet {
    splits: Vec<Part>,
    facts: DatasetFacts,
    state: String,
}

struct Part {
    name: &'static str,
    tables: Vec<Table>,
    labels: Vec<i64>,
}

/// One file.
struct Table {
    reader: SerializedFileReader<Positioned>,
    path: PathBuf,
    /// The leaf of the images' bytes.
    image: usize,
    /// By row group: how many rows the groups before have, in all files of the split.
    starts: Vec<u64>,
    rows: u64,
    /// As texts; none where there is no column of labels.
    labels: Option<Vec<Option<String>>>,
    /// The names of the label's numbers, where the file says them.
    names: Option<Vec<String>>,
    state: String,
}

/// A file that many threads read at once: every read says where.
struct Positioned {
    file: Arc<File>,
    length: u64,
}

struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Positioned {
    type T = io::BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(io::BufReader::new(From { file: self.file.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let within = start.checked_add(length as u64).is_some_and(|end| end <= self.length);
        if !within {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}, the file has {}", self.length)));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

impl Dataset for Parquet {
    type Config = config::Parquet;

    fn describe(_: &config::Parquet) -> Result<DatasetDescription> {
        Ok(DatasetDescription::default())
    }

    fn create(config: &config::Parquet) -> Result<Self> {
        let found = shards::find(&config.root, config.train.as_deref(), config.test.as_deref(), "parquet")?;
        let mut notes = Vec::new();
        let mut splits = Vec::new();
        for (name, paths) in found {
            let mut tables = Vec::new();
            let mut rows = 0;
            for path in &paths {
                let table = open(path, config, rows)?;
                rows += table.rows;
                tables.push(table);
            }
            if rows == 0 {
                return Err(Error::data(format!("{name}: no row in `{}`", names::path(&paths[0]))));
            }
            splits.push(Part { name, tables, labels: Vec::new() });
        }
        let classes = label(&mut splits, &mut notes)?;
        let facts = facts(&splits, &classes, notes);
        let states = splits.iter().flat_map(|part| &part.tables).map(|table| table.state.as_str());
        let state = hex(&Sha256::digest(states.collect::<Vec<_>>().join("\n")));
        Ok(Self { splits, facts, state })
    }

    fn facts(&self) -> DatasetFacts {
        self.facts.clone()
    }

    fn read(&self, split: usize, index: u64) -> Result<Sample> {
        let (part, table, group) = self.find(split, index)?;
        let row = index - table.starts[group];
        let fail = |reason: String| {
            Error::data(format!("row {row} of group {group} in `{}` can't be read: {reason}", names::path(&table.path)))
        };
        let bytes = image(table, group, row).map_err(|cause| fail(cause.to_string()))?;
        let bytes = bytes.ok_or_else(|| fail("it has no image".to_owned()))?;
        Ok(Sample { image: Image::Encoded(bytes), label: part.labels[index as usize] })
    }

    fn locate(&self, split: usize, index: u64) -> String {
        match self.find(split, index) {
            Ok((_, table, _)) => format!("{}, row {}", names::path(&table.path), index - table.starts[0]),
            Err(_) => format!("split {split}, image {index}"),
        }
    }

    fn labels(&self, split: usize) -> Result<Vec<i64>> {
        Ok(self.splits.get(split).map(|part| part.labels.clone()).unwrap_or_default())
    }

    fn state(&self) -> String {
        self.state.clone()
    }
}

impl Parquet {
    fn find(&self, split: usize, index: u64) -> Result<(&Part, &Table, usize)> {
        let part = self.splits.get(split).ok_or_else(|| Error::data(format!("there is no split `{split}`")))?;
        if index >= part.labels.len() as u64 {
            return Err(Error::data(format!("there is no image {index}, the split has {}", part.labels.len())));
        }
        let at = part.tables.partition_point(|table| table.starts.first().is_none_or(|&start| start <= index));
        let table = &part.tables[at.saturating_sub(1)];
        let group = table.starts.partition_point(|&start| start <= index).saturating_sub(1);
        Ok((part, table, group))
    }
}

/// The bytes of one row's image; none where the row has none.
fn image(table: &Table, group: usize, row: u64) -> Result<Option<Vec<u8>>, ParquetError> {
    let ColumnReader::ByteArrayColumnReader(mut column) =
        table.reader.get_row_group(group)?.get_column_reader(table.image)?
    else {
        return Err(ParquetError::General("the column of images holds no bytes".to_owned()));
    };
    let skipped = column.skip_records(row as usize)?;
    let (mut levels, mut values): (Vec<i16>, Vec<ByteArray>) = (Vec::new(), Vec::new());
    let (rows, ..) = column.read_records(1, Some(&mut levels), None, &mut values)?;
    if skipped != row as usize || rows != 1 {
        return Err(ParquetError::EOF("the row group ends before the row".to_owned()));
    }
    Ok(values.first().map(|value| value.data().to_vec()))
}

fn open(path: &Path, config: &config::Parquet, before: u64) -> Result<Table> {
    let shown = names::path(path);
    let fail = |reason: String| {
        Error::data(format!("`{shown}` can't be read as a Parquet file: {reason}"))
            .hint("copy or download the file again; every compression but LZO is read")
    };
    let io = |cause: io::Error| Error::data(format!("can't open `{shown}`")).caused_by(&cause);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let state = format!("{shown} {}", state_of(&metadata));
    let positioned = Positioned { file: Arc::new(file), length: metadata.len() };
    let reader = SerializedFileReader::new(positioned).map_err(|cause| fail(cause.to_string()))?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let leaves: Vec<(String, Physical)> =
        schema.columns().iter().map(|column| (column.path().string(), column.physical_type())).collect();
    let image = image_column(&leaves, config.image.as_deref(), &shown)?;
    let label = label_column(&leaves, config.label.as_deref(), &shown)?;
    if schema.column(image).max_rep_level() > 0 {
        return Err(fail(format!("`{}` is a list", leaves[image].0)));
    }
    let mut starts = Vec::new();
    let mut rows = 0;
    for group in reader.metadata().row_groups() {
        starts.push(before + rows);
        rows += u64::try_from(group.num_rows()).map_err(|_| fail("a row group has a negative length".to_owned()))?;
    }
    let labels = label.map(|leaf| labels_of(&reader, leaf)).transpose().map_err(|cause| fail(cause.to_string()))?;
    let names = label.and_then(|leaf| class_names(&reader, &leaves[leaf].0));
    if labels.as_ref().is_some_and(|labels| labels.len() as u64 != rows) {
        return Err(fail("it has another number of labels than of rows".to_owned()));
    }
    Ok(Table { reader, path: path.to_owned(), image, starts, rows, labels, names, state })
}

/// The leaf of the images' bytes: `image.bytes`, or `image` itself.
fn image_column(leaves: &[(String, Physical)], named: Option<&str>, shown: &str) -> Result<usize> {
    let of = |name: &str| {
        let inner = format!("{name}.bytes");
        let fits = |leaf: &(String, Physical)| leaf.1 == Physical::BYTE_ARRAY && (leaf.0 == name || leaf.0 == inner);
        leaves.iter().position(fits)
    };
    let found = match named {
        Some(name) => of(name),
        None => IMAGES.iter().find_map(|name| of(name)),
    };
    found.ok_or_else(|| {
        let columns: Vec<String> = leaves.iter().map(|leaf| leaf.0.clone()).collect();
        let what =
            named.map_or_else(|| "no column of images".to_owned(), |name| format!("no images in a column `{name}`"));
        Error::data(format!("`{shown}` has {what}; its columns: {}", names::first_few(&columns)))
            .hint("name the column with `dataset.config.image`; it holds encoded files")
    })
}

fn label_column(leaves: &[(String, Physical)], named: Option<&str>, shown: &str) -> Result<Option<usize>> {
    let kinds = [Physical::INT32, Physical::INT64, Physical::BYTE_ARRAY];
    let of = |name: &str| leaves.iter().position(|leaf| leaf.0 == name && kinds.contains(&leaf.1));
    let Some(name) = named else { return Ok(LABELS.iter().find_map(|name| of(name))) };
    of(name).map(Some).ok_or_else(|| {
        let columns: Vec<String> = leaves.iter().map(|leaf| leaf.0.clone()).collect();
        Error::data(format!(
            "`{shown}` has no labels in a column `{name}`; its columns: {}",
            names::first_few(&columns)
        ))
        .hint("`dataset.config.label` names a column of whole numbers or texts")
    })
}

/// Every label of a file, as text; none where a row has none.
fn labels_of(reader: &SerializedFileReader<Positioned>, leaf: usize) -> Result<Vec<Option<String>>, ParquetError> {
    let mut labels = Vec::new();
    let most = reader.metadata().file_metadata().schema_descr().column(leaf).max_def_level();
    for group in 0..reader.num_row_groups() {
        let rows = reader.metadata().row_group(group).num_rows() as usize;
        let mut levels: Vec<i16> = Vec::new();
        let texts: Vec<String> = match reader.get_row_group(group)?.get_column_reader(leaf)? {
            ColumnReader::Int32ColumnReader(mut column) => {
                let mut values = Vec::new();
                column.read_records(rows, Some(&mut levels), None, &mut values)?;
                values.iter().map(i32::to_string).collect()
            }
            ColumnReader::Int64ColumnReader(mut column) => {
                let mut values = Vec::new();
                column.read_records(rows, Some(&mut levels), None, &mut values)?;
                values.iter().map(i64::to_string).collect()
            }
            ColumnReader::ByteArrayColumnReader(mut column) => {
                let mut values: Vec<ByteArray> = Vec::new();
                column.read_records(rows, Some(&mut levels), None, &mut values)?;
                values.iter().map(|value| String::from_utf8_lossy(value.data()).into_owned()).collect()
            }
            _ => return Err(ParquetError::General("labels are neither whole numbers nor texts".to_owned())),
        };
        if most == 0 {
            labels.extend(texts.into_iter().map(Some));
            continue;
        }
        let mut texts = texts.into_iter();
        labels.extend(levels.iter().map(|&level| if level == most { texts.next() } else { None }));
    }
    Ok(labels)
}

/// The names of the numbers of a label, as Hugging Face writes them into a file.
fn class_names(reader: &SerializedFileReader<Positioned>, column: &str) -> Option<Vec<String>> {
    let metadata = reader.metadata().file_metadata().key_value_metadata()?;
    let text = metadata.iter().find(|pair| pair.key == FEATURES)?.value.as_ref()?;
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let names = value["info"]["features"][column]["names"].as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Gives every row its label; the classes are those that the files name, or those of the training split.
fn label(splits: &mut [Part], notes: &mut Vec<String>) -> Result<Vec<String>> {
    let rows = |part: &Part| part.tables.iter().map(|table| table.rows as usize).sum::<usize>();
    let all = |part: &Part| -> Option<Vec<Option<String>>> {
        let labels = part.tables.iter().map(|table| table.labels.clone()).collect::<Option<Vec<_>>>()?;
        Some(labels.concat())
    };
    let train = splits.iter().find(|part| part.name == "train").and_then(all);
    let complete = train.filter(|labels| labels.iter().all(Option::is_some));
    let Some(of_train) = complete else {
        notes.push("the rows have no labels".to_owned());
        splits.iter_mut().for_each(|part| part.labels = vec![UNLABELLED; rows(part)]);
        return Ok(Vec::new());
    };
    let named = splits.iter().flat_map(|part| &part.tables).find_map(|table| table.names.clone());
    let classes = named.clone().unwrap_or_else(|| in_order(of_train.iter().flatten().map(String::as_str)));
    let numbers: Vec<String> = (0..classes.len()).map(|number| number.to_string()).collect();
    // Where the file names its classes, a label is a number; `-1` stands for none.
    let known: HashMap<&str, i64> =
        if named.is_some() { &numbers } else { &classes }.iter().map(String::as_str).zip(0..).collect();
    for part in splits.iter_mut() {
        let Some(labels) = all(part) else {
            part.labels = vec![UNLABELLED; rows(part)];
            continue;
        };
        let mut result = Vec::with_capacity(labels.len());
        for (row, label) in labels.iter().enumerate() {
            let label = label.as_deref().filter(|label| named.is_none() || *label != "-1");
            let Some(label) = label else {
                result.push(UNLABELLED);
                continue;
            };
            let at = known.get(label).ok_or_else(|| {
                let count = classes.len();
                Error::data(format!("{}: the label `{label}` of row {row} is none of {count} classes", part.name))
            })?;
            result.push(*at);
        }
        // A split has labels, or none.
        let without = result.iter().filter(|&&label| label == UNLABELLED).count();
        if without > 0 || classes.len() < 2 {
            if without < result.len() && without > 0 {
                notes.push(format!("{}: {without} of {} rows have no label: none is used", part.name, result.len()));
            }
            result.fill(UNLABELLED);
        }
        part.labels = result;
    }
    Ok(if classes.len() < 2 { Vec::new() } else { classes })
}

fn facts(parts: &[Part], classes: &[String], notes: Vec<String>) -> DatasetFacts {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.name);
        for table in &part.tables {
            hash.update(table.path.file_name().unwrap_or_default().as_encoded_bytes());
            hash.update(table.rows.to_le_bytes());
            for group in table.reader.metadata().row_groups() {
                hash.update(group.num_rows().to_le_bytes());
                hash.update(group.column(table.image).uncompressed_size().to_le_bytes());
            }
        }
        part.labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
    }
    let labelled = |part: &Part| classes.len() > 1 && part.labels.iter().all(|&label| label >= 0);
    let splits = parts.iter().map(|part| {
        let (name, length) = (part.name.to_owned(), part.labels.len() as u64);
        Split { name, length, labelled: labelled(part) }
    });
    let (splits, class_names) = (splits.collect(), classes.to_vec());
    shards::facts(splits, class_names, hex(&hash.finalize()), notes)
}
