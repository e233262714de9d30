//! The objective alone, on recorded features: by hand and by autograd, whole and by row range.

use super::model::{facts, features, loss, replay};
use crate::support::golden_file::{Golden, golden, largest_difference};
use infomax::{
    loss::ForeignLoss,
    tensor::{Feature, Features},
};
use infomax_sdk::{FeatureMap, Source, View};
use tch::Tensor;

fn objective(file: &Golden) -> (ForeignLoss, Vec<Vec<Tensor>>) {
    let maps: Vec<Vec<Tensor>> = ["x1", "x2"]
        .iter()
        .map(|view| ["r1", "r5", "r7"].iter().map(|map| file.get(&format!("{map}_{view}"))).collect())
        .collect();
    let described = maps[0].iter().zip(["r1", "r5", "r7"]).map(|(map, name)| {
        let size = map.size();
        FeatureMap { name: name.into(), channels: size[1] as u32, height: size[2] as u32, width: size[3] as u32 }
    });
    let view = |name: &str| View { name: name.into(), height: 32, width: 32, group: 0 };
    let mut loss = loss(file.number("tclip"), vec![view("one"), view("two")], described.collect());
    replay(&mut loss, [&file.get("idx_5_x1"), &file.get("idx_5_x2")]);
    (loss, maps)
}

fn assert_terms(file: &Golden, terms: &[(String, f64)]) {
    for (name, own) in terms {
        let recorded = file.scalar(&format!("loss/{name}"));
        assert!((own / recorded - 1.0).abs() <= 1e-5, "{} {name}: {own} instead of {recorded}", file.name);
    }
}

fn assert_gradients(file: &Golden, gradients: &[Tensor]) {
    let names: Vec<String> =
        ["x1", "x2"].iter().flat_map(|v| ["r1", "r5", "r7"].map(|m| format!("grad/{m}_{v}"))).collect();
    let largest = names.iter().map(|n| file.get(n).abs().max().double_value(&[])).fold(0.0, f64::max);
    for (name, own) in names.iter().zip(gradients) {
        let error = largest_difference(own, &file.get(name)) / largest;
        assert!(error <= super::amdim::GRADIENTS, "{} {name}: {error:.2e} of the largest gradient", file.name);
    }
}

#[test]
fn golden_objective_by_hand_agrees() {
    for file in golden("nce") {
        let (loss, maps) = objective(&file);
        let batch = maps[0][0].size()[0];
        let done = loss.forward_backward(&features(&maps), &facts(), 0..batch).unwrap();
        assert_terms(
            &file,
            &done.terms.terms.iter().map(|(n, t)| (n.clone(), t.double_value(&[]))).collect::<Vec<_>>(),
        );
        assert_gradients(&file, &done.features.into_iter().map(Option::unwrap).collect::<Vec<_>>());
    }
}

#[test]
fn golden_objective_by_autograd_agrees() {
    for file in golden("nce") {
        let (loss, maps) = objective(&file);
        let batch = maps[0][0].size()[0];
        let recorded = features(&maps);
        let items = recorded.items().iter().map(|f| Feature {
            view: f.view,
            source: Source::Encoder,
            map: f.map.clone(),
            tensor: f.tensor.copy().set_requires_grad(true),
        });
        let leaves = Features::new(items.collect());
        let terms = loss.forward(&leaves, &facts(), 0..batch).unwrap();
        terms.total.backward();
        assert_terms(&file, &terms.terms.iter().map(|(n, t)| (n.clone(), t.double_value(&[]))).collect::<Vec<_>>());
        assert_gradients(&file, &leaves.items().iter().map(|f| f.tensor.grad()).collect::<Vec<_>>());
    }
}

#[test]
fn golden_objective_by_row_ranges_sums_to_the_whole() {
    for file in golden("nce") {
        let (loss, maps) = objective(&file);
        let batch = maps[0][0].size()[0];
        let mut terms: Vec<(String, f64)> = Vec::new();
        let mut gradients: Vec<Tensor> = maps.iter().flatten().map(Tensor::zeros_like).collect();
        for rows in [0..1, 1..batch / 2, batch / 2..batch] {
            let done = loss.forward_backward(&features(&maps), &facts(), rows).unwrap();
            for (i, (name, value)) in done.terms.terms.iter().enumerate() {
                if terms.len() <= i {
                    terms.push((name.clone(), 0.0));
                }
                terms[i].1 += value.double_value(&[]);
            }
            for (sum, gradient) in gradients.iter_mut().zip(&done.features) {
                *sum += gradient.as_ref().unwrap();
            }
        }
        assert_terms(&file, &terms);
        assert_gradients(&file, &gradients);
    }
}

/// A batch is computed by as many parts as it has rows, or a few: the recorded numbers.
#[test]
fn golden_objective_by_parts_of_a_batch_agrees() {
    for (file, most_scores) in
        [1, 3_000].into_iter().flat_map(|most| golden("nce").into_iter().map(move |file| (file, most)))
    {
        let (mut loss, maps) = objective(&file);
        let batch = maps[0][0].size()[0];
        let mut state = loss.save().unwrap();
        state["most_scores"] = most_scores.into();
        loss.load(&state).unwrap();
        let whole = objective(&file).0.forward_backward(&features(&maps), &facts(), 0..batch).unwrap();
        let done = loss.forward_backward(&features(&maps), &facts(), 0..batch).unwrap();
        let differ = |(one, two): (&Option<Tensor>, &Option<Tensor>)| one.as_ref().unwrap() != two.as_ref().unwrap();
        assert!(done.features.iter().zip(&whole.features).any(differ), "{}: in one part", file.name);
        assert_terms(
            &file,
            &done.terms.terms.iter().map(|(n, t)| (n.clone(), t.double_value(&[]))).collect::<Vec<_>>(),
        );
        assert_gradients(&file, &done.features.into_iter().map(Option::unwrap).collect::<Vec<_>>());
    }
}
