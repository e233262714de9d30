//! How a run was started, as rows of the page's list of facts.

use super::markup::breakable;
use crate::{record::Provenance, shell};
use maud::{Markup, html};

/// The command, the commit and the environment.
pub fn rows(provenance: &Provenance) -> Markup {
    let Provenance { command, git, environment } = provenance;
    html! {
        dt { "started by" } dd { code { (shell::line(command)) } }
        dt { "commit" }
        dd {
            @if let Some(commit) = &git.commit { code title=(commit) { (commit.chars().take(12).collect::<String>()) } }
            @if git.dirty == Some(true) { ", with changes that are not committed" }
            @if let Some(reason) = &git.unknown { "not known: " (reason) }
        }
        @if !environment.is_empty() {
            dt { "environment" }
            dd { @for (name, value) in environment { code { (breakable(&format!("{name}={value}"))) } br; } }
        }
    }
}
