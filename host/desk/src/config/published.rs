//! The published training script's settings as layers: its defaults where no config is given, and its flags above any.
//!
//! Its defaults are the shipped fragments for AMDIM, compiled in, so that they are said once and need no folder at run time.

use super::{
    document,
    fault::Fault,
    layer::{KeyPath, Layer, Place},
    merge, overrides,
};
use serde_json::Value;

/// The datasets that the published script knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedDataset {
    /// CIFAR-10.
    C10,
    /// CIFAR-100.
    C100,
    /// STL-10.
    Stl10,
    /// ImageNet at 128 pixels.
    In128,
    /// Places205.
    Places205,
}

/// What the published script takes for granted where no config says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedDefaults {
    /// On which data.
    pub dataset: PublishedDataset,
    /// Whether only classifiers are trained, on a frozen encoder: a shorter schedule.
    pub classifiers: bool,
}

/// A command-line flag that sets one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag: `--ndf`.
    pub name: &'static str,
    /// The key: `encoder.config.ndf`.
    pub key: &'static str,
    /// What was given.
    pub value: FlagValue,
}

/// What was given with a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagValue {
    /// Taken as it stands: names and paths.
    Text(String),
    /// Read as TOML, as with `--set`.
    Toml(String),
}

/// A fragment: its file's name below `configs`, and its text.
type Fragment = (&'static str, &'static str);

macro_rules! fragment {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../configs/", $name, ".toml")))
    };
}

const METHOD: Fragment = fragment!("methods/amdim");
const SHORT: Fragment = fragment!("schedules/amdim-50-epochs");
const CLASSIFIERS_120: Fragment = fragment!("schedules/classifiers-120-epochs");
const CLASSIFIERS_30: Fragment = fragment!("schedules/classifiers-30-epochs");
const CLASSIFIERS_15: Fragment = fragment!("schedules/classifiers-15-epochs");

/// What the script's `--batch_size` and `--seed` default to.
const SCRIPT: Fragment = ("the published script", "[train]\nbatch_size = 200\nseed = 1\n");

impl PublishedDataset {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::C10, Self::C100, Self::Stl10, Self::In128, Self::Places205];

    /// As the script's `--dataset` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::C10 => "C10",
            Self::C100 => "C100",
            Self::Stl10 => "STL10",
            Self::In128 => "IN128",
            Self::Places205 => "Places205",
        }
    }

    fn fragment(self) -> Fragment {
        match self {
            Self::C10 => fragment!("datasets/cifar10"),
            Self::C100 => fragment!("datasets/cifar100"),
            Self::Stl10 => fragment!("datasets/stl10"),
            Self::In128 => fragment!("datasets/imagenet"),
            Self::Places205 => fragment!("datasets/places205"),
        }
    }

    /// How it differs from the method's own schedule.
    fn schedule(self, classifiers: bool) -> Option<Fragment> {
        match (self, classifiers) {
            (Self::C10 | Self::C100 | Self::Stl10, false) => None,
            (Self::In128 | Self::Places205, false) => Some(SHORT),
            (Self::C10 | Self::C100 | Self::Stl10, true) => Some(CLASSIFIERS_120),
            (Self::In128, true) => Some(CLASSIFIERS_30),
            (Self::Places205, true) => Some(CLASSIFIERS_15),
        }
    }
}

/// The layer in the place of config files.
pub(super) fn defaults(defaults: PublishedDefaults) -> Result<Layer, Vec<Fault>> {
    let PublishedDefaults { dataset, classifiers } = defaults;
    let place = Place::Words(format!("published default for {}", dataset.name()));
    let mut layer = Layer::default();
    let fragments = [Some(SCRIPT), Some(METHOD), Some(dataset.fragment()), dataset.schedule(classifiers)];
    for fragment in fragments.into_iter().flatten() {
        for (path, value) in leaves(fragment)? {
            layer.set(&path, value, &place);
        }
    }
    Ok(layer)
}

/// The layer of the flags; a dataset brings its folder layout and the size of its views.
pub(super) fn flags(dataset: Option<PublishedDataset>, flags: &[Flag]) -> Result<Layer, Vec<Fault>> {
    let mut layer = Layer::default();
    if let Some(dataset) = dataset {
        let place = Place::Words(format!("command line, --dataset {}", dataset.name()));
        for (path, value) in leaves(dataset.fragment())? {
            let is_root = path.last().is_some_and(|key| key == "root");
            if matches!(path[0].as_str(), "dataset" | "augmentation") && !is_root {
                layer.set(&path, value, &place);
            }
        }
    }
    for flag in flags {
        let path: KeyPath = flag.key.split('.').map(str::to_owned).collect();
        let place = Place::Words(format!("command line, {}", flag.name));
        match &flag.value {
            FlagValue::Text(text) => layer.set(&path, Value::from(text.as_str()), &place),
            FlagValue::Toml(text) => overrides::put(&mut layer, &path, text, &place),
        }
    }
    Ok(layer)
}

fn leaves((name, text): Fragment) -> Result<Vec<(KeyPath, Value)>, Vec<Fault>> {
    let values = Value::Object(document::parse(text, &format!("configs/{name}.toml"))?.values);
    let mut paths = Vec::new();
    merge::leaves(&values, &mut KeyPath::new(), &mut paths);
    let value = |path: &KeyPath| path.iter().fold(&values, |value, key| &value[key]).clone();
    Ok(paths.into_iter().map(|path| (path.clone(), value(&path))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schedules_are_the_published_ones() {
        let of = |dataset, classifiers| {
            let layer = defaults(PublishedDefaults { dataset, classifiers }).unwrap();
            (layer.values["train"]["epochs"].clone(), layer.values["optimizer"]["milestones"].clone())
        };
        let table = [
            (PublishedDataset::C10, (300, [250, 280]), (120, [80, 110])),
            (PublishedDataset::C100, (300, [250, 280]), (120, [80, 110])),
            (PublishedDataset::Stl10, (300, [250, 280]), (120, [80, 110])),
            (PublishedDataset::In128, (50, [30, 45]), (30, [15, 25])),
            (PublishedDataset::Places205, (50, [30, 45]), (15, [7, 12])),
        ];
        for (dataset, whole, classifiers) in table {
            assert_eq!(of(dataset, false), (json!(whole.0), json!(whole.1)), "{dataset:?}");
            assert_eq!(of(dataset, true), (json!(classifiers.0), json!(classifiers.1)), "{dataset:?}");
        }
    }

    #[test]
    fn every_key_says_where_it_comes_from() {
        let dataset = PublishedDataset::In128;
        let layer = defaults(PublishedDefaults { dataset, classifiers: false }).unwrap();
        assert!(layer.places.values().all(|place| place.to_string() == "published default for IN128"));
        let flag = Flag { name: "--ndf", key: "encoder.config.ndf", value: FlagValue::Toml("192".to_owned()) };
        let layer = flags(Some(dataset), &[flag]).unwrap();
        let place = |key: &str| layer.places[&key.split('.').map(str::to_owned).collect::<Vec<_>>()].to_string();
        assert_eq!(place("encoder.config.ndf"), "command line, --ndf");
        assert_eq!(place("augmentation.config.size"), "command line, --dataset IN128");
        assert_eq!(layer.values["dataset"], json!({"name": "image-folder", "config": {"layout": "imagenet"}}));
        assert!(layer.table("train").is_none() && layer.table("checkpoint").is_none());
    }
}
