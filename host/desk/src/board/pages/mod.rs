//! The board's pages. Each is made of parts, elements with a name; a browser that has the page asks what of it has changed, and gets
//! those alone.

pub mod list;
mod log;
pub mod overlay;
pub mod run;
mod spark;
pub mod study;

use super::query::link;
use crate::{hash::sha256, listing::Summary};
use maud::{DOCTYPE, Markup, html};

/// What makes a page of its parts.
type Frame<'a> = dyn FnOnce(&[(String, Markup)]) -> Markup + 'a;

/// A page. Its parts are made only where somebody wants them.
pub struct Page<'a> {
    pub title: String,
    /// Another one where anything of it may have changed.
    pub stamp: String,
    /// The names of the parts that rows are, where some may have gone.
    pub order: Option<Vec<String>>,
    /// What stays as it is: controls, and the places of the parts.
    pub frame: Box<Frame<'a>>,
    /// By name; of a page that a browser has, those that may have changed.
    pub make: Box<dyn FnOnce() -> Vec<(String, Markup)> + 'a>,
}

impl Page<'_> {
    /// Only the parts.
    pub fn parts(self) -> Vec<(String, Markup)> {
        (self.make)()
    }

    /// The page as a browser that does not have it wants it.
    pub fn whole(self) -> String {
        let parts = (self.make)();
        document(&self.title, &self.stamp, &(self.frame)(&parts)).into_string()
    }
}

fn document(title: &str, stamp: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · infomax" }
                link rel="stylesheet" href="/board.css";
                link rel="icon" href="data:,";
                script src="/board.js" defer {}
            }
            body data-stamp=(stamp) {
                a.skip href="#content" { "To the content" }
                nav aria-label="Pages" {
                    a.home href="/" { "infomax" }
                    span #told role="status" aria-live="polite" {}
                    button #keys type="button" aria-expanded="false" { "Keys" }
                }
                main #content { (body) }
                dialog #help aria-label="Keys" {
                    h2 { "Keys" }
                    dl.facts {
                        dt { "/" } dd { "filter" }
                        dt { "j, k or arrows" } dd { "next, previous run" }
                        dt { "Enter" } dd { "open the run" }
                        dt { "x" } dd { "choose the run" }
                        dt { "a" } dd { "choose all runs that fit the filter, or none" }
                        dt { "o" } dd { "lay the chosen runs over one another" }
                        dt { "l" } dd { "logarithmic scale on and off" }
                        dt { "r" } dd { "back to the list of runs" }
                        dt { "?" } dd { "these keys" }
                    }
                    form method="dialog" { button { "Close" } }
                }
            }
        }
    }
}

/// A page that says why there is none.
pub fn missing(told: &str) -> String {
    document("Not there", "", &html! { h1 { "Not there" } p { (told) } p { a href="/" { "All runs" } } }).into_string()
}

/// A part that is a section with a name.
fn part(id: &str, body: &Markup) -> (String, Markup) {
    (id.to_owned(), html! { div.part id=(id) { (body) } })
}

/// All parts, one after the other.
fn in_a_row(parts: &[(String, Markup)]) -> Markup {
    html! { @for (_, part) in parts { (part) } }
}

/// A name that an element can have, for any text.
fn element(prefix: &str, text: &str) -> String {
    format!("{prefix}-{}", &sha256(text)[..12])
}

/// The address of a run's page.
fn of_run(name: &str) -> String {
    link("/run", &[("name", name)])
}

/// How a run stands, with the reason where a pointer asks.
fn badge(run: &Summary) -> Markup {
    let phase = run.standing.phase;
    html! { span class=(format!("badge {}", phase.class())) title=[run.standing.told.as_deref()] { (phase.word()) } }
}

/// How charts are drawn, and of several numbers which one.
fn controls(metrics: &[String]) -> Markup {
    html! {
        form.controls #drawing {
            @if metrics.len() > 1 {
                label { "Metric "
                    select name="metric" {
                        option value="" { "all" }
                        @for metric in metrics { option value=(metric) { (metric) } }
                    }
                }
            }
            label { "Scale "
                select name="scale" {
                    option value="" { "automatic" }
                    option value="linear" { "linear" }
                    option value="log" { "logarithmic" }
                }
            }
            label { "Over "
                select name="over" {
                    option value="" { "steps" }
                    option value="time" { "time" }
                }
            }
            label { "Smoothing "
                input type="range" name="smooth" min="0" max="0.99" step="0.01" value="0";
                output name="share" { "off" }
            }
        }
    }
}
