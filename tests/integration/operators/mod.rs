//! The operator table: every operator behind the SDK's methods is in the real libtorch, and tensors of the SDK give what tch
//! gives, in this very process.

mod biased;
mod norm;
mod pooled;

use infomax::plugin::services;
use infomax_sdk::{
    Device, Error, Kind, MemoryFormat, Tensor, attempt, no_grad,
    tensor::{self, Argument, Value, gradients},
    without_autocast,
};
use std::sync::Once;

/// Connects this binary's own copy of the SDK, as a library's entry does.
pub fn connect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A library's hook is its own; in this binary it would silence every test that fails.
        let hook = std::panic::take_hook();
        infomax_sdk::ffi::module::start(services()).into_result().expect("the host has what it takes");
        std::panic::set_hook(hook);
    });
}

/// The largest difference, as a share of the largest number.
fn apart(found: &Tensor, wanted: &Tensor) -> f64 {
    let (found, wanted) = (found.to_kind(Kind::F64), wanted.to_kind(Kind::F64));
    (found - &wanted).abs().max().item() / wanted.abs().max().item().max(1e-30)
}

/// Numbers of about a normal distribution, the same ones for a seed.
fn numbers(size: &[i64], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let count = size.iter().product::<i64>() as usize;
    let values: Vec<f32> = (0..count).map(|_| (0..6).map(|_| uniform()).sum::<f32>() - 3.0).collect();
    Tensor::from_slice(&values, size, Device::Cpu)
}

/// How maps lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lies {
    ChannelsLast,
    InRows,
}

/// Maps of numbers that bf16 has too, in a kind.
fn maps(size: &[i64], seed: u64, kind: Kind, lies: Lies) -> Tensor {
    let tensor = numbers(size, seed).to_kind(Kind::Bf16).to_kind(kind);
    if lies == Lies::ChannelsLast { tensor.contiguous_as(MemoryFormat::ChannelsLast) } else { tensor }
}

fn row(numbers: &[f32]) -> Tensor {
    Tensor::from_slice(numbers, [numbers.len() as i64], Device::Cpu)
}

fn failure<T: std::fmt::Debug>(work: impl FnOnce() -> T) -> Error {
    attempt(work).expect_err("it fails")
}

