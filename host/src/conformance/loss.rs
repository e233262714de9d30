//! Checks of a loss: pure, alike for any order of the batch, right in its gradients and its row ranges, and finite where
//! a batch is degenerate.

use super::{
    subject::{Subject, all, no_panic, said, take},
    tensors::{
        Before, finite, follows_gradient, growth, leaving_no_trace, named, noise, rate, relative, sound, torch_said,
    },
};
use crate::{
    config::Precision,
    tensor::{Facts, Feature, Features, NamedTensor, kind_of, lend_facts, lend_features, take as take_tensor},
    train::Arithmetic,
};
use infomax_abi::{FfiLoss, FfiTerm, FfiTerms};
use infomax_sdk::{
    EncoderInput, Error, FeatureMap, Key, LossDescription, LossInput, Role, Source, View, requests::Request,
};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// More than a handful, so that every class of four has several images.
const BATCH: i64 = 12;
/// Sums in another order.
const REORDERED: f64 = 1e-4;

/// Two views, and maps of an encoder that gives what any loss may want.
pub(super) fn plausible(request: Request) -> Request {
    with_views(request, &[0, 0])
}

fn with_views(request: Request, groups: &[u32]) -> Request {
    let view = |(i, &group): (usize, &u32)| View { name: format!("view{i}"), height: 32, width: 32, group };
    let views: Vec<View> = groups.iter().enumerate().map(view).collect();
    let map = |name: &str, side| FeatureMap { name: name.into(), channels: 16, height: side, width: side };
    let loss = LossInput {
        views: views.clone(),
        maps: vec![map("r1", 1), map("r5", 5), map("r7", 7)],
        representation: "r1".to_owned(),
        class_count: Some(4),
    };
    Request { encoder: EncoderInput { views, eval_size: [32, 32], ..EncoderInput::default() }, loss, ..request }
}

pub(super) fn check(subject: &mut Subject<'_>) {
    let mut refusal = String::new();
    let mut found = None;
    for groups in [&[0, 0][..], &[0], &[0, 1], &[0, 0, 1, 1]] {
        let mut request = with_views(subject.request(), groups);
        if let Some(first) = subject.maps.first() {
            request.loss.representation.clone_from(&first.name);
            request.loss.maps.clone_from(&subject.maps);
        }
        match subject.describe(&request) {
            Ok(description) => {
                found = Some((request, description));
                break;
            }
            Err(error) => refusal = error.to_string(),
        }
    }
    let Some((request, description)) = found else {
        let maps = if subject.maps.is_empty() { "maps 1×1, 5×5, 7×7" } else { "the file's maps" };
        let message = format!("it takes neither one, two nor four views of {maps}: {refusal}");
        return subject.verdict::<()>("description", Err(message));
    };
    let description = match serde_json::from_value::<LossDescription>(description) {
        Ok(description) => description,
        Err(error) => return subject.verdict::<()>("description", Err(error.to_string())),
    };
    subject.verdict("description", sensible(&description, &request.loss));
    let made = || Instance::new(subject, &request, &description);
    let (mut one, other) = match (made(), made()) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(message), _) | (_, Err(message)) => return subject.verdict::<()>("creation", Err(message)),
    };
    subject.verdict("creation", one.creation(&other));
    subject.verdict("before a step", one.before_step(0));
    let does = |subject: &Subject<'_>, what: &str| {
        subject.capabilities.iter().chain(&description.capabilities).any(|capability| capability == what)
    };
    let draws = does(subject, "draws");
    if draws {
        subject
            .note("purity, order of the batch, gradients, bf16 and f16, state, for it draws from libtorch's generator");
    } else {
        subject.verdict("purity", one.purity());
        match one.draws_by_key() {
            Ok(true) => subject.note("order of the batch, for it draws for each image by the key"),
            Ok(false) => subject.verdict("order of the batch", one.order()),
            Err(message) => subject.verdict::<()>("order of the batch", Err(message)),
        }
        if does(subject, "stop-gradient") {
            subject.note("gradients against differences, for it stops gradients of features that it uses");
        } else {
            subject.verdict("gradients", one.gradients());
        }
        subject.verdict("bf16 and f16", one.number_formats());
    }
    if description.forward_backward {
        subject.verdict("gradients by hand", one.by_hand());
    }
    if description.row_ranges {
        subject.verdict("row ranges", one.row_ranges());
    }
    if subject.capabilities.iter().any(|capability| capability == "symmetric-views") {
        subject.verdict("views exchanged", one.exchanged());
    }
    subject.verdict("degenerate batches", one.degenerate());
    subject.verdict("after an update", one.after_update(1));
    if !draws {
        subject.verdict("state", one.state(&other));
    }
    subject.verdict("features that make no sense", one.nonsense());
    subject.verdict("memory", one.memory());
    subject.verdict("throughput", one.throughput());
    subject.verdict("drop", one.drop().and_then(|()| other.drop()));
}

