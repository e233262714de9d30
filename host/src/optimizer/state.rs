//! What is trained, by which rule, with which state; the state is saved by name.

use super::{adam, descent};
use crate::{
    config::{self, OptimizerName},
    error::{Error, Result},
    native::{self, Withheld},
    tensor::NamedTensor,
};
use infomax_sdk::{Role, Tags};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// A parameter that is trained.
pub struct Trained {
    /// Unique over encoder, loss and evaluator: `encoder.layer_list.0.conv.weight`.
    pub name: String,
    /// Shares storage with the component's own.
    pub tensor: Tensor,
    /// Decay and learning rate.
    pub tags: Tags,
}

impl Trained {
    /// The parameters among a component's tensors, under a prefix.
    pub fn of(prefix: &str, tensors: &[NamedTensor]) -> Vec<Self> {
        let parameters = tensors.iter().filter(|named| named.role == Role::Parameter);
        let trained = |named: &NamedTensor| Self {
            name: format!("{prefix}.{}", named.name),
            tensor: named.tensor.shallow_clone(),
            tags: named.tags.clone(),
        };
        parameters.map(trained).collect()
    }

    /// Whether this is a bias or a norm's scale or shift: a vector.
    fn is_bias_or_norm(&self) -> bool {
        self.tensor.dim() <= 1
    }
}

/// Parameters of equal settings, position by position, with the state that the rule keeps of each.
pub(super) struct Group {
    pub parameters: Vec<Tensor>,
    pub gradients: Vec<Tensor>,
    /// In the order of [`parts`].
    pub state: Vec<Vec<Tensor>>,
    pub lr: f64,
    pub weight_decay: f64,
    /// Whether LARS scales these.
    pub adapts: bool,
}

/// The names of what a rule keeps of each parameter. `step` is an f32 scalar, the others have the parameter's shape.
fn parts(rule: OptimizerName) -> &'static [&'static str] {
    match rule {
        OptimizerName::Adam | OptimizerName::Adamw => &["mean", "square", "step"],
        OptimizerName::Sgd | OptimizerName::Lars => &["momentum"],
    }
}

/// The optimizer.
pub struct Optimizer {
    trained: Vec<Trained>,
    /// Made when a parameter first has a gradient.
    states: Vec<Option<Vec<Tensor>>>,
    settings: config::Optimizer,
}

impl Optimizer {
    /// An optimizer without state.
    pub fn new(trained: Vec<Trained>, settings: &config::Optimizer) -> Self {
        let states = trained.iter().map(|_| None).collect();
        Self { trained, states, settings: settings.clone() }
    }

    /// The config's learning rate, before any schedule.
    pub fn lr(&self) -> f64 {
        self.settings.lr
    }

    /// What is trained.
    pub fn trained(&self) -> &[Trained] {
        &self.trained
    }