#[test]
fn every_operator_behind_a_method_is_in_libtorch() {
    connect();
    let missing: Vec<String> = tensor::operators()
        .into_iter()
        .map(|(name, overload)| if overload.is_empty() { name.to_owned() } else { format!("{name}.{overload}") })
        .filter(|name| {
            failure(|| tensor::call(name, &[&Value::NONE as &dyn Argument; 64])).message.contains("no operator")
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(tensor::operators().len() > 150);
}

#[test]
fn numbers_go_in_and_come_out() {
    connect();
    let x = Tensor::from_slice(&[1.5_f32, -2.0, 3.25, 4.0, 5.0, 6.0], [2, 3], Device::Cpu);
    assert_eq!((x.size(), x.kind(), x.device(), x.rank(), x.numel()), (vec![2, 3], Kind::F32, Device::Cpu, 2, 6));
    assert_eq!(x.to_vec::<f64>(), [1.5, -2.0, 3.25, 4.0, 5.0, 6.0]);
    assert_eq!(x.t().to_vec::<f32>(), [1.5, 4.0, -2.0, 5.0, 3.25, 6.0]);
    assert_eq!(x.to_kind(Kind::Bf16).kind(), Kind::Bf16);
    assert_eq!(x.select(0, 1).max().item(), 6.0);
    assert_eq!(Tensor::arange(2, 5, Kind::I64, Device::Cpu).to_vec::<i64>(), [2, 3, 4]);
    let images = Tensor::zeros([2, 3, 4, 5], Kind::F32, Device::Cpu).contiguous_as(MemoryFormat::ChannelsLast);
    assert_eq!(images.size_of(-1), 5);
    let [b, c, h, w] = images.dims();
    assert_eq!([b, c, h, w], [2, 3, 4, 5]);
}

#[test]
fn arithmetic_works_on_values_and_references() {
    connect();
    let (x, y) = (row(&[1.0, 2.0]), row(&[3.0, 5.0]));
    assert_eq!((&x + &y).to_vec::<f32>(), [4.0, 7.0]);
    assert_eq!((x.clone() - &y).to_vec::<f32>(), [-2.0, -3.0]);
    assert_eq!((&x * y.clone()).to_vec::<f32>(), [3.0, 10.0]);
    assert_eq!((y.clone() / x.clone()).to_vec::<f32>(), [3.0, 2.5]);
    assert_eq!((2.0 * &x + 1).to_vec::<f32>(), [3.0, 5.0]);
    assert_eq!((1.0 - &x).to_vec::<f32>(), [0.0, -1.0]);
    assert_eq!((6 / &y * 5.0).to_vec::<f32>(), [10.0, 6.0]);
    assert_eq!((-&x).to_vec::<f32>(), [-1.0, -2.0]);
    assert_eq!(x.pow(2.0).to_vec::<f32>(), x.pow(row(&[2.0, 2.0])).to_vec::<f32>());
    assert_eq!(x.masked_fill(&x.gt(1.5), f64::NEG_INFINITY).to_vec::<f32>(), [1.0, f32::NEG_INFINITY]);
}

#[test]
fn results_of_every_form_come_back() {
    connect();
    let x = Tensor::from_slice(&[3.0_f32, 1.0, 2.0, 4.0], [4], Device::Cpu);
    let parts: Vec<Vec<f32>> = x.chunk(2, 0).iter().map(Tensor::to_vec).collect();
    assert_eq!(parts, [[3.0, 1.0], [2.0, 4.0]]);
    let [values, places] = x.topk(2, 0);
    assert_eq!((values.to_vec::<f32>(), places.to_vec::<i64>()), (vec![4.0, 3.0], vec![3, 0]));
    assert_eq!(
        Tensor::cat(&parts.iter().map(|part| row(part)).collect::<Vec<_>>(), 0).to_vec::<f32>(),
        x.to_vec::<f32>()
    );
    assert_eq!(Tensor::op("aten::sum.dim_IntList", &[&x, &0, &true]).size(), [1]);
    assert_eq!(Tensor::op("aten::std", &[&x, &Value::DEFAULT]).item(), x.std_dim(0, true, false).item());
    assert_eq!(tensor::call("aten::unbind.int", &[&x]).tensors().len(), 4);
    assert_eq!(tensor::call("aten::item", &[&x.select(0, 3)]).number(), 4.0);
    assert_eq!(Tensor::einsum("i,i->", &[&x, &x]).item(), 30.0);
}

#[test]
fn gradients_follow_and_are_the_hosts() {
    connect();
    let x = infomax_sdk::Parameter::new(row(&[1.0, 2.0, 3.0]));
    assert!(x.requires_grad() && !no_grad(|| (&*x * 2.0).requires_grad()));
    let loss = (&*x * &*x).sum();
    let given = gradients(&loss, &[&*x], true);
    assert_eq!(given[0].as_ref().expect("it depends on x").to_vec::<f32>(), [2.0, 4.0, 6.0]);
    // Once more through the gradient: d (2x)² / dx = 8x.
    let again = gradients(&given[0].as_ref().expect("as above").square().sum(), &[&*x], false);
    assert_eq!(again[0].as_ref().expect("it depends on x").to_vec::<f32>(), [8.0, 16.0, 24.0]);
    let other = infomax_sdk::Parameter::new(row(&[1.0]));
    assert!(gradients(&x.square().sum(), &[&*other], false)[0].is_none());
}

#[test]
fn an_operator_that_fails_says_which_on_what_and_where() {
    connect();
    let (x, y) = (row(&[1.0; 6]).view([2, 3]), row(&[1.0; 8]).view([4, 2]));
    let error = failure(|| x.matmul(&y));
    let line = line!() - 1;
    assert_eq!(
        error.message,
        "`matmul` failed on [2, 3] and [4, 2]: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x2)"
    );
    assert!(
        error.place.as_ref().is_some_and(|place| place.contains(&format!("operators/mod.rs:{line}:"))),
        "{error:?}"
    );
    // By a Rust operator, and inside a layer: the author's line all the same.
    let error = failure(|| &x + &row(&[1.0; 5]));
    let line = line!() - 1;
    assert!(error.message.starts_with("`add` failed on [2, 3] and [5]: "), "{}", error.message);
    assert!(
        error.place.as_ref().is_some_and(|place| place.contains(&format!("operators/mod.rs:{line}:"))),
        "{error:?}"
    );
    let layer = infomax_sdk::nn::Linear::new(5, 2, true, Device::Cpu);
    let error = failure(|| layer.forward(&x));
    let line = line!() - 1;
    assert!(
        error.place.as_ref().is_some_and(|place| place.contains(&format!("operators/mod.rs:{line}:"))),
        "{error:?}"
    );
    let error = failure(|| Tensor::cat(&[&x, &y], 0));
    assert!(error.message.starts_with("`cat` failed on ([2, 3], [4, 2]): "), "{}", error.message);
    let error = failure(|| x.dims::<3>());
    assert_eq!(error.message, "`dims` failed: 3 dimensions were expected, the tensor has [2, 3]");
    let error = failure(|| Tensor::from_slice(&[1.0_f32; 5], [2, 3], Device::Cpu));
    assert!(error.message.contains("the shape [2, 3] holds 6 numbers, 5 were given"), "{}", error.message);
}

#[test]
fn a_missing_operator_names_the_nearest() {
    connect();
    let x = row(&[1.0]);
    let told = |name: &str| failure(|| Tensor::op(name, &[&x])).message;
    assert_eq!(
        told("aten::logsumexpp"),
        "`logsumexpp` failed: libtorch has no operator `aten::logsumexpp`; did you mean `aten::logsumexp`?"
    );
    assert!(told("aten::sum.dim").contains("its overloads: aten::sum, "), "{}", told("aten::sum.dim"));
    let wrong = failure(|| Tensor::op("aten::sum.dim_IntList", &[&x, &"rows"])).message;
    assert_eq!(wrong, "`sum` failed on [1]: `dim` takes int[]?, got a text");
    let missing = failure(|| Tensor::op("aten::mm", &[&x])).message;
    assert_eq!(missing, "`mm` failed on [1]: `mat2` (Tensor) has no default and was not given");
}

#[test]
fn modes_come_back_after_a_failure() {
    connect();
    let x = infomax_sdk::Parameter::new(row(&[1.0, 2.0]));
    let _ = failure(|| no_grad(|| x.matmul(&row(&[1.0; 3]))));
    assert!((&*x + 1.0).requires_grad());
    let _ = failure(|| without_autocast(|| x.matmul(&row(&[1.0; 3]))));
    tch::autocast(false, || assert_eq!(x.kind(), Kind::F32));
}

#[test]
fn no_handle_is_lost() {
    connect();
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).expect("a number") * 4096
    };
    let work = || {
        let x = Tensor::ones([64, 1024], Kind::F32, Device::Cpu); // 256 KiB
        let parts = (&x * 2.0).chunk(4, 0);
        let _ = attempt(|| parts[0].matmul(&parts[1]));
        drop(Tensor::cat(&parts, 0).clone());
    };
    (0..100).for_each(|_| work());
    // The least of several: other tests of this process take memory meanwhile, but not each time.
    let grown = (0..5).map(|_| {
        let before = resident();
        (0..400).for_each(|_| work());
        resident() - before
    });
    let least = grown.min().expect("five of them");
    assert!(least < 32 << 20, "{least} bytes: a tensor lost each time would be 100 MiB");
}