fn sensible(description: &LossDescription, input: &LossInput) -> Result<(), String> {
    if !description.needs.iter().any(|need| need.source == Source::Encoder) {
        return Err("it needs no feature of the encoder, so nothing would learn".to_owned());
    }
    for need in &description.needs {
        let missing = need.maps.iter().find(|name| input.map(name).is_none());
        if need.view >= input.views.len() || missing.is_some() {
            return Err(format!("it needs {:?} of view {}, which don't exist", need.maps, need.view));
        }
        if need.source == Source::MomentumEncoder && description.momentum.is_none() {
            return Err("it needs a momentum encoder, but gives no schedule for one".to_owned());
        }
    }
    Ok(())
}

/// What a call gave: the total, the terms, and the gradients of features and parameters where they were asked for.
struct Outcome {
    total: Tensor,
    terms: Vec<(String, Tensor)>,
    features: Vec<Option<Tensor>>,
    parameters: Vec<Option<Tensor>>,
}

struct Instance<'a> {
    ffi: FfiLoss,
    description: &'a LossDescription,
    input: LossInput,
}

impl<'a> Instance<'a> {
    fn new(subject: &Subject<'_>, request: &Request, description: &'a LossDescription) -> Result<Self, String> {
        tch::manual_seed(1);
        let text = serde_json::to_string(request).expect("a request is plain data");
        let made = take(subject.module.create_loss()(subject.name.as_str().into(), text.as_str().into()));
        Ok(Self { ffi: made.map_err(said)?, description, input: request.loss.clone() })
    }

    fn tensors(&self) -> Result<Vec<NamedTensor>, String> {
        named(self.ffi.vtable.tensors(), self.ffi.instance)
    }

    fn parameters(&self) -> Result<Vec<NamedTensor>, String> {
        Ok(self.tensors()?.into_iter().filter(|named| named.role == Role::Parameter).collect())
    }

    /// Features made by `value` from a feature's position, those of the encoder with gradients.
    fn features(&self, value: impl Fn(usize, [i64; 4]) -> Tensor) -> Features {
        let mut items = Vec::new();
        for need in &self.description.needs {
            for name in &need.maps {
                let map = self.input.map(name).expect("`sensible` checked it");
                let shape = [BATCH, map.channels.into(), map.height.into(), map.width.into()];
                let tensor = value(items.len(), shape).detach().set_requires_grad(need.source == Source::Encoder);
                items.push(Feature { view: need.view, source: need.source, map: name.clone(), tensor });
            }
        }
        Features::new(items)
    }

    /// Views of an image that resemble each other, as they do in training.
    fn usual(&self) -> Features {
        self.features(|position, shape| noise(&shape, 100) + noise(&shape, position as u64) * 0.5)
    }

