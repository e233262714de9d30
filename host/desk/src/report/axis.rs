//! An axis: its range, where its ticks stand, and what they say.

use super::{chart::Scale, text::number};

/// Positive values whose largest is this many times the smallest are drawn by their logarithm.
const LOGARITHMIC_FROM: f64 = 1000.0;

/// Values within this ratio have ticks between the powers of ten.
const CLOSE: f64 = 100.0;

/// A range with ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    /// Where, and what is said there.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Steps from 0 to the last, with ticks where so many characters stand beside one another.
    pub fn of_steps(last: u64, letters: usize) -> Self {
        let high = last.max(1) as f64;
        // The last tick may be moved to the left by half its length.
        let most = letters as f64 / (super::text::grouped(last).chars().count() as f64 * 1.5 + 1.0);
        let step = nice_step(high / most.clamp(1.0, 5.0)).max(1.0);
        let ticks = (0..).map(|n| n as f64 * step).take_while(|&x| x <= high);
        let ticks = ticks.map(|x| (x, super::text::grouped(x as u64))).collect();
        Self { low: 0.0, high, is_logarithmic: false, ticks }
    }

    /// Seconds from 0 to the last, with ticks at whole seconds, minutes or hours, and what those are.
    pub fn of_time(last: u64, letters: usize) -> (Self, &'static str) {
        const UNITS: [(u64, &str); 3] = [(3600, "hours"), (60, "minutes"), (1, "seconds")];
        // At least five of a unit, or its ticks would say little.
        let (unit, name) = UNITS.into_iter().find(|(unit, _)| last >= 5 * unit).unwrap_or(UNITS[2]);
        let whole = Self::of_steps(last / unit, letters);
        let ticks = whole.ticks.into_iter().map(|(value, say)| (value * unit as f64, say)).collect();
        (Self { low: 0.0, high: last.max(1) as f64, is_logarithmic: false, ticks }, name)
    }

    /// Around values, all finite, by the scale that is asked for.
    pub fn scaled(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
        match scale {
            Scale::Fitting => Self::around([low, high].into_iter().filter(|y| y.is_finite())),
            Scale::Logarithmic if low > 0.0 && low < high => Self::logarithmic(low, high),
            _ => Self::spread(low, high),
        }
    }

    /// Around values, all finite.
    pub fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
        if low > 0.0 && low <= high && high / low >= LOGARITHMIC_FROM {
            return Self::logarithmic(low, high);
        }
        Self::spread(low, high)
    }

    /// Equal differences, with some room at both ends.
    fn spread(low: f64, high: f64) -> Self {
        if low > high {
            return Self::linear(0.0, 1.0);
        }
        // Half of each, since their difference may be beyond what a number can hold.
        let room = ((high / 2.0 - low / 2.0) * 0.12).max(high.abs().max(low.abs()) * 0.01).max(1e-12);
        let below = if low >= 0.0 { (low - room).max(0.0) } else { (low - room).max(f64::MIN / 4.0) };
        Self::linear(below, (high + room).min(f64::MAX / 4.0))
    }

    fn linear(low: f64, high: f64) -> Self {
        let step = nice_step((high / 5.5 - low / 5.5).max(f64::MIN_POSITIVE));
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let is_far = low.abs().max(high.abs()) >= 1e6 || decimals > 6;
        let say = |y: f64| if is_far { short(y) } else { format!("{y:.decimals$}") };
        let first = (low / step).ceil();
        let ticks = (0..12).map(|n| (first + f64::from(n)) * step).take_while(|&y| y <= high * (1.0 + 1e-12));
        let ticks = ticks.map(|y| (y, say(if y.abs() < step * 1e-6 { 0.0 } else { y }))).collect();
        Self { low, high, is_logarithmic: false, ticks }
    }

    fn logarithmic(low: f64, high: f64) -> Self {
        if high / low < CLOSE {
            return Self::close(low, high);
        }
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let every = ((last - first) / 5).max(1) as usize;
        let ticks = (first..=last).step_by(every).map(|power| {
            let say = if (-3..=4).contains(&power) { plain_power(power) } else { format!("1e{power}") };
            (10f64.powi(power), say)
        });
        let ticks = ticks.filter(|&(y, _)| y > 0.0 && y <= high * (1.0 + 1e-9)).collect();
        Self { low: 10f64.powi(first).max(f64::MIN_POSITIVE), high, is_logarithmic: true, ticks }
    }

    /// Equal ratios within few powers of ten: the range is that of the values, and ticks stand at even values.
    fn close(low: f64, high: f64) -> Self {
        let room = (high / low).powf(0.08);
        let (bottom, top) = (low / room, high * room);
        let ticks = Self::linear(bottom, top).ticks.into_iter().filter(|&(y, _)| y > 0.0);
        let powers = (bottom.log10().floor() as i32..=top.log10().ceil() as i32).map(|power| 10f64.powi(power));
        let fine = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| (factor * power, number(factor * power))));
        let fine: Vec<(f64, String)> = fine.filter(|(y, _)| (bottom..=top).contains(y)).collect();
        let ticks = if fine.len() >= 4 { fine } else { ticks.collect() };
        Self { low: bottom, high: top, is_logarithmic: true, ticks }
    }

    /// Whether equal distances are equal ratios.
    pub fn is_logarithmic(&self) -> bool {
        self.is_logarithmic
    }

    /// Whether a value lies outside the range.
    pub fn is_beyond(&self, value: f64) -> bool {
        value < self.low || value > self.high
    }

    /// Where a value lies: 0 at the low end, 1 at the high one.
    pub fn place(&self, value: f64) -> f64 {
        let place = if self.is_logarithmic {
            (value.max(f64::MIN_POSITIVE).log10() - self.low.log10()) / (self.high.log10() - self.low.log10())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        place.clamp(0.0, 1.0)
    }
}

