//! ImageNet's own development kit, unpacked or as its archive: `meta.mat` numbers the classes, a text file has the number of each
//! validation image.

use crate::{
    matlab::{self, Value},
    names,
};
use flate2::read::GzDecoder;
use infomax_sdk::{Error, Result};
use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

const META: &str = "meta.mat";
const TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
const ARCHIVE: &str = "ILSVRC2012_devkit_t12.tar.gz";
/// Where the two files lie below a folder that has the kit.
const PLACES: [&str; 6] = ["", "data", "ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "devkit/data", "devkit"];
const LARGEST: u64 = 1 << 26;

/// The two files of a kit.
pub(super) struct Devkit {
    /// The file of numbers, or the archive.
    pub place: PathBuf,
    meta: Vec<u8>,
    truth: Vec<u8>,
}

impl Devkit {
    /// The kit that lies in a folder around a split's, if there is one.
    pub fn near(split: &Path) -> Result<Option<Self>> {
        for above in split.ancestors().skip(1).take(4) {
            let both = PLACES.map(|place| (above.join(place).join(META), above.join(place).join(TRUTH)));
            if let Some((meta, truth)) = both.into_iter().find(|(meta, truth)| meta.is_file() && truth.is_file()) {
                return Ok(Some(Self { meta: read(&meta)?, truth: read(&truth)?, place: truth }));
            }
            let archive = above.join(ARCHIVE);
            if archive.is_file() {
                return Self::packed(archive).map(Some);
            }
        }
        Ok(None)
    }

    fn packed(place: PathBuf) -> Result<Self> {
        let fail = |cause: std::io::Error| {
            let error = Error::data(format!("can't read `{}`, which has the labels", names::path(&place)));
            error.caused_by(&cause).hint("download the development kit of ImageNet's task 1 and 2 again")
        };
        let mut archive = tar::Archive::new(GzDecoder::new(File::open(&place).map_err(fail)?));
        let (mut meta, mut truth) = (None, None);
        for entry in archive.entries().map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.path_bytes().into_owned();
            let wanted = if name.ends_with(META.as_bytes()) { &mut meta } else { &mut truth };
            if name.ends_with(META.as_bytes()) || name.ends_with(TRUTH.as_bytes()) {
                let mut bytes = Vec::new();
                entry.take(LARGEST).read_to_end(&mut bytes).map_err(fail)?;
                *wanted = Some(bytes);
            }
        }
        let (Some(meta), Some(truth)) = (meta, truth) else {
            return Err(Error::data(format!("`{}` holds no `{META}` and `{TRUTH}`", names::path(&place))));
        };
        Ok(Self { place, meta, truth })
    }

    /// The class of each validation image, in their order, by its WordNet id.
    pub fn labels(&self) -> Result<Vec<String>> {
        let place = names::path(&self.place);
        let fail =
            |what: String| Error::data(what).hint("the development kit of ImageNet 2012's task 1 and 2 has both files");
        let synsets = matlab::structs(&self.meta, "synsets")
            .map_err(|reason| fail(format!("`{META}` beside `{place}` can't be read: {reason}")))?;
        let classes: HashMap<u64, &str> = synsets
            .iter()
            .filter_map(|synset| match (synset.get("ILSVRC2012_ID")?, synset.get("WNID")?) {
                (Value::Numbers(numbers), Value::Text(id)) => Some((*numbers.first()? as u64, id.as_str())),
                _ => None,
            })
            .collect();
        let text = String::from_utf8_lossy(&self.truth);
        let label = |(line, number): (usize, &str)| {
            let class = number.trim().parse().ok().and_then(|number: u64| classes.get(&number));
            class.map(|class| (*class).to_owned()).ok_or_else(|| {
                fail(format!("{place}: line {line}: `{number}` is the number of none of {} classes", classes.len()))
            })
        };
        (1..).zip(text.lines().filter(|line| !line.trim().is_empty())).map(label).collect()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let fail = |cause| Error::data(format!("can't read `{}`", names::path(path))).caused_by(&cause);
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(LARGEST).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}
