//! Huffman codes as a file lists them (ITU-T T.81, annex C).

/// Bits of a code that is found by one look.
pub const FAST: u32 = 10;
const LONGEST: usize = 16;

/// Codes by length: what a code of up to 16 bits means.
pub struct Codes {
    /// For each length the first code that is longer, as 16 bits.
    limits: [u32; LONGEST + 1],
    /// For each length what to add to a code to find its symbol.
    offsets: [i32; LONGEST + 1],
    symbols: Vec<u8>,
}

impl Codes {
    /// From a table's 16 counts and its symbols. None where there are more codes of a length than such.
    pub fn new(table: &[u8]) -> Option<Self> {
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

    pub fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// The length and the symbol of the code at the top of 16 bits.
    pub fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let length = (1..=LONGEST).find(|&length| bits < self.limits[length])?;
        let code = (bits >> (LONGEST - length)) as i32;
        Some((length as u32, self.symbols[usize::try_from(code + self.offsets[length]).ok()?]))
    }

    /// The codes of up to `most` bits in order: length, symbol, and the numbers of `most` bits at whose top they stand.
    pub fn up_to(&self, most: u32) -> impl Iterator<Item = (u32, u8, std::ops::Range<usize>)> + '_ {
        let (mut at, mut next) = (0, 0);
        (1..=most).flat_map(move |length| {
            let each = 1 << (most - length);
            let (from, first) = (at, next);
            let count = ((self.limits[length as usize] >> (LONGEST as u32 - most)) as usize - from) / each;
            (at, next) = (from + count * each, first + count);
            let symbols = self.symbols[first..next].iter().enumerate();
            symbols.map(move |(nth, &symbol)| (length, symbol, from + nth * each..from + (nth + 1) * each))
        })
    }

    /// For each number of [`FAST`] bits what a code of up to so many bits at its top means.
    pub fn fast<T: Copy>(&self, none: T, meant: impl Fn(u32, u8) -> T) -> Box<[T; 1 << FAST]> {
        let mut fast = Box::new([none; 1 << FAST]);
        for (length, symbol, numbers) in self.up_to(FAST) {
            fast[numbers].fill(meant(length, symbol));
        }
        fast
    }
}