/// The least of 1, 2, 5 times a power of ten that is at least so much.
fn nice_step(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// `2e6`, `2.5e-7`.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.3e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
}

fn plain_power(power: i32) -> String {
    let decimals = (-power).max(0) as usize;
    format!("{:.decimals$}", 10f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, say)| say.as_str()).collect()
    }

    #[test]
    fn times_have_ticks_at_whole_units() {
        let told = |last: u64| {
            let (axis, name) = Axis::of_time(last, 60);
            let ticks = axis.ticks.iter().map(|(at, say)| format!("{say}={at}")).collect::<Vec<_>>().join(" ");
            format!("{name} {ticks}")
        };
        assert_eq!(told(0), "seconds 0=0 1=1");
        assert_eq!(told(50), "seconds 0=0 10=10 20=20 30=30 40=40 50=50");
        assert_eq!(told(610), "minutes 0=0 2=120 4=240 6=360 8=480 10=600");
        assert!(told(40_000).starts_with("hours 0=0 5=18000"), "{}", told(40_000));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(said(&Axis::of_steps(1200, 50)), ["0", "500", "1,000"]);
        assert_eq!(said(&Axis::of_steps(1200, 20)), ["0", "1,000"]);
        assert_eq!(said(&Axis::of_steps(3, 50)), ["0", "1", "2", "3"]);
        assert_eq!(said(&Axis::around([2.1, 4.9].into_iter())), ["2", "3", "4", "5"]);
        assert_eq!(
            said(&Axis::around([0.0002, 0.001].into_iter())),
            ["0.0002", "0.0004", "0.0006", "0.0008", "0.0010"]
        );
        assert_eq!(said(&Axis::around([1.0, 1e6].into_iter())), ["1", "10", "100", "1000", "10000", "1e5", "1e6"]);
        assert_eq!(said(&Axis::around([0.002, 4.0].into_iter())), ["0.001", "0.01", "0.1", "1"]);
        assert!(!Axis::around([-1.0, 1e9].into_iter()).is_logarithmic());
    }

    #[test]
    fn any_values_have_an_axis_and_a_place_on_it() {
        let odd: [&[f64]; 9] = [
            &[],
            &[0.0],
            &[5.0, 5.0],
            &[-3.0],
            &[1e-300, 1e300],
            &[f64::MIN, f64::MAX],
            &[f64::MIN_POSITIVE],
            &[-1e-9, 1e-9],
            &[f64::MAX],
        ];
        for values in odd {
            let axis = Axis::around(values.iter().copied());
            assert!(axis.ticks.len() <= 12, "{values:?}: {:?}", axis.ticks);
            for &value in values {
                assert!((0.0..=1.0).contains(&axis.place(value)), "{value} on {axis:?}");
            }
        }
        let axis = Axis::around([1.0, 2.0].into_iter());
        assert!(axis.place(1.0) < axis.place(1.5) && axis.place(1.5) < axis.place(2.0));
    }
}
