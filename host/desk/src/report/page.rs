//! The page, from top to bottom: how the run stands, results, curves, views, commands, settings, and what it was made with.

use super::{
    again::commands,
    chart::Drawing,
    classes,
    curves::{charts, terms},
    facts::Facts,
    markup::{base64, breakable, document, prose, sentence},
    results::Outcome,
    settings::{Setting, Table},
    started,
    state::State,
    text::{grouped, is_accuracy, number, result, size},
};
use crate::record::{End, Ending, Identity, Memory, Part, duration, minute, without_home};
use infomax_sdk::DatasetFacts;
use maud::{Markup, html};

/// What all pages look like.
pub const STYLE: &str = include_str!("style.css");
/// Whatever a class or a file is called, a browser fetches and runs nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
/// Names of classes that are listed.
const CLASSES: usize = 100;
/// Parts of a run that are listed, the last ones.
const PARTS: usize = 20;
/// Checkpoints that are listed, the last ones.
const CHECKPOINTS: usize = 50;

/// The whole page.
pub fn page(facts: &Facts) -> Markup {
    let body = html! {
        main {
            @for (_, section) in sections(facts, &Drawing::default()) { (section) }
            footer { "Written by infomax " (env!("CARGO_PKG_VERSION")) ". Every number is in metrics.jsonl." }
        }
    };
    document(&facts.name, POLICY, STYLE, &body)
}

/// The sections of the page, each with a name, in order.
pub fn sections(facts: &Facts, drawing: &Drawing) -> Vec<(&'static str, Markup)> {
    vec![
        ("head", head(facts)),
        ("notices", notices(facts)),
        ("results", results(facts)),
        ("classes", classes::section(&facts.evaluated)),
        ("curves", curves(facts, drawing)),
        ("views", views(facts)),
        ("again", again(facts)),
        ("settings", settings(facts)),
        ("builds", builds(facts)),
        ("data", data(facts)),
        ("machine", machine(facts)),
        ("checkpoints", checkpoints(facts)),
        ("parts", parts(facts)),
    ]
}

/// What the run is, how it stands, and its figures.
fn head(facts: &Facts) -> Markup {
    let component = |kind: &str| facts.settings.text(&format!("{kind}.name")).map(str::to_owned);
    let flow: Vec<String> = ["dataset", "augmentation", "encoder", "loss"]
        .into_iter()
        .filter_map(|kind| Some(format!("{kind} {}", component(kind)?)))
        .collect();
    let (word, class) = badge(&facts.state);
    let end = facts.parts.last().and_then(|part| part.end.as_ref());
    let planned = facts.parts.last().and_then(|part| part.until_step);
    let planned = planned.or_else(|| facts.settings.get("train.steps").and_then(serde_json::Value::as_u64));
    let headline = headline(facts);
    let best = headline.and_then(|outcome| outcome.best).filter(|_| facts.is_held_out());
    let memory = facts.parts.iter().filter_map(|part| part.memory).reduce(Memory::max);
    let skipped = facts.rows.iter().rev().find_map(|row| row.get("skipped_steps")).filter(|count| *count > 0.0);
    html! {
        header {
            div.title {
                h1 { (facts.name) }
                span class=(format!("badge {class}")) { (word) @if class != "good" { " at step " (grouped(facts.step())) } }
            }
            p.flow { (flow.join(" → ")) }
            @if let Some(End { told: Some(told), hint, .. }) = end {
                div class=(format!("told {class}")) {
                    p { (prose(&sentence(told))) }
                    @if let Some(hint) = hint { p.hint { "Hint: " (prose(&without_home(hint))) } }
                }
            }
            dl.figures {
                @if let Some((name, (step, value))) = headline.and_then(|outcome| Some((&outcome.name, outcome.last?))) {
                    (figure(&result(name, value), &format!("{name}, step {}", grouped(step))))
                    @if let Some((step, value)) = best {
                        (figure(&result(name, value), &format!("best on held-out images, step {}", grouped(step))))
                    }
                }
                @let of = planned.map(|planned| format!("updates of {}", grouped(planned)));
                (figure(&grouped(facts.step()), &of.unwrap_or_else(|| "updates".to_owned())))
                @if let Some(seconds) = facts.seconds() { (figure(&duration(seconds), "wall time")) }
                @if let Some(left) = seconds_left(facts, planned) { (figure(&duration(left), "left at this pace")) }
                @if let Some(pace) = facts.images_per_second() {
                    (figure(&pace_text(pace), "images/s, median"))
                }
                @if let Some(memory) = memory {
                    @let what = if memory.device_bytes.is_some() { "peak memory of the GPU" } else { "peak memory" };
                    (figure(&size(memory.device_bytes.unwrap_or(memory.process_bytes)), what))
                }
                @if let Some(count) = skipped {
                    (figure(&grouped(count as u64), "steps without an update"))
                }
            }
        }
    }
}

