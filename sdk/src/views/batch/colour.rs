//! Colours of a batch, planar in f32: brightness, contrast and saturation as one blend whose base differs, the hue by tables
//! over all colours.

use super::{Kept, converted};
use crate::{
    Device, Kind, Tensor,
    views::{Jitter, Quality},
};
use infomax_image::operations::{from_hsv, hue_shift, to_hsv};

// M views · P pixels of a view

/// Blends that hold any order of three, with the hue in two places between: after the first, and before the last.
const BLENDS: usize = 4;
/// Of a blend: factor, how much of the mean gray and how much of each pixel's gray is its base.
const OF_BLEND: usize = 3;
const NO_BLEND: [f32; OF_BLEND] = [1.0, 0.0, 0.0];
const SHIFTS: usize = 2;

/// Pixels up to which f32 tells the mean of a view's bytes from its neighbours, a byte of one pixel more or less.
const EXACT: i64 = 1 << 12;

pub(super) fn jitter_numbers(hue: bool) -> usize {
    BLENDS * OF_BLEND + if hue { SHIFTS } else { 0 }
}

/// The blends, then what is added to the hue: −1 where it stays.
pub(super) fn write_jitter(jitter: Option<&Jitter>, hue: bool, numbers: &mut [f32]) {
    let (blends, shifts) = numbers.split_at_mut(BLENDS * OF_BLEND);
    blends.chunks_exact_mut(OF_BLEND).for_each(|blend| blend.copy_from_slice(&NO_BLEND));
    shifts.fill(-1.0);
    let Some(jitter) = jitter else { return };
    // A hue that stays is as good as last: only three blends are made then.
    let last = jitter.order.len() - 1;
    let at = jitter.order.iter().position(|&quality| hue && quality == Quality::Hue).unwrap_or(last);
    // With one blend at most before the hue, it has the first place.
    let first = at < 2;
    if let (true, Some(turns)) = (hue, jitter.turns) {
        shifts[usize::from(!first)] = f32::from(hue_shift(turns)) * 65536.0;
    }
    let slots: [usize; 3] = match at {
        0 => [1, 2, 3],
        1 | 3 => [0, 1, 2],
        _ => [0, 1, 3],
    };
    let qualities = jitter.order.iter().filter(|&&quality| quality != Quality::Hue);
    for (slot, quality) in slots.into_iter().zip(qualities) {
        let [brightness, contrast, saturation] = jitter.factors;
        let blend = match quality {
            Quality::Brightness => [brightness, 0.0, 0.0],
            Quality::Contrast => [contrast, 1.0, 0.0],
            Quality::Saturation | Quality::Hue => [saturation, 0.0, 1.0],
        };
        blends[slot * OF_BLEND..][..OF_BLEND].copy_from_slice(&blend);
    }
}

/// A batch of views as 3 × M × P.
pub(super) struct Canvas<'k> {
    x: Tensor,
    half: Tensor,
    kept: &'k Kept,
}

impl<'k> Canvas<'k> {
    pub fn new(kept: &'k Kept, x: Tensor) -> Self {
        let half = kept.get("half", x.device(), || Tensor::full([0i64; 0], 0.5, Kind::F32, Device::Cpu));
        Self { x, half, kept }
    }

    pub fn into_tensor(self) -> Tensor {
        self.x
    }

    /// Pillow's gray, M × P: in 16 bits after the point, which f32 holds.
    fn gray(&self) -> Tensor {
        let weights = [19595.0, 38470.0, 7471.0].map(|weight: f64| weight / 65536.0); // Pillow's `Convert.c`
        let channel = |at: i64| self.x.select(0, at);
        let gray = Tensor::op("aten::add.Tensor", &[&self.half, &channel(0), &weights[0]]);
        Tensor::op("aten::add_.Tensor", &[&gray, &channel(1), &weights[1]]);
        Tensor::op("aten::add_.Tensor", &[&gray, &channel(2), &weights[2]]);
        Tensor::op("aten::floor_", &[&gray])
    }

    pub fn jitter(&mut self, numbers_m: &Tensor, tables: Option<&Tables>) {
        let blend = |at: usize| numbers_m.narrow(1, (at * OF_BLEND) as i64, OF_BLEND as i64);
        let hues = tables.map(|tables| {
            let numbers = numbers_m.narrow(1, (BLENDS * OF_BLEND) as i64, SHIFTS as i64);
            (tables, numbers.ge(0.0), converted(&numbers, Kind::I32))
        });
        let hue = |canvas: &mut Self, at: i64| {
            if let Some((tables, chosen, shifts)) = &hues {
                canvas.hue(tables, &chosen.narrow(1, at, 1), &shifts.narrow(1, at, 1));
            }
        };
        self.blend(&blend(0));
        hue(self, 0);
        self.blend(&blend(1));
        self.blend(&blend(2));
        hue(self, 1);
        if tables.is_some() {
            self.blend(&blend(3));
        }
    }

