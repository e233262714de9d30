//! The host's normalisations with what follows them, in f32 and channels-last by passes of its own, against libtorch's layers one
//! after the other in f64.

use super::{apart, connect, numbers};
use infomax_sdk::{
    Kind, MemoryFormat, Parameter, Tensor,
    tensor::{self, Argument, Value, gradients},
};

/// Batch, channels, side, views: few and many channels, odd ones, parts that don't come out even.
const CASES: [([i64; 4], i64); 5] =
    [([8, 64, 8, 8], 2), ([6, 5, 3, 3], 3), ([2, 33, 17, 5], 1), ([4, 600, 2, 2], 2), ([3, 16, 20, 20], 3)];
const OFFSET: f64 = 30.0; // a mean that is far from 0
const OUTPUTS: i64 = 6;

/// Inputs of one call, as single numbers that lie channels-last, or as double ones.
struct Inputs {
    x: Parameter,
    shortcut: Parameter,
    weight: Parameter,
    bias: Parameter,
    kernel: Parameter,
    mean: Tensor,
    var: Tensor,
}

impl Inputs {
    fn new(size: [i64; 4], kind: Kind) -> Self {
        let c = size[1];
        let maps = |tensor: &Tensor| {
            let tensor = tensor.to_kind(kind);
            let tensor = if kind == Kind::F32 { tensor.contiguous_as(MemoryFormat::ChannelsLast) } else { tensor };
            Parameter::new(tensor)
        };
        let vector = |seed, about: f64| Parameter::new((numbers(&[c], seed) * 0.3 + about).to_kind(kind));
        Self {
            x: maps(&(numbers(&size, 1) + OFFSET)),
            shortcut: maps(&numbers(&size, 2)),
            weight: vector(3, 1.0),
            bias: vector(4, 0.1),
            kernel: maps(&numbers(&[OUTPUTS, c, 3, 3], 5)),
            mean: numbers(&[c], 6).to_kind(kind),
            var: numbers(&[c], 7).abs().to_kind(kind),
        }
    }

    /// The output, and what beside the usual it was made of.
    fn output(&self, form: Form, views: i64, keep: bool) -> (Tensor, Vec<(&'static str, &Parameter)>) {
        let (momentum, eps) = (0.1, 1e-5);
        let norm: [&dyn Argument; 8] =
            [&*self.weight, &*self.bias, &self.mean, &self.var, &views, &keep, &momentum, &eps];
        let with = |name: &str, first: &[&dyn Argument], last: &[&dyn Argument]| {
            tensor::call(name, &[first, &norm[..], last].concat()).tensor()
        };
        let none = Value::NONE;
        match form {
            Form::Views => (with("infomax::batch_norm_views", &[&*self.x], &[&false]), vec![]),
            Form::Relu => (with("infomax::batch_norm_relu", &[&*self.x, &none], &[]), vec![]),
            Form::Shortcut => {
                let y = with("infomax::batch_norm_relu", &[&*self.x, &*self.shortcut], &[]);
                (y, vec![("shortcut's gradient", &self.shortcut)])
            }
            Form::Convolution => {
                let y = with("infomax::batch_norm_relu_conv2d", &[&*self.x], &[&*self.kernel, &2, &1]);
                (y, vec![("kernel's gradient", &self.kernel)])
            }
        }
    }

    /// The output, then the gradients of what it was made of, then the running statistics.
    fn results(&self, form: Form, views: i64, keep: bool) -> Vec<(&'static str, Tensor)> {
        let (y, mut of) = self.output(form, views, keep);
        of.extend([("x's gradient", &self.x), ("weight's gradient", &self.weight), ("bias's gradient", &self.bias)]);
        let weights = numbers(&y.size(), 8).to_kind(y.kind());
        let tensors: Vec<&Tensor> = of.iter().map(|(_, tensor)| &***tensor).collect();
        let given = gradients(&(&y * weights).sum(), &tensors, false);
        let mut results = vec![("output", y)];
        results.extend(of.iter().zip(given).map(|(&(name, _), tensor)| (name, tensor.expect("it depends on it"))));
        results.extend([("running mean", self.mean.clone()), ("running variance", self.var.clone())]);
        results
    }
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Views,
    Relu,
    Shortcut,
    Convolution,
}

const FORMS: [Form; 4] = [Form::Views, Form::Relu, Form::Shortcut, Form::Convolution];

#[test]
fn normalisations_with_what_follows_give_the_layers_numbers() {
    connect();
    for (size, views) in CASES {
        for (form, keep) in FORMS.into_iter().flat_map(|form| [(form, true), (form, false)]) {
            let wanted = Inputs::new(size, Kind::F64).results(form, views, keep);
            for (threads, found) in [1, 3].map(|threads| {
                tch::set_num_threads(threads);
                (threads, Inputs::new(size, Kind::F32).results(form, views, keep))
            }) {
                for ((name, found), (_, wanted)) in found.iter().zip(&wanted) {
                    let apart = apart(found, wanted);
                    // x lies about 30, where f32 has 2e-6.
                    assert!(apart < 2e-5, "{form:?} of {size:?}, {views} views, {threads} threads: {name}: {apart:e}");
                }
            }
        }
    }
}

/// The host's own passes are what is compared: they sum in another order than libtorch's layers, and know no second derivatives.
#[test]
fn passes_are_the_hosts_own() {
    connect();
    for form in FORMS {
        let inputs = Inputs::new([8, 64, 8, 8], Kind::F32);
        let y = inputs.output(form, 2, true).0;
        let twice = infomax_sdk::attempt(|| gradients(&y.sum(), &[&*inputs.x], true));
        let message = twice.expect_err("it can't be differentiated twice").message;
        assert!(message.contains("INFOMAX_FUSED=0"), "{form:?}: {message}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    connect();
    for ((size, views), form) in CASES.into_iter().flat_map(|case| FORMS[..3].iter().map(move |&form| (case, form))) {
        let [one, many] = [1, 4].map(|threads| {
            tch::set_num_threads(threads);
            Inputs::new(size, Kind::F32).results(form, views, true)
        });
        for ((name, one), (_, many)) in one.iter().zip(&many) {
            assert_eq!(one.to_vec::<f32>(), many.to_vec::<f32>(), "{form:?} of {size:?}: {name}");
        }
    }
}

#[test]
fn what_is_not_a_number_is_seen_behind_the_relu() {
    connect();
    for form in FORMS {
        let inputs = Inputs::new([4, 16, 4, 4], Kind::F32);
        infomax_sdk::no_grad(|| inputs.x.select(0, 0).select(0, 3).fill_(f64::NAN));
        let y = inputs.results(form, 2, false).swap_remove(0).1;
        let [first, second] = &y.chunk(2, 0)[..] else { panic!("two views") };
        assert!(first.isnan().any().item() != 0.0, "{form:?}: the channel's");
        assert!(second.isnan().any().item() == 0.0, "{form:?}: of that view alone");
    }
}
