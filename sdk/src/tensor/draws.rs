//! Random numbers of a key, drawn where they are needed: nothing crosses to a GPU. The same key gives the same numbers on
//! devices of one kind; a CPU and a GPU have different generators.

use super::{
    Device, Kind, Tensor,
    argument::{Argument, Dims, Generator, Value},
    call::Operator,
    failure::fail,
    host::table,
};
use crate::Key;

impl Generator {
    #[track_caller]
    fn of(key: Key, device: Device) -> Self {
        let Some(make) = table().generator() else {
            fail("generator", "this host has no generators: it is older than this plugin's SDK; update infomax")
        };
        // The host that knows where the key comes from can draw again by the same key of another step.
        let made = match (table().derived_generator(), key.path()) {
            (Some(derive), Some((root, numbers))) => {
                derive(root.0.as_ptr(), numbers.as_ptr(), numbers.len(), device.code())
            }
            _ => make(key.torch_seed() as u64, device.code()),
        };
        if made.is_null() {
            fail("generator", &table().last_error()());
        }
        Self(made)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        if let Some(free) = table().drop_generator() {
            free(self.0);
        }
    }
}

impl Key {
    /// Whole numbers from 0 to below `high`, I64.
    #[track_caller]
    pub fn integers(self, high: i64, shape: impl Dims, device: Device) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::randint", "generator");
        let generator = Generator::of(self, device);
        let (high, kind) = (high.value(), Kind::I64.value());
        OPERATOR.one(&[high, shape.value(), generator.value(), kind, Value::NONE, device.value()])
    }

    /// Uniform numbers from 0 to below 1, F32.
    #[track_caller]
    pub fn uniform(self, shape: impl Dims, device: Device) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::rand", "generator");
        let generator = Generator::of(self, device);
        OPERATOR.one(&[shape.value(), generator.value(), Kind::F32.value(), Value::NONE, device.value()])
    }

    /// Normal numbers, F32.
    #[track_caller]
    pub fn normal(self, shape: impl Dims, device: Device) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::randn", "generator");
        let generator = Generator::of(self, device);
        OPERATOR.one(&[shape.value(), generator.value(), Kind::F32.value(), Value::NONE, device.value()])
    }

    /// 0 to n − 1 in random order, I64.
    #[track_caller]
    pub fn permutation(self, n: i64, device: Device) -> Tensor {
        static OPERATOR: Operator = Operator::new("aten::randperm", "generator");
        let generator = Generator::of(self, device);
        OPERATOR.one(&[n.value(), generator.value(), Kind::I64.value(), Value::NONE, device.value()])
    }
}
