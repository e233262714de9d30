//! Named tensors as a safetensors file in memory. Reading copies; nothing is mapped, so that a file that shrinks later
//! can't end the process.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use tch::{Kind, Tensor};

/// A file's tensors by name, with its metadata.
#[derive(Debug, Default)]
pub struct TensorFile {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: HashMap<String, String>,
}

/// The bytes of a file with these tensors, contiguous and on the CPU.
///
/// # Errors
/// A kind that the format lacks, or libtorch's message.
pub fn write_tensors(tensors: &[(String, Tensor)], metadata: HashMap<String, String>) -> Result<Vec<u8>, String> {
    let mut buffers = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let (dtype, element) =
            dtype(tensor.kind()).ok_or_else(|| format!("`{name}` has the kind {:?}", tensor.kind()))?;
        let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
        let bytes = bytes(tensor, element).map_err(|error| format!("`{name}`: {error}"))?;
        buffers.push((name, dtype, shape, bytes));
    }
    let views: Result<Vec<_>, _> = buffers
        .iter()
        .map(|(name, dtype, shape, bytes)| TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view)))
        .collect();
    let views = views.map_err(|error| error.to_string())?;
    let several = metadata.len() > 1;
    let metadata = (!metadata.is_empty()).then_some(metadata);
    let bytes = safetensors::serialize(views, metadata).map_err(|error| error.to_string())?;
    Ok(if several { with_sorted_metadata(bytes) } else { bytes })
}

/// The same file with its metadata in the order of their keys: the format's writer takes that of a hash map, so that equal files
/// would differ in bytes.
fn with_sorted_metadata(mut bytes: Vec<u8>) -> Vec<u8> {
    const LENGTH: usize = 8;
    let length =
        u64::from_le_bytes(bytes[..LENGTH].try_into().expect("a file begins with its header's length")) as usize;
    let header = &mut bytes[LENGTH..LENGTH + length];
    let mut json: Value = serde_json::from_slice(header).expect("the header was just written");
    if let Some(metadata) = json.get_mut("__metadata__").and_then(Value::as_object_mut) {
        metadata.sort_keys();
    }
    let text = json.to_string();
    // The same characters in another order; what is left is the padding.
    assert!(text.len() <= header.len(), "the header has the same parts");
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// The metadata of a file's bytes; none where they are no such file.
pub fn read_metadata(bytes: &[u8]) -> HashMap<String, String> {
    let header = SafeTensors::read_metadata(bytes).ok();
    header.and_then(|(_, header)| header.metadata().clone()).unwrap_or_default()
}

/// Reads a file's bytes.
///
/// # Errors
/// What is wrong with it.
pub fn read_tensors(bytes: &[u8]) -> Result<TensorFile, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let kind = kind(view.dtype()).ok_or_else(|| format!("`{name}` has the dtype {:?}", view.dtype()))?;
        let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|error| error.to_string())?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(TensorFile { tensors, metadata })
}

fn bytes(tensor: &Tensor, element: usize) -> Result<Vec<u8>, tch::TchError> {
    let tensor = tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * element];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

fn dtype(kind: Kind) -> Option<(Dtype, usize)> {
    Some(match kind {
        Kind::Float => (Dtype::F32, 4),
        Kind::Double => (Dtype::F64, 8),
        Kind::Half => (Dtype::F16, 2),
        Kind::BFloat16 => (Dtype::BF16, 2),
        Kind::Int64 => (Dtype::I64, 8),
        Kind::Int => (Dtype::I32, 4),
        Kind::Uint8 => (Dtype::U8, 1),
        Kind::Bool => (Dtype::BOOL, 1),
        _ => return None,
    })
}

fn kind(dtype: Dtype) -> Option<Kind> {
    let kinds =
        [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Int, Kind::Uint8, Kind::Bool];
    kinds.into_iter().find(|&kind| self::dtype(kind).is_some_and(|(d, _)| d == dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_round_trip_with_kind_shape_and_layout() {
        let channels_last =
            Tensor::arange(24, (Kind::Float, tch::Device::Cpu)).view([2, 3, 4, 1]).permute([0, 2, 3, 1]);
        let list = vec![
            ("a".to_owned(), channels_last.copy()),
            ("b".to_owned(), Tensor::from_slice(&[1i64, -2])),
            ("c".to_owned(), Tensor::from(3i64)),
        ];
        let bytes = write_tensors(&list, HashMap::from([("k".to_owned(), "v".to_owned())])).unwrap();
        let file = read_tensors(&bytes).unwrap();
        assert_eq!(file.metadata["k"], "v");
        for (name, tensor) in &list {
            assert_eq!(tensor, &file.tensors[name], "{name}");
        }
    }

    #[test]
    fn cut_file_is_refused() {
        let bytes = write_tensors(&[("a".to_owned(), Tensor::from_slice(&[1f32, 2.0]))], HashMap::new()).unwrap();
        assert!((0..bytes.len()).all(|length| read_tensors(&bytes[..length]).is_err()));
    }
}
