//! Checks of an encoder: shapes, modes, gradients, and that it keeps nothing but its own tensors.

use super::{
    ranks,
    subject::{Subject, no_panic, said, take},
    tensors::{Before, finite, follows_gradient, growth, leaving_no_trace, named, rate, relative, sound, torch_said},
};
use crate::{
    config::Precision,
    tensor::{NamedTensor, lend, take as take_tensor},
    train::Arithmetic,
};
use infomax_abi::{FfiEncoder, TensorPtr};
use infomax_sdk::{
    EncoderDescription, EncoderInput, Error, Key, Mode, Role, View, ffi::encoder::mode_code, requests::Request,
};
use tch::{Device, Kind, Tensor};

const SIDES: [u32; 4] = [32, 64, 128, 224];
const BATCH: i64 = 4;
/// Oneself against oneself with the images in another order: only sums in another order differ.
const REORDERED: f64 = 1e-4;

pub(super) fn check(subject: &mut Subject<'_>) {
    let sides = if subject.sides.is_empty() { SIDES.to_vec() } else { subject.sides.clone() };
    let fits = sides.iter().copied().map(|side| (side, with_views(subject.request(), side)));
    let mut refusal = String::new();
    let mut found = None;
    for (side, request) in fits {
        match subject.describe(&request) {
            Ok(description) => {
                found = Some((side, request, description));
                break;
            }
            Err(error) => refusal = error.to_string(),
        }
    }
    let Some((side, request, description)) = found else {
        let message = format!("it takes two views of none of the sides {sides:?}; of the last it says: {refusal}");
        return subject.verdict::<()>("description", Err(message));
    };
    let description = match serde_json::from_value::<EncoderDescription>(description) {
        Ok(description) if description.maps.iter().any(|map| map.name == description.representation) => description,
        Ok(description) => {
            let message = format!("its representation `{}` is none of its maps", description.representation);
            return subject.verdict::<()>("description", Err(message));
        }
        Err(error) => return subject.verdict::<()>("description", Err(error.to_string())),
    };
    subject.verdict("description", Ok(()));
    let (one, other) =
        match (Instance::new(subject, &request, &description), Instance::new(subject, &request, &description)) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(message), _) | (_, Err(message)) => return subject.verdict::<()>("creation", Err(message)),
        };
    let side = i64::from(side);
    subject.verdict("creation", one.creation(&other));
    subject.verdict("maps", one.maps(side));
    subject.verdict("modes", one.modes(side));
    subject.verdict("determinism", one.determinism(side));
    subject.verdict("order of the batch", one.order(side));
    subject.verdict("gradients", one.gradients(side));
    subject.verdict("state", one.state(&other, side));
    match ranks::check(subject, &request, &description, side) {
        Ok(None) => subject.note("two ranks against one, for it draws numbers in training"),
        Ok(Some(said)) => subject.verdict("two ranks against one", Ok(said)),
        Err(message) => subject.verdict::<()>("two ranks against one", Err(message)),
    }
    subject.verdict("bf16 and f16", one.number_formats(side));
    subject.verdict("input that makes no sense", one.nonsense());
    subject.verdict("memory", one.memory(side));
    subject.verdict("throughput", one.throughput(side));
    subject.verdict("drop", one.drop().and_then(|()| other.drop()));
}

fn with_views(request: Request, side: u32) -> Request {
    let view = |name: &str| View { name: name.into(), height: side, width: side, group: 0 };
    let input =
        EncoderInput { views: vec![view("one"), view("two")], eval_size: [side, side], ..EncoderInput::default() };
    Request { encoder: input, ..request }
}

pub(super) struct Instance<'a> {
    pub ffi: FfiEncoder,
    description: &'a EncoderDescription,
}

impl<'a> Instance<'a> {
    pub fn new(subject: &Subject<'_>, request: &Request, description: &'a EncoderDescription) -> Result<Self, String> {
        tch::manual_seed(1);
        let text = serde_json::to_string(request).expect("a request is plain data");
        let made = take(subject.module.create_encoder()(subject.name.as_str().into(), text.as_str().into()));
        Ok(Self { ffi: made.map_err(said)?, description })
    }

    pub fn tensors(&self) -> Result<Vec<NamedTensor>, String> {
        named(self.ffi.vtable.tensors(), self.ffi.instance)
    }

    fn run(&self, views: &[Tensor], mode: Mode) -> Result<Vec<Tensor>, Error> {
        let lent: Vec<TensorPtr> = views.iter().map(lend).collect();
        let given = take(self.ffi.vtable.forward()(self.ffi.instance, lent.as_slice().into(), mode_code(mode)))?;
        // SAFETY: the plugin handed the tensors over.
        let maps: Vec<Option<Tensor>> = given.into_iter().map(|tensor| unsafe { take_tensor(tensor) }).collect();
        let missing = || Error::new("a map is undefined");
        maps.into_iter().map(|map| map.filter(Tensor::defined).ok_or_else(missing)).collect()
    }

    pub fn forward(&self, views: &[Tensor], mode: Mode) -> Result<Vec<Tensor>, String> {
        self.run(views, mode).map_err(said)
    }

