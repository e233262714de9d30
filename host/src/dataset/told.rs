//! What is told of a dataset once it is open: its splits, what they serve, what was passed over.

use crate::console::note;
use infomax_sdk::DatasetFacts;

/// Tells splits, counts and classes in one line, and every note of the dataset in one of its own.
pub fn tell(facts: &DatasetFacts) {
    note(format!("data: {}", in_a_line(facts)));
    facts.notes.iter().for_each(note);
}

/// `train 40 images (pretraining, classifiers); test 8 images (tests); 2 classes`.
pub fn in_a_line(facts: &DatasetFacts) -> String {
    let roles = &facts.roles;
    let split = |(at, split): (usize, &infomax_sdk::Split)| {
        let serves = [(&roles.pretrain, "pretraining"), (&roles.train, "classifiers"), (&roles.test, "tests")];
        let serves: Vec<&str> = serves.iter().filter(|(role, _)| role.contains(&at)).map(|(_, what)| *what).collect();
        let serves = if serves.is_empty() { "not used".to_owned() } else { serves.join(", ") };
        let labels = if split.labelled { "" } else { " without labels" };
        let images = if split.length == 1 { "image" } else { "images" };
        format!("{} {} {images}{labels} ({serves})", split.name, split.length)
    };
    let mut parts: Vec<String> = facts.splits.iter().enumerate().map(split).collect();
    parts.push(match facts.class_names.len() {
        0 => "no classes".to_owned(),
        1 => "1 class".to_owned(),
        count => format!("{count} classes"),
    });
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use infomax_sdk::{Roles, Split};

    #[test]
    fn splits_are_told_with_what_they_serve() {
        let split = |name: &str, length, labelled| Split { name: name.to_owned(), length, labelled };
        let facts = DatasetFacts {
            splits: vec![split("train", 40, true), split("val", 1, true), split("test", 8, false)],
            class_names: vec!["a".to_owned(), "b".to_owned()],
            roles: Roles { pretrain: vec![0], train: vec![0], test: vec![1] },
            fingerprint: String::new(),
            notes: Vec::new(),
        };
        let told = "train 40 images (pretraining, classifiers); val 1 image (tests); \
                    test 8 images without labels (not used); 2 classes";
        assert_eq!(in_a_line(&facts), told);
    }
}
