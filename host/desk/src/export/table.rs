//! The rows of runs' metrics, one run after the other. Names are found in a first pass and rows read in a second, which goes no
//! further than the first: a run may still be going on.

use super::cells::{Cell, Column, Kind};
use crate::{
    error::{Error, Fault, Result},
    record::{METRICS, MetricsReader, Row},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// What a row of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A row of metrics, with a column for each name.
    Wide,
    /// One value, with its name.
    Long,
}

/// The metrics of some runs.
#[derive(Debug)]
pub struct Table {
    shape: Shape,
    runs: Vec<Run>,
    columns: Vec<Column>,
    /// The place of each metric among the columns.
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct Run {
    name: String,
    path: PathBuf,
    /// How much of its file has been looked at.
    bytes: u64,
}

/// Before the metrics.
const FIRST: [(&str, Kind); 4] =
    [("run", Kind::Text), ("step", Kind::Integer), ("epoch", Kind::Integer), ("seconds", Kind::Number)];

impl Table {
    /// The metrics of run directories.
    ///
    /// # Errors
    /// A folder without metrics, or metrics that are damaged.
    pub fn of(folders: &[PathBuf], shape: Shape) -> Result<Self> {
        let column = |(name, kind): (&str, Kind)| Column { name: name.to_owned(), kind };
        let mut columns: Vec<Column> = FIRST.map(column).into();
        let mut places = HashMap::new();
        let mut runs = Vec::new();
        for (folder, name) in folders.iter().zip(names(folders)) {
            let path = folder.join(METRICS);
            if !path.is_file() {
                let fault = Fault::new(format!("`{}` holds no run that was measured", folder.display()));
                return Err(Error::config(fault.hint("name run directories, such as `runs/shapes-demo-1`")));
            }
            let mut reader = MetricsReader::open(&path, u64::MAX)?;
            for row in reader.by_ref() {
                for (metric, _) in row?.values {
                    if !places.contains_key(&metric) {
                        places.insert(metric.clone(), columns.len());
                        columns.push(Column { name: metric, kind: Kind::Optional });
                    }
                }
            }
            runs.push(Run { name, path, bytes: reader.bytes() });
        }
        if shape == Shape::Long {
            columns.truncate(FIRST.len());
            columns.extend([("name", Kind::Text), ("value", Kind::Number)].map(column));
        }
        Ok(Self { shape, runs, columns, places })
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Hands on each row.
    ///
    /// # Errors
    /// Metrics that are damaged, and what `take` says.
    pub fn each(&self, take: &mut dyn FnMut(&[Cell<'_>]) -> Result<()>) -> Result<()> {
        for run in &self.runs {
            for row in MetricsReader::open(&run.path, run.bytes)? {
                let Row { step, epoch, seconds, values } = row?;
                let first = [Cell::Text(&run.name), Cell::Integer(step), Cell::Integer(epoch), Cell::Number(seconds)];
                match self.shape {
                    Shape::Wide => {
                        let mut cells = vec![Cell::Absent; self.columns.len()];
                        cells[..FIRST.len()].copy_from_slice(&first);
                        for (name, value) in &values {
                            if let Some(place) = self.places.get(name) {
                                cells[*place] = Cell::Number(*value);
                            }
                        }
                        take(&cells)?;
                    }
                    Shape::Long => {
                        for (name, value) in &values {
                            let [run, step, epoch, seconds] = first;
                            take(&[run, step, epoch, seconds, Cell::Text(name), Cell::Number(*value)])?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The folders' own names; where several have the same, such as those of cells, the paths as they are given.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let own = |folder: &Path| {
        let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        whole.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let all: Vec<String> = folders.iter().map(|folder| own(folder)).collect();
    let is_shared = |name: &String| all.iter().filter(|other| *other == name).count() > 1;
    let name =
        |(folder, name): (&PathBuf, &String)| if is_shared(name) { folder.display().to_string() } else { name.clone() };
    folders.iter().zip(&all).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn rows_keep_their_types_gaps_and_nan_and_what_comes_later_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let runs = ["a", "b"].map(|name| folder.path().join(name));
        runs.iter().for_each(|run| fs::create_dir(run).unwrap());
        fs::write(runs[0].join(METRICS), "{\"step\":1,\"epoch\":0,\"seconds\":0.5,\"loss\":2.0}\n{\"step\":2,\"ep")
            .unwrap();
        let line = "{\"step\":3,\"epoch\":1,\"seconds\":1.5,\"lr\":1e-7,\"loss\":null,\"nonfinite\":[\"loss\"]}\n";
        fs::write(runs[1].join(METRICS), line).unwrap();
        let told = |shape| {
            let table = Table::of(&runs, shape).unwrap();
            // A row, with a name that no column has, that comes after the names were looked for.
            let later = fs::read_to_string(runs[1].join(METRICS)).unwrap() + "{\"step\":4,\"new\":1.0}\n";
            fs::write(runs[1].join(METRICS), later).unwrap();
            let path = folder.path().join("out.csv");
            super::super::write(&table, &path).unwrap();
            fs::write(runs[1].join(METRICS), line).unwrap();
            fs::read_to_string(path).unwrap().replace("\r\n", "\n")
        };
        assert_eq!(told(Shape::Wide), "run,step,epoch,seconds,loss,lr\na,1,0,0.5,2.0,\nb,3,1,1.5,NaN,1e-7\n");
        assert_eq!(
            told(Shape::Long),
            "run,step,epoch,seconds,name,value\na,1,0,0.5,loss,2.0\nb,3,1,1.5,lr,1e-7\nb,3,1,1.5,loss,NaN\n"
        );
        fs::write(runs[1].join(METRICS), "nonsense\n").unwrap();
        assert_eq!(Table::of(&runs, Shape::Wide).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn runs_of_one_name_are_called_by_their_paths() {
        let paths = ["cells/a/run", "cells/b/run", "runs/c"].map(PathBuf::from);
        assert_eq!(names(&paths), ["cells/a/run", "cells/b/run", "c"]);
    }
}
