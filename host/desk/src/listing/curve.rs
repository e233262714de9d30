//! A curve of bounded length, however long it becomes.

use crate::report::Point;

/// Points that a curve holds at most.
const MOST: usize = 96;

/// Every so many-th point of a curve, and its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
    last: Option<Point>,
    stride: u64,
    seen: u64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), last: None, stride: 1, seen: 0 }
    }
}

impl Curve {
    /// Takes the next point.
    pub fn add(&mut self, step: u64, value: f64) {
        let point = (step as f64, value);
        self.last = Some(point);
        if self.seen.is_multiple_of(self.stride) {
            self.points.push(point);
            if self.points.len() > MOST {
                let mut place = 0;
                self.points.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.stride *= 2;
            }
        }
        self.seen += 1;
    }

    /// The points, the last among them.
    pub fn points(&self) -> Vec<Point> {
        let mut points = self.points.clone();
        points.extend(self.last.filter(|last| points.last() != Some(last)));
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_its_ends_and_even_distances() {
        let mut curve = Curve::default();
        assert!(curve.points().is_empty());
        (0..100_000).for_each(|step| curve.add(step, step as f64 * 2.0));
        let points = curve.points();
        assert!(points.len() > MOST / 2 && points.len() <= MOST + 1, "{}", points.len());
        assert_eq!((points[0], *points.last().unwrap()), ((0.0, 0.0), (99_999.0, 199_998.0)));
        let gaps: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps[..gaps.len() - 1].iter().all(|gap| *gap == gaps[0]));
    }
}
