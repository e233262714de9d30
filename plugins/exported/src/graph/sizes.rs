//! The declared sizes of a tensor.

use super::expression::{Expression, Symbols};
use crate::archive::format::{Size, TensorMeta};

/// The sizes of a tensor; a dimension whose expression isn't understood is none.
pub type Sized = Vec<Option<Expression>>;

/// As a file declares them.
pub fn declared(meta: &TensorMeta) -> Sized {
    meta.sizes.iter().map(one).collect()
}

fn one(size: &Size) -> Option<Expression> {
    match size {
        Size::AsInt(number) => Some(Expression::Known(*number)),
        Size::AsExpr(expression) => Expression::parse(&expression.expr_str),
    }
}

/// Finds what the free sizes are where an input of declared sizes has these.
///
/// # Errors
/// The first dimension that can't have its size, and what it may be.
pub fn bind(declared: &Sized, given: &[i64], symbols: &mut Symbols) -> Result<(), Misfit> {
    if declared.len() != given.len() {
        return Err(Misfit { dim: None, expected: format!("{} dimensions", declared.len()) });
    }
    for (dim, (declared, &given)) in declared.iter().zip(given).enumerate() {
        let Some(declared) = declared else { continue };
        let misfit = |expected: String| Err(Misfit { dim: Some(dim), expected });
        match (declared, declared.value(symbols), declared.symbol()) {
            (_, Some(value), _) if value == given => {}
            (_, Some(value), _) => return misfit(value.to_string()),
            (Expression::Symbol(name), None, _) => drop(symbols.insert(name.clone(), given)),
            (_, None, Some(symbol)) => {
                // A size like 2·s: the s that gives it.
                let mut trial = symbols.clone();
                let found = (0..=given).find(|&value| {
                    trial.insert(symbol.to_owned(), value);
                    declared.value(&trial) == Some(given)
                });
                let Some(found) = found else { return misfit("a multiple of what the file says".to_owned()) };
                symbols.insert(symbol.to_owned(), found);
            }
            (_, None, None) => {}
        }
    }
    Ok(())
}

/// A dimension that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    /// None where their number is wrong.
    pub dim: Option<usize>,
    pub expected: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_follow_from_sizes() {
        let batch = Expression::parse("Mul(Integer(2), Symbol('h', positive=True))");
        let declared: Sized = vec![batch, Some(Expression::Known(3)), None];
        let mut symbols = Symbols::new();
        assert_eq!(bind(&declared, &[6, 3, 11], &mut symbols), Ok(()));
        assert_eq!(symbols["h"], 3);
        let fails = |given: &[i64]| bind(&declared, given, &mut Symbols::new()).unwrap_err().dim;
        assert_eq!([fails(&[7, 3, 1]), fails(&[6, 4, 1]), fails(&[6, 3])], [Some(0), Some(1), None]);
    }
}
