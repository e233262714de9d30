//! One run: what its report says, as far as it has come, with charts as they are asked for and the end of its log.

use super::{Page, controls, in_a_row, log::log, part};
use crate::{
    board::{
        follow::Seen,
        query::{Query, link},
    },
    comparison::printable,
    listing::{StudySummary, Summary},
    plain::whole,
    record::LOG_FILE,
    report::{self, prose, sentence},
    study::OUTPUT,
};
use maud::{Markup, html};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Pictures that runs and commands leave in a run directory, and what they show.
const PICTURES: [(&str, &str); 1] = [("views.png", "Images and the views of them that training sees")];
/// Pictures that are shown at most.
const SHOWN: usize = 24;

/// The page.
///
/// # Errors
/// A run that is not there.
pub fn page<'a>(query: &'a Query, seen: &'a Seen) -> Result<Page<'a>, String> {
    let name = query.get("name").unwrap_or_default();
    let followed = seen.run(name).ok_or_else(|| format!("no run `{name}` lies in the folders"))?;
    let run = followed.run.as_ref();
    let drawing = query.drawing();
    let make = move || {
        let path = &run.place.path;
        // Whatever the report reads, it reads within the run.
        if let Some(reason) = whole(path) {
            let told = html! { section.notices { h2 { "This run can't be shown" } p { (prose(&sentence(&reason))) } } };
            return vec![part("p-refused", &told)];
        }
        let mut parts: Vec<(String, Markup)> = report::sections(path, &drawing)
            .into_iter()
            .map(|(name, body)| part(&format!("p-{name}"), &body))
            .collect();
        let at = parts.iter().position(|(name, _)| name == "p-again").unwrap_or(parts.len());
        parts.insert(0, part("p-cell", &cell(run, seen)));
        let at = at + 1;
        parts.insert(at, part("p-pictures", &pictures(name, path)));
        parts.insert(at + 1, part("p-log", &logs(run)));
        parts
    };
    let frame = |parts: &[(String, Markup)]| {
        let curves = parts.iter().position(|(name, _)| name == "p-curves").unwrap_or(parts.len());
        let (before, after) = parts.split_at(curves);
        html! { (in_a_row(before)) @if !after.is_empty() { (controls(&[])) } (in_a_row(after)) }
    };
    let title = name.rsplit('/').next().unwrap_or(name).to_owned();
    Ok(Page {
        title,
        stamp: stamp(run, followed.version, seen),
        order: None,
        frame: Box::new(frame),
        make: Box::new(make),
    })
}

/// Changes with the files that the page shows.
fn stamp(run: &Summary, version: u64, seen: &Seen) -> String {
    const FILES: [&str; 8] =
        [LOG_FILE, "checkpoints", "evaluation.json", "views.png", "run.json", "hardware.json", "origins.json", "."];
    let facts = FILES.iter().map(|file| run.place.path.join(file)).chain([output(run)]);
    let facts = facts.filter_map(|path| fs::symlink_metadata(path).ok());
    let text: String =
        facts.map(|facts| format!(" {} {} {}", facts.len(), facts.mtime(), facts.mtime_nsec())).collect();
    seen.stamp([(&run.place.name, version)].into_iter(), &text)
}

/// What a cell's process says, beside its run.
fn output(run: &Summary) -> std::path::PathBuf {
    run.place.path.with_file_name(OUTPUT)
}

/// Which studies a cell belongs to, and as what.
fn cell(run: &Summary, seen: &Seen) -> Markup {
    let Some((id, folder)) = &run.place.cell else { return html! {} };
    let of = |study: &StudySummary| {
        let ledger = study.ledger.as_ref().ok().filter(|_| study.folder == *folder)?;
        let own = ledger.cells.iter().find(|cell| cell.id.as_ref() == Some(id))?;
        Some((study.id().to_owned(), study.name().to_owned(), own.number, own.title.clone()))
    };
    html! {
        @for (study, name, number, title) in seen.studies.iter().filter_map(of) {
            p.flow { "Cell " (number) " of the study " a href=(link("/study", &[("name", &study)])) { (printable(&name)) } ": " (title) }
        }
    }
}

fn logs(run: &Summary) -> Markup {
    html! {
        (log(&run.place.path.join(LOG_FILE), "Log"))
        @if run.place.cell.is_some() { (log(&output(run), "Output of the cell")) }
    }
}

fn pictures(name: &str, run: &Path) -> Markup {
    let mut files: Vec<String> = fs::read_dir(run)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|file| file.ends_with(".png") && file != "curves.png")
        .collect();
    files.sort_by_key(|file| (file != "views.png", file.clone()));
    files.truncate(SHOWN);
    let told = |file: &str| {
        PICTURES.iter().find(|(name, _)| *name == file).map_or(String::new(), |(_, told)| (*told).to_owned())
    };
    html! {
        @if !files.is_empty() {
            section {
                h2 { "Pictures" }
                @for file in &files {
                    figure.picture {
                        // A picture that is written anew has another address.
                        @let changed = fs::symlink_metadata(run.join(file)).map_or(0, |facts| facts.mtime()).to_string();
                        @let address = link("/picture", &[("name", name), ("file", file), ("at", &changed)]);
                        a href=(address) { img.sheet loading="lazy" src=(address) alt=(format!("{file} {}", told(file))); }
                        figcaption.quiet { (file) @if !told(file).is_empty() { ": " (told(file)) } }
                    }
                }
            }
        }
    }
}
