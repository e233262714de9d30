//! Images in 8-bit RGB: owned, borrowed and borrowed for writing. Rows follow one another without gaps.

/// An image that owns its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb8 {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes, row by row, red green blue.
    pub pixels: Vec<u8>,
}

/// A borrowed image.
#[derive(Clone, Copy, Debug)]
pub struct Rgb8Ref<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes, row by row, red green blue.
    pub pixels: &'a [u8],
}

/// A borrowed image to be written.
#[derive(Debug)]
pub struct Rgb8Mut<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height × width × 3 bytes, row by row, red green blue.
    pub pixels: &'a mut [u8],
}

impl Rgb8 {
    /// A black image.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![0; byte_count(width, height)] }
    }

    /// Borrows it.
    pub fn as_ref(&self) -> Rgb8Ref<'_> {
        Rgb8Ref::new(self.width, self.height, &self.pixels)
    }

    /// Borrows it for writing.
    pub fn as_mut(&mut self) -> Rgb8Mut<'_> {
        Rgb8Mut::new(self.width, self.height, &mut self.pixels)
    }
}

impl<'a> Rgb8Ref<'a> {
    /// Borrows pixels.
    ///
    /// # Panics
    /// Where the number of bytes isn't width × height × 3.
    pub fn new(width: u32, height: u32, pixels: &'a [u8]) -> Self {
        assert_eq!(pixels.len(), byte_count(width, height), "{width}×{height} pixels of 3 bytes");
        Self { width, height, pixels }
    }
}

impl<'a> Rgb8Mut<'a> {
    /// Borrows pixels for writing.
    ///
    /// # Panics
    /// Where the number of bytes isn't width × height × 3.
    pub fn new(width: u32, height: u32, pixels: &'a mut [u8]) -> Self {
        assert_eq!(pixels.len(), byte_count(width, height), "{width}×{height} pixels of 3 bytes");
        Self { width, height, pixels }
    }
}

fn byte_count(width: u32, height: u32) -> usize {
    width as usize * height as usize * 3
}
