//! The contact sheet: images and the views that training sees.

use crate::{
    augmentation::ForeignAugmentation,
    config::Resolved,
    dataset::{Pixels, Source},
    error::{Error, Result},
    plugin::Registry,
    record::{ContactSheet, Picture, SheetRow},
    train::Setup,
};
use infomax_sdk::{Key, ViewMut};
use std::path::Path;

const ROWS: u64 = 10;

/// Draws the first images of the training data with their views; where `telling`, what was found is told as well.
///
/// # Errors
/// A bad image, what the plugins say, a file that can't be written.
pub fn write_sheet(resolved: &Resolved, registry: &Registry, path: &Path, telling: bool) -> Result<()> {
    let experiment = &resolved.experiment;
    let setup = Setup::new(experiment, registry, "cpu")?;
    let source = Source::open(&setup.dataset, &experiment.dataset, None)?;
    if telling {
        source.tell()
    } else {
        source.hush()
    }
    let stage = source.stage(&source.facts().roles.pretrain);
    let augmentation = ForeignAugmentation::create(&setup.augmentation, &setup.augmentation_request)?;
    let views = &setup.augmentation_description.views;
    let key = Key::new(experiment.train.seed).purpose("preview");
    let mut rng = key.rng();
    let mut rows: Vec<(Pixels, Vec<Vec<u8>>)> = Vec::new();
    for row in 0..ROWS.min(stage.len() as u64) {
        let image = source.sample(&stage, rng.below(stage.len() as u64))?;
        let mut buffers: Vec<Vec<u8>> = views.iter().map(|v| vec![0; (v.height * v.width * 3) as usize]).collect();
        let mut places: Vec<ViewMut<'_>> = views
            .iter()
            .zip(&mut buffers)
            .map(|(view, pixels)| ViewMut { width: view.width, height: view.height, pixels })
            .collect();
        augmentation.train_views(image.as_image(), key.fold(row), &mut places)?;
        rows.push((image, buffers));
    }
    let names = &source.facts().class_names;
    let sheet_row = |(image, buffers): &'_ (Pixels, Vec<Vec<u8>>)| -> (String, Vec<(u32, u32, Vec<u8>)>) {
        let label = usize::try_from(image.label).ok().and_then(|label| names.get(label)).cloned();
        let original = (image.width, image.height, image.pixels.clone());
        let made = views.iter().zip(buffers).map(|(view, pixels)| (view.width, view.height, pixels.clone()));
        (label.unwrap_or_else(|| "unlabelled".to_owned()), [original].into_iter().chain(made).collect())
    };
    let drawn: Vec<_> = rows.iter().map(sheet_row).collect();
    let columns = ["original"].into_iter().chain(views.iter().map(|view| view.name.as_str())).collect();
    let rows = drawn.iter().map(|(label, pictures)| SheetRow {
        label,
        pictures: pictures
            .iter()
            .map(|(width, height, pixels)| Picture { width: *width, height: *height, pixels })
            .collect(),
    });
    let png = ContactSheet { columns, rows: rows.collect() }.to_png()?;
    std::fs::write(path, png).map_err(Error::io("write", path))
}
