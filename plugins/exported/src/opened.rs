//! A component's file, read as far as its description needs: the program and the tables, not the numbers.

use crate::{
    archive::{Archive, format::About},
    graph::{
        self, Program,
        aliases::{Writes, writes},
    },
    weights::Tables,
};
use infomax_sdk::{Error, Result};

/// An open file.
pub struct Opened {
    pub archive: Archive,
    pub program: Program,
    pub tables: Tables,
    pub about: About,
}

impl Opened {
    /// Opens a file and reads its program; `kind` is `encoder` or `loss`.
    ///
    /// # Errors
    /// What the file holds that can't be run, in words, with its path.
    pub fn open(file: &str, kind: &str) -> Result<Self> {
        if file.is_empty() {
            let hint = format!("set `{kind}.config.file` to what torch.export.save wrote");
            return Err(Error::config("`file` names no file").hint(hint));
        }
        let mut archive = Archive::open(file)?;
        let exported = archive.program()?;
        let about = archive.about()?;
        let path = archive.path().display().to_string();
        let placed = |error: Error| Error { message: format!("`{path}`: {}", error.message), ..error };
        if let Some(other) = about.kind.as_deref().filter(|other| *other != kind) {
            let message =
                format!("`{path}` was exported as a {other}, not as a {kind}").replace("a encoder", "an encoder");
            return Err(
                Error::config(message).hint(format!("export it with `export_{kind}`, or name it under `{other}`"))
            );
        }
        let program = graph::read(&exported).map_err(placed)?;
        let tables = Tables::read(&mut archive)?;
        if let Some(missing) = program.inputs.iter().find(|input| !tables.has(&input.role)) {
            return Err(archive.refused(&format!("it has no numbers for {:?}", missing.role)));
        }
        Ok(Self { archive, program, tables, about })
    }

    /// An error with the file's path in front.
    pub fn placed(&self, error: Error) -> Error {
        Error { message: format!("`{}`: {}", self.archive.path().display(), error.message), ..error }
    }

    /// What a call writes to. Where nothing is written through a view, views become what copies where they must: images that lie
    /// channels-last are not laid out as the exporter's were.
    pub fn settle_views(&mut self) -> Result<Writes> {
        let writes = writes(&self.program);
        if !writes.through_views {
            graph::modes::free_views(&mut self.program)?;
        }
        Ok(writes)
    }
}
