//! Which of libtorch's operators a file may call: computations on tensors. What reaches for files, memory of others, generators,
//! streams or other kinds of tensors is not among them.

/// Operators of the namespace `aten` with a leading underscore that Python's signs and PyTorch's functions lead to.
const INNER: &[&str] = &[
    "__and__",
    "__iand__",
    "__ilshift__",
    "__ior__",
    "__irshift__",
    "__ixor__",
    "__lshift__",
    "__or__",
    "__rshift__",
    "__xor__",
    "_adaptive_avg_pool2d",
    "_assert_async",
    "_assert_scalar",
    "_assert_tensor_metadata",
    "_conj",
    "_convolution",
    "_log_softmax",
    "_safe_softmax",
    "_scaled_dot_product_attention_math",
    "_softmax",
    "_to_copy",
    "_unsafe_view",
    "_upsample_bicubic2d_aa",
    "_upsample_bilinear2d_aa",
    "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d",
    "_upsample_nearest_exact3d",
    "_weight_norm",
    "_weight_norm_interface",
];

/// Operators that have no place in a component.
const REFUSED: &[&str] = &[
    "as_strided_scatter",
    "backward",
    "coalesce",
    "copy_sparse_to_sparse_",
    "data",
    "dense_dim",
    "dequantize",
    "from_file",
    "hspmm",
    "int_repr",
    "is_set_to",
    "output_nr",
    "record_stream",
    "rename",
    "rename_",
    "requires_grad_",
    "resize",
    "resize_",
    "resize_as",
    "resize_as_",
    "retain_grad",
    "retains_grad",
    "set_",
    "set_data",
    "sspaddmm",
    "to_mkldnn",
    "to_padded_tensor",
];

/// Operators that give or take complex numbers.
const COMPLEX: &[&str] = &["angle", "complex", "imag", "istft", "polar", "stft", "view_as_complex", "view_as_real"];

/// How the names of others begin.
const REFUSED_FAMILIES: &[&str] = &[
    "cudnn_",
    "fake_quantize",
    "fbgemm_",
    "fft_",
    "miopen_",
    "mkldnn_",
    "mps_",
    "q_",
    "quantize",
    "quantized_",
    "sparse_",
    "to_sparse",
];

/// Why a file may not call an operator, given without its namespace; none where it may.
pub fn refused(namespace: &str, base: &str) -> Option<&'static str> {
    if namespace != "aten" {
        return Some("it is no operator of PyTorch itself but of a library, whose code is not in the file");
    }
    if base.starts_with("fft_") || COMPLEX.contains(&base) {
        return Some(
            "it computes with complex numbers, which are not supported: write it as products with cosines and sines",
        );
    }
    if base == "_has_compatible_shallow_copy_type" || base == "set_data" {
        return Some("it sets `.data` of a tensor, which torch.export does not follow: write `tensor.copy_(new)`");
    }
    if base.starts_with("_unique") || base.starts_with("unique") || base == "nonzero" {
        return Some("how many numbers it gives depends on numbers, so that no size is known before: use a mask");
    }
    if base.starts_with('_') && !INNER.contains(&base) {
        return Some(
            "it is one of PyTorch's inner operators; export with torch.export.export alone, without `run_decompositions`",
        );
    }
    if REFUSED.contains(&base) || REFUSED_FAMILIES.iter().any(|family| base.starts_with(family)) {
        return Some("it reaches for memory, files or kinds of tensors that a component has no need of");
    }
    None
}

/// What an argument may not be, by libtorch's name of its type.
pub fn is_strange(kind: &str) -> bool {
    ["Storage", "Stream", "Dict", "Any", "__torch__", "ConstQuantizer", "complex"]
        .iter()
        .any(|word| kind.contains(word))
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn computations_are_called_and_nothing_else() {
        for base in [
            "conv2d",
            "batch_norm",
            "add_",
            "scaled_dot_product_attention",
            "index_put_",
            "_softmax",
            "set",
            "to",
            "swapaxes",
        ] {
            assert_eq!(refused("aten", base), None, "{base}");
        }
        for base in [
            "from_file",
            "set_",
            "resize_",
            "_cuda_getCurrentRawStream",
            "record_stream",
            "sparse_coo_tensor",
            "quantize_per_tensor",
            "fft_rfft",
        ] {
            assert!(refused("aten", base).is_some(), "{base}");
        }
        assert!(refused("prim", "device").is_some() && refused("mylib", "conv2d").is_some());
    }
}
