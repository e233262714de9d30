//! Labels that come as texts.

use std::collections::BTreeSet;

/// Distinct labels as classes, in the order of their labels: numbers by their value, names bytewise.
pub(crate) fn in_order<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let labels: BTreeSet<&str> = labels.collect();
    let mut labels: Vec<&str> = labels.into_iter().collect();
    if labels.iter().all(|label| label.parse::<i64>().is_ok()) {
        labels.sort_by_key(|label| label.parse::<i64>().unwrap_or_default());
    }
    labels.into_iter().map(str::to_owned).collect()
}
