//! What stands before the coded pixels (ITU-T T.81, annex B).

use super::huffman::{Ac, Dc, Quantisers};
use std::rc::Rc;

/// A colour's plane in the file.
pub struct Component {
    /// How often it is sampled in the direction of either side, compared with the others: 1 or 2.
    pub sampling: usize,
    pub quantisers: Quantisers,
    pub dc: Dc,
    /// Chroma's two planes have one.
    pub ac: Rc<Ac>,
}

/// A file of the usual kind.
pub struct Header<'a> {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Y alone, or Y, Cb and Cr.
    pub components: Vec<Component>,
    /// Units between two restarts; 0: none.
    pub restart_interval: usize,
    /// The coded pixels with what follows.
    pub scan: &'a [u8],
    /// The first segment of EXIF data.
    pub exif: Option<&'a [u8]>,
}

#[derive(Default)]
struct Tables<'a> {
    quantisers: [Option<[i16; 64]>; 4],
    dc: [Option<&'a [u8]>; 4],
    ac: [Option<&'a [u8]>; 4],
}

struct Frame {
    width: usize,
    height: usize,
    /// Name, sampling, table of quantisers.
    components: Vec<(u8, usize, usize)>,
}

impl<'a> Header<'a> {
    /// None where the file is of another kind, or not in order.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        let mut tables = Tables::default();
        let (mut frame, mut restart_interval, mut exif) = (None, 0, None);
        let (mut is_jfif, mut adobe) = (false, None);
        loop {
            let [0xFF, marker, high, low, ..] = *rest else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let segment = rest.get(4..2 + length)?;
            rest = &rest[2 + length..];
            match marker {
                0xE0 => is_jfif |= segment.starts_with(b"JFIF\0"),
                0xE1 => exif = exif.or_else(|| segment.strip_prefix(b"Exif\0\0")),
                0xEE if segment.starts_with(b"Adobe") => adobe = Some(*segment.get(11)?),
                0xE2..=0xEF | 0xFE => {}
                0xDB => tables.quantise(segment)?,
                0xC4 => tables.huffman(segment)?,
                0xC0 | 0xC1 if frame.is_none() => frame = Some(Frame::read(segment)?),
                0xDD => restart_interval = usize::from(u16::from_be_bytes(segment.try_into().ok()?)),
                0xDA => {
                    let frame = frame?;
                    if frame.components.len() == 3 {
                        let names = [0, 1, 2].map(|at| frame.components[at].0);
                        // libjpeg's guess: JFIF has one colour space, Adobe says it, and else the names tell.
                        let is_ycbcr = is_jfif || adobe.map_or(names == [1, 2, 3], |transform| transform == 1);
                        if !is_ycbcr {
                            return None;
                        }
                    }
                    let components = frame.scanned(segment, &tables, rest.len())?;
                    let (width, height) = (frame.width, frame.height);
                    return Some(Self { width, height, components, restart_interval, scan: rest, exif });
                }
                _ => return None,
            }
        }
    }

    /// How much finer luma is sampled than chroma, 1 or 2; 1 without chroma.
    pub fn fineness(&self) -> usize {
        if self.components.len() == 1 { 1 } else { self.components[0].sampling }
    }
}

impl<'a> Tables<'a> {
    fn quantise(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [head, rest @ ..] = segment {
            let wide = match head >> 4 {
                0 => false,
                1 => true,
                _ => return None,
            };
            let table = rest.get(..64 << u8::from(wide))?;
            let mut quantisers = [0; 64];
            for (at, value) in quantisers.iter_mut().enumerate() {
                let number =
                    if wide { u16::from_be_bytes([table[2 * at], table[2 * at + 1]]) } else { table[at].into() };
                *value = i16::try_from(number).ok().filter(|number| *number > 0)?;
            }
            *self.quantisers.get_mut(usize::from(head & 15))? = Some(quantisers);
            segment = &rest[table.len()..];
        }
        Some(())
    }

    fn huffman(&mut self, mut segment: &'a [u8]) -> Option<()> {
        while let [head, rest @ ..] = segment {
            let count: usize = rest.get(..16)?.iter().map(|&count| usize::from(count)).sum();
            let table = rest.get(..16 + count)?;
            let tables = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(head & 15))? = Some(table);
            segment = &rest[table.len()..];
        }
        Some(())
    }
}

impl Frame {
    fn read(segment: &[u8]) -> Option<Self> {
        let [8, h1, h0, w1, w0, count @ (1 | 3), components @ ..] = segment else { return None };
        if components.len() != 3 * usize::from(*count) {
            return None;
        }
        let mut found = Vec::new();
        for component in components.chunks_exact(3) {
            let (across, down) = (usize::from(component[1] >> 4), usize::from(component[1] & 15));
            if across != down || !(1..=2).contains(&across) {
                return None;
            }
            found.push((component[0], across, usize::from(component[2])));
        }
        if let [_, (_, cb, _), (_, cr, _)] = found[..] {
            if cb != 1 || cr != 1 {
                return None;
            }
        }
        let [width, height] = [[*w1, *w0], [*h1, *h0]].map(|side| usize::from(u16::from_be_bytes(side)));
        (width > 0 && height > 0).then_some(Self { width, height, components: found })
    }

    /// The components as the header of a scan of `length` bytes lists them, which has to be all of them in order.
    fn scanned(&self, segment: &[u8], tables: &Tables<'_>, length: usize) -> Option<Vec<Component>> {
        let count = self.components.len();
        if segment.len() != 4 + 2 * count || usize::from(segment[0]) != count || segment[1 + 2 * count..] != [0, 63, 0]
        {
            return None;
        }
        let listed = self.components.iter().zip(segment[1..].chunks_exact(2));
        let mut components = Vec::new();
        let mut made: [Option<Rc<Ac>>; 4] = Default::default();
        for (&(name, sampling, quantisers), entry) in listed {
            if entry[0] != name {
                return None;
            }
            let (dc, ac) = (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
            let table = (*tables.ac.get(ac)?)?;
            let made = made.get_mut(ac)?;
            if made.is_none() {
                *made = Some(Rc::new(Ac::new(table, length)?));
            }
            components.push(Component {
                sampling: if count == 1 { 1 } else { sampling },
                quantisers: Quantisers::new(tables.quantisers.get(quantisers)?.as_ref()?),
                dc: Dc::new((*tables.dc.get(dc)?)?)?,
                ac: Rc::clone(made.as_ref()?),
            });
        }
        Some(components)
    }
}
