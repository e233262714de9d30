//! The names that other libraries give to the tensors of the networks here: torchvision's and timm's are the encoders' own.

/// How a library names an encoder's tensors.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Whose names they are, for messages; none for the encoder's own.
    pub whose: Option<&'static str>,
    foreign: fn(&str) -> Option<Foreign>,
}

/// A tensor under other names: one, or several that are joined along the first axis.
pub type Foreign = Vec<String>;

/// All of them, the encoder's own names first.
pub const DIALECTS: [Dialect; 10] = [
    Dialect { whose: None, foreign: |own| Some(vec![own.to_owned()]) },
    Dialect { whose: Some("torchvision's ResNet in a Sequential"), foreign: |own| Some(vec![in_sequence(own, 3)?]) },
    Dialect {
        whose: Some("a ResNet in a Sequential without max-pooling"),
        foreign: |own| Some(vec![in_sequence(own, 2)?]),
    },
    Dialect {
        whose: Some("lightly's ResNet in a Sequential"),
        foreign: |own| Some(vec![in_sequence(own, 1)?.replace(".downsample.", ".shortcut.")]),
    },
    Dialect { whose: Some("lightly's ResNet"), foreign: |own| Some(vec![own.replace(".downsample.", ".shortcut.")]) },
    Dialect { whose: Some("Hugging Face's ResNet"), foreign: hugging_face_resnet },
    Dialect { whose: Some("torchvision's VisionTransformer"), foreign: torchvision_vit },
    Dialect { whose: Some("MMPretrain's VisionTransformer"), foreign: mmpretrain_vit },
    Dialect { whose: Some("Hugging Face's ViT"), foreign: hugging_face_vit },
    Dialect { whose: Some("Hugging Face's ViT"), foreign: hugging_face_vit_of_version_5 },
];

impl Dialect {
    /// What a tensor of the encoder is called; none where the library has no such tensor.
    pub fn of(&self, own: &str) -> Option<Foreign> {
        (self.foreign)(own)
    }
}

/// `nn.Sequential(*resnet.children())`: the first convolution is 0, its norm 1, and the stages follow `layers` later.
fn in_sequence(own: &str, layers: usize) -> Option<String> {
    let (module, rest) = own.split_once('.')?;
    let index = match module {
        "conv1" => 0,
        "bn1" => 1,
        _ => module.strip_prefix("layer")?.parse::<usize>().ok()? + layers,
    };
    Some(format!("{index}.{rest}"))
}

fn hugging_face_resnet(own: &str) -> Option<Foreign> {
    let part = |module: &str| {
        let is_convolution = module.starts_with("conv");
        let number =
            module.trim_start_matches("conv").trim_start_matches("bn").parse::<usize>().ok()?.checked_sub(1)?;
        Some((number, if is_convolution { "convolution" } else { "normalization" }))
    };
    let words: Vec<&str> = own.split('.').collect();
    let name = match words.as_slice() {
        ["conv1", rest] => format!("embedder.embedder.convolution.{rest}"),
        ["bn1", rest] => format!("embedder.embedder.normalization.{rest}"),
        [stage, block, "downsample", at, rest] => {
            let what = if *at == "0" { "convolution" } else { "normalization" };
            format!("encoder.stages.{}.layers.{block}.shortcut.{what}.{rest}", stage_number(stage)?)
        }
        [stage, block, module, rest] => {
            let (number, what) = part(module)?;
            format!("encoder.stages.{}.layers.{block}.layer.{number}.{what}.{rest}", stage_number(stage)?)
        }
        _ => return None,
    };
    Some(vec![name])
}

fn stage_number(stage: &str) -> Option<usize> {
    stage.strip_prefix("layer")?.parse::<usize>().ok()?.checked_sub(1)
}

/// A tensor of a block of a transformer: the block's number and what is left of the name.
fn in_block(own: &str) -> Option<(&str, &str)> {
    own.strip_prefix("blocks.")?.split_once('.')
}

/// Renames the beginning of a name by the first pair that fits.
fn renamed(name: &str, pairs: &[(&str, &str)]) -> Option<String> {
    pairs.iter().find_map(|(own, other)| Some(format!("{other}{}", name.strip_prefix(own)?)))
}

fn torchvision_vit(own: &str) -> Option<Foreign> {
    const INNER: [(&str, &str); 6] = [
        ("norm1.", "ln_1."),
        ("norm2.", "ln_2."),
        ("attn.qkv.", "self_attention.in_proj_"),
        ("attn.proj.", "self_attention.out_proj."),
        ("mlp.fc1.", "mlp.0."),
        ("mlp.fc2.", "mlp.3."),
    ];
    const OUTER: [(&str, &str); 4] = [
        ("cls_token", "class_token"),
        ("pos_embed", "encoder.pos_embedding"),
        ("patch_embed.proj.", "conv_proj."),
        ("norm.", "encoder.ln."),
    ];
    Some(vec![match in_block(own) {
        Some((number, rest)) => format!("encoder.layers.encoder_layer_{number}.{}", renamed(rest, &INNER)?),
        None => renamed(own, &OUTER)?,
    }])
}

