//! Coded pixels as a stream of bits, the highest first.

/// The next bits of a part between restarts.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    /// Ends with [`PADDING`] zeros that are not part of it.
    bytes: &'a [u8],
    /// The next one that is not in `ahead` yet.
    at: usize,
    /// The next bits, at the top.
    ahead: u64,
    /// How many of them are in use: the lowest six bits.
    count: u32,
}

/// Zeros behind the bytes of a part, so that loads of a word stay inside.
pub const PADDING: usize = 16;

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, ahead: 0, count: 0 }
    }

    /// Makes sure that 56 bits or more lie ahead. Behind the end they are zeros.
    #[inline(always)]
    pub fn refill(&mut self) {
        let Some(word) = self.bytes.get(self.at..self.at + 8) else {
            self.count = 0; // `is_spent` finds out
            self.at = self.bytes.len();
            return;
        };
        let word = u64::from_be_bytes(word.try_into().expect("8 bytes"));
        let count = self.count & 63;
        self.ahead |= word >> count;
        self.at += ((63 - count) >> 3) as usize;
        self.count = count | 56;
    }

    /// The next `count` bits, 1 to 32, which stay where they are.
    #[inline(always)]
    pub fn peek(&self, count: u32) -> u32 {
        (self.ahead >> (64 - count)) as u32
    }

    /// Goes on by as many bits as the lowest six of `count` say. What stands above them does not matter, so that nothing has to be
    /// taken out of an entry on the way from one code to the next.
    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.ahead = self.ahead.wrapping_shl(count);
        self.count = self.count.wrapping_sub(count);
    }

    /// A number of `size` bits, 1 to 15, behind the next `after`, as T.81 writes it: the lower half is negative.
    #[inline(always)]
    pub fn number(&self, after: u32, size: u32) -> i32 {
        let rest = self.ahead << after;
        let is_negative = !((rest as i64) >> 63) as i32;
        (rest >> (64 - size)) as i32 + (is_negative & ((-1 << size) + 1))
    }

    /// Whether the part ends here, but for the bits that fill its last byte.
    pub fn is_spent(&self) -> bool {
        let taken = self.at * 8 - (self.count & 63) as usize;
        let all = (self.bytes.len() - PADDING) * 8;
        taken <= all && all - taken < 8
    }
}

/// Takes the parts between restarts out of a scan, without the zeros that follow a 0xFF, and the marker after the last. None where
/// markers are out of order.
pub fn parts(scan: &[u8]) -> Option<(Vec<u8>, Vec<usize>, u8)> {
    let mut plain = Vec::with_capacity(scan.len() + PADDING);
    let mut ends = Vec::new();
    let mut at = 0;
    let marker = loop {
        // Up to the next 0xFF.
        let from = at;
        while let Some(word) = scan.get(at..at + 8) {
            let inverse = !u64::from_le_bytes(word.try_into().expect("8 bytes"));
            let zeros = inverse.wrapping_sub(0x0101_0101_0101_0101) & !inverse & 0x8080_8080_8080_8080;
            if zeros != 0 {
                at += (zeros.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        while *scan.get(at)? != 0xFF {
            at += 1;
        }
        plain.extend_from_slice(&scan[from..at]);
        match *scan.get(at + 1)? {
            0x00 => plain.push(0xFF),
            marker @ 0xD0..=0xD7 => {
                if usize::from(marker - 0xD0) != ends.len() % 8 {
                    return None;
                }
                plain.extend_from_slice(&[0; PADDING]);
                ends.push(plain.len());
            }
            marker => break marker,
        }
        at += 2;
    };
    plain.extend_from_slice(&[0; PADDING]);
    ends.push(plain.len());
    Some((plain, ends, marker))
}
