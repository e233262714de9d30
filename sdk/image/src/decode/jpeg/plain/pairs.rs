//! Two coefficients by one look: what the next bits mean as long as they are short codes with small numbers, which most are.

use super::codes::Codes;

/// Bits that one look takes in.
pub const LOOK: u32 = 11;
/// Bits of a coefficient that an entry holds, as a file writes them: up to 63 either way.
const MOST_SIZE: u32 = 6;
/// How far the end of a block leads on: behind every place that coefficients can lead to.
pub const END: usize = 96;

/// A code and its coefficient, or two of them; the second may also be the end of the block. One alone is its own second.
#[derive(Clone, Copy)]
pub struct Pair(u32);

impl Pair {
    /// Not by one look.
    const NONE: Self = Self(0);

    /// Of a number of `bits` bits: the first is `run` places on, the second is the one before `ahead` places on.
    fn new(bits: u32, run: u32, ahead: u32, first: i32, second: i32) -> Self {
        Self(bits | run << 6 | ahead << 10 | (first as u32 & 0x7F) << 17 | (second as u32) << 25)
    }

    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// How many bits it takes: the lowest six bits.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// How many zeros stand before the first.
    #[inline(always)]
    pub fn run(self) -> usize {
        (self.0 >> 6 & 15) as usize
    }

    /// How many places lie between here and what follows.
    #[inline(always)]
    pub fn ahead(self) -> usize {
        (self.0 >> 10 & 127) as usize
    }

    #[inline(always)]
    pub fn first(self) -> i32 {
        (self.0 << 8) as i32 >> 25
    }

    #[inline(always)]
    pub fn second(self) -> i32 {
        self.0 as i32 >> 25
    }

    /// With the one that follows.
    fn then(self, next: Self) -> Self {
        let ahead = (self.ahead() + next.ahead()) as u32;
        Self::new((self.0 & 63) + (next.0 & 63), self.run() as u32, ahead, self.first(), next.first())
    }
}

/// What each number of [`LOOK`] bits means.
pub struct Pairs(Box<[Pair; 1 << LOOK]>);

impl Pairs {
    /// Of codes whose symbols are a run and a size.
    pub fn new(codes: &Codes) -> Self {
        let mut singles = [Pair::NONE; 1 << LOOK];
        for (length, symbol, numbers) in codes.up_to(LOOK) {
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match size {
                0 if run == 0 => singles[numbers].fill(Pair::new(length, 0, END as u32, 0, 0)),
                0 => singles[numbers].fill(Pair::new(length, run, run + 1, 0, 0)), // of the zeros the last stands for a number
                1..=MOST_SIZE if length + size <= LOOK => {
                    for (number, numbers) in singles[numbers].chunks_exact_mut(1 << (LOOK - length - size)).enumerate()
                    {
                        let number = number as i32;
                        let value = if number >> (size - 1) == 0 { number - (1 << size) + 1 } else { number };
                        numbers.fill(Pair::new(length + size, run, run + 1, value, value));
                    }
                }
                _ => {}
            }
        }
        let mut pairs = Box::new(singles);
        for (number, pair) in pairs.iter_mut().enumerate() {
            if pair.is_none() || pair.ahead() == END {
                continue;
            }
            let next = singles[number << (pair.bits() & 63) & ((1 << LOOK) - 1)];
            if !next.is_none() && (pair.bits() & 63) + (next.bits() & 63) <= LOOK {
                *pair = pair.then(next);
            }
        }
        Self(pairs)
    }

    #[inline(always)]
    pub fn of(&self, bits: u32) -> Pair {
        self.0[bits as usize & ((1 << LOOK) - 1)]
    }
}