    fn call(
        &self,
        features: &Features,
        facts: &Facts,
        rows: Range<i64>,
    ) -> Result<(Tensor, Vec<(String, Tensor)>), Error> {
        let lent = lend_features(features, &self.input.maps);
        let call = self.ffi.vtable.forward();
        let given = lend_facts(facts, |facts| {
            call(self.ffi.instance, lent.as_slice().into(), facts, rows.start as u64, rows.end as u64)
        });
        terms(take(given)?)
    }

    fn forward(
        &self,
        features: &Features,
        facts: &Facts,
        rows: Range<i64>,
    ) -> Result<(Tensor, Vec<(String, Tensor)>), String> {
        let (total, terms) = self.call(features, facts, rows).map_err(said)?;
        if !total.size().is_empty() || !matches!(total.kind(), Kind::Float | Kind::Double) {
            return Err(format!("its total is {:?} of {:?}, expected a scalar in f32", total.kind(), total.size()));
        }
        Ok((total, terms))
    }

    /// By autograd; gradients of the parameters are taken away again.
    fn differentiated(&self, features: &Features, facts: &Facts, rows: Range<i64>) -> Result<Outcome, String> {
        let parameters = self.parameters()?;
        let clear = |tensor: &Tensor| {
            if tensor.grad().defined() {
                let _ = tch::no_grad(|| tensor.grad().f_zero_());
            }
        };
        features.items().iter().for_each(|feature| clear(&feature.tensor));
        parameters.iter().for_each(|named| clear(&named.tensor));
        let (total, terms) = self.forward(features, facts, rows)?;
        if !total.requires_grad() {
            return Err("its total has no gradient, so nothing would learn".to_owned());
        }
        total.f_backward().map_err(torch_said)?;
        let gradient = |tensor: &Tensor| Some(tensor.grad()).filter(Tensor::defined).map(|gradient| gradient.copy());
        Ok(Outcome {
            total: total.detach(),
            terms,
            features: features.items().iter().map(|feature| gradient(&feature.tensor)).collect(),
            parameters: parameters.iter().map(|named| gradient(&named.tensor)).collect(),
        })
    }

    fn creation(&self, other: &Self) -> Result<String, String> {
        let own = self.tensors()?;
        sound(&own)?;
        Before::of(&own).same_numbers(&other.tensors()?).map_err(|what| {
            format!("two instances of one seed differ: {what}; draw weights from libtorch's generator alone")
        })?;
        let count: u64 = self.parameters()?.iter().map(|named| named.tensor.numel() as u64).sum();
        let said = self.description.parameter_count;
        if count != said {
            return Err(format!("it has {count} trained numbers, its description says {said}"));
        }
        Ok(format!("{count} trained numbers, the same for a seed"))
    }

    fn before_step(&self, step: u64) -> Result<(), String> {
        let before = Before::of(&self.tensors()?);
        let call = self.ffi.vtable.before_step();
        take(lend_facts(&facts(step, 1), |facts| call(self.ffi.instance, facts))).map_err(said)?;
        before.same_tensors(&self.tensors()?)?;
        sound(&self.tensors()?)
    }

    fn purity(&self) -> Result<(), String> {
        let before = Before::of(&self.tensors()?);
        let saved = || take(self.ffi.vtable.state_save()(self.ffi.instance)).map_err(said);
        let state = saved()?;
        let features = self.usual();
        let run = || leaving_no_trace(|| self.forward(&features, &facts(0, 1), 0..BATCH));
        let (one, two) = (run()?, run()?);
        before.same_numbers(&self.tensors()?).map_err(|what| format!("`forward` must change nothing: {what}"))?;
        before.same_tensors(&self.tensors()?)?;
        if saved()? != state {
            return Err("`forward` changed its saved state".to_owned());
        }
        if one.0 != two.0 {
            return Err("it gives another total the second time".to_owned());
        }
        let names: Vec<&str> = one.1.iter().map(|(name, _)| name.as_str()).collect();
        if names != self.description.terms.iter().map(String::as_str).collect::<Vec<_>>() {
            return Err(format!("its terms are {names:?}, it describes {:?}", self.description.terms));
        }
        Ok(())
    }

