//! One update of the stages that learn from labels: classifiers on a frozen encoder, or encoder and linear classifier
//! together. Of each image one view, the first.

use super::{
    exchange::{gather_labels, gather_map, own_rows},
    model::Model,
    scaler::{LossScaler, scaled},
    step::{Gate, StepOutcome, Stepper, classify, labelled, update_parameters},
};
use crate::{
    dataset::TrainBatch,
    error::{Error, Result},
    optimizer::Optimizer,
};
use infomax_sdk::Mode;
use std::time::Instant;
use tch::{Kind, TchError, Tensor};

impl Stepper {
    /// Classifiers alone, on an encoder that stays as it is.
    ///
    /// # Errors
    /// What the plugins or libtorch say; a lost peer.
    pub(super) fn fit_classifiers(&self, model: &mut Model, batch: &TrainBatch, lr: f64) -> Result<StepOutcome> {
        let began = Instant::now();
        let key = self.key(batch.step);
        let views = self.first_view(batch)?;
        model.optimizers().try_for_each(Optimizer::clear_gradients)?;
        let wanted = self.representations(model, 1);
        let encode = || self.passes.all(model, &views, &wanted, self.frozen_mode, key.purpose("encoder"));
        let maps = tch::no_grad(encode)?;
        let alone = began.elapsed();
        let representation = gather_map(&self.group, &maps[&wanted[0]])?;
        let (labels, _) = gather_labels(&self.group, &batch.labels, &batch.indices)?;
        tch::manual_seed(key.purpose("evaluator").torch_seed());
        let classifiers = model.classifiers.as_ref().expect("the stage `classifiers` has some");
        let classified = classify(classifiers, &[representation], &labels.to_device(model.device))?;
        let total = total(&classified, model).map_err(Error::torch("add the losses"))?;
        self.gated(model, &[("loss".to_owned(), total)], &classified, lr, alone)
    }

    /// Encoder and linear classifier together, by cross-entropy; the classifier with a hidden layer learns beside them.
    ///
    /// # Errors
    /// What the plugins or libtorch say; a lost peer.
    pub(super) fn finetune(&self, model: &mut Model, batch: &TrainBatch, lr: f64) -> Result<StepOutcome> {
        let began = Instant::now();
        let key = self.key(batch.step);
        let views = self.first_view(batch)?;
        model.optimizers().try_for_each(Optimizer::clear_gradients)?;
        let wanted = self.representations(model, 1);
        let maps = self.passes.all(model, &views, &wanted, Mode::Train, key.purpose("encoder"))?;
        let alone = began.elapsed();
        let own = maps[&wanted[0]].f_detach().map_err(Error::torch("detach a feature map"))?;
        let representation = gather_map(&self.group, &own)?.set_requires_grad(true);
        let (labels, _) = gather_labels(&self.group, &batch.labels, &batch.indices)?;
        tch::manual_seed(key.purpose("evaluator").torch_seed());
        let terms = self.cross_entropy(model, &representation, &labels.to_device(model.device));
        let terms = terms.map_err(Error::torch("train on labels"))?;
        let gradient = Some(representation.grad()).filter(Tensor::defined);
        let scale = model.scaler.as_ref().map(LossScaler::scale);
        let gradient = gradient.map(|gradient| scaled(&gradient, scale)).transpose();
        let gradient = gradient.map_err(Error::torch("scale the loss"))?;
        let gradient = gradient.map(|gradient| own_rows(&self.group, &gradient, false)).transpose()?;
        self.backward(model, &views, maps, vec![gradient], key)?;
        self.gated(model, &terms, &[], lr, alone)
    }

    /// Losses of the global batch, their gradients in place.
    fn cross_entropy(
        &self,
        model: &Model,
        representation: &Tensor,
        labels: &Tensor,
    ) -> Result<Vec<(String, Tensor)>, TchError> {
        let classifiers = model.classifiers.as_ref().expect("the stage `finetune` has some");
        let Some((rows, labels)) = labelled(std::slice::from_ref(representation), labels)? else {
            let none = Tensor::f_zeros([0i64; 0], (Kind::Float, model.device))?;
            return Ok(vec![("loss".to_owned(), none)]);
        };
        let logits = classifiers.attached_logits(&rows, true)?;
        let total = logits.cross_entropy(&labels)?;
        let mut terms = vec![("loss".to_owned(), total.shallow_clone())];
        let beside = logits.losses(&labels)?.into_iter().find(|(name, _)| *name == "mlp");
        let all = beside.iter().try_fold(total, |sum, (_, loss)| sum.f_add(loss))?;
        all.f_backward()?;
        terms.extend(beside.map(|(name, loss)| (format!("loss/{name}"), loss)));
        Ok(terms)
    }

    fn gated(
        &self,
        model: &mut Model,
        terms: &[(String, Tensor)],
        classified: &[(String, Tensor)],
        lr: f64,
        alone: std::time::Duration,
    ) -> Result<StepOutcome> {
        let Gate { values, skipped, overflowed } = self.gate(model, terms, classified)?;
        if skipped.is_none() {
            update_parameters(model, lr)?;
        }
        Ok(StepOutcome { values, skipped, overflowed, alone })
    }
}

fn total(classified: &[(String, Tensor)], model: &Model) -> Result<Tensor, TchError> {
    let losses: Vec<Tensor> = classified.iter().map(|(_, loss)| loss.shallow_clone()).collect();
    match losses.len() {
        0 => Tensor::f_zeros([0i64; 0], (Kind::Float, model.device)),
        _ => Tensor::f_stack(&losses, 0)?.f_sum(Kind::Float),
    }
}
