//! One update of the stages that learn from labels: classifiers on a frozen encoder, or encoder and linear classifier
//! together. Of each image one view, the first.

use super::{
    exchange::{Labels, gather_labels, gather_map, own_rows},
    input::Input,
    model::Model,
    passes::Draws,
    scaler::{LossScaler, scaled},
    step::{Launched, Stepper, classify, labelled, update_parameters},
};
use crate::{
    error::{Error, Result},
    optimizer::Optimizer,
};
use infomax_sdk::Mode;
use std::time::{Duration, Instant};
use tch::{Kind, TchError, Tensor};

impl Stepper {
    /// Classifiers alone, on an encoder that stays as it is.
    ///
    /// # Errors
    /// What the plugins or libtorch say; a lost peer.
    pub(super) fn fit_classifiers(&self, model: &mut Model, input: &Input, lr: f64) -> Result<Launched> {
        let began = Instant::now();
        let key = self.key(input.step);
        let views = self.first_view(input)?;
        model.optimizers().try_for_each(Optimizer::clear_gradients)?;
        let wanted = self.representations(model, 1);
        let encode =
            || self.passes.all(model, &views, &wanted, self.frozen_mode, Draws { step: key, purpose: "encoder" });
        let maps = tch::no_grad(encode)?;
        let alone = began.elapsed();
        let representation = gather_map(&self.group, &maps[&wanted[0]])?;
        let labels = gather_labels(&self.group, input)?;
        tch::manual_seed(key.purpose("evaluator").torch_seed());
        let classifiers = model.classifiers.as_ref().expect("the stage `classifiers` has some");
        let classified = classify(classifiers, &[representation], &labels)?;
        let total = total(&classified, model).map_err(Error::torch("add the losses"))?;
        self.gated(model, (vec![("loss".to_owned(), total)], classified), None, lr, (input.step, alone))
    }

    /// Encoder and linear classifier together, by cross-entropy; the classifier with a hidden layer learns beside them.
    ///
    /// # Errors
    /// What the plugins or libtorch say; a lost peer.
    pub(super) fn finetune(&self, model: &mut Model, input: &Input, lr: f64) -> Result<Launched> {
        let began = Instant::now();
        let key = self.key(input.step);
        let views = self.first_view(input)?;
        model.optimizers().try_for_each(Optimizer::clear_gradients)?;
        let wanted = self.representations(model, 1);
        let maps = self.passes.all(model, &views, &wanted, Mode::Train, Draws { step: key, purpose: "encoder" })?;
        let alone = began.elapsed();
        let own = maps[&wanted[0]].f_detach().map_err(Error::torch("detach a feature map"))?;
        let representation = gather_map(&self.group, &own)?.set_requires_grad(true);
        let labels = gather_labels(&self.group, input)?;
        tch::manual_seed(key.purpose("evaluator").torch_seed());
        let terms = self.cross_entropy(model, &representation, &labels);
        let terms = terms.map_err(Error::torch("train on labels"))?;
        let gradient = Some(representation.grad()).filter(Tensor::defined);
        let scale = model.scaler.as_ref().map(LossScaler::scale).transpose()?;
        let gradient = gradient.map(|gradient| scaled(&gradient, scale.as_ref())).transpose();
        let gradient = gradient.map_err(Error::torch("scale the loss"))?;
        let gradient = gradient.map(|gradient| own_rows(&self.group, &gradient, false)).transpose()?;
        self.backward(model, &views, maps, vec![gradient], key)?;
        self.gated(model, (terms, Vec::new()), scale.as_ref(), lr, (input.step, alone))
    }

    /// Losses of the global batch, their gradients in place.
    fn cross_entropy(
        &self,
        model: &Model,
        representation: &Tensor,
        labels: &Labels,
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
        (terms, classified): (NamedScalars, NamedScalars),
        scale: Option<&Tensor>,
        lr: f64,
        (step, alone): (u64, Duration),
    ) -> Result<Launched> {
        let gate = self.gate(model, terms, classified, scale)?;
        if !gate.is_closed() {
            update_parameters(model, lr, gate.withheld())?;
        }
        Ok(Launched::plain(step, gate, alone))
    }
}

type NamedScalars = Vec<(String, Tensor)>;

fn total(classified: &[(String, Tensor)], model: &Model) -> Result<Tensor, TchError> {
    let losses: Vec<Tensor> = classified.iter().map(|(_, loss)| loss.shallow_clone()).collect();
    match losses.len() {
        0 => Tensor::f_zeros([0i64; 0], (Kind::Float, model.device)),
        _ => Tensor::f_stack(&losses, 0)?.f_sum(Kind::Float),
    }
}
