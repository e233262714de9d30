//! What network the tensors of a file are, as far as their names and shapes tell; the same of an encoder's own, so that the two can
//! be held against one another.

use std::collections::{BTreeMap, BTreeSet};

/// Tensors' sizes by name.
pub type Sizes<'a> = BTreeMap<&'a str, &'a [i64]>;

/// What makes a network of sizes whose names begin with nothing.
type Family = fn(&Sizes<'_>) -> Option<Described>;

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// In words: `a ResNet-34`.
    pub what: String,
    /// The component that it is; none where there is none.
    pub component: Option<&'static str>,
    /// The component's settings, as TOML.
    pub settings: Vec<(&'static str, String)>,
}

impl Described {
    /// The network that a set's tensors are, under whatever prefix.
    pub fn of(sizes: &Sizes<'_>) -> Option<Self> {
        let families: [(&str, Family); 4] = [
            ("layer1.0.conv1.weight", resnet),
            ("blocks.0.attn.qkv.weight", vit),
            ("block1.layer.0.conv1.weight", wide_resnet),
            ("layer_list.0.conv.weight", |_| {
                Some(Self { what: "AMDIM's encoder".to_owned(), component: Some("amdim"), settings: Vec::new() })
            }),
        ];
        let below = |anchor: &str| -> Option<Sizes<'_>> {
            let is_below = |name: &&&str| name.strip_suffix(anchor).is_some_and(|p| p.is_empty() || p.ends_with('.'));
            let prefix = sizes.keys().find(is_below)?.strip_suffix(anchor)?;
            Some(sizes.iter().filter_map(|(name, size)| Some((name.strip_prefix(prefix)?, *size))).collect())
        };
        families.into_iter().find_map(|(anchor, describe)| describe(&below(anchor)?)).or_else(|| {
            let (layers, own) = [(1, "2.0.conv1.weight"), (2, "3.0.conv1.weight"), (3, "4.0.conv1.weight")]
                .into_iter()
                .find_map(|(layers, anchor)| Some((layers, below(anchor)?)))?;
            let renamed: Vec<(String, &[i64])> =
                own.iter().filter_map(|(name, size)| Some((out_of_sequence(name, layers)?, *size))).collect();
            resnet(&renamed.iter().map(|(name, size)| (name.as_str(), *size)).collect())
        })
    }

    /// What to set so that an encoder which is `own` becomes this network; none where no component is.
    pub fn instead_of(&self, own: Option<&Self>) -> Option<Vec<String>> {
        let component = self.component?;
        let same = own.filter(|own| own.component == self.component);
        let mut settings = Vec::new();
        if same.is_none() {
            settings.push(format!("`encoder.name = \"{component}\"`"));
        }
        for (key, value) in &self.settings {
            let is_known = same.is_some_and(|own| own.settings.contains(&(*key, value.clone())));
            if !is_known {
                settings.push(format!("`encoder.config.{key} = {value}`"));
            }
        }
        Some(settings)
    }
}

fn resnet(sizes: &Sizes<'_>) -> Option<Described> {
    let blocks: Vec<usize> =
        (1..5).map(|stage| count(sizes, |block| format!("layer{stage}.{block}.conv1.weight"))).collect();
    let bottleneck = sizes.contains_key("layer1.0.conv3.weight");
    let (depth, component) = match (blocks.as_slice(), bottleneck) {
        ([2, 2, 2, 2], false) => (18, Some("resnet18")),
        ([3, 4, 6, 3], false) => (34, Some("resnet34")),
        ([3, 4, 6, 3], true) => (50, Some("resnet50")),
        ([3, 4, 23, 3], true) => (101, None),
        ([3, 8, 36, 3], true) => (152, None),
        _ => (0, None),
    };
    let Some(&[width, _, side, _]) = sizes.get("conv1.weight").copied() else {
        return Some(Described {
            what: format!("a ResNet of {blocks:?} blocks with another stem"),
            ..Described::default()
        });
    };
    let inner = sizes.get("layer1.0.conv2.weight").copied().unwrap_or_default();
    let is_plain = matches!(inner, [o, c, ..] if o == c && *o == width);
    if !is_plain {
        return Some(Described {
            what: format!("a ResNeXt or a wide ResNet of {blocks:?} blocks"),
            ..Described::default()
        });
    }
    // Squeeze-and-excitation, anti-aliasing and the like.
    let more: BTreeSet<&str> = sizes.keys().filter_map(|name| of_no_plain_block(name)).collect();
    if !more.is_empty() {
        let more: Vec<_> = more.into_iter().map(|module| format!("`{module}`")).collect();
        let what = format!("a ResNet of {blocks:?} blocks with {} in them", more.join(", "));
        return Some(Described { what, ..Described::default() });
    }
    let stem = if side == 7 { "\"imagenet\"" } else { "\"small\"" };
    let what = if depth == 0 { format!("a ResNet of {blocks:?} blocks") } else { format!("a ResNet-{depth}") };
    Some(Described { what, component, settings: vec![("stem", stem.to_owned()), ("width", width.to_string())] })
}

