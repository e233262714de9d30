//! The ten shapes as signed distances: negative inside, about 1 the radius. No shape is another one mirrored.

/// The classes, by label.
pub(super) const CLASSES: [&str; 10] =
    ["circle", "square", "triangle", "star", "cross", "ring", "crescent", "arrow", "heart", "letter h"];

/// Signed distance, in radii, from the point to the outline of the shape `class`; roughly exact near the outline.
pub(super) fn distance(class: usize, x: f32, y: f32) -> f32 {
    match class {
        0 => x.hypot(y) - 0.85,
        1 => rectangle(x, y, 0.75, 0.75),
        2 => triangle(x, y),
        3 => star(x, y),
        4 => rectangle(x, y, 0.95, 0.28).min(rectangle(x, y, 0.28, 0.95)),
        5 => (x.hypot(y) - 0.68).abs() - 0.2,
        6 => (x.hypot(y) - 0.95).max(0.72 - (x - 0.42).hypot(y)),
        7 => arrow(x, y),
        8 => heart(x, y),
        _ => rectangle(x - 0.55, y, 0.2, 0.9).min(rectangle(x + 0.55, y, 0.2, 0.9)).min(rectangle(x, y, 0.5, 0.2)),
    }
}

fn rectangle(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    let (x, y) = (x.abs() - half_width, y.abs() - half_height);
    x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0)
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
    let radius = x.hypot(y);
    let (px, py) = (radius * angle.cos(), radius * angle.sin());
    let (ax, ay) = (1.05, 0.0);
    let (bx, by) = (0.42 * (FIFTH / 2.0).cos(), 0.42 * (FIFTH / 2.0).sin());
    let length = (bx - ax).hypot(by - ay);
    ((px - ax) * (ay - by) + (py - ay) * (bx - ax)) / -length
}

/// Pointing right: a shaft and a head.
fn arrow(x: f32, y: f32) -> f32 {
    let shaft = rectangle(x + 0.4, y, 0.6, 0.2);
    let head = (0.05 - x).max((x - 1.0) * 0.707 + y.abs() * 0.707);
    shaft.min(head)
}

fn heart(x: f32, y: f32) -> f32 {
    let (x, y) = (x.abs(), 0.55 - y); // upwards from the tip
    let y = y + 0.35;
    // Two circles above, a corner below.
    let lobe = (x - 0.42).hypot(y - 0.95) - 0.5;
    let corner = (x * 0.78 - y * 0.63 + 0.02).max(y - 0.95).max(-0.02 - y);
    lobe.min(corner)
}
