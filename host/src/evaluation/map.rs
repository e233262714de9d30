//! Features in a plane, as numbers and as a picture: by PCA, or by t-SNE.
//!
//! Shapes: N images · D channels.

use super::{Features, plane, tsne};
use crate::{
    error::{Error, Fault, Result},
    record::Scatter,
};
use clap::ValueEnum;
use tch::{Kind, Tensor};

/// Perplexity of t-SNE where none is asked for; van der Maaten and Hinton 2008 tell of 5 to 50.
const PERPLEXITY: u64 = 30;

/// How a plane is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// The two directions in which the features vary most
    Pca,
    /// t-SNE by cosine distance: who is near to whom, not how far clusters lie apart
    Tsne,
}

/// Features in a plane.
#[derive(Debug)]
pub struct Map {
    /// N × 2, f32.
    pub xy_n2: Tensor,
    /// Names of the horizontal and the vertical axis.
    axes: [String; 2],
    /// How it was found, in words for the metadata of a file.
    pub by: String,
}

impl Map {
    /// Lays features out. A perplexity that is not asked for is lowered where there are few images.
    ///
    /// # Errors
    /// Features that are all the same, a perplexity that needs more images, libtorch's message.
    pub fn of(features: &Features, layout: Layout, perplexity: Option<u64>) -> Result<Self> {
        match layout {
            Layout::Pca => {
                let (xy_n2, shares) = plane(&features.x_nd).map_err(Error::torch("project the features"))?;
                let axis = |i: usize| format!("direction {} ({:.0} % of the variance)", i + 1, 100.0 * shares[i]);
                let xy_n2 = xy_n2.f_to_kind(Kind::Float).map_err(Error::torch("project the features"))?;
                Ok(Self { xy_n2, axes: [axis(0), axis(1)], by: "pca".to_owned() })
            }
            Layout::Tsne => {
                let most = (features.x_nd.size()[0] - 1).max(0) as u64 / 3;
                if let Some(asked) = perplexity.filter(|&asked| asked > most) {
                    let message = format!("a perplexity of {asked} needs {} images", 3 * asked + 1);
                    let fault = Fault::new(message).at("--perplexity");
                    return Err(Error::config(fault.hint(format!("here it is {most} at most"))));
                }
                let perplexity = perplexity.unwrap_or(PERPLEXITY.min(most));
                let xy_n2 = tsne(&features.x_nd, perplexity)?;
                let by = format!("t-SNE, perplexity {perplexity}");
                Ok(Self { xy_n2, axes: [by.clone(), String::new()], by })
            }
        }
    }

    /// The coordinates, a pair an image.
    ///
    /// # Errors
    /// libtorch's.
    pub fn points(&self) -> Result<Vec<[f32; 2]>> {
        let numbers = Vec::<f32>::try_from(self.xy_n2.reshape([-1])).map_err(Error::torch("read the map"))?;
        Ok(numbers.chunks_exact(2).map(|point| [point[0], point[1]]).collect())
    }

    /// The picture, one colour a class.
    ///
    /// # Errors
    /// libtorch's message, or a picture that can't be drawn.
    pub fn to_png(&self, labels_n: &Tensor, class_names: &[String], title: &str) -> Result<Vec<u8>> {
        let labels = Vec::<i64>::try_from(labels_n).map_err(Error::torch("read labels"))?;
        // What has no label gets the colour behind the last class's.
        let class = |label: i64| usize::try_from(label).unwrap_or(class_names.len());
        let points = self.points()?.into_iter().zip(labels);
        let points = points.map(|([x, y], label)| (f64::from(x), f64::from(y), class(label))).collect();
        Ok(Scatter { title, axes: self.axes.clone(), points, class_names }.to_png()?)
    }
}
