//! Which page an address means.

use super::{
    follow::{Following, Seen},
    pages::{Page, list, missing, overlay, run, study},
    query::Query,
};
use crate::plain;
use hyper::Uri;
use serde_json::json;
use std::path::Path;

const SCRIPT: &str = include_str!("board.js");
const STYLE: &str = include_str!("board.css");
/// The pages that there are.
pub const PATHS: [&str; 4] = ["/", "/run", "/overlay", "/study"];
/// The longest picture that is handed out.
const PICTURE: u64 = 64 << 20;

/// What a browser gets.
#[derive(Clone, Debug)]
pub enum Answer {
    Page(String),
    /// A page that says that there is none.
    Missing(String),
    /// What has changed of a page.
    Parts(String),
    /// Nothing has.
    Unchanged,
    Script(&'static str),
    Style(String),
    Picture(Vec<u8>),
}

/// Answers an address.
pub fn answer(uri: &Uri, following: &Following) -> Answer {
    let (query, seen) = (Query::of(uri), following.seen());
    let made = match uri.path() {
        "/board.js" => return Answer::Script(SCRIPT),
        "/board.css" => return Answer::Style([crate::report::STYLE, crate::comparison::STYLE, STYLE].concat()),
        "/picture" => return picture(&query, &seen),
        "/" => list::page(&query, &seen),
        "/run" => run::page(&query, &seen),
        "/overlay" => overlay::page(&query, &seen, following),
        "/study" => study::page(&query, &seen, following),
        _ => Err("there is no such page".to_owned()),
    };
    match (made, query.get("live")) {
        (Ok(page), None) => Answer::Page(page.whole()),
        (Ok(page), Some(stamp)) if page.stamp == stamp => Answer::Unchanged,
        (Ok(page), Some(_)) => Answer::Parts(parts(page)),
        (Err(told), _) => Answer::Missing(missing(&told)),
    }
}

fn parts(page: Page) -> String {
    let (stamp, order) = (page.stamp.clone(), page.order.clone());
    let parts: serde_json::Map<String, serde_json::Value> =
        page.parts().into_iter().map(|(id, part)| (id, part.into_string().into())).collect();
    json!({ "stamp": stamp, "order": order, "parts": parts }).to_string()
}

/// A picture that lies in a run directory, by its name alone.
fn picture(query: &Query, seen: &Seen) -> Answer {
    let found = || {
        let run = seen.run(query.get("name")?)?;
        let file = query.get("file")?;
        let is_name = Path::new(file).file_name().is_some_and(|own| own == file) && file.ends_with(".png");
        if is_name { plain::read(&run.run.place.path.join(file), PICTURE).ok() } else { None }
    };
    found().map_or_else(|| Answer::Missing(missing("there is no such picture")), Answer::Picture)
}