    fn draws_by_key(&self) -> Result<bool, String> {
        let features = self.usual();
        let total = |key| Ok::<_, String>(self.forward(&features, &facts(0, key), 0..BATCH)?.0);
        Ok(total(1)? != total(2)?)
    }

    fn order(&self) -> Result<String, String> {
        let mut rng = Key::new(3).rng();
        let mut order: Vec<i64> = (0..BATCH).collect();
        rng.shuffle(&mut order);
        let order = Tensor::from_slice(&order);
        let straight = self.usual();
        let permuted = self.features(|position, _| straight.items()[position].tensor.index_select(0, &order));
        let mut facts_permuted = facts(0, 1);
        facts_permuted.labels = facts_permuted.labels.map(|labels| labels.index_select(0, &order));
        facts_permuted.indices = facts_permuted.indices.map(|indices| indices.index_select(0, &order));
        let one = self.forward(&straight, &facts(0, 1), 0..BATCH)?.0;
        let two = self.forward(&permuted, &facts_permuted, 0..BATCH)?.0;
        let error = relative(&two, &one);
        if error > REORDERED {
            return Err(format!("images in another order change it by {error:.1e}"));
        }
        Ok(format!("images in another order change it by {error:.1e}"))
    }

    fn gradients(&self) -> Result<String, String> {
        let features = self.usual();
        let done = self.differentiated(&features, &facts(0, 1), 0..BATCH)?;
        let mut points: Vec<Tensor> = features.items().iter().map(|feature| feature.tensor.shallow_clone()).collect();
        points.extend(self.parameters()?.into_iter().map(|named| named.tensor));
        let gradients: Vec<_> = done.features.into_iter().chain(done.parameters).collect();
        if gradients.iter().flatten().any(|gradient| !finite(gradient)) {
            return Err("a gradient is not finite".to_owned());
        }
        tch::no_grad(|| {
            let value = || Ok(self.forward(&features, &facts(0, 1), 0..BATCH)?.0.double_value(&[]));
            follows_gradient(&points, &gradients, value)
        })
    }

    /// A loss that says that its views are alike gives the same when they change places.
    fn exchanged(&self) -> Result<String, String> {
        let straight = self.usual();
        let place = |view: usize, map: &str| straight.items().iter().position(|f| f.view == view && f.map == map);
        let turned = self.features(|position, _| {
            let feature = &straight.items()[position];
            let other = place(1 - feature.view.min(1), &feature.map).unwrap_or(position);
            straight.items()[other].tensor.shallow_clone()
        });
        let total = |features| Ok::<_, String>(self.forward(features, &facts(0, 1), 0..BATCH)?.0);
        let error = relative(&total(&turned)?, &total(&straight)?);
        if error > REORDERED {
            return Err(format!(
                "views 0 and 1 exchanged change it by {error:.1e}, though it declares `symmetric-views`"
            ));
        }
        Ok(format!("views 0 and 1 exchanged change it by {error:.1e}"))
    }

