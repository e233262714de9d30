//! The augmentations that are lists of recipes: from a config to the views, the normalisation, and the views' pixels.

use crate::{
    config::{Asymmetric, Common, Flip, MultiCrop, RandAugment, SimClr},
    randaugment::{self, STRONGEST},
    recipe::{Recipe, by_size, evaluation_view},
};
use infomax_sdk::{
    Augmentation, AugmentationDescription, BatchAugmentation, Error, ImageRef, Key, Result, Tensor, View, ViewMut,
    views::{
        batch::{Groups, Set},
        config_number, config_numbers, config_range, config_std, image, view,
    },
};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

const CIFAR_MEAN: [f64; 3] = [125.3 / 255.0, 123.0 / 255.0, 113.9 / 255.0]; // AMDIM's published code
const CIFAR_STD: [f64; 3] = [63.0 / 255.0, 62.1 / 255.0, 66.7 / 255.0]; // AMDIM's published code
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406]; // torchvision
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225]; // torchvision
const LARGEST: u32 = 4096; // pixels a side

/// A config that says what each view goes through.
pub trait Recipes: DeserializeOwned + Send + Sync + 'static {
    /// The fields that augmentations share.
    fn common(&self) -> Common;

    /// Each view's name, group and recipe, in order.
    ///
    /// # Errors
    /// Names the field that can't work.
    fn recipes(&self) -> Result<Vec<(String, u32, Recipe)>>;
}

/// An augmentation of a config.
pub struct Views<C> {
    recipes: Vec<Recipe>,
    flip: Flip,
    size: u32,
    /// None where an operation is not for batches.
    groups: Option<Groups>,
    config: PhantomData<C>,
}

impl<C: Recipes> Augmentation for Views<C> {
    type Config = C;

    fn describe(config: &C) -> Result<AugmentationDescription> {
        let common = config.common();
        check_size("size", common.size)?;
        let std = common.std.unwrap_or(by_size(common.size, CIFAR_STD, IMAGENET_STD));
        config_std(std)?;
        let view = |(name, group, recipe): (String, u32, Recipe)| {
            let side = recipe.size;
            View { name, height: side, width: side, group }
        };
        Ok(AugmentationDescription {
            views: config.recipes()?.into_iter().map(view).collect(),
            eval_size: [common.size; 2],
            mean: common.mean.unwrap_or(by_size(common.size, CIFAR_MEAN, IMAGENET_MEAN)),
            std,
            decode_short_side: common.decode_short_side,
        })
    }

    fn create(config: &C) -> Result<Self> {
        Self::describe(config)?;
        let Common { flip, size, .. } = config.common();
        let recipes: Vec<Recipe> = config.recipes()?.into_iter().map(|(.., recipe)| recipe).collect();
        let groups = recipes.iter().map(Recipe::set).collect::<Option<Vec<Set>>>().map(groups);
        Ok(Self { recipes, flip, size, groups, config: PhantomData })
    }

    fn train_views(&self, from: ImageRef<'_>, key: Key, views: &mut [ViewMut<'_>]) -> Result<()> {
        let from = image(from)?;
        for (index, (to, recipe)) in views.iter_mut().zip(&self.recipes).enumerate() {
            let (flip, key) = self.flip(key, index as u64);
            recipe.apply(from, flip, key, &mut view(to, recipe.size)?);
        }
        Ok(())
    }

    fn eval_view(&self, from: ImageRef<'_>, to: &mut ViewMut<'_>) -> Result<()> {
        evaluation_view(image(from)?, &mut view(to, self.size)?);
        Ok(())
    }

    fn batch(&self) -> Option<&dyn BatchAugmentation> {
        self.groups.as_ref().map(|_| self as &dyn BatchAugmentation)
    }
}

impl<C: Recipes> BatchAugmentation for Views<C> {
    fn numbers(&self, width: u32, height: u32) -> Result<usize> {
        self.groups()?.numbers(width, height)
    }

    fn draw(&self, width: u32, height: u32, key: Key, numbers: &mut [f32]) -> Result<()> {
        self.groups()?.write([width, height], numbers, |view| {
            let (flip, key) = self.flip(key, view);
            self.recipes[view as usize].draw([width, height], flip, key)
        })
    }

    fn batch_views(&self, images: &Tensor, numbers: &Tensor) -> Result<Vec<Tensor>> {
        Ok(self.groups()?.views(images, numbers))
    }
}