/// The module of a block that a plain ResNet's blocks don't have.
fn of_no_plain_block(name: &str) -> Option<&str> {
    let (stage, rest) = name.split_once('.')?;
    let (block, rest) = rest.split_once('.')?;
    let module = rest.split('.').next()?;
    let is_block = stage.starts_with("layer") && block.bytes().all(|byte| byte.is_ascii_digit());
    let known = ["conv1", "conv2", "conv3", "bn1", "bn2", "bn3", "downsample", "shortcut"];
    (is_block && !known.contains(&module)).then_some(module)
}

fn vit(sizes: &Sizes<'_>) -> Option<Described> {
    let depth = count(sizes, |block| format!("blocks.{block}.attn.qkv.weight"));
    let Some(&[width, _, patch, _]) = sizes.get("patch_embed.proj.weight").copied() else { return None };
    let pool = if sizes.contains_key("fc_norm.weight") { "\"mean\"" } else { "\"token\"" };
    let has = |name: &str| sizes.keys().any(|key| key.ends_with(name));
    let more: Vec<&str> = [
        ("ls1.gamma", "LayerScale"),
        ("reg_token", "register tokens"),
        ("register_tokens", "register tokens"),
        ("dist_token", "a distillation token"),
        ("norm_pre.weight", "a norm before its blocks"),
        ("attn.q_norm.weight", "norms of queries and keys"),
    ]
    .into_iter()
    .filter_map(|(name, what)| has(name).then_some(what))
    .collect();
    let with = if more.is_empty() { String::new() } else { format!(", with {}", more.join(" and ")) };
    let what = format!("a vision transformer of width {width} and depth {depth} with patches of {patch}×{patch}{with}");
    let fits = width == 192 && more.is_empty() && [4, 8, 16].contains(&patch);
    let settings = vec![("patch", patch.to_string()), ("depth", depth.to_string()), ("pool", pool.to_owned())];
    Some(Described { what, component: fits.then_some("vit-tiny"), settings })
}

fn wide_resnet(sizes: &Sizes<'_>) -> Option<Described> {
    let blocks = count(sizes, |block| format!("block1.layer.{block}.conv1.weight"));
    let widen = sizes.get("block1.layer.0.conv1.weight")?.first()? / 16;
    let depth = 6 * blocks + 4;
    Some(Described {
        what: format!("a WRN-{depth}-{widen}"),
        component: Some("wide-resnet"),
        settings: vec![("depth", depth.to_string()), ("widen", widen.to_string())],
    })
}

/// A name in `nn.Sequential(*resnet.children())` as the ResNet's own, where the stages follow `layers` later.
fn out_of_sequence(name: &str, layers: usize) -> Option<String> {
    let (index, rest) = name.split_once('.')?;
    let module = match index.parse::<usize>().ok()? {
        0 => "conv1".to_owned(),
        1 => "bn1".to_owned(),
        index => format!("layer{}", index.checked_sub(layers)?),
    };
    Some(format!("{module}.{rest}"))
}

/// How many of a numbered name there are, from 0 on.
fn count(sizes: &Sizes<'_>, name: impl Fn(usize) -> String) -> usize {
    (0..).take_while(|&number| sizes.contains_key(name(number).as_str())).count()
}
