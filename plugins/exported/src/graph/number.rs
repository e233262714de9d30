//! Operations on sizes, as Python's: floor division, true division, comparisons.

use super::expression::{floor_div, floor_mod};

/// A size, a number or a truth value while a program runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// An operation on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberOperator {
    Add,
    Subtract,
    Multiply,
    FloorDivide,
    Divide,
    Remainder,
    Power,
    Negative,
    Absolute,
    Equal,
    Differs,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Not,
    Maximum,
    Minimum,
    Sum,
    ToInt,
    ToFloat,
    Floor,
    Ceiling,
    Truncate,
    SquareRoot,
    Choose,
}

impl NumberOperator {
    /// By a node's target.
    pub fn of(target: &str) -> Option<Self> {
        let (module, name) = target.rsplit_once('.')?;
        let name = match module {
            "_operator" | "operator" | "math" | "builtins" => name,
            "torch" => name.strip_prefix("sym_").or_else(|| name.strip_prefix("_sym_"))?,
            _ => return None,
        };
        Some(match name {
            "add" => Self::Add,
            "sub" => Self::Subtract,
            "mul" => Self::Multiply,
            "floordiv" => Self::FloorDivide,
            "truediv" => Self::Divide,
            "mod" => Self::Remainder,
            "pow" => Self::Power,
            "neg" => Self::Negative,
            "abs" => Self::Absolute,
            "eq" => Self::Equal,
            "ne" => Self::Differs,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "and_" => Self::And,
            "or_" => Self::Or,
            "not" | "not_" => Self::Not,
            "max" => Self::Maximum,
            "min" => Self::Minimum,
            "sum" => Self::Sum,
            "int" => Self::ToInt,
            "float" => Self::ToFloat,
            "floor" => Self::Floor,
            "ceil" => Self::Ceiling,
            "trunc" => Self::Truncate,
            "sqrt" => Self::SquareRoot,
            "ite" => Self::Choose,
            "pos" => Self::Sum,
            _ => return None,
        })
    }

    /// The result; none where there is none, as of a division by 0.
    pub fn apply(self, of: &[Number]) -> Option<Number> {
        use Number::{Bool, Float, Int};
        let ints: Option<Vec<i64>> = of.iter().map(|n| n.int()).collect();
        let floats: Vec<f64> = of.iter().map(|n| n.float()).collect();
        let by = |ints_give: fn(i64, i64) -> Option<i64>, floats_give: fn(f64, f64) -> f64| match (&ints, &floats[..]) {
            (Some(ints), [_, _]) => ints_give(ints[0], ints[1]).map(Int),
            (None, &[a, b]) => Some(Float(floats_give(a, b))),
            _ => None,
        };
        let compare = |holds: fn(f64, f64) -> bool| match floats[..] {
            // Sizes are far below 2^53: f64 holds them exactly.
            [a, b] => Some(Bool(holds(a, b))),
            _ => None,
        };
        let round = |floats_give: fn(f64) -> f64| match (&ints, &floats[..]) {
            (Some(ints), [_]) => Some(Int(ints[0])),
            (None, &[a]) if floats_give(a).abs() < 9e15 => Some(Int(floats_give(a) as i64)),
            _ => None,
        };
        match self {
            Self::Add => by(i64::checked_add, |a, b| a + b),
            Self::Subtract => by(i64::checked_sub, |a, b| a - b),
            Self::Multiply => by(i64::checked_mul, |a, b| a * b),
            Self::FloorDivide => by(floor_div, |a, b| (a / b).floor()),
            Self::Remainder => by(floor_mod, |a, b| a - (a / b).floor() * b),
            Self::Power => by(|a, b| a.checked_pow(u32::try_from(b).ok()?), f64::powf),
            Self::Divide => match floats[..] {
                [_, 0.0] => None,
                [a, b] => Some(Float(a / b)),
                _ => None,
            },
            Self::Negative => match of {
                [Float(a)] => Some(Float(-a)),
                [a] => a.int()?.checked_neg().map(Int),
                _ => None,
            },
            Self::Absolute => match of {
                [Float(a)] => Some(Float(a.abs())),
                [a] => a.int()?.checked_abs().map(Int),
                _ => None,
            },
            Self::Equal => compare(|a, b| a == b),
            Self::Differs => compare(|a, b| a != b),
            Self::Less => compare(|a, b| a < b),
            Self::LessOrEqual => compare(|a, b| a <= b),
            Self::Greater => compare(|a, b| a > b),
            Self::GreaterOrEqual => compare(|a, b| a >= b),
            Self::And => Some(Bool(of.iter().all(|n| n.float() != 0.0))),
            Self::Or => Some(Bool(of.iter().any(|n| n.float() != 0.0))),
            Self::Not => Some(Bool(floats.first()? == &0.0)),
            Self::Maximum => match &ints {
                Some(ints) => ints.iter().copied().max().map(Int),
                None => floats.iter().copied().reduce(f64::max).map(Float),
            },
            Self::Minimum => match &ints {
                Some(ints) => ints.iter().copied().min().map(Int),
                None => floats.iter().copied().reduce(f64::min).map(Float),
            },
            Self::Sum => match &ints {
                Some(ints) => ints.iter().try_fold(0_i64, |sum, &n| sum.checked_add(n)).map(Int),
                None => Some(Float(floats.iter().sum())),
            },
            Self::ToInt | Self::Truncate => round(f64::trunc),
            Self::Floor => round(f64::floor),
            Self::Ceiling => round(f64::ceil),
            Self::ToFloat => floats.first().copied().map(Float),
            Self::SquareRoot => floats.first().map(|a| Float(a.sqrt())),
            Self::Choose => match of {
                &[condition, yes, no] => Some(if condition.float() != 0.0 { yes } else { no }),
                _ => None,
            },
        }
    }
}

impl Number {
    fn int(self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(number),
            Self::Bool(truth) => Some(i64::from(truth)),
            Self::Float(_) => None,
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
            Self::Bool(truth) => f64::from(u8::from(truth)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Number::*, *};

    #[test]
    fn sizes_are_computed_as_python_does() {
        let of = |target: &str, numbers: &[Number]| NumberOperator::of(target).unwrap().apply(numbers);
        assert_eq!(of("_operator.floordiv", &[Int(-7), Int(2)]), Some(Int(-4)));
        assert_eq!(of("_operator.mod", &[Int(-7), Int(4)]), Some(Int(1)));
        assert_eq!(of("_operator.truediv", &[Int(7), Int(2)]), Some(Float(3.5)));
        assert_eq!(of("math.ceil", &[Float(3.2)]), Some(Int(4)));
        assert_eq!(of("torch.sym_max", &[Int(3), Int(5)]), Some(Int(5)));
        assert_eq!(of("torch._sym_sqrt", &[Int(9)]), Some(Float(3.0)));
        assert_eq!(of("_operator.ge", &[Int(3), Int(3)]), Some(Bool(true)));
        assert_eq!(of("torch.sym_ite", &[Bool(false), Int(1), Int(2)]), Some(Int(2)));
        assert_eq!(of("_operator.mul", &[Int(3), Float(0.5)]), Some(Float(1.5)));
    }

    #[test]
    fn what_has_no_result_gives_none() {
        assert_eq!(NumberOperator::FloorDivide.apply(&[Int(1), Int(0)]), None);
        assert_eq!(NumberOperator::Multiply.apply(&[Int(i64::MAX), Int(2)]), None);
        assert_eq!(NumberOperator::of("os.system"), None);
        assert_eq!(NumberOperator::of("torch.load"), None);
        assert_eq!(NumberOperator::Add.apply(&[]), None);
    }
}
