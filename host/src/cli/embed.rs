//! `infomax embed`: features of finished encoders, written, laid out in a plane, and shown beside what is nearest.

use super::{evaluate::Checkpoint, experiment::Trust, say};
use crate::{
    checkpoint::write_tensors,
    console::note,
    error::{Error, Fault, Result},
    evaluation::{Gallery, Layout, Map, Opened, PRETRAIN, neighbours_to_csv, neighbours_to_png},
    record::write_whole,
};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use tch::Tensor;

/// From so many images on t-SNE takes minutes.
const MANY: usize = 50_000; // 10,000 take 10 s on one core

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Split {
    /// Labelled training images
    Train,
    /// Labelled test images
    Test,
    /// All images that the encoder is pretrained on, labelled or not
    Pretrain,
}

/// Arguments of `infomax embed`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 infomax embed runs/shapes-demo-1 --out features.safetensors --map map.png --by tsne\n\
    \x20 infomax embed runs/shapes-demo-1 --neighbours sheet.png --image 17 --image 123\n\n\
    Nothing in t-SNE is drawn by chance: the same features give the same map. UMAP is not offered: its kept crate in Rust can't be \
    seeded.")]
pub struct Embed {
    /// A run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    which: Checkpoint,
    #[command(flatten)]
    trust: Trust,
    /// Whose images
    #[arg(long, default_value = "test")]
    split: Split,
    /// Config files whose dataset takes the place of the run's
    #[arg(long, value_name = "CONFIG")]
    dataset: Vec<PathBuf>,
    /// Set a value of the run's config
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Take features anew, though some are kept from before
    #[arg(long)]
    fresh: bool,
    /// The file of features (N × D, f32), labels (N, i64) and indices in the split (N, i64), with the classes' names and the
    /// images' paths in its metadata; a `.csv` of the same name lists them too. `RUN/embedding-SPLIT.safetensors` where not
    /// given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A picture of the features in a plane, whose coordinates go into the files too: `map` (N × 2, f32), and columns `x` and `y`
    #[arg(long, value_name = "PNG", value_parser = png)]
    map: Option<PathBuf>,
    /// How the plane is found; without `--map` for the coordinates alone [default: pca]
    #[arg(long, value_name = "WAY")]
    by: Option<Layout>,
    /// For how many neighbours t-SNE cares, about; 30 where not given, or fewer for fewer than 91 images
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(2..=1000))]
    perplexity: Option<u64>,
    /// A picture of some images, each beside those nearest to it by cosine; a `.csv` of the same name lists them
    #[arg(long, value_name = "PNG", value_parser = png)]
    neighbours: Option<PathBuf>,
    /// An image of `--split` for `--neighbours`, by its index or its path; more than one may be given, some of each class where none
    #[arg(long, value_name = "INDEX|PATH", requires = "neighbours")]
    image: Vec<String>,
    /// Where neighbours come from
    #[arg(long, value_name = "SPLIT", default_value = "train", requires = "neighbours")]
    among: Split,
    /// How many neighbours are shown
    #[arg(long, value_name = "COUNT", default_value_t = 8, requires = "neighbours", value_parser = clap::value_parser!(u64).range(1..=30))]
    nearest: u64,
}

/// A file by whose name others take it for what it is.
fn png(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    if is_png { Ok(path) } else { Err("pictures are written as PNG: give a name that ends in `.png`".to_owned()) }
}

impl Split {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::Pretrain => PRETRAIN,
        }
    }
}

/// The images of a split that have features.
/// `option`: which one names the split.
fn gallery(opened: &mut Opened, split: Split, option: &str, fresh: bool) -> Result<Gallery> {
    let gallery = Gallery::of(opened, split.name(), fresh)?;
    if gallery.names.images.is_empty() {
        let (dataset, split) = (&opened.experiment.dataset.name, split.name());
        let fault = Fault::new(format!("the dataset `{dataset}` has no labelled {split} images"));
        return Err(Error::Dataset {
            fault: fault.hint(format!("`{option} pretrain` takes images without labels too")),
        });
    }
    Ok(gallery)
}