impl<C> Views<C> {
    /// Whether a view is flipped, and the key of its other draws.
    fn flip(&self, key: Key, view: u64) -> (bool, Key) {
        let own = key.purpose("view").fold(view);
        let flip = match self.flip {
            Flip::Off => false,
            Flip::Shared => key.purpose("flip").rng().chance(0.5),
            Flip::Independent => own.purpose("flip").rng().chance(0.5),
        };
        (flip, own)
    }

    fn groups(&self) -> Result<&Groups> {
        self.groups.as_ref().ok_or_else(|| Error::new("RandAugment is not for batches"))
    }
}

/// Neighbours of one size and layout as one group, whose operations are those of any of them.
fn groups(sets: Vec<Set>) -> Groups {
    let mut groups: Vec<(Set, usize)> = Vec::new();
    for set in sets {
        match groups.last_mut().filter(|(last, _)| (last.size, last.layout) == (set.size, set.layout)) {
            Some((last, views)) => (*last, *views) = (last.with(&set), *views + 1),
            None => groups.push((set, 1)),
        }
    }
    Groups::new(groups)
}

impl Recipes for SimClr {
    fn common(&self) -> Common {
        self.common()
    }

    fn recipes(&self) -> Result<Vec<(String, u32, Recipe)>> {
        let blur = self.blur_probability.unwrap_or(by_size(self.size, 0.0, 0.5)); // SimCLR, appendices A and B.9
        pair(&Recipe::new(&self.common())?.with(blur, self.solarise_probability)?)
    }
}

impl Recipes for Asymmetric {
    fn common(&self) -> Common {
        self.common()
    }

    fn recipes(&self) -> Result<Vec<(String, u32, Recipe)>> {
        let plain = Recipe::new(&self.common())?;
        let blur = self.blur_probability.unwrap_or(by_size(self.size, [0.0, 0.0], [1.0, 0.1])); // BYOL, table 6
        let recipe = |view: usize| plain.clone().with(blur[view], self.solarise_probability[view]);
        Ok(vec![("one".to_owned(), 0, recipe(0)?), ("two".to_owned(), 1, recipe(1)?)])
    }
}

impl Recipes for MultiCrop {
    fn common(&self) -> Common {
        self.common()
    }

    fn recipes(&self) -> Result<Vec<(String, u32, Recipe)>> {
        check_size("local_size", self.local_size)?;
        config_range("local_crop_area", self.local_crop_area, [1e-4, 1.0])?;
        config_number("local_crops", f64::from(self.local_crops), 62.0)?;
        let blur = self.blur_probability.unwrap_or(by_size(self.size, 0.0, 0.5)); // SwAV, appendix A
        let global = Recipe::new(&self.common())?.with(blur, self.solarise_probability)?;
        let common = Common { crop_area: self.local_crop_area, ..self.common() };
        let local = Recipe::new(&common)?.with(blur, self.solarise_probability)?.of_size(self.local_size);
        let views = |name: &'static str, group, count, recipe: Recipe| {
            (1..=count).map(move |index| (format!("{name}{index}"), group, recipe.clone()))
        };
        Ok(views("global", 0, 2, global).chain(views("local", 1, self.local_crops, local)).collect())
    }
}

impl Recipes for RandAugment {
    fn common(&self) -> Common {
        self.common()
    }

    fn recipes(&self) -> Result<Vec<(String, u32, Recipe)>> {
        config_numbers(&[
            ("magnitude", self.magnitude.into(), STRONGEST.into()),
            ("operations", self.operations.into(), 14.0),
        ])?;
        let Self { operations, magnitude, fill, .. } = *self;
        let plain = Recipe::new(&self.common())?.with(self.blur_probability, self.solarise_probability)?;
        pair(&plain.with_randaugment(randaugment::RandAugment { operations, magnitude, fill }))
    }
}

/// Two views alike.
fn pair(recipe: &Recipe) -> Result<Vec<(String, u32, Recipe)>> {
    Ok(["one", "two"].map(|name| (name.to_owned(), 0, recipe.clone())).into())
}

fn check_size(name: &str, size: u32) -> Result<()> {
    if (1..=LARGEST).contains(&size) {
        return Ok(());
    }
    Err(Error::config(format!("`{name}` is `{size}`")).hint(format!("choose a number within 1 and {LARGEST}")))
}
