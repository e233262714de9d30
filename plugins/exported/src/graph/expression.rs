//! Sizes as expressions: sympy's `Add(Symbol('s77', …), Integer(1))`, as files write them, evaluated for sizes that are known.

use std::collections::HashMap;

/// An expression of whole numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    Known(i64),
    /// A size that is free.
    Symbol(String),
    Call(String, Vec<Expression>),
}

/// Values of the free sizes.
pub type Symbols = HashMap<String, i64>;

/// Expressions nest no deeper in what an exporter writes.
const DEEPEST: usize = 64;

impl Expression {
    /// Reads sympy's notation; none where it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let expression = reader.expression(DEEPEST)?;
        reader.rest.trim().is_empty().then_some(expression)
    }

    /// The value; none where a symbol is not known, or the operation.
    pub fn value(&self, symbols: &Symbols) -> Option<i64> {
        let (name, parts) = match self {
            Self::Known(number) => return Some(*number),
            Self::Symbol(name) => return symbols.get(name).copied(),
            Self::Call(name, parts) => (name.as_str(), parts),
        };
        let values: Vec<i64> = parts.iter().map(|part| part.value(symbols)).collect::<Option<_>>()?;
        match (name, &values[..]) {
            ("Add", values) => values.iter().try_fold(0_i64, |sum, &v| sum.checked_add(v)),
            ("Mul", values) => values.iter().try_fold(1_i64, |product, &v| product.checked_mul(v)),
            ("Max", values) => values.iter().copied().max(),
            ("Min", values) => values.iter().copied().min(),
            ("Pow" | "PowByNatural", &[base, power]) => base.checked_pow(u32::try_from(power).ok()?),
            ("FloorDiv" | "CleanDiv", &[a, b]) => floor_div(a, b),
            ("Mod" | "PythonMod", &[a, b]) => floor_mod(a, b),
            ("CeilDiv", &[a, b]) => floor_div(a.checked_neg()?, b)?.checked_neg(),
            ("TruncToInt" | "FloorToInt" | "CeilToInt" | "ToFloat" | "Identity", &[a]) => Some(a),
            _ => None,
        }
    }

    /// The one free size, where there is just one.
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Symbol(name) => Some(name),
            Self::Call(_, parts) => {
                let mut names = parts.iter().filter_map(Self::symbol);
                let first = names.next()?;
                names.all(|name| name == first).then_some(first)
            }
        }
    }
}

/// Towards −∞, as Python divides; none for 0.
pub fn floor_div(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    let inexact = a.checked_rem(b)? != 0;
    Some(if inexact && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

/// What Python's division leaves; none for 0.
pub fn floor_mod(a: i64, b: i64) -> Option<i64> {
    a.checked_sub(floor_div(a, b)?.checked_mul(b)?)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn expression(&mut self, depth: usize) -> Option<Expression> {
        let depth = depth.checked_sub(1)?;
        self.blank();
        if self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return self.number().map(Expression::Known);
        }
        let name = self.word()?;
        if !self.taken('(') {
            return named(&name);
        }
        if name == "Symbol" {
            let symbol = self.quoted()?;
            while !self.taken(')') {
                self.rest = self.rest.get(1..)?; // `positive=True, integer=True`
            }
            return Some(Expression::Symbol(symbol));
        }
        let mut parts = Vec::new();
        loop {
            if self.taken(')') {
                break;
            }
            parts.push(self.expression(depth)?);
            self.blank();
            if !self.taken(',') && !self.rest.starts_with(')') {
                return None;
            }
        }
        match (name.as_str(), &parts[..]) {
            ("Integer", [Expression::Known(number)]) => Some(Expression::Known(*number)),
            _ => Some(Expression::Call(name, parts)),
        }
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn taken(&mut self, sign: char) -> bool {
        self.blank();
        let stripped = self.rest.strip_prefix(sign);
        self.rest = stripped.unwrap_or(self.rest);
        stripped.is_some()
    }

    fn number(&mut self) -> Option<i64> {
        let end =
            self.rest.char_indices().skip(1).find(|(_, c)| !c.is_ascii_digit()).map_or(self.rest.len(), |(at, _)| at);
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse().ok()
    }

    fn word(&mut self) -> Option<String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn quoted(&mut self) -> Option<String> {
        self.blank();
        let (name, rest) = self.rest.strip_prefix('\'')?.split_once('\'')?;
        self.rest = rest;
        Some(name.to_owned())
    }
}

fn named(name: &str) -> Option<Expression> {
    match name {
        "Zero" => Some(Expression::Known(0)),
        "One" => Some(Expression::Known(1)),
        "NegativeOne" => Some(Expression::Known(-1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<i64> {
        Expression::parse(text)?.value(&Symbols::from([("s77".to_owned(), 7)]))
    }

    #[test]
    fn sizes_are_read_as_sympy_writes_them() {
        let batch = "Symbol('s77', positive=True, integer=True)";
        assert_eq!(value(batch), Some(7));
        assert_eq!(value(&format!("Add(Mul(Integer(6), {batch}), Integer(-12))")), Some(30));
        assert_eq!(value(&format!("FloorDiv(Add({batch}, Integer(-10)), Integer(2))")), Some(-2));
        assert_eq!(value(&format!("Mod({batch}, Integer(4))")), Some(3));
        assert_eq!(value(&format!("Max(Integer(5), {batch})")), Some(7));
        assert_eq!(value("Integer(12)"), Some(12));
    }

    #[test]
    fn what_is_not_understood_has_no_value() {
        for text in [
            "",
            "Symbol('s1')",
            "Add(",
            "FloorDiv(Integer(1), Integer(0))",
            "Mul(Integer(9223372036854775807), Integer(2))",
            "Integer(99999999999999999999)",
            "Gamma(Integer(2))",
            "Integer(1) x",
            "Symbol('",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
        assert_eq!(value(&"Add(".repeat(100_000)), None);
    }
}
