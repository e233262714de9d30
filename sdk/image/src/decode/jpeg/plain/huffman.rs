//! Huffman codes, and the blocks of 8 × 8 coefficients that they stand for.

use super::{
    bits::Bits,
    codes::{Codes, FAST},
    pairs::{END, LOOK, Pairs},
};

/// Where the coefficients of a block lie: its rows in [`ORDER`], and behind them [`NOWHERE`].
static ZIGZAG: [u8; PLACES] = {
    let mut order = [NOWHERE; PLACES];
    let (mut at, mut diagonal) = (0, 0);
    while diagonal < 15 {
        let mut step = 0;
        while step <= diagonal {
            // Upwards on even diagonals.
            let (row, column) = if diagonal % 2 == 0 { (diagonal - step, step) } else { (step, diagonal - step) };
            if row < 8 && column < 8 {
                order[at] = (ORDER[row] * 8 + column) as u8;
                at += 1;
            }
            step += 1;
        }
        diagonal += 1;
    }
    order
};

/// Which one of the rows each row of a block is: two that the transform takes together lie side by side.
const ORDER: [usize; 8] = [0, 4, 2, 6, 1, 5, 3, 7];
/// Where a value goes that is not part of a block.
const NOWHERE: u8 = 64;
/// More places than runs can lead to: the end of a block behind a coefficient is at most 63 + 16 + [`END`].
const PLACES: usize = 256;

/// The codes of a first coefficient's size.
pub struct Dc {
    /// Length of the code and size; a length of 0: not by one look.
    fast: Box<[(u8, u8); 1 << FAST]>,
    codes: Codes,
}

impl Dc {
    pub fn new(table: &[u8]) -> Option<Self> {
        let codes = Codes::new(table)?;
        if codes.symbols().iter().any(|&size| size > 11) {
            return None;
        }
        Some(Self { fast: codes.fast((0, 0), |length, size| (length as u8, size)), codes })
    }

    /// The difference to the block before. Takes 27 bits at most.
    #[inline(always)]
    fn read(&self, bits: &mut Bits<'_>) -> Option<i32> {
        let (length, size) = self.fast[bits.peek(FAST) as usize];
        let (length, size) = match length {
            0 => self.codes.find(bits.peek(16))?,
            _ => (length.into(), size),
        };
        bits.skip(length);
        if size == 0 {
            return Some(0);
        }
        let value = bits.number(0, size.into());
        bits.skip(size.into());
        Some(value)
    }
}

/// What a code stands for: zeros, and the size of the coefficient behind them. Of its bits, from the lowest: six for the bits of code
/// and coefficient, six for those of the code, four for those of the coefficient, four for the number of zeros.
#[derive(Clone, Copy)]
struct Entry(u32);

impl Entry {
    /// Not by one look.
    const NONE: Self = Self(0);

    fn new(length: u32, symbol: u8) -> Self {
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        Self((length + size) | length << 6 | size << 12 | run << 16)
    }

    #[inline(always)]
    fn run(self) -> usize {
        (self.0 >> 16) as usize
    }

    #[inline(always)]
    fn size(self) -> u32 {
        self.0 >> 12 & 15
    }
}

/// A scan of so many bytes pays for the table of pairs.
const WORTH_PAIRS: usize = 1 << 14;

/// The codes of the other coefficients.
pub struct Ac {
    /// Only where there is much to read.
    pairs: Option<Pairs>,
    fast: Box<[Entry; 1 << FAST]>,
    codes: Codes,
}

impl Ac {
    /// For a scan of `length` bytes.
    pub fn new(table: &[u8], length: usize) -> Option<Self> {
        let codes = Codes::new(table)?;
        if codes
            .symbols()
            .iter()
            .any(|symbol| symbol & 15 > 10 || (symbol & 15 == 0 && *symbol != 0 && *symbol != 0xF0))
        {
            return None;
        }
        let pairs = (length >= WORTH_PAIRS).then(|| Pairs::new(&codes));
        Some(Self { pairs, fast: codes.fast(Entry::NONE, Entry::new), codes })
    }

    /// The code at the front. Where it is not known by one look, 16 bits have to be ahead.
    #[inline(always)]
    fn entry(&self, bits: &Bits<'_>) -> Option<Entry> {
        let entry = self.fast[bits.peek(FAST) as usize];
        if entry.0 != 0 {
            return Some(entry);
        }
        let entry = self.long(bits.peek(16));
        (entry.0 != 0).then_some(entry)
    }

    /// Of a code that is longer than a look; [`Entry::NONE`] where there is no such code.
    #[cold]
    #[inline(never)]
    fn long(&self, bits: u32) -> Entry {
        self.codes.find(bits).map_or(Entry::NONE, |(length, symbol)| Entry::new(length, symbol))
    }
}