fn mmpretrain_vit(own: &str) -> Option<Foreign> {
    const INNER: [(&str, &str); 6] = [
        ("norm1.", "ln1."),
        ("norm2.", "ln2."),
        ("attn.qkv.", "attn.qkv."),
        ("attn.proj.", "attn.proj."),
        ("mlp.fc1.", "ffn.layers.0.0."),
        ("mlp.fc2.", "ffn.layers.1."),
    ];
    const OUTER: [(&str, &str); 5] = [
        ("cls_token", "cls_token"),
        ("pos_embed", "pos_embed"),
        ("patch_embed.proj.", "patch_embed.projection."),
        ("norm.", "ln1."),
        ("fc_norm.", "ln2."),
    ];
    Some(vec![match in_block(own) {
        Some((number, rest)) => format!("layers.{number}.{}", renamed(rest, &INNER)?),
        None => renamed(own, &OUTER)?,
    }])
}

const HUGGING_FACE_OUTER: [(&str, &str); 4] = [
    ("cls_token", "embeddings.cls_token"),
    ("pos_embed", "embeddings.position_embeddings"),
    ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
    ("norm.", "layernorm."),
];

fn hugging_face_vit(own: &str) -> Option<Foreign> {
    const INNER: [(&str, &str); 5] = [
        ("norm1.", "layernorm_before."),
        ("norm2.", "layernorm_after."),
        ("attn.proj.", "attention.output.dense."),
        ("mlp.fc1.", "intermediate.dense."),
        ("mlp.fc2.", "output.dense."),
    ];
    let Some((number, rest)) = in_block(own) else { return Some(vec![renamed(own, &HUGGING_FACE_OUTER)?]) };
    let below = |name: String| format!("encoder.layer.{number}.{name}");
    Some(match rest.strip_prefix("attn.qkv.") {
        Some(rest) => {
            ["query", "key", "value"].map(|of| below(format!("attention.attention.{of}.{rest}"))).into_iter().collect()
        }
        None => vec![below(renamed(rest, &INNER)?)],
    })
}

fn hugging_face_vit_of_version_5(own: &str) -> Option<Foreign> {
    const INNER: [(&str, &str); 5] = [
        ("norm1.", "layernorm_before."),
        ("norm2.", "layernorm_after."),
        ("attn.proj.", "attention.o_proj."),
        ("mlp.fc1.", "mlp.fc1."),
        ("mlp.fc2.", "mlp.fc2."),
    ];
    let Some((number, rest)) = in_block(own) else { return Some(vec![renamed(own, &HUGGING_FACE_OUTER)?]) };
    let below = |name: String| format!("layers.{number}.{name}");
    Some(match rest.strip_prefix("attn.qkv.") {
        Some(rest) => ["q", "k", "v"].map(|of| below(format!("attention.{of}_proj.{rest}"))).into_iter().collect(),
        None => vec![below(renamed(rest, &INNER)?)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(own: &str) -> Vec<String> {
        DIALECTS.iter().filter_map(|dialect| dialect.of(own)).map(|parts| parts.join(" + ")).collect()
    }

    #[test]
    fn tensors_have_the_names_that_the_libraries_give_them() {
        assert!(names("conv1.weight").contains(&"0.weight".to_owned()));
        let stage = names("layer2.0.downsample.1.running_var");
        for name in [
            "5.0.downsample.1.running_var",
            "3.0.shortcut.1.running_var",
            "layer2.0.shortcut.1.running_var",
            "encoder.stages.1.layers.0.shortcut.normalization.running_var",
        ] {
            assert!(stage.contains(&name.to_owned()), "{name}: {stage:?}");
        }
        let block = names("blocks.3.attn.qkv.bias");
        for name in [
            "encoder.layers.encoder_layer_3.self_attention.in_proj_bias",
            "layers.3.attn.qkv.bias",
            "encoder.layer.3.attention.attention.query.bias + encoder.layer.3.attention.attention.key.bias + encoder.layer.3.attention.attention.value.bias",
            "layers.3.attention.q_proj.bias + layers.3.attention.k_proj.bias + layers.3.attention.v_proj.bias",
        ] {
            assert!(block.contains(&name.to_owned()), "{name}: {block:?}");
        }
    }
}