/// Of a run that goes on.
fn seconds_left(facts: &Facts, planned: Option<u64>) -> Option<f64> {
    let (done, planned) = (facts.step(), planned?);
    let goes_on = facts.state == State::Running && done > 0 && planned > done;
    goes_on.then(|| Some(facts.seconds()? / done as f64 * (planned - done) as f64))?
}

/// The accuracy that stands for the run: the one that checkpoints are kept by, or else the first.
fn headline(facts: &Facts) -> Option<&Outcome> {
    let chosen = facts.settings.text("checkpoint.best_metric").filter(|_| facts.is_held_out());
    let accuracies = || facts.outcomes.iter().filter(|outcome| is_accuracy(&outcome.name) && outcome.last.is_some());
    accuracies().find(|outcome| Some(outcome.name.as_str()) == chosen).or_else(|| accuracies().next())
}

fn pace_text(pace: f64) -> String {
    if pace >= 100.0 { grouped(pace.round() as u64) } else { number(pace) }
}

fn figure(value: &str, what: &str) -> Markup {
    html! { div { dt { (what) } dd { (value) } } }
}

fn badge(state: &State) -> (&'static str, &'static str) {
    match state {
        State::Running => ("training", "fair"),
        State::Ended(Ending::Finished) => ("done", "good"),
        State::Ended(Ending::Interrupted) => ("interrupted", "fair"),
        State::Ended(Ending::Diverged) => ("diverged", "poor"),
        State::Ended(Ending::Failed) => ("failed", "poor"),
        State::Lost => ("ended without a word", "poor"),
        State::Unknown => ("not known to have begun", "fair"),
    }
}

fn notices(facts: &Facts) -> Markup {
    html! {
        @if !facts.notices.is_empty() {
            section.notices {
                h2 { "This page is not complete" }
                ul { @for notice in &facts.notices { li { (prose(&sentence(notice))) } } }
            }
        }
    }
}

fn results(facts: &Facts) -> Markup {
    let has_untrained = facts.outcomes.iter().any(|outcome| outcome.untrained.is_some());
    // Nothing is chosen on the test images.
    let has_best = facts.is_held_out() && facts.outcomes.iter().any(|outcome| outcome.best.is_some());
    html! {
        section {
            h2 { "Results" }
            @if facts.outcomes.is_empty() {
                p.quiet { "No test has been made yet." }
            } @else {
                div.wide {
                    table.numbers {
                        thead { tr {
                            th { "result" }
                            @if has_untrained { th { "untrained" } }
                            th { "last" }
                            th { "at step" }
                            @if has_best { th { "best" } th { "at step" } }
                        } }
                        tbody { @for outcome in &facts.outcomes { (result_row(outcome, has_untrained, has_best)) } }
                    }
                }
                p.quiet {
                    @if facts.is_held_out() { "Tested on images that are kept from training." }
                    @else { "Tested on the test images, on which nothing is chosen." }
                }
            }
        }
    }
}

fn result_row(outcome: &Outcome, has_untrained: bool, has_best: bool) -> Markup {
    let told = |value: Option<f64>| value.map_or("–".to_owned(), |value| result(&outcome.name, value));
    let at = |found: Option<(u64, f64)>| found.map_or("–".to_owned(), |(step, _)| grouped(step));
    let value = |found: Option<(u64, f64)>| told(found.map(|(_, value)| value));
    html! {
        tr {
            th scope="row" { (outcome.name) @if let Some(what) = meaning(&outcome.name) { span.meaning { (what) } } }
            @if has_untrained { td { (told(outcome.untrained)) } }
            td.strong { (value(outcome.last)) }
            td.step { (at(outcome.last)) }
            @if has_best { td { (value(outcome.best)) } td.step { (at(outcome.best)) } }
        }
    }
}

fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "linear_top1" => "linear classifier",
        "mlp_top1" => "classifier with a hidden layer",
        "knn_top1" => "nearest neighbours",
        "feature_std" => "1: spread over all directions, 0: collapsed",
        "rankme" => "effective dimensions of the representation",
        "uniformity" => "lower: spread more evenly",
        "alignment" => "squared distance between two views of an image",
        _ => return None,
    })
}

fn curves(facts: &Facts, drawing: &Drawing) -> Markup {
    let (charts, terms) = (charts(facts, drawing.across), terms(facts, drawing.across));
    html! {
        @if !charts.is_empty() {
            section {
                h2 { "Curves" }
                div.charts { @for chart in &charts { (chart.drawn(drawing)) } }
            }
        }
        @if !terms.is_empty() {
            section {
                h2 { "Terms of the loss" }
                div class="charts small" { @for term in &terms { (term.drawn_small(drawing)) } }
            }
        }
    }
}

fn views(facts: &Facts) -> Markup {
    html! {
        @if let Some(png) = &facts.sheet {
            section {
                h2 { "Views" }
                p.quiet { "Images and the views of them that training sees." }
                img.sheet alt="Images, each with its augmented views" src=(format!("data:image/png;base64,{}", base64(png)));
            }
        }
    }
}

fn again(facts: &Facts) -> Markup {
    let commands = commands(facts);
    html! {
        @if !commands.is_empty() {
            section {
                h2 { "Again" }
                p.quiet { "In the folder in which the run was started:" }
                dl.commands {
                    @for command in &commands { dt { (command.what) } dd { code { (command.line) } } }
                }
            }
        }
    }
}

fn settings(facts: &Facts) -> Markup {
    let has_origins = facts.settings.has_origins;
    html! {
        @if !facts.settings.tables.is_empty() {
            section {
                h2 { "Settings" }
                @if !has_origins { p.quiet { "Who set what was not recorded." } }
                @for table in &facts.settings.tables { (settings_table(table, has_origins)) }
            }
        }
    }
}

fn settings_table(table: &Table, has_origins: bool) -> Markup {
    let set = table.settings.iter().filter(|setting| !setting.is_default()).count();
    html! {
        details open[has_origins && set > 0] {
            summary {
                code { (table.name) }
                @if has_origins { span.count { (set) " of " (table.settings.len()) " set" } }
            }
            table.settings { tbody { @for setting in &table.settings { (setting_row(setting)) } } }
        }
    }
}

fn setting_row(setting: &Setting) -> Markup {
    html! {
        tr.default[setting.is_default()] {
            th scope="row" { (breakable(&setting.key)) }
            td { (setting.value) }
            td.origin {
                (breakable(&setting.set_by))
                @if let Some(other) = &setting.instead_of { span.before { "instead of " (breakable(other)) } }
            }
        }
    }
}