    fn creation(&self, other: &Self) -> Result<String, String> {
        let (own, others) = (self.tensors()?, other.tensors()?);
        sound(&own)?;
        Before::of(&own).same_numbers(&others).map_err(|what| {
            format!("two instances of one seed differ: {what}; draw weights from libtorch's generator alone")
        })?;
        Ok(format!("{} tensors, the same for a seed", own.len()))
    }

    fn maps(&self, side: i64) -> Result<(), String> {
        let views = [images(BATCH, side, 1), images(BATCH, side, 2)];
        let maps = self.forward(&views, Mode::Train)?;
        let described = &self.description.maps;
        if maps.len() != 2 * described.len() {
            return Err(format!("{} maps of 2 views, it describes {} of each", maps.len(), described.len()));
        }
        for (map, expected) in maps.iter().zip(described.iter().cycle()) {
            let name = &expected.name;
            let shape = [BATCH, expected.channels.into(), expected.height.into(), expected.width.into()];
            if map.size() != shape {
                return Err(format!("`{name}` has the shape {:?}, it describes {shape:?}", map.size()));
            }
            if !map.requires_grad() {
                return Err(format!("`{name}` has no gradient in training"));
            }
            if !finite(map) {
                return Err(format!("`{name}` is not finite"));
            }
        }
        Ok(())
    }

    /// Only training and the refresh of statistics may change anything, and only buffers.
    fn modes(&self, side: i64) -> Result<(), String> {
        let views = [images(BATCH, side, 1), images(BATCH, side, 2)];
        let parameters = |list: Vec<NamedTensor>| -> Vec<NamedTensor> {
            list.into_iter().filter(|named| named.role == Role::Parameter).collect()
        };
        for mode in [Mode::Train, Mode::TrainFrozenStatistics, Mode::RefreshStatistics, Mode::Evaluate] {
            let all = Before::of(&self.tensors()?);
            let trained = Before::of(&parameters(self.tensors()?));
            self.forward(&views, mode)?;
            let place = |what: String| format!("in the mode {mode:?} {what}");
            all.same_tensors(&self.tensors()?).map_err(place)?;
            trained.same_numbers(&parameters(self.tensors()?)).map_err(place)?;
            if matches!(mode, Mode::TrainFrozenStatistics | Mode::Evaluate) {
                all.same_numbers(&self.tensors()?).map_err(place)?;
            }
        }
        Ok(())
    }

    fn determinism(&self, side: i64) -> Result<(), String> {
        let view = [images(BATCH, side, 1)];
        let evaluate = || leaving_no_trace(|| self.forward(&view, Mode::Evaluate));
        if evaluate()? != evaluate()? {
            return Err("it evaluates differently the second time".to_owned());
        }
        let both = self.forward(&[images(BATCH, side, 1), images(BATCH, side, 2)], Mode::Evaluate)?;
        let alone = self.forward(&view, Mode::Evaluate)?;
        let worst = alone.iter().zip(&both).map(|(alone, both)| relative(alone, both)).fold(0.0, f64::max);
        if worst > REORDERED {
            return Err(format!("a view's maps depend on the other view in evaluation: by {worst:.1e}"));
        }
        tch::no_grad(|| self.forward(&view, Mode::Evaluate)).and_then(|maps| {
            if maps.iter().any(Tensor::requires_grad) {
                return Err("it tracks gradients where the host switched that off".to_owned());
            }
            Ok(())
        })
    }

    fn order(&self, side: i64) -> Result<String, String> {
        let images = images(BATCH, side, 1);
        let order = Tensor::from_slice(&[2i64, 0, 3, 1]);
        let straight = self.forward(&[images.shallow_clone()], Mode::Evaluate)?;
        let permuted = self.forward(&[images.index_select(0, &order)], Mode::Evaluate)?;
        let mut worst = 0.0_f64;
        for ((straight, permuted), map) in straight.iter().zip(&permuted).zip(&self.description.maps) {
            let error = relative(permuted, &straight.index_select(0, &order));
            if error > REORDERED {
                return Err(format!("`{}` of an image depends on its place in the batch: by {error:.1e}", map.name));
            }
            worst = worst.max(error);
        }
        Ok(format!("an image's maps in another place of the batch differ by {worst:.1e}"))
    }

