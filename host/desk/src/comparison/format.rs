//! The forms that a comparison is written in, by their names and by the ends of files' names.

use super::{Comparison, to_csv, to_json, to_latex, to_markdown, to_page, to_png, to_terminal};
use crate::{
    error::{Error, Fault, Result},
    record::write_whole,
};
use std::path::Path;

/// A text form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned text
    #[default]
    Table,
    /// For a README or an issue
    Markdown,
    /// For spreadsheets and data frames: one row a group, full precision
    Csv,
    /// For a paper, with `booktabs`
    Latex,
    /// For programs: everything, full precision
    Json,
}

/// What a file's name asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileForm {
    Text(Format),
    Page,
    Picture,
}

impl Comparison {
    /// The comparison as text.
    pub fn to_text(&self, format: Format) -> String {
        match format {
            Format::Table => to_terminal(self) + "\n",
            Format::Markdown => to_markdown(self),
            Format::Csv => to_csv(self),
            Format::Latex => to_latex(self),
            Format::Json => to_json(self),
        }
    }

    /// Writes a file in the form that the end of its name says.
    ///
    /// # Errors
    /// Another end, a picture that can't be drawn, a file that can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = match file_form(path)? {
            FileForm::Text(format) => self.to_text(format).into_bytes(),
            FileForm::Page => to_page(self).into_bytes(),
            FileForm::Picture => to_png(self)?,
        };
        write_whole(path, &bytes)
    }
}

/// Whether a file of this name can be written; asked before anything is read.
///
/// # Errors
/// An end that says nothing.
pub fn check_out(path: &Path) -> Result<()> {
    file_form(path).map(drop)
}

fn file_form(path: &Path) -> Result<FileForm> {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    Ok(match end.as_str() {
        "html" | "htm" => FileForm::Page,
        "png" => FileForm::Picture,
        "txt" => FileForm::Text(Format::Table),
        "md" => FileForm::Text(Format::Markdown),
        "csv" => FileForm::Text(Format::Csv),
        "tex" => FileForm::Text(Format::Latex),
        "json" => FileForm::Text(Format::Json),
        _ => {
            let fault = Fault::new(format!("the name `{}` does not say what to write", path.display()));
            let hint = "end it in `.html`, `.png`, `.md`, `.csv`, `.tex`, `.json` or `.txt`";
            return Err(Error::config(fault.hint(hint)));
        }
    })
}
