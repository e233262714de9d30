//! Huffman codes, and the blocks of 8 × 8 coefficients that they stand for.

use super::bits::Bits;

const FAST: u32 = 10; // bits of a code that is found by one look
const LONGEST: usize = 16;

/// Where the coefficients of a block lie, row by row.
static ZIGZAG: [u8; 64] = {
    let mut order = [0; 64];
    let (mut at, mut diagonal) = (0, 0);
    while diagonal < 15 {
        let mut step = 0;
        while step <= diagonal {
            // Upwards on even diagonals.
            let (row, column) = if diagonal % 2 == 0 { (diagonal - step, step) } else { (step, diagonal - step) };
            if row < 8 && column < 8 {
                order[at] = (row * 8 + column) as u8;
                at += 1;
            }
            step += 1;
        }
        diagonal += 1;
    }
    order
};

/// Codes by length: what a code of up to 16 bits means.
struct Codes {
    /// For each length the first code that is longer, as 16 bits.
    limits: [u32; LONGEST + 1],
    /// For each length what to add to a code to find its symbol.
    offsets: [i32; LONGEST + 1],
    symbols: Vec<u8>,
}

impl Codes {
    /// From a table's 16 counts and its symbols.
    fn new(table: &[u8]) -> Option<Self> {
        let (counts, symbols) = table.split_at(LONGEST);
        let (mut limits, mut offsets) = ([0; LONGEST + 1], [0; LONGEST + 1]);
        let (mut code, mut first) = (0u32, 0i32);
        for length in 1..=LONGEST {
            let count = u32::from(counts[length - 1]);
            offsets[length] = first - code as i32;
            code += count;
            first += count as i32;
            if code > 1 << length {
                return None;
            }
            limits[length] = code << (LONGEST - length);
            code <<= 1;
        }
        Some(Self { limits, offsets, symbols: symbols.to_vec() })
    }

    /// The length and the symbol of the code at the top of 16 bits.
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let length = (1..=LONGEST).find(|&length| bits < self.limits[length])?;
        let code = (bits >> (LONGEST - length)) as i32;
        Some((length as u32, self.symbols[usize::try_from(code + self.offsets[length]).ok()?]))
    }

    /// For each number of [`FAST`] bits what a code of up to so many bits at its top means.
    fn fast<T: Copy>(&self, none: T, meant: impl Fn(u32, u8) -> T) -> Box<[T; 1 << FAST]> {
        let mut fast = Box::new([none; 1 << FAST]);
        let (mut at, mut next) = (0, 0);
        for length in 1..=FAST {
            let count = ((self.limits[length as usize] >> (LONGEST as u32 - FAST)) as usize - at) >> (FAST - length);
            for &symbol in &self.symbols[next..next + count] {
                let end = at + (1 << (FAST - length));
                fast[at..end].fill(meant(length, symbol));
                at = end;
            }
            next += count;
        }
        fast
    }
}

/// The codes of a first coefficient's size.
pub struct Dc {
    /// Length of the code and size; a length of 0: not by one look.
    fast: Box<[(u8, u8); 1 << FAST]>,
    codes: Codes,
}

impl Dc {
    pub fn new(table: &[u8]) -> Option<Self> {
        let codes = Codes::new(table)?;
        if codes.symbols.iter().any(|&size| size > 11) {
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

/// What a code stands for: zeros, and the size of the coefficient behind them.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Bits of the code; 0: not by one look.
    length: u8,
    /// Bits of code and coefficient.
    both: u8,
    /// Bits of the coefficient. None, with a run of 0: zeros to the end; with one of 15: 16 zeros.
    size: u8,
    run: u8,
}

impl Entry {
    fn new(length: u32, symbol: u8) -> Self {
        let (length, size) = (length as u8, symbol & 15);
        Self { length, both: length + size, size, run: symbol >> 4 }
    }
}

/// The codes of the other coefficients.
pub struct Ac {
    fast: Box<[Entry; 1 << FAST]>,
    codes: Codes,
}

impl Ac {
    pub fn new(table: &[u8]) -> Option<Self> {
        let codes = Codes::new(table)?;
        if codes.symbols.iter().any(|symbol| symbol & 15 > 10 || (symbol & 15 == 0 && *symbol != 0 && *symbol != 0xF0))
        {
            return None;
        }
        Some(Self { fast: codes.fast(Entry::default(), Entry::new), codes })
    }
}

/// Where the coefficient at a place of the zigzag order goes, and what it is multiplied by.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    quantiser: i16,
    to: u8,
}

/// The slots of a block; more than there are, for runs that lead out of it.
#[derive(Clone, Debug)]
pub struct Slots([Slot; 64 + 16]);

impl Slots {
    /// From quantisers in zigzag order.
    pub fn new(quantisers: &[i16; 64]) -> Self {
        let mut slots = [Slot::default(); 80];
        for ((slot, &quantiser), &to) in slots.iter_mut().zip(quantisers).zip(&ZIGZAG) {
            *slot = Slot { quantiser, to };
        }
        Self(slots)
    }
}

/// The coefficients of a block times their quantisers, row by row.
#[repr(align(32))]
pub struct Block {
    pub values: [i16; 64],
    /// Whether only the first is not zero.
    pub is_flat: bool,
}

impl Block {
    pub const fn new() -> Self {
        Self { values: [0; 64], is_flat: true }
    }
}

/// No coefficient of pixels is larger.
const LARGEST: u32 = 1 << 12;

/// Reads a block. None where its codes are not in order, or stand for what no pixels give.
///
/// # Safety
/// The processor has BMI2.
#[inline(never)]
#[target_feature(enable = "bmi1,bmi2,lzcnt")]
pub unsafe fn read(
    stream: &mut Bits<'_>,
    (dc, ac): (&Dc, &Ac),
    Slots(slots): &Slots,
    before: &mut i32,
    block: &mut Block,
) -> Option<()> {
    let mut bits = *stream; // in registers
    block.values = [0; 64];
    bits.refill();
    *before += dc.read(&mut bits)?;
    let first = *before * i32::from(slots[0].quantiser);
    block.values[0] = first as i16;
    let mut all = first.wrapping_add(LARGEST as i32) as u32;
    let mut at = 1;
    'block: while at < 64 {
        bits.refill();
        // Two codes with their coefficients take 52 bits at most.
        for _ in 0..2 {
            let mut entry = ac.fast[bits.peek(FAST) as usize];
            if entry.length == 0 {
                let (length, symbol) = ac.codes.find(bits.peek(16))?;
                entry = Entry::new(length, symbol);
            }
            if entry.size == 0 {
                bits.skip(entry.length.into());
                if entry.run == 0 {
                    break 'block;
                }
                at += 16;
                continue 'block;
            }
            let coefficient = bits.number(entry.length.into(), entry.size.into());
            bits.skip(entry.both.into());
            at += usize::from(entry.run);
            let Slot { quantiser, to } = slots[at];
            let value = coefficient * i32::from(quantiser);
            all |= (value + LARGEST as i32) as u32;
            block.values[usize::from(to & 63)] = value as i16;
            at += 1;
            if at > 63 {
                break 'block;
            }
        }
    }
    block.is_flat = at == 1;
    *stream = bits;
    (all < 2 * LARGEST && at <= 64).then_some(())
}