    fn gradients(&self, side: i64) -> Result<String, String> {
        let views = [images(BATCH, side, 1)];
        let weights: Vec<Tensor> = self
            .forward(&views, Mode::Evaluate)?
            .iter()
            .map(|map| {
                let mut rng = Key::new(map.numel() as u64).rng();
                let values: Vec<f32> = (0..map.numel()).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
                Tensor::from_slice(&values).view_as(map)
            })
            .collect();
        let value = || -> Result<Tensor, String> {
            let maps = self.forward(&views, Mode::Evaluate)?;
            let parts: Vec<Tensor> = maps.iter().zip(&weights).map(|(map, w)| (map * w).mean(Kind::Double)).collect();
            Ok(Tensor::stack(&parts, 0).sum(Kind::Double))
        };
        let parameters: Vec<Tensor> =
            self.tensors()?.into_iter().filter(|n| n.role == Role::Parameter).map(|n| n.tensor).collect();
        value()?.f_backward().map_err(torch_said)?;
        let gradients: Vec<_> =
            parameters.iter().map(|p| Some(p.grad()).filter(Tensor::defined).map(|g| g.copy())).collect();
        // Parameters that a config leaves inactive exist in the published checkpoints and get no gradient.
        let numbers = |tensors: &mut dyn Iterator<Item = &Tensor>| tensors.map(|t| t.numel() as u64).sum::<u64>();
        let (all, active) = (numbers(&mut parameters.iter()), numbers(&mut gradients.iter().flatten()));
        let said = self.description.parameter_count;
        if active == 0 || (said != active && said != all) {
            return Err(format!("{active} of {all} trained numbers get a gradient, its description says {said}"));
        }
        tch::no_grad(|| follows_gradient(&parameters, &gradients, || Ok(value()?.double_value(&[]))))
    }

    /// What is saved and loaded makes another instance the same.
    fn state(&self, other: &Self, side: i64) -> Result<(), String> {
        self.forward(&[images(BATCH, side, 3), images(BATCH, side, 4)], Mode::Train)?;
        Before::of(&self.tensors()?).copy_into(&mut other.tensors()?)?;
        let saved = take(self.ffi.vtable.state_save()(self.ffi.instance)).map_err(said)?;
        take(other.ffi.vtable.state_load()(other.ffi.instance, saved.as_str().into())).map_err(said)?;
        let view = [images(BATCH, side, 5)];
        if self.forward(&view, Mode::Evaluate)? != other.forward(&view, Mode::Evaluate)? {
            return Err("an instance with the same tensors and the same saved state gives other maps".to_owned());
        }
        Ok(())
    }

    /// Under autocast: finite maps, near what f32 gives.
    fn number_formats(&self, side: i64) -> Result<String, String> {
        const FAR: f64 = 0.2;
        let view = [images(BATCH, side, 6)];
        let expected = self.forward(&view, Mode::Evaluate)?;
        let mut said = Vec::new();
        for (name, precision) in [("bf16", Precision::Bf16), ("f16", Precision::F16)] {
            let arithmetic = Arithmetic::new(precision, Device::Cpu).map_err(|error| error.to_string())?;
            let maps = {
                let _autocast = arithmetic.begin();
                self.forward(&view, Mode::Evaluate).map_err(|message| format!("in {name}: {message}"))?
            };
            let mut worst = 0.0_f64;
            for ((map, expected), described) in maps.iter().zip(&expected).zip(&self.description.maps) {
                let error = relative(map, expected);
                if !finite(map) || error > FAR {
                    let map = &described.name;
                    return Err(format!(
                        "in {name} the map `{map}` is {:.0} % from f32's, or not finite",
                        100.0 * error
                    ));
                }
                worst = worst.max(error);
            }
            said.push(format!("{name} {:.1} %", 100.0 * worst));
        }
        Ok(format!("maps from f32's by at most {}", said.join(", ")))
    }

    /// Forward passes once more and once more leave no memory behind.
    fn memory(&self, side: i64) -> Result<String, String> {
        const CALLS: usize = 6;
        const MOST: f64 = 256.0; // KiB a call
        let view = [images(BATCH, side, 7)];
        growth(CALLS, || self.forward(&view, Mode::Evaluate).map(drop), MOST)
    }

    fn throughput(&self, side: i64) -> Result<String, String> {
        let view = [images(BATCH, side, 8)];
        rate(BATCH, || {
            let maps = self.forward(&view, Mode::Train)?;
            let sums: Vec<Tensor> = maps.iter().map(|map| map.mean(Kind::Float)).collect();
            Tensor::stack(&sums, 0).sum(Kind::Float).f_backward().map_err(torch_said)
        })
    }

    fn nonsense(&self) -> Result<(), String> {
        let wrong = [
            ("one channel", Tensor::zeros([2, 1, 32, 32], (Kind::Float, Device::Cpu))),
            ("one pixel", Tensor::zeros([2, 3, 1, 1], (Kind::Float, Device::Cpu))),
            ("whole numbers", Tensor::zeros([2, 3, 32, 32], (Kind::Int64, Device::Cpu))),
        ];
        for (what, view) in wrong {
            no_panic(&format!("a view of {what}"), &self.run(&[view], Mode::Evaluate))?;
        }
        Ok(())
    }

    pub fn drop(self) -> Result<(), String> {
        take(self.ffi.vtable.drop()(self.ffi.instance)).map_err(said)
    }
}

/// Normalised noise, channels-last, the same for a seed.
pub(super) fn images(count: i64, side: i64, seed: u64) -> Tensor {
    let mut rng = Key::new(seed).purpose("conformance").rng();
    let values: Vec<f32> = (0..count * side * side * 3).map(|_| rng.uniform(-2.0, 2.0) as f32).collect();
    Tensor::from_slice(&values).view([count, side, side, 3]).permute([0, 3, 1, 2])
}
