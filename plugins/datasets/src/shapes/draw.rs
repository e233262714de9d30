//! Draws one image: a ground of gradient, waves and clutter, and one shape with a texture of its own on it.

use super::geometry::{CLASSES, distance};
use infomax_sdk::{Key, KeyedRng};

type Colour = [f32; 3];

/// Two colours and waves between them.
struct Paint {
    colours: [Colour; 2],
    wave: [f32; 3],
    share: f32,
}

impl Paint {
    fn draw(rng: &mut KeyedRng, middle: Colour, spread: f64) -> Self {
        let colour = |rng: &mut KeyedRng| middle.map(|m| m + rng.uniform(-spread, spread) as f32);
        let colours = [colour(rng), colour(rng)];
        let angle = rng.uniform(0.0, std::f64::consts::TAU);
        let frequency = rng.uniform(1.0, 14.0);
        let phase = rng.uniform(0.0, std::f64::consts::TAU) as f32;
        let wave = [(frequency * angle.cos()) as f32, (frequency * angle.sin()) as f32, phase];
        Self { colours, wave, share: rng.uniform(0.2, 1.0) as f32 }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let [a, b, phase] = self.wave;
        let mix = 0.5 + 0.5 * self.share * wave(a * x + b * y + phase);
        std::array::from_fn(|c| self.colours[0][c] + mix * (self.colours[1][c] - self.colours[0][c]))
    }
}

/// A sine, to within 0.06, without calling one: Bhaskara's parabola.
fn wave(x: f32) -> f32 {
    let turn = x * (1.0 / std::f32::consts::TAU) + 64.0; // positive, so that the cast rounds down
    let t = turn - (turn as i32) as f32 - 0.5;
    -8.0 * t * (1.0 - 2.0 * t.abs())
}

/// A piece of a line or a blob on the ground: it has edges, but no shape.
struct Clutter {
    from: [f32; 2],
    along: [f32; 2],
    /// 1 / |along|².
    scale: f32,
    width: f32,
    colour: Colour,
}

impl Clutter {
    fn draw(rng: &mut KeyedRng) -> Self {
        let mut place = || rng.uniform(-1.0, 1.0) as f32;
        let from = [place(), place()];
        let along = [place() * 0.7, place() * 0.7];
        let colour = [place(), place(), place()].map(|c| 0.5 + 0.5 * c);
        let scale = 1.0 / (along[0] * along[0] + along[1] * along[1] + 1e-6);
        Self { from, along, scale, width: rng.uniform(0.03, 0.12) as f32, colour }
    }

    /// To the middle line.
    fn squared_distance(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x - self.from[0], y - self.from[1]);
        let [ax, ay] = self.along;
        let t = ((x * ax + y * ay) * self.scale).clamp(0.0, 1.0);
        let (x, y) = (x - t * ax, y - t * ay);
        x * x + y * y
    }
}

/// The label of the image with this key, and its pixels.
pub(super) fn draw(label: usize, key: Key, size: usize) -> Vec<u8> {
    debug_assert!(label < CLASSES.len());
    let mut rng = key.rng();
    let middle: Colour = std::array::from_fn(|_| rng.uniform(0.15, 0.85) as f32);
    let ground = Paint::draw(&mut rng, middle, 0.3);
    // The shape differs from the ground, in a random direction of colour: no channel tells it.
    let contrast = rng.uniform(0.32, 0.7);
    let direction: [f64; 3] = std::array::from_fn(|_| rng.uniform(-1.0, 1.0));
    let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt().max(0.1);
    let other: Colour = std::array::from_fn(|c| {
        let step = (direction[c] / norm * contrast * 1.5) as f32;
        if (0.0..=1.0).contains(&(middle[c] + step)) { middle[c] + step } else { middle[c] - step }
    });
    let shape = Paint::draw(&mut rng, other, 0.14);
    let radius = rng.uniform(0.42, 0.72) as f32;
    let room = f64::from(1.0 - radius) + 0.08;
    let centre = [rng.uniform(-room, room) as f32, rng.uniform(-room, room) as f32];
    let (sin, cos) = (rng.uniform(-0.45, 0.45) as f32).sin_cos();
    let stretch = rng.uniform(0.85, 1.18) as f32;
    let outline = rng.chance(0.25).then(|| rng.uniform(0.0, 1.0) as f32);
    let clutter: Vec<Clutter> = (0..2 + rng.below(4)).map(|_| Clutter::draw(&mut rng)).collect();
    let gradient: [f32; 6] = std::array::from_fn(|_| rng.uniform(-0.18, 0.18) as f32);
    let noise = rng.uniform(0.0, 0.08) as f32;
    let mut state = rng.below(u64::MAX) | 1;

    let pixel = 2.0 / size as f32;
    let soft = |distance: f32| (0.5 - distance / pixel).clamp(0.0, 1.0);
    let mut pixels = Vec::with_capacity(size * size * 3);
    for row in 0..size {
        let y = (row as f32 + 0.5) * pixel - 1.0;
        for column in 0..size {
            let x = (column as f32 + 0.5) * pixel - 1.0;
            let mut colour = ground.at(x, y);
            for c in 0..3 {
                colour[c] += gradient[c] * x + gradient[c + 3] * y;
            }
            for piece in &clutter {
                let near = piece.width + pixel;
                let squared = piece.squared_distance(x, y);
                if squared < near * near {
                    blend(&mut colour, &piece.colour, soft(squared.sqrt() - piece.width));
                }
            }
            let (u, v) = ((x - centre[0]) / radius, (y - centre[1]) / radius);
            if u * u + v * v < 2.2 {
                let (u, v) = ((cos * u + sin * v) * stretch, (cos * v - sin * u) / stretch);
                let inside = distance(label, u, v) * radius;
                if let Some(shade) = outline {
                    blend(&mut colour, &[shade; 3], soft(inside - 1.2 * pixel));
                }
                blend(&mut colour, &shape.at(x, y), soft(inside));
            }
            for value in colour {
                state ^= state << 13; // xorshift64, Marsaglia 2003
                state ^= state >> 7;
                state ^= state << 17;
                let grain = ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * noise;
                pixels.push(((value + grain).clamp(0.0, 1.0) * 255.0 + 0.5) as u8);
            }
        }
    }
    pixels
}

fn blend(under: &mut Colour, over: &Colour, share: f32) {
    if share > 0.0 {
        for (under, over) in under.iter_mut().zip(over) {
            *under += share * (over - *under);
        }
    }
}