    /// Under autocast, with features of the lower format: finite, in f32, and near what f32 gives.
    fn number_formats(&self) -> Result<String, String> {
        const FAR: f64 = 0.1;
        let usual = self.usual();
        let expected = self.forward(&usual, &facts(0, 1), 0..BATCH)?.0;
        let mut said = Vec::new();
        for (name, precision, kind) in [("bf16", Precision::Bf16, Kind::BFloat16), ("f16", Precision::F16, Kind::Half)]
        {
            let features = self.features(|position, _| usual.items()[position].tensor.to_kind(kind));
            let facts = Facts { dtype: kind_of(kind), ..facts(0, 1) };
            let arithmetic = Arithmetic::new(precision, Device::Cpu).map_err(|error| error.to_string())?;
            let done = {
                let _autocast = arithmetic.begin();
                self.forward(&features, &facts, 0..BATCH).map_err(|message| format!("in {name}: {message}"))?
            };
            done.0.f_backward().map_err(|error| format!("in {name}, backward: {}", torch_said(error)))?;
            let gradients = features.items().iter().map(|feature| feature.tensor.grad());
            if !finite(&done.0) || gradients.filter(Tensor::defined).any(|gradient| !finite(&gradient)) {
                return Err(format!(
                    "in {name} its total or a gradient is not finite: keep sums in f32 (`at_least_f32`)"
                ));
            }
            let error = relative(&done.0, &expected);
            if error > FAR {
                return Err(format!(
                    "in {name} its total is {:.0} % from f32's: keep the objective in f32",
                    100.0 * error
                ));
            }
            said.push(format!("{name} {:.2} %", 100.0 * error));
        }
        Ok(format!("totals from f32's by {}", said.join(", ")))
    }

    /// Calls once more and once more leave no memory behind.
    fn memory(&self) -> Result<String, String> {
        const CALLS: usize = 8;
        const MOST: f64 = 64.0; // KiB a call
        let features = self.usual();
        let call = || self.differentiated(&features, &facts(0, 1), 0..BATCH).map(drop);
        growth(CALLS, call, MOST)
    }

    fn throughput(&self) -> Result<String, String> {
        let features = self.usual();
        rate(BATCH, || self.differentiated(&features, &facts(0, 1), 0..BATCH).map(drop))
    }

    fn handed(&self, features: &Features, rows: Range<i64>) -> Result<Outcome, String> {
        let lent = lend_features(features, &self.input.maps);
        let call = self.ffi.vtable.forward_backward();
        let given = lend_facts(&facts(0, 1), |facts| {
            call(self.ffi.instance, lent.as_slice().into(), facts, rows.start as u64, rows.end as u64)
        });
        let given = take(given).map_err(said)?;
        if given.features.len() != features.items().len() {
            let (got, expected) = (given.features.len(), features.items().len());
            return Err(format!("it gives {got} gradients for {expected} features: give one for each, none for zero"));
        }
        let (total, terms) = terms(given.terms).map_err(said)?;
        // SAFETY: the plugin handed the tensors over.
        let features = given.features.into_iter().map(|gradient| unsafe { take_tensor(gradient) }).collect();
        let mut by_name = pairs(given.parameters.into_vec()).map_err(said)?;
        let mut parameters = Vec::new();
        for named in self.parameters()? {
            let at = by_name.iter().position(|(name, _)| *name == named.name);
            parameters.push(at.map(|at| by_name.swap_remove(at).1));
        }
        match by_name.first() {
            Some((name, _)) => Err(format!("it gives a gradient for `{name}`, which is none of its parameters")),
            None => Ok(Outcome { total, terms, features, parameters }),
        }
    }

    fn by_hand(&self) -> Result<(), String> {
        let features = self.usual();
        let by_autograd = self.differentiated(&features, &facts(0, 1), 0..BATCH)?;
        let by_hand = tch::no_grad(|| self.handed(&features, 0..BATCH))?;
        same(&by_hand, &by_autograd).map_err(|what| format!("by hand and by autograd differ: {what}"))
    }

    fn row_ranges(&self) -> Result<String, String> {
        let features = self.usual();
        let whole = self.differentiated(&features, &facts(0, 1), 0..BATCH)?;
        let sum_of = |ranges: &[Range<i64>]| {
            let part = |rows: &Range<i64>| self.differentiated(&features, &facts(0, 1), rows.clone());
            ranges.iter().map(part).collect::<Result<Vec<Outcome>, String>>().map(sum)
        };
        let ranges = [0..1, 1..BATCH / 2, BATCH / 2..BATCH];
        same(&sum_of(&ranges)?, &whole).map_err(|what| format!("three ranges do not sum to the whole: {what}"))?;
        let ranks = [0..BATCH / 2, BATCH / 2..BATCH];
        same(&sum_of(&ranks)?, &whole).map_err(|what| format!("two ranks do not sum to one: {what}"))?;
        Ok(format!("three ranges and two ranks sum to the whole (to within {REORDERED:.0e})"))
    }