impl Embed {
    /// Writes features, and draws them.
    ///
    /// # Errors
    /// As [`super::evaluate::Evaluate::run`]; images that aren't there, a map that can't be made.
    pub fn run(self) -> Result<()> {
        if self.perplexity.is_some() && self.by != Some(Layout::Tsne) {
            let fault = Fault::new("`--perplexity` has no effect without `--by tsne`");
            return Err(Error::config(fault.hint("add `--by tsne`, or leave it out")));
        }
        let mut opened = Opened::open(&self.run, self.which.checkpoint, &self.dataset, &self.set, self.trust.lock()?)?;
        let gallery = gallery(&mut opened, self.split, "--split", self.fresh)?;
        // What is asked for wrongly is told before what takes long.
        let rows = if self.image.is_empty() { gallery.some_of_each() } else { gallery.rows(&self.image)? };
        let map = self.lay_out(&gallery)?;
        self.write(&opened, &gallery, map.as_ref())?;
        if let (Some(path), Some(map)) = (&self.map, &map) {
            let name = self.run.file_name().unwrap_or_default().to_string_lossy();
            let (step, split, dataset) = (opened.step, gallery.split, &opened.experiment.dataset.name);
            let title = format!("{name}, step {step}: {split} images of {dataset}");
            write_whole(path, &map.to_png(&gallery.features.labels_n, &gallery.names.class_names, &title)?)?;
            say(&format!("{}: the features in a plane ({})", path.display(), map.by));
        }
        self.neighbours.as_ref().map_or(Ok(()), |path| self.show_nearest(&mut opened, &gallery, &rows, path))
    }

    fn lay_out(&self, gallery: &Gallery) -> Result<Option<Map>> {
        if self.map.is_none() && self.by.is_none() {
            return Ok(None);
        }
        let (layout, count) = (self.by.unwrap_or(Layout::Pca), gallery.names.images.len());
        if layout == Layout::Tsne && count >= MANY {
            note(format!("t-SNE of {count} images takes minutes"));
        }
        Map::of(&gallery.features, layout, self.perplexity).map(Some)
    }

    fn write(&self, opened: &Opened, gallery: &Gallery, map: Option<&Map>) -> Result<()> {
        let Gallery { split, features, names } = gallery;
        let indices: Vec<i64> = names.images.iter().map(|image| image.index as i64).collect();
        let indices_n = Tensor::f_from_slice(&indices).map_err(Error::torch("write indices"))?;
        let out = self.out.clone().unwrap_or_else(|| self.run.join(format!("embedding-{split}.safetensors")));
        let mut list = vec![
            ("features".to_owned(), features.x_nd.shallow_clone()),
            ("labels".to_owned(), features.labels_n.shallow_clone()),
            ("indices".to_owned(), indices_n),
        ];
        let mut metadata = names.metadata(opened, split);
        if let Some(map) = map {
            list.push(("map".to_owned(), map.xy_n2.shallow_clone()));
            metadata.insert("map".to_owned(), map.by.clone());
        }
        let failed = |what| Error::Bug { what: format!("features can't be written: {what}") };
        write_whole(&out, &write_tensors(&list, metadata).map_err(failed)?)?;
        let table = out.with_extension("csv");
        let points = map.map(Map::points).transpose()?;
        write_whole(&table, names.to_csv(points.as_deref()).as_bytes())?;
        let size = features.x_nd.size();
        let with = if map.is_some() { ", places on the map" } else { "" };
        let of = format!(
            "{} features of {} channels, with labels{with} and the names of classes and images",
            size[0], size[1]
        );
        say(&format!("{}: {of}", out.display()));
        say(&format!("{}: the same images as a table", table.display()));
        Ok(())
    }

    fn show_nearest(&self, opened: &mut Opened, gallery: &Gallery, rows: &[usize], path: &Path) -> Result<()> {
        let other;
        let bank = if self.among == self.split {
            gallery
        } else {
            other = self::gallery(opened, self.among, "--among", self.fresh)?;
            &other
        };
        let found = bank.nearest(gallery, rows, self.nearest as usize)?;
        write_whole(path, &neighbours_to_png(opened, bank, gallery, &found)?)?;
        let table = path.with_extension("csv");
        write_whole(&table, neighbours_to_csv(bank, gallery, &found).as_bytes())?;
        let (count, split, among) = (rows.len(), gallery.split, bank.split);
        say(&format!("{}: {count} {split} images beside the nearest {among} images", path.display()));
        say(&format!("{}: the same as a table", table.display()));
        Ok(())
    }
}
