//! Weights and inputs that both sides compute from their names: `fill` and `pattern` of `recorded/record_encoders.py`.

use tch::Tensor;

/// Numbers in [−1, 1) from the name (FNV-1a) and the position (SplitMix64's finaliser), exact in f32.
pub fn pattern(name: &str, shape: &[i64]) -> Tensor {
    Tensor::from_slice(&numbers(name, shape)).view(shape)
}

/// A parameter or buffer: matrices and kernels uniform with variance 2 / inputs, scales near 1 (a bottleneck's last
/// one smaller), the rest near 0.
pub fn filled(name: &str, shape: &[i64]) -> Tensor {
    let numbers = numbers(name, shape);
    let numbers: Vec<f64> = if matches!(shape.len(), 2 | 4) {
        let inputs = shape[1..].iter().product::<i64>();
        let bound = (6.0 / inputs as f64).sqrt();
        numbers.into_iter().map(|x| x * bound).collect()
    } else if name.ends_with("weight") || name.ends_with("running_var") {
        let scale = if name.ends_with("bn3.weight") { 0.25 } else { 1.0 };
        numbers.into_iter().map(|x| scale * (1.0 + 0.5 * x)).collect()
    } else {
        numbers.into_iter().map(|x| 0.2 * x).collect()
    };
    Tensor::from_slice(&numbers).to_kind(tch::Kind::Float).view(shape)
}

fn numbers(name: &str, shape: &[i64]) -> Vec<f64> {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, step);
    let count = shape.iter().product::<i64>() as u64;
    (1..=count)
        .map(|i| {
            let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed;
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^= x >> 31;
            2.0 * ((x >> 40) as f64 / (1u64 << 24) as f64) - 1.0
        })
        .collect()
}
