//! Digits in groups of three, for whoever reads large numbers.

/// `12,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!([0, 999, 1_234_567].map(grouped), ["0", "999", "1,234,567"].map(str::to_owned));
    }
}
