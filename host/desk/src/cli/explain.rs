//! What `infomax config explain` prints.

use crate::{
    config::{Explained, Fate, Field, shown},
    rows::aligned,
};

/// A field or a table, explained.
pub fn text(explained: &Explained) -> String {
    match explained {
        Explained::Field(field) => of_field(field),
        Explained::Table { key, meaning, fields } => {
            let title = meaning.as_ref().map_or_else(|| key.clone(), |meaning| format!("{key}: {meaning}"));
            let rows = fields.iter().map(|(key, said)| match said {
                Some((value, place)) => [key.clone(), shown(value), place.clone()],
                None => [key.clone(), "not set".to_owned(), String::new()],
            });
            if fields.is_empty() { title } else { format!("{title}\n\n{}", columns(rows.collect())) }
        }
    }
}

fn of_field(field: &Field) -> String {
    let value = match (&field.value, &field.without_effect) {
        (Some(value), _) => format!("{} = {}", field.key, shown(value)),
        (None, Some((choice, _))) => format!("{} has no effect with {choice}", field.key),
        (None, None) => format!("{} is not set", field.key),
    };
    let fate = |fate| match fate {
        Fate::Holds => "holds",
        Fate::Overridden => "overridden",
        Fate::Dropped => "dropped: a later choice makes it meaningless",
    };
    let said = field.said.iter().map(|said| [said.at.clone(), shown(&said.value), fate(said.fate).to_owned()]);
    let default = field.default.as_ref().map_or_else(|| "not set".to_owned(), shown);
    let facts = [
        ("comes to", field.comes_to.clone()),
        ("meaning", field.meaning.clone()),
        ("takes", Some(field.takes.clone())),
        ("unit", field.unit.clone()),
        ("default", Some(default)),
        ("acts with", field.without_effect.as_ref().map(|(_, choices)| choices.clone())),
    ];
    let facts = facts.into_iter().filter_map(|(name, text)| text.map(|text| [format!("{name}:"), text]));
    let said: Vec<[String; 3]> = said.collect();
    let said = if said.is_empty() { String::new() } else { format!("{}\n\n", columns(said)) };
    format!("{value}\n\n{said}{}", columns(facts.collect()))
}

/// Rows of words with each column as wide as its longest cell.
pub fn columns<const N: usize>(rows: Vec<[String; N]>) -> String {
    aligned(&rows, |_| true).join("\n")
}
