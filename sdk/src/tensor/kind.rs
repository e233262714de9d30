//! Kinds of numbers and devices, by names and numbers of the interface's own.

use infomax_abi::operators as abi;

/// A kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Truth values.
    Bool,
    /// 8 bits, unsigned.
    U8,
    /// 8 bits.
    I8,
    /// 16 bits.
    I16,
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
    /// IEEE half precision.
    F16,
    /// f32 with 8 bits of significand.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// One that this interface has no name for.
    Other,
}

impl Kind {
    const ALL: [Self; 10] =
        [Self::Bool, Self::U8, Self::I8, Self::I16, Self::I32, Self::I64, Self::F16, Self::Bf16, Self::F32, Self::F64];

    /// The kind behind the interface's number.
    pub(crate) fn from_code(code: u32) -> Self {
        Self::ALL.get(code as usize).copied().unwrap_or(Self::Other)
    }

    /// The interface's number of the kind.
    pub(crate) fn code(self) -> u32 {
        Self::ALL.iter().position(|&kind| kind == self).map_or(abi::KIND_OTHER, |at| at as u32)
    }

    /// Whether its numbers have a fraction.
    pub fn is_floating_point(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }
}

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    Cpu,
    /// NVIDIA's, by position.
    Cuda(usize),
    /// One that this interface has no name for.
    Other,
}

impl Device {
    pub(crate) fn from_code(code: u64) -> Self {
        match (code >> 32) as u32 {
            abi::DEVICE_CPU => Self::Cpu,
            abi::DEVICE_CUDA => Self::Cuda(code as u32 as usize),
            _ => Self::Other,
        }
    }

    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Cpu => abi::device(abi::DEVICE_CPU, 0),
            Self::Cuda(index) => abi::device(abi::DEVICE_CUDA, index as u32),
            Self::Other => abi::device(abi::DEVICE_OTHER, 0),
        }
    }
}

/// The order of a tensor's numbers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFormat {
    /// The last dimension varies fastest.
    Contiguous,
    /// As the input's.
    Preserve,
    /// Of four dimensions, the second varies fastest: oneDNN's and cuDNN's fast way for images.
    ChannelsLast,
    /// The same of five dimensions.
    ChannelsLast3d,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_interfaces_numbers() {
        let known = [
            (Kind::Bool, abi::KIND_BOOL),
            (Kind::U8, abi::KIND_U8),
            (Kind::I8, abi::KIND_I8),
            (Kind::I16, abi::KIND_I16),
            (Kind::I32, abi::KIND_I32),
            (Kind::I64, abi::KIND_I64),
            (Kind::F16, abi::KIND_F16),
            (Kind::Bf16, abi::KIND_BF16),
            (Kind::F32, abi::KIND_F32),
            (Kind::F64, abi::KIND_F64),
            (Kind::Other, abi::KIND_OTHER),
        ];
        for (kind, code) in known {
            assert_eq!((kind.code(), Kind::from_code(code)), (code, kind));
        }
    }

    #[test]
    fn devices_keep_their_index() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7), Device::Other] {
            assert_eq!(Device::from_code(device.code()), device);
        }
    }
}
