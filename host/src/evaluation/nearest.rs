//! Images beside those whose representation is nearest by cosine, as in the neighbours' votes: found, listed and drawn.
//!
//! Shapes: N images of the bank · Q queries · D channels · K neighbours.

use super::{Features, ImageName, ImageNames, Opened, stage};
use crate::{
    dataset::Pixels,
    error::{Error, Fault, Result},
    evaluator::{nearest, unit},
    record::{Captioned, NeighbourRow, NeighbourSheet, Picture},
    rows::csv_line,
};
use tch::{TchError, Tensor};

/// In the place of a class that an image has not.
const UNLABELLED: &str = "unlabelled";
/// Rows of a sheet where no images are asked for.
const ROWS: usize = 20;
/// Of each class, where there are few.
const OF_A_CLASS: usize = 2;

/// Images with their features and names, of one split.
#[derive(Debug)]
pub struct Gallery {
    /// `train`, `test` or `pretrain`.
    pub split: &'static str,
    pub features: Features,
    pub names: ImageNames,
}

/// An image and its nearest ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbourhood {
    /// A row of the queries' gallery.
    pub query: usize,
    /// Rows of the bank, and the cosine distance of each, 1 − similarity; the nearest first.
    pub near: Vec<(usize, f64)>,
}

impl Gallery {
    /// Takes the features of a split.
    ///
    /// # Errors
    /// As [`Features::of`].
    pub fn of(opened: &mut Opened, split: &'static str, fresh: bool) -> Result<Self> {
        let features = Features::of(opened, split, fresh)?;
        let names = features.names(opened, split)?;
        Ok(Self { split, features, names })
    }

    /// The rows of images that are asked for, each by its index in its split or by its path.
    ///
    /// # Errors
    /// An image that isn't there, or a text that several images answer to.
    pub fn rows(&self, asked: &[String]) -> Result<Vec<usize>> {
        asked.iter().map(|asked| self.row(asked)).collect()
    }

    fn row(&self, asked: &str) -> Result<usize> {
        let is_it = |image: &ImageName| match asked.parse::<u64>() {
            Ok(index) => image.index == index,
            Err(_) => image.path == asked || asked.ends_with(&format!("/{}", image.path)),
        };
        let found: Vec<usize> = (0..self.names.images.len()).filter(|&row| is_it(&self.names.images[row])).collect();
        let fail = |message: String, hint: String| Error::config(Fault::new(message).at("--image").hint(hint));
        match found[..] {
            [row] => Ok(row),
            [] => {
                let hint = format!("`infomax embed RUN --split {}` lists them in its `.csv`", self.split);
                Err(fail(format!("no {} image with a feature is called `{asked}`", self.split), hint))
            }
            [one, two, ..] => {
                let [one, two] = [one, two].map(|row| &self.names.images[row].path);
                let hint = "give its path".to_owned();
                Err(fail(format!("`{asked}` is several {} images: `{one}`, `{two}`", self.split), hint))
            }
        }
    }

