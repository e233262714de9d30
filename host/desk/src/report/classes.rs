//! What `infomax evaluate` measured: the results, how many test images of each class were told right, what the others were taken for.

use super::text::{grouped, result};
use crate::evaluation::{Cell, ClassRow, Evaluated, from_worst, mistakes};
use maud::{Markup, html};

/// Up to so many classes have a matrix.
const MATRIX: usize = 20;
/// Of more classes so many are listed, the worst ones.
const WORST: usize = 20;
/// Pairs of classes that are listed.
const PAIRS: usize = 20;
/// Cells of at least this share have the paper's colour.
const DARK_FROM: f64 = 0.55;

/// The section on what was measured of a run: on the classes by its first row, that of all labels. Nothing where nobody measured.
pub fn section(rows: &[Evaluated]) -> Markup {
    let Some(row) = rows.first() else { return html! {} };
    let (images, fitted) = (grouped(row.test_images), grouped(row.train_images));
    html! {
        section {
            h2 { "Evaluation" }
            p.quiet {
                "By " code { "infomax evaluate" } " after step " (grouped(row.step)) ", on " (images) " test images of " (row.dataset)
                "; classifiers of " (fitted) " labelled images. Nothing is chosen on test images."
            }
            (shares(rows))
            @if row.classes.len() <= MATRIX && !row.confusion.linear.is_empty() { (matrix(row)) }
            @if !row.classes.is_empty() { (accuracies(row)) (pairs(row)) }
        }
    }
}

/// A row for each share of the labels.
fn shares(rows: &[Evaluated]) -> Markup {
    html! {
        div.wide {
            table.numbers {
                thead { tr { th { "labels" } th { "training images" } th { "linear" } th { "neighbours" } } }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (row.labels) }
                            td { (grouped(row.train_images)) }
                            td { (percent(Some(row.linear_top1))) }
                            td { (percent(Some(row.knn_top1))) }
                        }
                    }
                }
            }
        }
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| result("_top1", value))
}

/// In each row the images of a class, in each column what the linear classifier takes them for, in percent of the class.
fn matrix(row: &Evaluated) -> Markup {
    let classes = &row.classes;
    html! {
        h3 { "Confusion of the linear classifier" }
        p.quiet { "Rows: the class of an image. Columns: what it is taken for, in % of the row." }
        div.wide {
            table.matrix {
                thead { tr { th {} @for class in classes { th scope="col" title=(class.class) { span { (class.class) } } } } }
                tbody {
                    @for class in classes {
                        tr {
                            th scope="row" title=(class.class) { (class.class) }
                            @for said in classes { (cell(row, class, said)) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(row: &Evaluated, class: &ClassRow, said: &ClassRow) -> Markup {
    let is_it = |cell: &&Cell| cell.label == class.label && cell.said == said.label;
    let images = row.confusion.linear.iter().find(is_it).map_or(0, |cell| cell.images);
    let share = images as f64 / class.test_images.max(1) as f64;
    let told = format!("{images} of {} images of {}, taken for {}", class.test_images, class.class, said.class);
    html! {
        td.right[class.label == said.label].dark[share >= DARK_FROM] style=(format!("--heat:{share:.2}")) title=(told) {
            @if images > 0 { (format!("{:.0}", 100.0 * share)) }
        }
    }
}

/// The accuracy on each class, the worst first.
fn accuracies(row: &Evaluated) -> Markup {
    let all = from_worst(&row.classes);
    let is_long = all.len() > MATRIX;
    let wrong = mistakes(&row.confusion.linear);
    let name = |label: i64| row.classes.iter().find(|class| class.label == label).map_or("?", |class| &class.class);
    let taken = |class: &ClassRow| wrong.iter().find(|cell| cell.label == class.label).map(|cell| name(cell.said));
    html! {
        h3 { @if is_long { "The worst of " (row.classes.len()) " classes" } @else { "Accuracy on each class, the worst first" } }
        div.wide {
            table.numbers.classes {
                thead { tr { th { "class" } th { "images" } th { "linear" } th { "neighbours" } th.word { "taken for" } } }
                tbody {
                    @for class in all.iter().take(if is_long { WORST } else { MATRIX }) {
                        tr {
                            th scope="row" { (class.class) }
                            td { (class.test_images) }
                            td { (percent(class.linear_top1)) }
                            td { (percent(class.knn_top1)) }
                            td.word { (taken(class).unwrap_or("–")) }
                        }
                    }
                }
            }
        }
        @if is_long { p.quiet { "All of them are in evaluation-classes.csv." } }
    }
}

/// The pairs of classes that are confused most often.
fn pairs(row: &Evaluated) -> Markup {
    let wrong = mistakes(&row.confusion.linear);
    let class = |label: i64| row.classes.iter().find(|class| class.label == label);
    let name = |label: i64| class(label).map_or("?", |class| &class.class);
    html! {
        @if row.classes.len() > MATRIX && !wrong.is_empty() {
            h3 { "Most frequent confusions of the linear classifier" }
            div.wide {
                table.numbers.classes {
                    thead { tr { th { "class" } th.word { "taken for" } th { "images" } th { "of" } } }
                    tbody {
                        @for cell in wrong.iter().take(PAIRS) {
                            tr {
                                th scope="row" { (name(cell.label)) }
                                td.word { (name(cell.said)) }
                                td { (cell.images) }
                                td.step { (class(cell.label).map_or(0, |class| class.test_images)) }
                            }
                        }
                    }
                }
            }
            p.quiet { "All of them are in evaluation-confusion.csv." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Confusion, cells};

    fn evaluated(count: i64) -> Evaluated {
        let labels: Vec<i64> = (0..count * 50).map(|i| i % count).collect();
        let said: Vec<i64> =
            labels.iter().enumerate().map(|(i, label)| (label + i64::from(i % 7 == 0)) % count).collect();
        let class = |label| ClassRow {
            label,
            class: format!("class <{label}>"),
            test_images: 50,
            linear_top1: Some(86.0),
            knn_top1: None,
        };
        let confusion = Confusion { linear: cells(&labels, &said), knn: Vec::new() };
        Evaluated {
            step: 14,
            dataset: "many".to_owned(),
            labels: "all".to_owned(),
            train_images: 5000,
            test_images: labels.len() as u64,
            linear_top1: 86.0,
            knn_top1: 80.0,
            classes: (0..count).map(class).collect(),
            confusion,
        }
    }

    #[test]
    fn results_are_shown_where_no_classes_are_told() {
        let row = Evaluated { classes: Vec::new(), ..evaluated(2) };
        let text = section(&[row]).into_string();
        assert!(
            text.contains("86.00 %") && text.contains("80.00 %") && !text.contains("Accuracy on each class"),
            "{text}"
        );
    }

    #[test]
    fn few_classes_have_a_matrix_and_many_the_worst() {
        let few = section(&[evaluated(10)]).into_string();
        assert_eq!(few.matches("--heat:").count(), 100);
        assert!(few.contains("images of class &lt;3&gt;, taken for class &lt;4&gt;") && !few.contains("class <"));
        let many = section(&[evaluated(1000)]).into_string();
        assert!(!many.contains("--heat:") && many.contains("The worst of 1000 classes"));
        assert_eq!(many.matches("<tr>").count(), 2 + 1 + WORST + 1 + PAIRS);
        assert!(many.len() < 12_000, "{} bytes", many.len());
        assert_eq!(section(&[]).into_string(), "");
    }
}
