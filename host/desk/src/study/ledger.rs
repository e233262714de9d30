//! `studies/NAME.json`: the cells that a study had when it last ran, so that whoever has only the folder of runs can tell what belongs
//! to it and what of it is missing.

use crate::{
    error::{Error, Result},
    plain,
    record::write_whole,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// The folder of ledgers, beside the cells'.
pub const LEDGERS: &str = "studies";
/// The longest ledger that is read: of 100,000 cells.
const LONGEST: u64 = 256 << 20;
/// How long the lease of another machine counts where a ledger does not tell, in seconds.
pub const LEASE_SECONDS: u64 = 600;

/// A study as it last ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// What the study asks; empty where its file does not say.
    #[serde(default)]
    pub question: String,
    /// What its report ranks by; empty in ledgers that don't tell.
    #[serde(default)]
    pub metric: String,
    /// The names of what varies.
    #[serde(default)]
    pub axes: Vec<String>,
    /// For each axis the value of the point that others are compared with.
    #[serde(default)]
    pub baseline: Vec<Value>,
    /// Of a search by halving: how many rungs it has.
    #[serde(default)]
    pub rungs: usize,
    /// How old the lease of another machine may be.
    #[serde(default = "lease_seconds")]
    pub lease_seconds: u64,
    /// In the order in which they are trained.
    #[serde(deserialize_with = "cells")]
    pub cells: Vec<LedgerCell>,
}

/// A cell of a study.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerCell {
    /// As tables and messages count, from 1.
    pub number: usize,
    /// As messages name it: `loss amdim · seed 2`.
    pub title: String,
    /// The name of its folder; none where it can't be trained.
    pub id: Option<String>,
    /// For each axis a value.
    #[serde(default)]
    pub values: Vec<Value>,
    #[serde(default)]
    pub seed: Option<u64>,
    /// Of a search by halving, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<usize>,
    /// Why it can't be trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// A list, or nothing but the cells' names by their titles.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cells {
    Listed(Vec<LedgerCell>),
    Named(BTreeMap<String, String>),
}

fn lease_seconds() -> u64 {
    LEASE_SECONDS
}

fn cells<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LedgerCell>, D::Error> {
    Ok(match Cells::deserialize(deserializer)? {
        Cells::Listed(cells) => cells,
        Cells::Named(names) => {
            let named = names.into_iter().enumerate();
            named
                .map(|(index, (title, id))| LedgerCell { number: index + 1, title, id: Some(id), ..Default::default() })
                .collect()
        }
    })
}

impl Ledger {
    /// Reads a ledger.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = plain::read(path, LONGEST).map_err(|error| format!("`{shown}` can't be read: {error}"))?;
        let ledger: Self =
            serde_json::from_slice(&text).map_err(|error| format!("`{shown}` is no ledger of a study: {error}"))?;
        // Names of folders: hashes, which lead nowhere else.
        let is_name = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match ledger.cells.iter().filter_map(|cell| cell.id.as_ref()).find(|id| !is_name(id)) {
            Some(id) => Err(format!("`{shown}` is no ledger of a study: no cell is called {id:?}")),
            None => Ok(ledger),
        }
    }

    /// Writes the ledger; the folder is made.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().expect("it lies in a folder");
        fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        write_whole(path, &serde_json::to_vec_pretty(self).expect("a ledger is plain data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_reads_back_and_one_of_names_alone_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("studies/a.json");
        let cell = LedgerCell {
            number: 1,
            title: "loss amdim · seed 2".to_owned(),
            id: Some("ab".to_owned()),
            values: vec![Value::from("amdim")],
            seed: Some(2),
            ..LedgerCell::default()
        };
        let ledger = Ledger {
            question: "which".to_owned(),
            metric: "linear_top1".to_owned(),
            axes: vec!["loss".to_owned()],
            baseline: vec![Value::from("amdim")],
            rungs: 0,
            lease_seconds: 60,
            cells: vec![cell],
        };
        ledger.write(&path).unwrap();
        assert_eq!(Ledger::read(&path).unwrap(), ledger);
        fs::write(&path, r#"{"cells": {"loss amdim · seed 2": "ab"}}"#).unwrap();
        let former = Ledger::read(&path).unwrap();
        assert_eq!((former.cells[0].id.as_deref(), former.lease_seconds), (Some("ab"), LEASE_SECONDS));
        fs::write(&path, "{").unwrap();
        assert!(Ledger::read(&path).unwrap_err().contains("is no ledger of a study"));
    }
}