    /// Some images of each class, the first ones; of as many classes as a sheet has room for, evenly chosen.
    pub fn some_of_each(&self) -> Vec<usize> {
        let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); self.names.class_names.len()];
        for (row, image) in self.names.images.iter().enumerate() {
            if let Some(rows) = usize::try_from(image.label).ok().and_then(|label| of_class.get_mut(label)) {
                rows.push(row);
            }
        }
        of_class.retain(|rows| !rows.is_empty());
        if of_class.is_empty() {
            return (0..self.names.images.len().min(ROWS)).collect();
        }
        let shown = of_class.len().min(ROWS);
        let each = if shown * OF_A_CLASS <= ROWS { OF_A_CLASS } else { 1 };
        let classes = (0..shown).map(|n| &of_class[n * of_class.len() / shown]);
        classes.flat_map(|rows| rows.iter().copied().take(each)).collect()
    }

    /// The images that are nearest to each of some rows of other images, without those images themselves.
    ///
    /// # Errors
    /// libtorch's message.
    pub fn nearest(&self, queries: &Self, rows: &[usize], k: usize) -> Result<Vec<Neighbourhood>> {
        let found = || -> Result<Vec<Vec<(usize, f64)>>, TchError> {
            let chosen: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
            let queries_qd = unit(&queries.features.x_nd.f_index_select(0, &Tensor::f_from_slice(&chosen)?)?)?;
            let width = (k as i64 + 1).min(self.features.x_nd.size()[0]);
            let (similarity_qk, place_qk) = nearest(&unit(&self.features.x_nd)?, &queries_qd, width)?;
            let similarities = Vec::<f32>::try_from(similarity_qk.f_reshape([-1])?)?;
            let places = Vec::<i64>::try_from(place_qk.f_reshape([-1])?)?;
            let pairs = places.into_iter().zip(similarities);
            let pairs: Vec<_> =
                pairs.map(|(place, similarity)| (place as usize, 1.0 - f64::from(similarity))).collect();
            Ok(pairs.chunks_exact(width as usize).map(<[_]>::to_vec).collect())
        };
        let found = tch::no_grad(found).map_err(Error::torch("find nearest neighbours"))?;
        let own = |query: usize, near: usize| {
            let [one, two] = [&queries.names.images[query], &self.names.images[near]];
            (&one.split, one.index) == (&two.split, two.index)
        };
        let others = |(&query, near): (&usize, Vec<(usize, f64)>)| Neighbourhood {
            query,
            near: near.into_iter().filter(|&(place, _)| !own(query, place)).take(k).collect(),
        };
        Ok(rows.iter().zip(found).map(others).collect())
    }

    fn picture(&self, opened: &Opened, row: usize) -> Result<Pixels> {
        let position = Vec::<i64>::try_from(self.features.positions_n.narrow(0, row as i64, 1));
        let position = position.map_err(Error::torch("read positions"))?[0] as u64;
        let stage = stage(opened, self.split);
        opened.source.sample_if_good(&stage, position)?.ok_or_else(|| {
            let fault = Fault::new(format!("`{}` can no longer be read", self.names.images[row].path));
            Error::Dataset { fault: fault.hint("`--fresh` takes features anew") }
        })
    }

    /// `horse`; `unlabelled` where it has no label.
    fn class(&self, row: usize) -> &str {
        let name = self.names.class(self.names.images[row].label);
        if name.is_empty() { UNLABELLED } else { name }
    }
}

/// The columns of [`neighbours_to_csv`].
const COLUMNS: [&str; 10] =
    ["split", "index", "path", "class", "rank", "near_split", "near_index", "near_path", "near_class", "distance"];

/// A line for each neighbour, the nearest of rank 1.
pub fn neighbours_to_csv(bank: &Gallery, queries: &Gallery, all: &[Neighbourhood]) -> String {
    let words = |gallery: &Gallery, row: usize| {
        let ImageName { split, index, path, .. } = &gallery.names.images[row];
        [split.clone(), index.to_string(), path.clone(), gallery.class(row).to_owned()]
    };
    let mut text = csv_line(&COLUMNS.map(str::to_owned));
    for Neighbourhood { query, near } in all {
        for (rank, &(row, distance)) in (1..).zip(near) {
            let own = words(queries, *query).into_iter().chain([rank.to_string()]);
            text += &csv_line(&own.chain(words(bank, row)).chain([format!("{distance:.6}")]).collect::<Vec<_>>());
        }
    }
    text
}

/// The sheet: an image on the left, its neighbours beside it.
///
/// # Errors
/// An image that can't be read, a picture that can't be drawn.
pub fn neighbours_to_png(opened: &Opened, bank: &Gallery, queries: &Gallery, all: &[Neighbourhood]) -> Result<Vec<u8>> {
    let mut pictures: Vec<(Pixels, Vec<Pixels>)> = Vec::new();
    for Neighbourhood { query, near } in all {
        let near = near.iter().map(|&(row, _)| bank.picture(opened, row)).collect::<Result<_>>()?;
        pictures.push((queries.picture(opened, *query)?, near));
    }
    let mut rows = Vec::new();
    for (Neighbourhood { query, near }, (own, others)) in all.iter().zip(&pictures) {
        let (class, index) = (queries.class(*query), queries.names.images[*query].index);
        let query = Captioned {
            picture: borrowed(own),
            caption: [class.to_owned(), format!("{} {index}", queries.split)],
            is_alike: true,
        };
        let neighbour = |(&(row, distance), pixels)| Captioned {
            picture: borrowed(pixels),
            caption: [bank.class(row).to_owned(), format!("{distance:.3} · {}", bank.names.images[row].index)],
            is_alike: class != UNLABELLED && bank.class(row) == class,
        };
        rows.push(NeighbourRow { query, near: near.iter().zip(others).map(neighbour).collect() });
    }
    let heading =
        format!("nearest of {} {} images: class, cosine distance, index", bank.names.images.len(), bank.split);
    Ok(NeighbourSheet { heading: &heading, rows }.to_png()?)
}

fn borrowed(pixels: &Pixels) -> Picture<'_> {
    Picture { width: pixels.width, height: pixels.height, pixels: &pixels.pixels }
}
