//! How fast this machine is: whole steps of AMDIM's models at their batches (`step`), by number format, with the share of the device's
//! own matrix rate; steps of other methods (`methods`); what comes before them (`data`), their objective alone (`loss`), what a study
//! spends beside them (`study`), and what a step would cost on many cards (`scale`). Each beside the same in PyTorch (`peer`).

pub mod data;
pub mod loss;
pub mod methods;
mod peer;
mod rounds;
mod row;
pub mod scale;
mod step;
pub mod study;

pub use peer::{Embedded, Peer, find_python};
pub use rounds::middle;
pub use row::Row;
pub use step::{Measured, matrix_rate, measure};

use crate::{
    config::Precision,
    error::{Error, Fault, Result},
};
use std::str::FromStr;
use tch::Device;

/// An AMDIM model and a batch: `128:192/1536/8@120` is 128 pixels, ndf 192, n_rkhs 1536, depth 8, 120 images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub size: u32,
    pub ndf: u32,
    pub n_rkhs: u32,
    pub depth: u32,
    pub batch: u64,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no model: write `SIZE:NDF/N_RKHS/DEPTH@BATCH`, as in 32:64/512/3@64");
        let (size, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (model, batch) = rest.split_once('@').ok_or_else(wrong)?;
        let parts: Vec<u32> = model.split('/').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let [ndf, n_rkhs, depth] = parts[..] else { return Err(wrong()) };
        let (size, batch) = (size.parse().map_err(|_| wrong())?, batch.parse().map_err(|_| wrong())?);
        Ok(Self { size, ndf, n_rkhs, depth, batch })
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}/{}@{}", self.size, self.ndf, self.n_rkhs, self.depth, self.batch)
    }
}

/// What is measured unless something else is asked for: the published models on a GPU, small ones on a CPU.
pub fn shapes(device: Device) -> Vec<Shape> {
    let shape = |size, ndf, n_rkhs, depth, batch| Shape { size, ndf, n_rkhs, depth, batch };
    if device.is_cuda() {
        vec![shape(128, 192, 1536, 8, 120), shape(32, 128, 1024, 3, 200)]
    } else {
        vec![shape(32, 32, 256, 1, 64), shape(32, 64, 512, 3, 64)]
    }
}

/// The number formats that make sense on a device.
pub fn precisions(device: Device) -> Vec<Precision> {
    if device.is_cuda() {
        vec![Precision::F32, Precision::Tf32, Precision::F16, Precision::Bf16]
    } else if crate::native::processor::has_bf16() {
        vec![Precision::F32, Precision::Bf16]
    } else {
        vec![Precision::F32]
    }
}

/// Whether an error says that the device's memory is full.
pub fn is_out_of_memory(error: &Error) -> bool {
    error.faults().iter().any(|fault: &Fault| fault.message.contains("out of memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_written_alike() {
        let text = "128:192/1536/8@120";
        let shape: Shape = text.parse().unwrap();
        assert_eq!((shape.size, shape.depth, shape.batch), (128, 8, 120));
        assert_eq!(shape.to_string(), text);
        for wrong in ["", "128", "128:1/2@3", "a:1/2/3@4", "128:1/2/3"] {
            assert!(wrong.parse::<Shape>().unwrap_err().contains("SIZE:NDF"), "{wrong}");
        }
    }
}
