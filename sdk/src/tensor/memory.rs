//! Numbers into tensors and out of them.

use super::{
    Device, Kind, Tensor,
    failure::{fail, fail_on},
    host::table,
};

/// A Rust type that a tensor's numbers can be.
pub trait Element: Copy + Default + 'static {
    /// The kind of such numbers.
    const KIND: Kind;
}

macro_rules! elements {
    ($($type:ty => $kind:ident),*) => { $(impl Element for $type { const KIND: Kind = Kind::$kind; })* };
}

elements!(u8 => U8, i8 => I8, i16 => I16, i32 => I32, i64 => I64, f32 => F32, f64 => F64);

impl Tensor {
    /// A tensor of these numbers, row by row.
    #[track_caller]
    pub fn from_slice<T: Element>(numbers: &[T], shape: impl AsRef<[i64]>, device: Device) -> Self {
        // SAFETY: numbers of any kind are bytes.
        let bytes = unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), std::mem::size_of_val(numbers)) };
        Self::from_bytes(bytes, T::KIND, shape, device)
    }

    /// A tensor of any kind from its numbers as they lie in memory, row by row.
    #[track_caller]
    pub fn from_bytes(bytes: &[u8], kind: Kind, shape: impl AsRef<[i64]>, device: Device) -> Self {
        let shape = shape.as_ref();
        let make = table().from_bytes();
        let handle = make(kind.code(), shape.as_ptr(), shape.len(), bytes.as_ptr(), bytes.len(), device.code());
        if handle.is_null() {
            fail("from_bytes", &table().last_error()());
        }
        // SAFETY: the host made the handle for this caller.
        unsafe { Self::from_handle(handle) }
    }

    /// The numbers, row by row, as the type that is asked for. Waits for a GPU.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        let mut numbers = vec![T::default(); self.numel() as usize];
        let bytes = std::mem::size_of_val(&numbers[..]);
        if table().to_bytes()(self.handle(), T::KIND.code(), numbers.as_mut_ptr().cast(), bytes) != 0 {
            fail_on("to_vec", &format!("{:?}", self.size()), &table().last_error()());
        }
        numbers
    }

    /// The only number. Waits for a GPU.
    #[track_caller]
    pub fn item(&self) -> f64 {
        self.only()
    }

    /// The only number, a whole one. Waits for a GPU.
    #[track_caller]
    pub fn item_i64(&self) -> i64 {
        self.only()
    }

    #[track_caller]
    fn only<T: Element>(&self) -> T {
        match self.to_vec()[..] {
            [number] => number,
            _ => fail_on("item", &format!("{:?}", self.size()), "one number was expected"),
        }
    }
}