/// What the coefficients of a block are multiplied by, as they lie there.
#[derive(Clone, Debug)]
#[repr(align(32))]
pub struct Quantisers([i16; 64]);

impl Quantisers {
    /// From such in zigzag order.
    pub fn new(quantisers: &[i16; 64]) -> Self {
        let mut rows = [0; 64];
        for (&quantiser, &to) in quantisers.iter().zip(&ZIGZAG) {
            rows[usize::from(to)] = quantiser;
        }
        Self(rows)
    }

    pub fn rows(&self) -> &[i16; 64] {
        &self.0
    }
}

/// The coefficients of a block: rows 0, 4, 2, 6, 1, 5, 3 and 7.
#[repr(align(32))]
pub struct Block {
    /// 64, and what is [`NOWHERE`].
    values: [i16; 64 + 16],
    /// Whether only the first is not zero.
    pub is_flat: bool,
}

impl Block {
    pub const fn new() -> Self {
        Self { values: [0; 80], is_flat: true }
    }

    pub fn first(&self) -> i16 {
        self.values[0]
    }

    pub fn rows(&self) -> &[i16; 64] {
        self.values.first_chunk().expect("64 of 80")
    }

    /// Puts a coefficient at a place of the zigzag order.
    ///
    /// # Safety
    /// The place is below [`PLACES`].
    #[inline(always)]
    unsafe fn set(&mut self, place: usize, coefficient: i32) {
        debug_assert!(place < PLACES);
        // SAFETY: there are so many places (the caller), and none leads further than NOWHERE, which is within the values.
        unsafe {
            let to = *ZIGZAG.get_unchecked(place);
            *self.values.get_unchecked_mut(usize::from(to)) = coefficient as i16;
        }
    }
}

/// Reads a block. None where its codes are not in order.
///
/// # Safety
/// The processor has BMI2.
#[inline(never)]
#[target_feature(enable = "bmi1,bmi2,lzcnt")]
pub unsafe fn read(stream: &mut Bits<'_>, (dc, ac): (&Dc, &Ac), before: &mut i32, block: &mut Block) -> Option<()> {
    let mut bits = *stream; // in registers
    block.values[..64].fill(0);
    bits.refill();
    *before += dc.read(&mut bits)?;
    block.values[0] = i16::try_from(*before).ok()?;
    let mut at = 1;
    if let Some(pairs) = &ac.pairs {
        'pairs: while at < 64 {
            bits.refill();
            // 44 bits at most.
            for _ in 0..4 {
                let pair = pairs.of(bits.peek(LOOK));
                if pair.is_none() {
                    bits.refill();
                    let Some(Coefficient { run, value }) = Coefficient::read(&mut bits, ac)? else {
                        at += END;
                        break 'pairs;
                    };
                    // SAFETY: `at` is below 64 (the loops), a run below 16.
                    unsafe { block.set(at + run, value) };
                    at += run + 1;
                    continue 'pairs;
                }
                let from = bits;
                bits.skip(pair.bits());
                let first = at + pair.run();
                at += pair.ahead();
                // SAFETY: `at` was below 64 (the loops), a run is below 16, what a pair has ahead below 128.
                unsafe {
                    block.set(first, pair.first());
                    block.set(at - 1, pair.second());
                }
                if at > 63 {
                    if first > 62 {
                        // The first alone was the block's last; what follows is not part of it.
                        bits = from;
                        Coefficient::read(&mut bits, ac)?;
                        at = first + 1;
                    }
                    break 'pairs;
                }
            }
        }
    }
    'block: while at < 64 {
        bits.refill();
        // Two codes with their coefficients take 52 bits at most.
        for _ in 0..2 {
            let Some(Coefficient { run, value }) = Coefficient::read(&mut bits, ac)? else {
                at += END;
                break 'block;
            };
            // SAFETY: `at` is below 64 (the loops), a run below 16.
            unsafe { block.set(at + run, value) };
            at += run + 1;
            if at > 63 {
                break 'block;
            }
        }
    }
    block.is_flat = at == 1 + END;
    *stream = bits;
    (at == 64 || at > END).then_some(())
}

/// One that is not zero, behind zeros; or the last of 16 zeros.
struct Coefficient {
    run: usize,
    value: i32,
}

impl Coefficient {
    /// Some(None) at the end of the block. Takes 26 bits at most.
    #[inline(always)]
    fn read(bits: &mut Bits<'_>, ac: &Ac) -> Option<Option<Self>> {
        let entry = ac.entry(bits)?;
        let (run, size) = (entry.run(), entry.size());
        if size == 0 {
            bits.skip(entry.0);
            return Some((run > 0).then_some(Self { run, value: 0 }));
        }
        let value = bits.number(entry.0 >> 6 & 63, size);
        bits.skip(entry.0);
        Some(Some(Self { run, value }))
    }
}