    /// Away from the base or towards it, in place; with a factor of one nothing changes.
    fn blend(&mut self, numbers_m: &Tensor) {
        let number = |at: i64| numbers_m.narrow(1, at, 1);
        let (factor, of_mean, of_gray) = (number(0), number(1), number(2));
        let gray = self.gray();
        let mean = self.mean(&gray, &of_mean);
        let base = Tensor::op("aten::addcmul", &[&mean, &gray, &of_gray]);
        let x = self.x.sub_(&base).mul_(&factor).add_(&base);
        let x = Tensor::op("aten::clamp_", &[&x, &0.0, &255.0]);
        self.x = Tensor::op("aten::floor_", &[&x]);
    }

    /// So much of the mean of each view, M × 1, halves rounded up: the sums are whole numbers, so that a quarter of what one of
    /// them moves the mean by tells a half from what lies below it, however the division is rounded.
    fn mean(&self, gray: &Tensor, of_mean: &Tensor) -> Tensor {
        let pixels = gray.size_of(1);
        let each = 1.0 / pixels as f64;
        if pixels > EXACT {
            let sums = Tensor::op("aten::sum.dim_IntList", &[gray, &[1i64], &true, &Kind::F64]);
            let mean = sums.mul_(each).add_(0.5 + each / 4.0);
            return Tensor::op("aten::floor_", &[&mean]).to_kind(Kind::F32).mul_(of_mean);
        }
        let half = self.kept.get(format!("half of {pixels}"), gray.device(), || {
            Tensor::full([0i64; 0], 0.5 + each / 4.0, Kind::F32, Device::Cpu)
        });
        let mean = Tensor::op("aten::addcmul", &[&half, &gray.sum_dim(1, true), of_mean, &each]);
        Tensor::op("aten::floor_", &[&mean])
    }

    /// Shifts the hue of the chosen views.
    fn hue(&mut self, tables: &Tables, chosen: &Tensor, shifts: &Tensor) {
        let [_, m, p] = self.x.dims();
        let channel = |at: i64| self.x.select(0, at);
        let rgb = Tensor::op("aten::add.Tensor", &[&channel(1), &channel(0), &256.0]);
        let rgb = Tensor::op("aten::add.Tensor", &[&channel(2), &rgb, &256.0]);
        let rgb = converted(&rgb, Kind::I32).view([-1]);
        let hsv = tables.to_hsv.index_select(0, &rgb).view([m, p]).add_(shifts);
        let hsv = Tensor::op("aten::bitwise_and_.Scalar", &[&hsv, &0x00FF_FFFF_i64]).view([-1]);
        let rgb = tables.from_hsv.index_select(0, &hsv).t().view([3, m, p]);
        self.x = converted(&rgb, Kind::F32).where_else(chosen, &self.x);
    }

    /// Takes the chosen views' colours.
    pub fn grayscale(&mut self, chosen: &Tensor) {
        self.x = self.gray().where_else(&chosen.gt(0.5), &self.x);
    }
}

/// Every colour in HSV, as one number of three bytes, and every HSV's colour, as three bytes: 112 MiB.
pub(super) struct Tables {
    to_hsv: Tensor,
    from_hsv: Tensor,
}

impl Tables {
    pub fn of(kept: &Kept, device: Device) -> Self {
        let bytes = |colour: u32| [colour >> 16, colour >> 8, colour].map(|value| value as u8);
        let to_hsv = || {
            let number = |[h, s, v]: [u8; 3]| i32::from(h) << 16 | i32::from(s) << 8 | i32::from(v);
            let table: Vec<i32> = (0..COLOURS).map(|colour| number(to_hsv(bytes(colour)))).collect();
            Tensor::from_slice(&table, [COLOURS.into()], Device::Cpu)
        };
        let from_hsv = || {
            let table: Vec<u8> = (0..COLOURS).flat_map(|colour| from_hsv(bytes(colour))).collect();
            Tensor::from_slice(&table, [COLOURS.into(), 3], Device::Cpu)
        };
        Self { to_hsv: kept.get("to hsv", device, to_hsv), from_hsv: kept.get("from hsv", device, from_hsv) }
    }
}

const COLOURS: u32 = 1 << 24;
