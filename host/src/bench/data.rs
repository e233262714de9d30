//! What comes before a step: photos decoded, and made into two views, and views of small images that lie in memory. On one core, and
//! on all.

use super::row::{OWN, Row, rate};
use crate::{
    augmentation::{ForeignAugmentation, describe},
    config::DatasetTable,
    dataset::{BatchMaker, Order, Source},
    error::{Error, Fault, Result},
    plugin::{Component, Kind, LoadComponent, Registry},
};
use infomax_sdk::{ImageRef, Key, ViewMut, requests::Request};
use serde_json::json;
use std::{fs, path::Path, sync::Arc, time::Duration};

/// Sides of AMDIM's views of photos, and of small images.
const PHOTO: u32 = 128;
pub const SMALL: u32 = 32;
const SMALL_IMAGES: u64 = 512;
const BATCH: u64 = 32;

/// Measures photos of a folder or of tar shards where there are some, and small images.
///
/// # Errors
/// A path without images, and what the plugins say.
pub fn rows(
    registry: &Registry,
    photos: Option<&Path>,
    cores: usize,
    enough: Duration,
    tell: &mut dyn FnMut(Row),
) -> Result<()> {
    let mut counts = vec![1, cores];
    counts.dedup();
    let opened = photos.map(|path| open(registry, path, None)).transpose()?;
    let opened_smaller = photos.map(|path| open(registry, path, Some(PHOTO))).transpose()?;
    for threads in counts {
        let on = if threads == 1 { "a core".to_owned() } else { format!("{threads} cores") };
        let row = |what: &str, images_per_second| {
            let what = format!("{what}, {on}");
            Row { part: "data", what, by: OWN.to_owned(), images_per_second: Some(images_per_second), ..Row::default() }
        };
        if let Some((maker, order)) = &opened {
            let images = |step: u64| order.batch(step);
            let decoded = |step: u64| {
                let positions = images(step);
                positions.iter().try_for_each(|&position| maker.source.sample(&maker.stage, position).map(drop))?;
                Ok(positions.len() as u64)
            };
            tell(row("photos decoded", rate(threads, enough, decoded)?));
            tell(row(&format!("photos to two views of {PHOTO}"), rate(threads, enough, views_of(maker, order))?));
        }
        if let Some((maker, order)) = &opened_smaller {
            let what = format!("photos decoded smaller to two views of {PHOTO}");
            tell(row(&what, rate(threads, enough, views_of(maker, order))?));
        }
        let (augmentation, _) = augmentation(registry, SMALL, None)?;
        let (pixels, bytes) = (small_images(), (SMALL * SMALL * 3) as usize);
        let viewed = |epoch: u64| {
            let mut buffers = [vec![0; bytes], vec![0; bytes]];
            for (position, pixels) in pixels.chunks_exact(bytes).enumerate() {
                let image = ImageRef { width: SMALL, height: SMALL, pixels };
                let mut views = buffers.each_mut().map(|pixels| ViewMut { width: SMALL, height: SMALL, pixels });
                augmentation.train_views(image, Key::new(1).fold(epoch).fold(position as u64), &mut views)?;
            }
            Ok(SMALL_IMAGES)
        };
        tell(row(&format!("images of {SMALL} in memory to two views of {SMALL}"), rate(threads, enough, viewed)?));
    }
    Ok(())
}

/// Makes the views of a step's images, and counts these.
fn views_of<'a>(maker: &'a BatchMaker, order: &'a Order) -> impl Fn(u64) -> Result<u64> + Sync + 'a {
    move |step| {
        let rows = 0..order.batch(step).len();
        Ok(maker.train(order, Key::new(1), step, rows)?.labels.len() as u64)
    }
}

/// The images of a folder or of tar shards through AMDIM's views, and their order. JPEG files are decoded at a fraction of their size
/// where that leaves `short_side` pixels.
fn open(registry: &Registry, path: &Path, short_side: Option<u32>) -> Result<(BatchMaker, Order)> {
    let is_shards = path.is_file() || has_shards(path).map_err(Error::io("list", path))?;
    let name = if is_shards { "webdataset" } else { "image-folder" };
    let (library, component) = registry.load(Kind::Dataset, name, None)?;
    // The bench's own folder is not the config's, which paths would count from.
    let root = fs::canonicalize(path).map_err(Error::io("read", path))?;
    let table = json!({ "name": name, "config": { "root": root } });
    let table: DatasetTable =
        serde_json::from_value(table).map_err(|error| Error::Bug { what: format!("the bench's dataset: {error}") })?;
    let (augmentation, description) = augmentation(registry, PHOTO, short_side)?;
    let source =
        Source::open(&Component::new(library, Kind::Dataset, component), &table, description.decode_short_side)?;
    source.hush();
    let roles = source.facts().roles.clone();
    let stages = [roles.pretrain, roles.train, roles.test].map(|splits| source.stage(&splits));
    let stage = stages.into_iter().find(|stage| !stage.is_empty()).ok_or_else(|| {
        let fault = Fault::new("no image is found").at(path.display().to_string());
        Error::Dataset { fault: fault.hint("name a folder of images, or a tar archive of them, with `--data`") }
    })?;
    let order = Order::new(Key::new(1), stage.len() as u64, BATCH.min(stage.len() as u64));
    Ok((BatchMaker::new(source, stage, augmentation, Arc::new(description)), order))
}

fn has_shards(folder: &Path) -> std::io::Result<bool> {
    let mut entries = fs::read_dir(folder)?;
    Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "tar"))))
}

fn augmentation(
    registry: &Registry,
    size: u32,
    short_side: Option<u32>,
) -> Result<(ForeignAugmentation, infomax_sdk::AugmentationDescription)> {
    let (library, name) = registry.load(Kind::Augmentation, "amdim", None)?;
    let component = Component::new(library, Kind::Augmentation, name);
    let request = Request { config: json!({ "size": size, "decode_short_side": short_side }), ..Request::default() };
    let description = describe(&component, &request)?;
    Ok((ForeignAugmentation::create(&component, &request)?, description))
}

/// Blocks of colour with noise on them: neither flat nor without structure.
fn small_images() -> Vec<u8> {
    let mut rng = Key::new(3).rng();
    let mut pixels = Vec::new();
    for _ in 0..SMALL_IMAGES {
        let colours: Vec<[u8; 3]> = (0..16).map(|_| [0; 3].map(|_| rng.below(256) as u8)).collect();
        for (y, x) in (0..SMALL).flat_map(|y| (0..SMALL).map(move |x| (y, x))) {
            let colour = colours[(4 * y / SMALL * 4 + 4 * x / SMALL) as usize];
            pixels.extend(colour.map(|value| value.saturating_add(rng.below(24) as u8)));
        }
    }
    pixels
}
