//! One update after another against the rules written out in numbers.

use super::{Optimizer, Trained};
use crate::config::{self, OptimizerName};
use infomax_sdk::Tags;
use tch::{Kind, Tensor};

const GRADIENTS: [[f64; 2]; 3] = [[0.5, -1.0], [0.25, 2.0], [-1.5, 0.125]];

/// A matrix of two numbers after three updates.
fn updated(settings: config::Optimizer) -> [f64; 2] {
    let weight = Tensor::from_slice(&[1.0f32, -2.0]).view([1, 2]).set_requires_grad(true);
    run(&weight, settings);
    [weight.double_value(&[0, 0]), weight.double_value(&[0, 1])]
}

fn run(weight: &Tensor, settings: config::Optimizer) {
    let lr = settings.lr;
    let trained = Trained { name: "w".into(), tensor: weight.shallow_clone(), tags: Tags::default() };
    let mut optimizer = Optimizer::new(vec![trained], &settings);
    for gradient in GRADIENTS {
        optimizer.clear_gradients().unwrap();
        let slope = Tensor::from_slice(&gradient).to_kind(Kind::Float).view_as(weight);
        (weight * slope).sum(Kind::Float).backward();
        optimizer.update(lr, None).unwrap();
    }
}

fn assert_close(own: [f64; 2], expected: [f64; 2]) {
    let close = own.iter().zip(expected).all(|(own, expected)| (own - expected).abs() < 1e-6);
    assert!(close, "{own:?} instead of {expected:?}");
}

#[test]
fn sgd_follows_its_rule() {
    for nesterov in [false, true] {
        let (lr, momentum, decay) = (0.1, 0.9, 0.01);
        let mut expected = [1.0, -2.0];
        let mut velocity = [0.0; 2];
        for gradient in GRADIENTS {
            for i in 0..2 {
                let slope = gradient[i] + decay * expected[i];
                velocity[i] = momentum * velocity[i] + slope;
                expected[i] -= lr * if nesterov { slope + momentum * velocity[i] } else { velocity[i] };
            }
        }
        let settings = config::Optimizer {
            name: OptimizerName::Sgd,
            lr,
            momentum,
            nesterov,
            weight_decay: decay,
            ..Default::default()
        };
        assert_close(updated(settings), expected);
    }
}

#[test]
fn adamw_takes_the_decay_off_the_parameter() {
    let (lr, [beta1, beta2], decay, eps) = (0.1, [0.9, 0.99], 0.1, 1e-8);
    let mut expected = [1.0f64, -2.0];
    let (mut mean, mut square) = ([0.0; 2], [0.0; 2]);
    for (t, gradient) in (1..).zip(GRADIENTS) {
        for i in 0..2 {
            mean[i] = beta1 * mean[i] + (1.0 - beta1) * gradient[i];
            square[i] = beta2 * square[i] + (1.0 - beta2) * gradient[i] * gradient[i];
            let (m, s): (f64, f64) = (mean[i] / (1.0 - beta1.powi(t)), square[i] / (1.0 - beta2.powi(t)));
            expected[i] = expected[i] * (1.0 - lr * decay) - lr * m / (s.sqrt() + eps);
        }
    }
    let settings = config::Optimizer {
        name: OptimizerName::Adamw,
        lr,
        betas: [beta1, beta2],
        weight_decay: decay,
        ..Default::default()
    };
    assert_close(updated(settings), expected);
}

#[test]
fn lars_scales_each_layer_and_clips() {
    for clip_lr in [false, true] {
        let (lr, momentum, decay, trust) = (0.3, 0.9, 0.01, 0.9);
        let norm = |v: [f64; 2]| v[0].hypot(v[1]);
        let mut expected = [1.0, -2.0];
        let mut velocity = [0.0; 2];
        for gradient in GRADIENTS {
            let mut factor = trust * norm(expected) / (norm(gradient) + decay * norm(expected) + 1e-8);
            if clip_lr {
                factor = (factor / lr).min(1.0);
            }
            let before = expected;
            for i in 0..2 {
                velocity[i] = momentum * velocity[i] + factor * (gradient[i] + decay * before[i]);
                expected[i] -= lr * velocity[i];
            }
        }
        let settings = config::Optimizer {
            name: OptimizerName::Lars,
            lr,
            momentum,
            weight_decay: decay,
            trust_coefficient: trust,
            clip_lr,
            ..Default::default()
        };
        assert_close(updated(settings), expected);
    }
}

#[test]
fn biases_go_without_decay_and_factor_where_excluded() {
    let settings = |name| config::Optimizer {
        name,
        lr: 0.1,
        weight_decay: 0.5,
        exclude_bias_and_norm: true,
        ..Default::default()
    };
    let vector = |name, weight_decay| {
        let weight = Tensor::from_slice(&[1.0f32, -2.0]).set_requires_grad(true);
        run(&weight, config::Optimizer { weight_decay, ..settings(name) });
        Vec::<f32>::try_from(&weight.detach()).unwrap()
    };
    assert_eq!(vector(OptimizerName::Lars, 0.5), vector(OptimizerName::Sgd, 0.0));
    assert_eq!(vector(OptimizerName::Adam, 0.5), vector(OptimizerName::Adam, 0.0));
    assert_ne!(updated(settings(OptimizerName::Lars)), updated(settings(OptimizerName::Sgd)));
}
