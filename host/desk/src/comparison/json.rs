//! A comparison for programs: everything, in full precision.

use super::{
    Against, Comparison, Group, Member, Outcome, Settings,
    statistics::{CONFIDENCE, Difference, Inference, NoTest},
};
use crate::record::without_home;
use serde_json::{Map, Value, json};

/// One object: what was compared, the groups, the runs.
pub fn to_json(comparison: &Comparison) -> String {
    let columns = comparison.columns.iter().map(|column| json!({ "key": column.key, "short": column.short }));
    let groups = comparison.groups.iter().enumerate().map(|(index, group)| self::group(comparison, index, group));
    let value = json!({
        "title": comparison.title,
        "metric": comparison.metric,
        "further": comparison.further,
        "confidence": CONFIDENCE,
        "columns": columns.collect::<Vec<_>>(),
        "following": comparison.following,
        "groups": groups.collect::<Vec<_>>(),
        "runs": comparison.members.iter().map(|member| run(comparison, member)).collect::<Vec<_>>(),
        "shortfalls": comparison.shortfalls().collect::<Vec<_>>(),
        "notes": comparison.notes,
    });
    serde_json::to_string_pretty(&value).expect("a comparison is plain data") + "\n"
}

fn group(comparison: &Comparison, index: usize, group: &Group) -> Value {
    let settings = comparison
        .columns
        .iter()
        .map(|column| (column.key.clone(), group.settings.get(&column.key).cloned().unwrap_or_default()));
    let values = group.values.iter().map(|(seed, value)| json!({ "seed": seed, "value": value }));
    json!({
        "label": group.label,
        "settings": settings.collect::<Map<_, _>>(),
        "is_baseline": comparison.is_baseline(index),
        "compared_at_rung": match comparison.against[index] {
            Against::Rung(rung) => Some(rung),
            _ => group.rung,
        },
        "runs": comparison.members_of(group).map(|member| &member.name).collect::<Vec<_>>(),
        "counts": group.counts,
        "values": values.collect::<Vec<_>>(),
        "last": group.last,
        "best": group.best,
        "untrained": group.untrained,
        "metrics": group.metrics,
        "images_per_second": group.images_per_second,
        "wall_seconds": group.wall_seconds,
        "memory": group.memory,
        "difference": group.difference.as_ref().map(difference),
    })
}

fn difference(difference: &Difference) -> Value {
    let Difference { mean, pairs, inference } = difference;
    match inference {
        Ok(Inference { test, statistic, degrees_of_freedom, interval, p, p_holm }) => json!({
            "mean": mean, "pairs": pairs, "test": test, "t": statistic, "degrees_of_freedom": degrees_of_freedom,
            "interval": interval, "p": p, "p_holm": p_holm,
        }),
        Err(reason) => json!({ "mean": mean, "pairs": pairs, "no_test": self::reason(*reason) }),
    }
}

fn reason(reason: NoTest) -> &'static str {
    match reason {
        NoTest::OneValue => "n = 1",
        NoTest::NoSpread => "no spread",
    }
}

fn run(comparison: &Comparison, member: &Member) -> Value {
    let shown = comparison.columns.iter().filter_map(|column| member.settings.get_key_value(&column.key));
    let settings: Settings = shown.map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut value = json!({
        "name": member.name, "seed": member.seed, "settings": settings, "outcome": member.outcome.word(),
    });
    if let Outcome::Failed { told, exit_code } = &member.outcome {
        value["told"] = json!(told);
        value["exit_code"] = json!(exit_code);
    }
    if let Some(figures) = member.outcome.figures() {
        let finite = |at: Option<(u64, f64)>| at.map(|(step, value)| json!({ "step": step, "value": value }));
        let metrics = figures.metrics.iter().map(|(name, metric)| {
            let value =
                json!({ "untrained": metric.untrained, "last": finite(metric.last), "best": finite(metric.best) });
            (name.clone(), value)
        });
        value["run"] = json!(without_home(&figures.run.display().to_string()));
        value["steps"] = json!(figures.steps);
        value["wall_seconds"] = json!(figures.wall_seconds);
        value["images_per_second"] = json!(figures.images_per_second);
        value["memory"] = json!(figures.memory);
        value["metrics"] = metrics.collect::<Map<_, _>>().into();
    }
    value
}
