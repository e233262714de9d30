//! The known name that a mistyped one most likely meant.

/// The nearest of `known` to `given`, if it is near enough to be worth proposing.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let allowed = (given.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= allowed && distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

/// A sentence that proposes the nearest name, or lists the known ones where none is near.
pub fn proposal<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(name) = nearest(given, known.clone()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let all: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    (!all.is_empty()).then(|| format!("known: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_letter_finds_the_name() {
        let known = ["batch_size", "seed", "lr"];
        assert_eq!(nearest("batch_szie", known), Some("batch_size"));
        assert_eq!(nearest("l", known), Some("lr"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(proposal("colour", known).unwrap(), "known: `batch_size`, `seed`, `lr`");
    }
}