fn builds(facts: &Facts) -> Markup {
    let Some(identity) = &facts.identity else { return html! {} };
    let Identity { infomax, libtorch, config, device, threads, plugins, .. } = identity;
    html! {
        section {
            h2 { "Builds" }
            dl.facts {
                dt { "infomax" } dd { (infomax) }
                dt { "libtorch" } dd { (libtorch) }
                dt { "device" } dd { (device.to_lowercase()) ", " (threads) " threads in an operation" }
                dt { "config, as begun" } dd { (hash(config)) }
                @if let Some(provenance) = &identity.provenance { (started::rows(provenance)) }
            }
            div.wide {
                table {
                    thead { tr { th { "plugin" } th { "version" } th { "SHA-256" } th { "interface" } th { "rustc" } th { "libtorch" } } }
                    tbody {
                        @for (name, plugin) in plugins {
                            tr {
                                th scope="row" { (name) }
                                td { (plugin.version) }
                                td { (hash(&plugin.sha256)) }
                                td { (plugin.abi[0]) "." (plugin.abi[1]) }
                                td { (plugin.rustc) }
                                td { (plugin.libtorch.as_deref().unwrap_or("–")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first twelve digits; all where a pointer asks.
fn hash(hex: &str) -> Markup {
    let short: String = hex.chars().take(12).collect();
    html! { code title=(hex) { (short) } }
}

/// `0 airplane, 1 bird`: names with the labels that classifiers and files of features have for them.
fn labelled(names: &[String], first: usize) -> String {
    names.iter().zip(first..).map(|(name, label)| format!("{label} {name}")).collect::<Vec<_>>().join(", ")
}

fn data(facts: &Facts) -> Markup {
    let Some(identity) = &facts.identity else { return html! {} };
    let DatasetFacts { splits, class_names, roles, fingerprint, notes } = &identity.dataset;
    let used = |list: &[usize], index: usize, what: &'static str| list.contains(&index).then_some(what);
    let uses = |index: usize| {
        let list = [
            used(&roles.pretrain, index, "pretraining"),
            used(&roles.train, index, "classifiers"),
            used(&roles.test, index, "tests"),
        ];
        list.into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    html! {
        section {
            h2 { "Data" }
            dl.facts {
                @if let Some(name) = facts.settings.text("dataset.name") { dt { "dataset" } dd { (name) } }
                dt { "fingerprint" } dd { (hash(fingerprint)) }
                @if !class_names.is_empty() {
                    dt { (class_names.len()) " classes" }
                    dd {
                        (labelled(&class_names[..class_names.len().min(CLASSES)], 0))
                        @if class_names.len() > CLASSES {
                            details {
                                summary { "and " (class_names.len() - CLASSES) " more" }
                                (labelled(&class_names[CLASSES..], CLASSES))
                            }
                        }
                    }
                }
                @for note in notes { dt { "note" } dd { (without_home(note)) } }
            }
            div.wide {
                table.numbers {
                    thead { tr { th { "split" } th { "images" } th.word { "labels" } th.word { "serves" } } }
                    tbody {
                        @for (index, split) in splits.iter().enumerate() {
                            tr {
                                th scope="row" { (split.name) }
                                td { (grouped(split.length)) }
                                td.word { @if split.labelled { "yes" } @else { "no" } }
                                td.word { (uses(index)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn machine(facts: &Facts) -> Markup {
    html! {
        @if !facts.hardware.is_empty() {
            section {
                h2 { @if facts.hardware.len() > 1 { "Machines, in order" } @else { "Machine" } }
                @for machine in &facts.hardware {
                    dl.facts {
                        dt { "processor" } dd { (machine.processor) ", " (machine.cores) " cores for this process" }
                        dt { "memory" } dd { (size(machine.memory_mib << 20)) }
                        dt { "GPU" }
                        dd { @if machine.gpus.is_empty() { "none" } @else { (machine.gpus.join(", ")) } }
                        dt { "system" } dd { (machine.system) ", kernel " (machine.kernel) }
                    }
                }
            }
        }
    }
}

fn checkpoints(facts: &Facts) -> Markup {
    let hidden = facts.checkpoints.len().saturating_sub(CHECKPOINTS);
    html! {
        section {
            h2 { "Checkpoints" }
            @if facts.checkpoints.is_empty() {
                p.quiet { "None." }
            } @else {
                @if hidden > 0 { p.quiet { "The last " (CHECKPOINTS) " of " (facts.checkpoints.len()) "." } }
                div.wide {
                    table.numbers {
                        thead { tr { th { "checkpoint" } th { "size" } th.word { "tested there" } } }
                        tbody {
                            @for saved in facts.checkpoints.iter().skip(hidden) {
                                tr {
                                    th scope="row" { "step " (grouped(saved.step)) }
                                    @match &saved.found {
                                        Ok((bytes, results)) => {
                                            td { (size(*bytes)) }
                                            td.word {
                                                @for (index, (name, value)) in results.iter().enumerate() {
                                                    @if index > 0 { " · " }
                                                    span.together { (name) " " (result(name, *value)) }
                                                }
                                            }
                                        }
                                        Err(reason) => { td { "–" } td.word { "damaged: " (without_home(reason)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn parts(facts: &Facts) -> Markup {
    let hidden = facts.parts.len().saturating_sub(PARTS);
    html! {
        @if !facts.parts.is_empty() {
            section {
                h2 { "History" }
                div.wide {
                    table.numbers {
                        thead { tr { th { "began (UTC)" } th { "from step" } th.word { "ended (UTC)" } th.word { "how" } } }
                        tbody { @for (index, part) in facts.parts.iter().enumerate().skip(hidden) { (part_row(facts, index, part)) } }
                    }
                }
            }
        }
    }
}

fn part_row(facts: &Facts, index: usize, part: &Part) -> Markup {
    let is_last = index + 1 == facts.parts.len();
    html! {
        tr {
            th scope="row" { (minute(part.began)) }
            td { (grouped(part.from_step)) }
            @match &part.end {
                Some(end) => { td.word { (minute(end.at)) } td.word { (badge(&State::Ended(end.how)).0) } }
                None => {
                    td.word { "–" }
                    td.word { (badge(if is_last { &facts.state } else { &State::Lost }).0) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{MetricsFile, Row};

    /// A run of 200,000 rows of 14 numbers.
    #[test]
    fn long_run_makes_a_small_page() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = MetricsFile::open(&folder.path().join("metrics.jsonl")).unwrap();
        for step in 1..=200_000 {
            let noise = |k: u64| ((step * 7919 + k * 104_729) % 1000) as f64 / 1000.0;
            let terms = (0..9).map(|k| (format!("loss/term_{k}"), 2.0 + noise(k)));
            let mut values = vec![("loss".to_owned(), 20.0 + noise(10))];
            values.extend(terms);
            values.extend(
                [("lr", 1e-3), ("images_per_second", 300.0 + noise(11)), ("waiting_for_data", noise(12))]
                    .map(|(name, value)| (name.to_owned(), value)),
            );
            metrics.append(&Row { step, epoch: 0, seconds: step as f64, values }).unwrap();
        }
        let began = std::time::Instant::now();
        let text = page(&Facts::read(folder.path())).into_string();
        println!("{} bytes in {:.2} s", text.len(), began.elapsed().as_secs_f64());
        assert!(text.len() < 3 << 20, "{} bytes", text.len());
    }

    #[test]
    fn whatever_is_written_there_stays_text() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("<b>run");
        std::fs::create_dir(&run).unwrap();
        let evil = "</script></style><script>alert(1)</script>\"'&<img src=x onerror=y>";
        let mut metrics = MetricsFile::open(&run.join("metrics.jsonl")).unwrap();
        for step in 1..3 {
            let values = [("lr", 1.0), (evil, 2.0)].map(|(name, value)| (name.to_owned(), value)).to_vec();
            metrics.append(&Row { step, epoch: 0, seconds: 1.0, values }).unwrap();
            let values = vec![(format!("{evil}_top1"), 3.0)];
            metrics.append(&Row { step, epoch: 0, seconds: 1.0, values }).unwrap();
        }
        let quoted = serde_json::to_string(evil).unwrap();
        std::fs::write(
            run.join("config.toml"),
            format!("[loss]\nname = {quoted}\n[loss.config]\n{quoted} = {quoted}\n"),
        )
        .unwrap();
        let split = serde_json::json!({"name": evil, "length": 3, "labelled": true});
        let roles = serde_json::json!({"pretrain": [0], "train": [], "test": []});
        let plugin = serde_json::json!({"version": evil, "sha256": evil, "abi": [1, 0], "rustc": evil, "libtorch": evil, "file": evil});
        let identity = serde_json::json!({
            "infomax": evil, "libtorch": evil, "config": evil, "device": evil, "threads": 1, "plugins": {evil: plugin},
            "dataset": {"splits": [split], "class_names": [evil], "roles": roles, "fingerprint": evil, "notes": [evil]},
        });
        std::fs::write(run.join("run.json"), identity.to_string()).unwrap();
        let hardware = serde_json::json!([{"processor": evil, "cores": 1, "memory_mib": 1, "gpus": [evil], "system": evil, "kernel": evil}]);
        std::fs::write(run.join("hardware.json"), hardware.to_string()).unwrap();
        let end = serde_json::json!({"at": 1, "how": "failed", "told": evil, "hint": evil});
        let history = serde_json::json!({"parts": [{"began": 0, "from_step": 0, "end": end}]});
        std::fs::write(run.join("history.json"), history.to_string()).unwrap();
        let origins = serde_json::json!({"loss.name": [{"at": "default", "value": evil}, {"at": evil, "value": evil}]});
        std::fs::write(run.join("origins.json"), origins.to_string()).unwrap();
        let facts = Facts::read(&run);
        assert!(facts.notices.is_empty(), "{:?}", facts.notices);
        let text = page(&facts).into_string();
        assert!(text.matches("&lt;script&gt;").count() > 20);
        for tag in ["<script", "<img", "<b>", "</style><"] {
            assert!(!text.replace("</style></head>", "").contains(tag), "{tag}");
        }
        assert_eq!(text.matches("</style>").count(), 1);
    }
}