    /// Loss and gradients stay finite where a batch has no structure to compare.
    fn degenerate(&self) -> Result<(), String> {
        let cases: [(&str, Features); 5] = [
            ("zeros", self.features(|_, shape| Tensor::zeros(shape, (Kind::Float, Device::Cpu)))),
            ("images that are all alike", self.features(|_, shape| Tensor::ones(shape, (Kind::Float, Device::Cpu)))),
            ("views that coincide", self.features(|_, shape| noise(&shape, 100))),
            ("large features", self.features(|position, shape| noise(&shape, position as u64) * 1e3)),
            ("small features", self.features(|position, shape| noise(&shape, position as u64) * 1e-6)),
        ];
        all(cases.into_iter().map(|(what, features)| {
            let done = self.differentiated(&features, &facts(0, 1), 0..BATCH).map_err(|m| format!("{what}: {m}"))?;
            if let Some((name, _)) = done.terms.iter().find(|(_, term)| !finite(term)) {
                return Err(format!("{what}: the term `{name}` is not finite"));
            }
            let gradients = done.features.iter().chain(&done.parameters).flatten();
            if !finite(&done.total) || gradients.into_iter().any(|gradient| !finite(gradient)) {
                return Err(format!("{what}: the total or a gradient is not finite"));
            }
            Ok(())
        }))
    }

    fn after_update(&mut self, step: u64) -> Result<(), String> {
        let before = Before::of(&self.tensors()?);
        let features = self.usual();
        let lent = lend_features(&features, &self.input.maps);
        let call = self.ffi.vtable.after_update();
        take(lend_facts(&facts(step, 1), |facts| call(self.ffi.instance, lent.as_slice().into(), facts)))
            .map_err(said)?;
        before.same_tensors(&self.tensors()?)?;
        sound(&self.tensors()?)
    }

    /// What is saved and loaded makes another instance the same, a step later too.
    fn state(&mut self, other: &Self) -> Result<(), String> {
        self.before_step(2)?;
        self.after_update(2)?;
        Before::of(&self.tensors()?).copy_into(&mut other.tensors()?)?;
        let saved = take(self.ffi.vtable.state_save()(self.ffi.instance)).map_err(said)?;
        take(other.ffi.vtable.state_load()(other.ffi.instance, saved.as_str().into())).map_err(said)?;
        let features = self.usual();
        let (own, others) =
            (self.forward(&features, &facts(3, 1), 0..BATCH)?.0, other.forward(&features, &facts(3, 1), 0..BATCH)?.0);
        if own != others {
            return Err("an instance with the same tensors and the same saved state gives another total".to_owned());
        }
        Ok(())
    }

    fn nonsense(&self) -> Result<(), String> {
        let flat = Features::new(
            self.usual()
                .items()
                .iter()
                .map(|f| Feature {
                    view: f.view,
                    source: f.source,
                    map: f.map.clone(),
                    tensor: Tensor::zeros([BATCH, 3], (Kind::Float, Device::Cpu)),
                })
                .collect(),
        );
        no_panic("features of another shape", &self.call(&flat, &facts(0, 1), 0..BATCH))?;
        no_panic("no features", &self.call(&Features::new(Vec::new()), &facts(0, 1), 0..BATCH))?;
        no_panic("rows past the end", &self.call(&self.usual(), &facts(0, 1), 0..BATCH + 1))?;
        Ok(())
    }

    fn drop(self) -> Result<(), String> {
        take(self.ffi.vtable.drop()(self.ffi.instance)).map_err(said)
    }
}