    /// Leaves all parameters without a gradient.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn clear_gradients(&self) -> Result<()> {
        let tensors: Vec<_> = self.trained.iter().map(|t| t.tensor.shallow_clone()).collect();
        native::clear_gradients(&tensors).map_err(Error::native("clear gradients"))
    }

    /// The 2-norm of all gradients, an f64 scalar on their device; none where there is no gradient.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn gradient_norm(&self) -> Result<Option<Tensor>> {
        let gradients: Vec<_> = self.trained.iter().map(|t| t.tensor.grad()).filter(Tensor::defined).collect();
        let norm = (!gradients.is_empty()).then(|| native::norm(&gradients));
        norm.transpose().map_err(Error::native("measure gradients"))
    }

    /// One update; parameters without a gradient are not touched, nor is their state. `lr` is the schedule's. Where
    /// the update is withheld on the device, nothing changes.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn update(&mut self, lr: f64, withheld: Withheld<'_>) -> Result<()> {
        let mut groups: BTreeMap<(bool, bool, u64), Vec<usize>> = BTreeMap::new();
        for (i, trained) in self.trained.iter().enumerate().filter(|(_, t)| t.tensor.grad().defined()) {
            if self.states[i].is_none() {
                let state = new_state(self.settings.name, &trained.tensor);
                self.states[i] = Some(state.map_err(Error::torch("make the optimizer's state"))?);
            }
            let tags = &trained.tags;
            let plain = self.settings.exclude_bias_and_norm && trained.is_bias_or_norm();
            groups.entry((tags.decay && !plain, tags.lr_fixed, tags.lr_scale.to_bits())).or_default().push(i);
        }
        for ((decays, lr_fixed, lr_scale), members) in groups {
            let of_state = |part: usize| -> Vec<Tensor> {
                let of = |&i: &usize| self.states[i].as_ref().expect("made above")[part].shallow_clone();
                members.iter().map(of).collect()
            };
            let parameters: Vec<_> = members.iter().map(|&i| self.trained[i].tensor.shallow_clone()).collect();
            let group = Group {
                gradients: parameters.iter().map(Tensor::grad).collect(),
                parameters,
                state: (0..parts(self.settings.name).len()).map(of_state).collect(),
                lr: if lr_fixed { self.settings.lr } else { lr } * f64::from_bits(lr_scale),
                weight_decay: if decays { self.settings.weight_decay } else { 0.0 },
                adapts: decays,
            };
            let updated = match self.settings.name {
                OptimizerName::Adam | OptimizerName::Adamw => adam::update(&group, &self.settings, withheld),
                OptimizerName::Sgd | OptimizerName::Lars => descent::update(&group, &self.settings, withheld),
            };
            updated.map_err(Error::native("update parameters"))?;
        }
        Ok(())
    }

    /// The state by name: `<parameter>.mean`, `.square`, `.step`, or `.momentum`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let of = |(trained, state): (&Trained, &Option<Vec<Tensor>>)| {
            let named = |(part, tensor): (&&str, &Tensor)| (format!("{}.{part}", trained.name), tensor.shallow_clone());
            let list: Vec<_> = parts(self.settings.name).iter().zip(state.iter().flatten()).map(named).collect();
            list
        };
        self.trained.iter().zip(&self.states).flat_map(of).collect()
    }

    /// Takes out of `saved` what belongs to these parameters.
    ///
    /// # Errors
    /// Each part that is missing or has another shape.
    pub fn load_state(&mut self, saved: &mut BTreeMap<String, Tensor>) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        let rule = self.settings.name;
        for (trained, state) in self.trained.iter().zip(&mut self.states) {
            let of_parameter = |part: &&str| saved.remove(&format!("{}.{part}", trained.name));
            let found: Vec<_> = parts(rule).iter().filter_map(of_parameter).collect();
            *state = None;
            if found.is_empty() {
                continue;
            }
            if found.len() < parts(rule).len() {
                wrong.push(format!("{}: a part of its state is missing", trained.name));
                continue;
            }
            match filled_state(rule, &trained.tensor, &found) {
                Ok(filled) => *state = Some(filled),
                Err(error) => wrong.push(format!("{}: {error}", trained.name)),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// State of zeros in the parameter's own memory layout, as fused updates need it.
fn new_state(rule: OptimizerName, parameter: &Tensor) -> Result<Vec<Tensor>, tch::TchError> {
    let part = |&name: &&str| match name {
        "step" => Tensor::f_zeros([0i64; 0], (Kind::Float, parameter.device())),
        _ => tch::no_grad(|| parameter.f_zeros_like()),
    };
    parts(rule).iter().map(part).collect()
}

fn filled_state(rule: OptimizerName, parameter: &Tensor, saved: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let mut state = new_state(rule, parameter).map_err(|error| error.to_string())?;
    for (to, from) in state.iter_mut().zip(saved) {
        if to.size() != from.size() {
            return Err(format!("has the shape {:?}, saved is {:?}", to.size(), from.size()));
        }
        to.f_copy_(from).map_err(|error| error.to_string())?;
    }
    Ok(state)
}
