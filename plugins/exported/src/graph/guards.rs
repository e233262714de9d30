//! What the exporter found that sizes must be: Python's `(L['x'].size()[0] % 2) == 0`, looked at before a call.

use super::expression::{floor_div, floor_mod};

/// A condition on the sizes of inputs.
#[derive(Clone, Debug)]
pub struct Guard {
    /// As the file says it.
    pub text: String,
    condition: Term,
}

#[derive(Clone, Debug)]
enum Term {
    Known(i64),
    /// A dimension of an input.
    Size(String, usize),
    Both(Sign, Box<Term>, Box<Term>),
    Not(Box<Term>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    Differs,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// Guards nest no deeper in what an exporter writes.
const DEEPEST: usize = 64;

impl Guard {
    /// Reads a guard; none where it asks for something else than sizes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let condition = reader.term(0, DEEPEST)?;
        reader.rest.trim().is_empty().then(|| Self { text: text.to_owned(), condition })
    }

    /// Whether it holds for these sizes; none where it can't be said.
    pub fn holds(&self, size: &dyn Fn(&str, usize) -> Option<i64>) -> Option<bool> {
        value(&self.condition, size).map(|value| value != 0)
    }

    /// The guard in words: `(size 0 of x % 2) == 0`.
    pub fn told(&self) -> String {
        let mut told = String::new();
        let mut rest = self.text.as_str();
        while let Some((before, after)) = rest.split_once("L['") {
            told.push_str(before);
            let parts = after.split_once("'].size()[").and_then(|(name, rest)| Some((name, rest.split_once(']')?)));
            let Some((name, (dim, after))) = parts else { return self.text.clone() };
            told.push_str(&format!("size {dim} of `{name}`"));
            rest = after;
        }
        told + rest
    }
}

fn value(term: &Term, size: &dyn Fn(&str, usize) -> Option<i64>) -> Option<i64> {
    let (sign, a, b) = match term {
        Term::Known(number) => return Some(*number),
        Term::Size(input, dim) => return size(input, *dim),
        Term::Not(term) => return value(term, size).map(|value| i64::from(value == 0)),
        Term::Both(sign, a, b) => (*sign, value(a, size)?, value(b, size)?),
    };
    match sign {
        Sign::Add => a.checked_add(b),
        Sign::Subtract => a.checked_sub(b),
        Sign::Multiply => a.checked_mul(b),
        Sign::Divide => floor_div(a, b),
        Sign::Remainder => floor_mod(a, b),
        Sign::Equal => Some(i64::from(a == b)),
        Sign::Differs => Some(i64::from(a != b)),
        Sign::Less => Some(i64::from(a < b)),
        Sign::LessOrEqual => Some(i64::from(a <= b)),
        Sign::Greater => Some(i64::from(a > b)),
        Sign::GreaterOrEqual => Some(i64::from(a >= b)),
        Sign::And => Some(i64::from(a != 0 && b != 0)),
        Sign::Or => Some(i64::from(a != 0 || b != 0)),
    }
}

/// Signs by how tightly they bind, the longer of two that begin alike first.
const SIGNS: [(&str, Sign, u8); 13] = [
    (" or ", Sign::Or, 1),
    (" and ", Sign::And, 2),
    ("==", Sign::Equal, 4),
    ("!=", Sign::Differs, 4),
    ("<=", Sign::LessOrEqual, 4),
    (">=", Sign::GreaterOrEqual, 4),
    ("<", Sign::Less, 4),
    (">", Sign::Greater, 4),
    ("+", Sign::Add, 5),
    ("-", Sign::Subtract, 5),
    ("//", Sign::Divide, 6),
    ("*", Sign::Multiply, 6),
    ("%", Sign::Remainder, 6),
];

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn term(&mut self, least: u8, depth: usize) -> Option<Term> {
        let depth = depth.checked_sub(1)?;
        let mut left = self.operand(depth)?;
        loop {
            let trimmed = self.rest.trim_start();
            // Words need the blank before them.
            let sign = SIGNS.into_iter().find(|(text, ..)| match text.strip_prefix(' ') {
                Some(word) => trimmed.starts_with(word),
                None => trimmed.starts_with(text),
            });
            let Some((text, sign, binds)) = sign.filter(|(.., binds)| *binds > least) else { return Some(left) };
            self.rest = trimmed.get(text.trim_start().len()..)?;
            let right = self.term(binds, depth)?;
            left = Term::Both(sign, Box::new(left), Box::new(right));
        }
    }

    fn operand(&mut self, depth: usize) -> Option<Term> {
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let inner = self.term(0, depth)?;
            self.rest = self.rest.trim_start().strip_prefix(')')?;
            return Some(inner);
        }
        if let Some(rest) = self.rest.strip_prefix("not ") {
            self.rest = rest;
            return Some(Term::Not(Box::new(self.term(3, depth)?)));
        }
        if let Some(rest) = self.rest.strip_prefix('-') {
            self.rest = rest;
            let operand = self.operand(depth.checked_sub(1)?)?;
            return Some(Term::Both(Sign::Subtract, Box::new(Term::Known(0)), Box::new(operand)));
        }
        if let Some(rest) = self.rest.strip_prefix("L['") {
            let (name, rest) = rest.split_once("'].size()[")?;
            let (dim, rest) = rest.split_once(']')?;
            self.rest = rest;
            return Some(Term::Size(name.to_owned(), dim.parse().ok()?));
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse().ok().map(Term::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, sizes: &[i64]) -> Option<bool> {
        Guard::parse(text)?.holds(&|name, dim| (name == "x").then(|| sizes.get(dim).copied()).flatten())
    }

    #[test]
    fn guards_are_read_as_the_exporter_writes_them() {
        let cases = [
            ("(L['x'].size()[0] % 2) == 0", true),
            ("L['x'].size()[2] == L['x'].size()[3]", false),
            ("(L['x'].size()[3] // 2) >= 2", true),
            ("L['x'].size()[0] != 1", true),
            ("2 + 3 * L['x'].size()[0] - 1 == 13 and not L['x'].size()[0] > 4", true),
            ("L['x'].size()[0] < 4 or L['x'].size()[0] <= 4", true),
            ("-(L['x'].size()[0]) + 4 == 0", true),
        ];
        for (text, expected) in cases {
            assert_eq!(holds(text, &[4, 3, 8, 6]), Some(expected), "{text}");
        }
        assert_eq!(Guard::parse(cases[0].0).unwrap().told(), "(size 0 of `x` % 2) == 0");
    }

    #[test]
    fn other_conditions_are_left_alone() {
        for text in
            ["", "f(x)", "L['x'].size()[0] ==", "L['x'].stride()[0] == 1", "1 / 2", "(1", "99999999999999999999 == 1"]
        {
            assert!(holds(text, &[4]).is_none(), "{text}");
        }
        assert!(Guard::parse(&"(".repeat(100_000)).is_none());
        assert!(Guard::parse(&"-".repeat(100_000)).is_none());
    }
}
