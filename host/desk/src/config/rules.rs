//! Values that are each allowed but contradict one another, as far as the host can tell before anything is built.
//!
//! What needs a component's description (a crop larger than the image, views that a loss doesn't take) is checked later.

use super::{
    experiment::Experiment,
    fault::Fault,
    layer::{Layer, Place},
    tables::{BatchNormMode, BestMetric, Device, LossScale, OnBad, Precision, Protocol, ScheduleName, Stage},
};

/// One contradiction between two keys.
struct Rule {
    keys: [&'static str; 2],
    /// What contradicts what, naming both keys with their values; none where all is well.
    check: fn(&Experiment) -> Option<String>,
    hint: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        keys: ["optimizer.warmup_steps", "train.steps"],
        check: |e| {
            let (warmup, steps) = (e.optimizer.warmup_steps?, e.train.steps?);
            (warmup > steps)
                .then(|| format!("`optimizer.warmup_steps` = {warmup} is longer than `train.steps` = {steps}"))
        },
        hint: "lower `optimizer.warmup_steps`, or train for longer",
    },
    Rule {
        keys: ["optimizer.warmup_steps", "train.images"],
        check: |e| {
            let (warmup, images) = (e.optimizer.warmup_steps?, e.train.images?);
            let steps = images / e.train.batch_size;
            let text = format!(
                "`optimizer.warmup_steps` = {warmup} is longer than the {steps} steps of `train.images` = {images}"
            );
            (steps > 0 && warmup > steps).then_some(text)
        },
        hint: "lower `optimizer.warmup_steps`, or train for longer",
    },
    Rule {
        keys: ["optimizer.warmup_epochs", "train.epochs"],
        check: |e| {
            let (warmup, epochs) = (e.optimizer.warmup_epochs?, e.train.epochs?);
            (warmup > epochs)
                .then(|| format!("`optimizer.warmup_epochs` = {warmup} is longer than `train.epochs` = {epochs}"))
        },
        hint: "lower `optimizer.warmup_epochs`, or train for longer",
    },
    Rule {
        keys: ["optimizer.schedule", "train.seconds"],
        check: |e| {
            let seconds = e.train.seconds?;
            let text = format!(
                "`optimizer.schedule` = `cosine` needs to know the last update, but `train.seconds` = {seconds}"
            );
            (e.optimizer.schedule == ScheduleName::Cosine).then_some(text)
        },
        hint: "give `train.epochs`, `train.steps` or `train.images`, or use the schedule `milestones`",
    },
    Rule {
        keys: ["optimizer.nesterov", "optimizer.momentum"],
        check: |e| {
            let text = "`optimizer.nesterov` looks ahead along a momentum, but `optimizer.momentum` = 0";
            (e.optimizer.nesterov && e.optimizer.momentum == 0.0).then(|| text.to_owned())
        },
        hint: "raise `optimizer.momentum`, or turn `optimizer.nesterov` off",
    },
    Rule {
        keys: ["train.images", "train.batch_size"],
        check: |e| {
            let (images, batch) = (e.train.images?, e.train.batch_size);
            (images < batch).then(|| format!("`train.images` = {images} is less than one `train.batch_size` = {batch}"))
        },
        hint: "raise `train.images`, or lower `train.batch_size`",
    },
    Rule {
        keys: ["train.precision", "train.device"],
        check: |e| {
            let text = "`train.precision` = `tf32` is a format of NVIDIA GPUs, but `train.device` = `cpu`";
            (e.train.precision == Precision::Tf32 && e.train.device == Device::Cpu).then(|| text.to_owned())
        },
        hint: "use `bf16` or `f32`, or a GPU",
    },
    Rule {
        keys: ["train.loss_scale.initial", "train.loss_scale.floor"],
        check: |e| {
            let LossScale { initial, floor, .. } = e.train.loss_scale;
            let text = format!("`train.loss_scale.initial` = {initial} lies below `train.loss_scale.floor` = {floor}");
            (initial < floor).then_some(text)
        },
        hint: "raise `train.loss_scale.initial`, or lower `train.loss_scale.floor`",
    },
    Rule {
        keys: ["train.batch_size", "distributed.nproc"],
        check: |e| {
            let (batch, nproc) = (e.train.batch_size, e.distributed.nproc);
            let text = format!("`train.batch_size` = {batch} is not a multiple of `distributed.nproc` = {nproc}");
            (batch % nproc != 0).then_some(text)
        },
        hint: "`train.batch_size` counts the images of all processes",
    },
    Rule {
        keys: ["train.batch_size", "train.accumulation_steps"],
        check: |e| {
            let (batch, nproc, passes) = (e.train.batch_size, e.distributed.nproc, e.train.accumulation_steps);
            let text = format!(
                "`train.batch_size` = {batch} on {nproc} processes can't be cut into `train.accumulation_steps` = {passes} equal parts"
            );
            (passes > 1 && batch % (nproc * passes) != 0).then_some(text)
        },
        hint: "the batch must be a multiple of processes times `train.accumulation_steps`",
    },
    Rule {
        keys: ["batch_norm.chunk_size", "train.batch_size"],
        check: |e| {
            let size = e.batch_norm.chunk_size?;
            let pass = e.train.batch_size / (e.distributed.nproc * e.train.accumulation_steps);
            let text = format!(
                "`batch_norm.chunk_size` = {size} does not divide the {pass} images of a pass (`train.batch_size` = {})",
                e.train.batch_size
            );
            (pass % size != 0).then_some(text)
        },
        hint: "a pass has `train.batch_size` images, divided by processes and by `train.accumulation_steps`",
    },
    Rule {
        keys: ["batch_norm.mode", "batch_norm.chunk_size"],
        check: |e| {
            let size = e.batch_norm.chunk_size?;
            let text = format!(
                "`batch_norm.mode` = `sync` shares statistics over processes, `batch_norm.chunk_size` = {size} over less than one"
            );
            (e.batch_norm.mode == BatchNormMode::Sync).then_some(text)
        },
        hint: "leave one of the two out",
    },
    Rule {
        keys: ["evaluation.holdout_fraction", "evaluation.linear"],
        check: |e| {
            let fraction = e.evaluation.holdout_fraction;
            let text = format!(
                "`evaluation.holdout_fraction` = {fraction} keeps images for a test, but `evaluation.linear` and every other evaluator are off"
            );
            (fraction > 0.0 && !e.evaluation.tests()).then_some(text)
        },
        hint: "turn an evaluator on, or set `evaluation.holdout_fraction` to 0",
    },
    Rule {
        keys: ["checkpoint.keep_best", "evaluation.holdout_fraction"],
        check: |e| {
            let best = e.checkpoint.keep_best;
            let text = format!(
                "`checkpoint.keep_best` = {best} chooses by accuracy, but `evaluation.holdout_fraction` = 0: only the test split would be left to choose by"
            );
            (best > 0 && e.evaluation.holdout_fraction == 0.0).then_some(text)
        },
        hint: "keep some training images to choose by: `evaluation.holdout_fraction = 0.1`",
    },
    Rule {
        keys: ["checkpoint.keep_best", "checkpoint.best_metric"],
        check: |e| {
            let (best, metric) = (e.checkpoint.keep_best, e.checkpoint.best_metric);
            let is_measured = match metric {
                BestMetric::Linear => e.evaluation.linear,
                BestMetric::Mlp => e.evaluation.mlp,
                BestMetric::Knn => e.evaluation.knn,
            };
            let name = metric.name();
            let text = format!(
                "`checkpoint.keep_best` = {best} goes by `checkpoint.best_metric` = `{name}`, which no evaluator measures"
            );
            (best > 0 && !is_measured).then_some(text)
        },
        hint: "turn the evaluator on, or choose by another metric",
    },
    Rule {
        keys: ["train.stage", "evaluation.linear"],
        check: |e| {
            let without = !e.evaluation.linear;
            match e.train.stage {
                Stage::Finetune if without => {
                    Some("`train.stage` = `finetune` trains the linear classifier, but `evaluation.linear` is off".to_owned())
                }
                Stage::Classifiers if without && !e.evaluation.mlp => Some(
                    "`train.stage` = `classifiers` trains classifiers, but `evaluation.linear` and `evaluation.mlp` are off"
                        .to_owned(),
                ),
                _ => None,
            }
        },
        hint: "turn a classifier on, or use the stage `pretrain`",
    },
    Rule {
        keys: ["evaluation.stop_on_collapse", "evaluation.collapse"],
        check: |e| {
            let text = "`evaluation.stop_on_collapse` is on, but `evaluation.collapse`, which would notice it, is off";
            (e.evaluation.stop_on_collapse && !e.evaluation.collapse).then(|| text.to_owned())
        },
        hint: "turn `evaluation.collapse` on",
    },
    Rule {
        keys: ["evaluation.untrained", "evaluation.linear"],
        check: |e| {
            let text = "`evaluation.untrained` is on, but `evaluation.linear` and every other evaluator are off";
            (e.evaluation.untrained && !e.evaluation.tests()).then(|| text.to_owned())
        },
        hint: "turn an evaluator on, or `evaluation.untrained` off",
    },
    Rule {
        keys: ["evaluation.protocol", "evaluation.holdout_fraction"],
        check: |e| {
            let fraction = e.evaluation.holdout_fraction;
            let text = format!(
                "`evaluation.protocol` = `paper` tests on the test split, but `evaluation.holdout_fraction` = {fraction}"
            );
            (e.evaluation.protocol == Protocol::Paper && fraction > 0.0).then_some(text)
        },
        hint: "use the protocol `clean`, or set `evaluation.holdout_fraction` to 0",
    },
    Rule {
        keys: ["optimizer.milestones", "optimizer.milestone_factor"],
        check: |e| {
            let milestones = &e.optimizer.milestones;
            let text = format!(
                "`optimizer.milestones` = {milestones:?} does not increase, so `optimizer.milestone_factor` would act twice"
            );
            (!milestones.is_sorted_by(|a, b| a < b)).then_some(text)
        },
        hint: "list each epoch once, in order",
    },
    Rule {
        keys: ["encoder.weights_key", "encoder.weights"],
        check: |e| {
            let key = e.encoder.weights_key.as_ref().filter(|_| e.encoder.weights.is_none())?;
            Some(format!(
                "`encoder.weights_key` = `{key}` chooses in a file of weights, but there is no `encoder.weights`"
            ))
        },
        hint: "name the file under `encoder.weights`, or leave the key out",
    },
    Rule {
        keys: ["encoder.weights_prefix", "encoder.weights"],
        check: |e| {
            let prefix = e.encoder.weights_prefix.as_ref().filter(|_| e.encoder.weights.is_none())?;
            Some(format!(
                "`encoder.weights_prefix` = `{prefix}` chooses in a file of weights, but there is no `encoder.weights`"
            ))
        },
        hint: "name the file under `encoder.weights`, or leave the prefix out",
    },
    Rule {
        keys: ["encoder.weights_grid", "encoder.weights"],
        check: |e| {
            let [down, across] = e.encoder.weights_grid.filter(|_| e.encoder.weights.is_none())?;
            Some(format!(
                "`encoder.weights_grid` = [{down}, {across}] is of a file of weights, but there is no `encoder.weights`"
            ))
        },
        hint: "name the file under `encoder.weights`, or leave the grid out",
    },
    Rule {
        keys: ["dataset.label_fraction", "dataset.label_list"],
        check: |e| {
            let (fraction, list) = (e.dataset.label_fraction?, e.dataset.label_list.as_ref()?);
            let list = list.display();
            Some(format!(
                "`dataset.label_fraction` = {fraction} and `dataset.label_list` = `{list}` both choose labels"
            ))
        },
        hint: "leave one of the two out",
    },
    Rule {
        keys: ["dataset.on_bad", "dataset.max_bad_fraction"],
        check: |e| {
            let text = "`dataset.on_bad` = `skip` with `dataset.max_bad_fraction` = 0 would skip nothing";
            (e.dataset.on_bad == OnBad::Skip && e.dataset.max_bad_fraction == 0.0).then(|| text.to_owned())
        },
        hint: "raise `dataset.max_bad_fraction`, or use `dataset.on_bad = \"stop\"`",
    },
];

/// The pairs of keys that are checked against each other.
pub fn contradictions() -> impl Iterator<Item = [&'static str; 2]> {
    RULES.iter().map(|rule| rule.keys)
}

/// Every contradiction in an experiment.
pub(super) fn check(experiment: &Experiment, layers: &[Layer]) -> Vec<Fault> {
    let broken = |rule: &Rule| {
        let message = (rule.check)(experiment)?;
        Some(Fault { message, at: places(&rule.keys, layers), hint: Some(rule.hint.to_owned()) })
    };
    RULES.iter().filter_map(broken).collect()
}

/// Where a layer sets these keys; defaults have no place.
fn places(keys: &[&str], layers: &[Layer]) -> Option<String> {
    let place = |key: &&str| {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        layers.iter().rev().find_map(|layer| layer.places.get(&path)).map(Place::to_string)
    };
    let mut found: Vec<String> = keys.iter().filter_map(place).collect();
    found.dedup();
    (!found.is_empty()).then(|| found.join(" and "))
}
