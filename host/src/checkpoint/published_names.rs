//! The names of AMDIM's tensors in the published code, by the sizes of a model: what else a file holds is nothing of ours.

use super::Sizes;
use std::collections::BTreeSet;

const NORM: [&str; 5] = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];

/// A layer of the encoder's list.
enum Layer {
    Stem,
    Convolution,
    Stack,
    Norm,
}

/// Every name that an encoder of these sizes has, without `encoder.`.
pub(super) fn encoder_names(sizes: &Sizes) -> BTreeSet<String> {
    use Layer::{Convolution, Norm, Stack, Stem};
    let mut layers = match sizes.encoder_size {
        128 => vec![Stem, Stem, Stack, Stack, Stack],
        64 => vec![Stem, Stack, Stack, Stack],
        _ => vec![Stem, Convolution, Stack, Stack],
    };
    layers.extend([Norm, Stack, Stack, Convolution, Norm]);
    let mut names = BTreeSet::new();
    for (i, layer) in layers.iter().enumerate() {
        let at = format!("layer_list.{i}");
        match layer {
            Stem => names.extend(["weight", "bias"].map(|part| format!("{at}.conv.{part}"))),
            Convolution => names.extend(convolution(&at)),
            Stack => (0..sizes.n_depth).for_each(|j| names.extend(convolution(&format!("{at}.layer_list.{j}")))),
            Norm => names.extend(norm(&at)),
        }
    }
    for head in ["rkhs_block_5", "rkhs_block_7"] {
        let parts = ["conv1.weight", "conv2.weight", "shortcut.weight", "shortcut.bias"];
        names.extend(parts.map(|part| format!("{head}.{part}")));
        names.extend(["bn_hid", "bn_out"].into_iter().flat_map(|part| norm(&format!("{head}.{part}"))));
    }
    names
}

/// Whether a name is one of the two classifiers', without `evaluator.`.
pub(super) fn is_classifiers(name: &str) -> bool {
    let within = |block: &str| name.strip_prefix(block)?.strip_prefix(".block_forward.");
    let rest = within("block_glb_lin").or_else(|| within("block_glb_mlp"));
    let parts = rest.and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(layer, part)| layer.parse::<u8>().is_ok() && NORM.contains(&part))
}

fn convolution(at: &str) -> Vec<String> {
    let mut names: Vec<String> = ["conv1.weight", "conv2.weight"].map(|part| format!("{at}.{part}")).into();
    names.extend(norm(&format!("{at}.bn1")));
    names
}

fn norm(at: &str) -> Vec<String> {
    NORM.map(|part| format!("{at}.bn.{part}")).into()
}