fn terms(given: FfiTerms) -> Result<(Tensor, Vec<(String, Tensor)>), Error> {
    // SAFETY: the plugin handed the tensor over.
    let total = unsafe { take_tensor(given.total) }.filter(Tensor::defined);
    let total = total.ok_or_else(|| Error::new("its total is undefined"))?;
    Ok((total, pairs(given.terms.into_vec())?))
}

fn pairs(given: Vec<FfiTerm>) -> Result<Vec<(String, Tensor)>, Error> {
    let own = |term: FfiTerm| {
        let name = term.name.into_string();
        // SAFETY: the plugin handed the tensor over.
        let tensor = unsafe { take_tensor(term.tensor) }.filter(Tensor::defined);
        let undefined = Error::new(format!("`{name}` is undefined"));
        tensor.map(|tensor| (name, tensor)).ok_or(undefined)
    };
    given.into_iter().map(own).collect()
}

fn same(own: &Outcome, expected: &Outcome) -> Result<(), String> {
    let mut compared = vec![("the total".to_owned(), relative(&own.total, &expected.total))];
    for ((name, own), (_, expected)) in own.terms.iter().zip(&expected.terms) {
        compared.push((format!("`{name}`"), relative(own, expected)));
    }
    let gradients = |what: &str, own: &[Option<Tensor>], expected: &[Option<Tensor>]| -> Vec<(String, f64)> {
        // Against the largest of all: a gradient that is zero up to rounding has no relative error.
        let magnitude = |t: &Tensor| t.abs().max().to_kind(Kind::Double).double_value(&[]);
        let largest = expected.iter().flatten().map(magnitude).fold(1e-12, f64::max);
        let difference = |(own, expected): (&Option<Tensor>, &Option<Tensor>)| match (own, expected) {
            (Some(own), Some(expected)) if own.size() != expected.size() => f64::INFINITY,
            (Some(own), Some(expected)) => magnitude(&(own - expected)) / largest,
            (Some(one), None) | (None, Some(one)) => magnitude(one) / largest,
            (None, None) => 0.0,
        };
        let named = |(i, pair)| (format!("the gradient of {what} {i}"), difference(pair));
        own.iter().zip(expected).enumerate().map(named).collect()
    };
    compared.extend(gradients("feature", &own.features, &expected.features));
    compared.extend(gradients("parameter", &own.parameters, &expected.parameters));
    match compared.into_iter().find(|(_, error)| *error > REORDERED) {
        Some((what, error)) => Err(format!("{what} by {error:.1e}")),
        None => Ok(()),
    }
}

fn sum(parts: Vec<Outcome>) -> Outcome {
    let add = |one: Option<Tensor>, two: Option<Tensor>| match (one, two) {
        (Some(one), Some(two)) => Some(one + two),
        (one, two) => one.or(two),
    };
    let lists = |one: Vec<Option<Tensor>>, two: Vec<Option<Tensor>>| -> Vec<Option<Tensor>> {
        one.into_iter().zip(two).map(|(one, two)| add(one, two)).collect()
    };
    parts
        .into_iter()
        .reduce(|one, two| Outcome {
            total: one.total + two.total,
            terms: one.terms.into_iter().zip(two.terms).map(|((name, one), (_, two))| (name, one + two)).collect(),
            features: lists(one.features, two.features),
            parameters: lists(one.parameters, two.parameters),
        })
        .expect("there are several ranges")
}

/// Facts of a step with labels of four classes.
fn facts(step: u64, key: u64) -> Facts {
    let labels: Vec<i64> = (0..BATCH).map(|image| image % 4).collect();
    Facts {
        step,
        total_steps: 100,
        epoch: 0,
        key: Key::new(key),
        world_size: 1,
        dtype: infomax_sdk::Kind::F32,
        labels: Some(Tensor::from_slice(&labels)),
        indices: Some(Tensor::arange(BATCH, (Kind::Int64, Device::Cpu))),
    }
}
