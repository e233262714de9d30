//! Adam over named parameters, one fused call per group of equal settings; its state is saved by name.
//!
//! # Source
//! Kingma and Ba 2015, algorithm 1; weight decay is added to the gradient (L2), as in the published AMDIM code.

use crate::{
    config::Optimizer,
    error::{Error, Result},
    native::{self, AdamSettings, AdamTensors},
};
use infomax_sdk::{NamedTensor, Role, Tags};
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
}

/// State of one parameter, made when it first has a gradient.
struct Moments {
    mean: Tensor,
    square: Tensor,
    /// f32 scalar: updates done.
    step: Tensor,
}

/// The optimizer.
pub struct Adam {
    trained: Vec<Trained>,
    moments: Vec<Option<Moments>>,
    settings: Optimizer,
}

impl Adam {
    /// An optimizer without state.
    pub fn new(trained: Vec<Trained>, settings: &Optimizer) -> Self {
        let moments = trained.iter().map(|_| None).collect();
        Self { trained, moments, settings: settings.clone() }
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

    /// The 2-norm of all gradients. On a GPU this waits for it.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn gradient_norm(&self) -> Result<f64> {
        let gradients: Vec<_> = self.trained.iter().map(|t| t.tensor.grad()).filter(Tensor::defined).collect();
        native::norm(&gradients).map_err(Error::native("measure gradients"))
    }

    /// One update; parameters without a gradient are not touched, nor is their state. `lr` is the schedule's, `base_lr`
    /// the config's.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn update(&mut self, lr: f64, base_lr: f64) -> Result<()> {
        let mut groups: BTreeMap<(bool, bool, u64), Vec<usize>> = BTreeMap::new();
        for (i, trained) in self.trained.iter().enumerate().filter(|(_, t)| t.tensor.grad().defined()) {
            if self.moments[i].is_none() {
                self.moments[i] = Some(Moments::new(&trained.tensor).map_err(Error::torch("make Adam's state"))?);
            }
            let tags = &trained.tags;
            groups.entry((tags.decay, tags.lr_fixed, tags.lr_scale.to_bits())).or_default().push(i);
        }
        for ((decay, lr_fixed, lr_scale), members) in groups {
            let moments = |part: fn(&Moments) -> &Tensor| -> Vec<Tensor> {
                let of = |&i: &usize| part(self.moments[i].as_ref().expect("made above")).shallow_clone();
                members.iter().map(of).collect()
            };
            let settings = AdamSettings {
                lr: if lr_fixed { base_lr } else { lr } * f64::from_bits(lr_scale),
                betas: self.settings.betas,
                weight_decay: if decay { self.settings.weight_decay } else { 0.0 },
                eps: self.settings.eps,
            };
            let parameters: Vec<_> = members.iter().map(|&i| self.trained[i].tensor.shallow_clone()).collect();
            let gradients: Vec<_> = parameters.iter().map(Tensor::grad).collect();
            let tensors = AdamTensors {
                parameters: &parameters,
                gradients: &gradients,
                means: &moments(|m| &m.mean),
                squares: &moments(|m| &m.square),
                steps: &moments(|m| &m.step),
            };
            native::adam(&tensors, settings).map_err(Error::native("update parameters"))?;
        }
        Ok(())
    }

    /// The state by name: `<parameter>.mean`, `.square`, `.step`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let of = |(trained, moments): (&Trained, &Option<Moments>)| {
            let parts = moments.as_ref().map(|m| [("mean", &m.mean), ("square", &m.square), ("step", &m.step)]);
            let named = |(part, tensor): (&str, &Tensor)| (format!("{}.{part}", trained.name), tensor.shallow_clone());
            parts.into_iter().flatten().map(named).collect::<Vec<_>>()
        };
        self.trained.iter().zip(&self.moments).flat_map(of).collect()
    }

    /// Takes state back; gives the names that fit no parameter, and the parameters whose state is incomplete.
    ///
    /// # Errors
    /// A shape that does not fit.
    pub fn load_state(&mut self, mut state: BTreeMap<String, Tensor>) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        for (trained, moments) in self.trained.iter().zip(&mut self.moments) {
            let mut part = |name| state.remove(&format!("{}.{name}", trained.name));
            *moments = match (part("mean"), part("square"), part("step")) {
                (None, None, None) => None,
                (Some(mean), Some(square), Some(step)) => match Moments::load(&trained.tensor, mean, square, step) {
                    Ok(moments) => Some(moments),
                    Err(error) => {
                        wrong.push(format!("{}: {error}", trained.name));
                        None
                    }
                },
                _ => {
                    wrong.push(format!("{}: a part of its state is missing", trained.name));
                    None
                }
            };
        }
        wrong.extend(state.into_keys().map(|name| format!("{name}: belongs to no parameter")));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl Moments {
    fn new(parameter: &Tensor) -> Result<Self, tch::TchError> {
        let zeros = || tch::no_grad(|| parameter.f_zeros_like());
        Ok(Self {
            mean: zeros()?,
            square: zeros()?,
            step: Tensor::f_zeros([0i64; 0], (Kind::Float, parameter.device()))?,
        })
    }

    /// Copies saved numbers into state of the parameter's own memory layout, as the fused update needs it.
    fn load(parameter: &Tensor, mean: Tensor, square: Tensor, step: Tensor) -> Result<Self, String> {
        let mut new = Self::new(parameter).map_err(|error| error.to_string())?;
        for (to, from) in [(&mut new.mean, mean), (&mut new.square, square), (&mut new.step, step)] {
            if to.size() != from.size() {
                return Err(format!("has the shape {:?}, saved is {:?}", to.size(), from.size()));
            }
            to.f_copy_(&from).map_err(|error| error.to_string())?;
        }
        Ok(new)
    }
}
