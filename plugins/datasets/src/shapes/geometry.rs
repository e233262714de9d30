//! The ten shapes as signed distances: negative inside, about 1 the radius. No shape is another one mirrored.

/// The classes, by label.
pub(super) const CLASSES: [&str; 10] =
    ["circle", "square", "triangle", "star", "cross", "ring", "crescent", "arrow", "heart", "letter h"];

/// Signed distance, in radii, from the point to the outline of the shape `class`; roughly exact near the outline.
pub(super) fn distance(class: usize, x: f32, y: f32) -> f32 {
    match class {
        0 => norm(x, y) - 0.85,
        1 => rectangle(x, y, 0.75, 0.75),
        2 => triangle(x, y),
        3 => star(x, y),
        4 => rectangle(x, y, 0.95, 0.28).min(rectangle(x, y, 0.28, 0.95)),
        5 => (norm(x, y) - 0.68).abs() - 0.2,
        6 => (norm(x, y) - 0.95).max(0.72 - norm(x - 0.42, y)),
        7 => arrow(x, y),
        8 => heart(x, y),
        _ => rectangle(x - 0.55, y, 0.2, 0.9).min(rectangle(x + 0.55, y, 0.2, 0.9)).min(rectangle(x, y, 0.5, 0.2)),
    }
}

fn rectangle(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    let (x, y) = (x.abs() - half_width, y.abs() - half_height);
    norm(x.max(0.0), y.max(0.0)) + x.max(y).min(0.0)
}

/// Equilateral, one corner up (y grows downwards).
fn triangle(x: f32, y: f32) -> f32 {
    const SIN: f32 = 0.866_025_4;
    (y - 0.5).max(x.abs() * SIN - y * 0.5 - 0.5)
}

/// Five points; one of ten mirrored wedges is enough.
fn star(x: f32, y: f32) -> f32 {
    const FIFTH: f32 = std::f32::consts::TAU / 5.0;
    let angle = x.atan2(-y).rem_euclid(FIFTH);
    let angle = angle.min(FIFTH - angle); // 0 at a point, FIFTH / 2 at a notch
    let radius = norm(x, y);
    let (px, py) = (radius * angle.cos(), radius * angle.sin());
    let (ax, ay) = (1.05, 0.0);
    let (bx, by) = (0.42 * (FIFTH / 2.0).cos(), 0.42 * (FIFTH / 2.0).sin());
    let length = norm(bx - ax, by - ay);
    ((px - ax) * (ay - by) + (py - ay) * (bx - ax)) / -length
}

/// Pointing right: a shaft and a head.
fn arrow(x: f32, y: f32) -> f32 {
    let shaft = rectangle(x + 0.4, y, 0.6, 0.2);
    let head = (0.05 - x).max((x - 1.0) * 0.707 + y.abs() * 0.707);
    shaft.min(head)
}

/// Inigo Quilez' heart (two quarter turns on a corner), scaled to the radius.
fn heart(x: f32, y: f32) -> f32 {
    const SCALE: f32 = 1.5;
    let (x, y) = (x.abs() / SCALE, 0.55 - y / SCALE);
    let distance = if x + y > 1.0 {
        norm(x - 0.25, y - 0.75) - std::f32::consts::SQRT_2 / 4.0
    } else {
        let along = 0.5 * (x + y).max(0.0);
        norm(x, y - 1.0).min(norm(x - along, y - along)) * (x - y).signum()
    };
    distance * SCALE
}

/// A square root is one instruction, `hypot` a call.
fn norm(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}
