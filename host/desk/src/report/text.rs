//! Numbers in words that a reader takes in at once.

pub use crate::digits::grouped;

/// Four significant digits: `0.000125`, `3.142`, `512.3`, `12,345`, `1.2e-7`.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "not finite".to_owned();
    }
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-5..1e9).contains(&size) {
        return shorter(&format!("{value:.2e}"));
    }
    if size >= 1000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(size.round() as u64));
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(1, 8) as usize;
    let text = format!("{value:.decimals$}");
    if size < 0.1 { text.trim_end_matches('0').to_owned() } else { text }
}

/// `1.20e-7` as `1.2e-7`.
fn shorter(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}e{exponent}")
}

/// A result with its unit; accuracies are in percent.
pub fn result(name: &str, value: f64) -> String {
    match (value.is_finite(), is_accuracy(name)) {
        (false, _) => "not finite".to_owned(),
        (true, true) => format!("{value:.2} %"),
        (true, false) => format!("{value:.3}"),
    }
}

/// Whether a result is an accuracy in percent.
pub fn is_accuracy(name: &str) -> bool {
    name.ends_with("_top1")
}

/// `512 B`, `3.4 MiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let told = [0.0, 1e-3, 0.000_125, std::f64::consts::PI, 512.345, 12_345.6, 1.2e-7, -2.5, 3e12, 0.5, 100.0];
        let texts =
            ["0", "0.001", "0.000125", "3.142", "512.3", "12,346", "1.2e-7", "-2.500", "3e12", "0.5000", "100.0"];
        assert_eq!(told.map(number), texts.map(str::to_owned));
        assert_eq!(number(f64::NAN), "not finite");
        assert_eq!([9, 2048, 5 << 20, 3 << 30].map(size), ["9 B", "2.0 KiB", "5.0 MiB", "3.0 GiB"].map(str::to_owned));
    }
}
