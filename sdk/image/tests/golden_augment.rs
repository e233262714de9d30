//! Pillow's and torchvision's recorded outputs: at most 2/255 at every pixel and 0.5/255 on average.

use infomax_image::{DecodeOptions, Rgb8, Rgb8Ref, decode, operations as ops};
use safetensors::{Dtype, SafeTensors};
use std::{fs, path::PathBuf};

const MAX_ABSOLUTE: u8 = 2;
const MAX_MEAN: f64 = 0.5;

struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("a safetensors file")
    }
}

/// Every file `augment*.safetensors` in the folder of recorded numbers; none, and a line that says so, without it.
fn files() -> Vec<Golden> {
    let shared = std::env::var_os("INFOMAX_SHARED").map_or_else(
        || [env!("CARGO_MANIFEST_DIR"), "..", "..", "..", "shared"].iter().collect::<PathBuf>(),
        PathBuf::from,
    );
    let folder = shared.join("golden");
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no folder `{}`; set INFOMAX_SHARED", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("augment") && name.ends_with(".safetensors")
    });
    if paths.is_empty() {
        eprintln!("SKIPPED: no `augment*.safetensors` in `{}`", folder.display());
    }
    paths.iter().map(|path| Golden { bytes: fs::read(path).expect("a readable file") }).collect()
}

/// Largest and mean difference over one operation.
#[derive(Default)]
struct Differences {
    compared: usize,
    largest: u8,
    sum: u64,
    values: u64,
}

impl Differences {
    fn add(&mut self, name: &str, ours: &[u8], theirs: &[u8]) {
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let differences = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
        let largest = differences().max().unwrap_or(0);
        let sum = differences().map(u64::from).sum::<u64>();
        let mean = sum as f64 / ours.len() as f64;
        assert!(largest <= MAX_ABSOLUTE && mean <= MAX_MEAN, "{name}: largest {largest}, mean {mean:.3}");
        self.compared += 1;
        self.largest = self.largest.max(largest);
        self.sum += sum;
        self.values += ours.len() as u64;
    }

    fn report(&self, operation: &str) {
        let mean = self.sum as f64 / self.values.max(1) as f64;
        eprintln!("{operation}: {} images, largest {}/255, mean {mean:.5}/255", self.compared, self.largest);
    }
}

fn image(tensors: &SafeTensors<'_>, name: &str) -> Rgb8 {
    let tensor = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(tensor.dtype(), Dtype::U8, "{name}");
    let &[height, width, 3] = tensor.shape() else { panic!("{name}: shape {:?}", tensor.shape()) };
    Rgb8 { width: width as u32, height: height as u32, pixels: tensor.data().to_vec() }
}

/// The parts of every name that begins with `prefix/`, except the input images.
fn names(tensors: &SafeTensors<'_>, prefix: &str) -> Vec<Vec<String>> {
    let mut names: Vec<Vec<String>> = tensors
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix(prefix)?.strip_prefix('/'))
        .map(|rest| rest.split('/').map(str::to_owned).collect())
        .filter(|parts: &Vec<String>| parts[0] != "image" && parts.last().is_none_or(|last| last != "box"))
        .collect();
    names.sort();
    names
}

fn each(prefix: &str, mut check: impl FnMut(&SafeTensors<'_>, &[String]) -> Rgb8) {
    let mut differences = Differences::default();
    for file in files() {
        let tensors = file.tensors();
        for parts in names(&tensors, prefix) {
            let name = format!("{prefix}/{}", parts.join("/"));
            differences.add(&name, &check(&tensors, &parts).pixels, &image(&tensors, &name).pixels);
        }
    }
    differences.report(prefix);
}

fn each_factor(prefix: &str, operation: impl Fn(&mut [u8], f64)) {
    each(prefix, |tensors, parts| {
        let mut changed = image(tensors, &format!("jitter/image/{}", parts[0]));
        operation(&mut changed.pixels, parts.get(1).map_or(0.0, |factor| factor.parse().expect("a factor")));
        changed
    });
}

#[test]
fn golden_augment_resized_crop() {
    each("resized_crop", |tensors, parts| {
        let region = tensors.tensor(&format!("resized_crop/{}/box", parts[0])).expect("a box for every crop");
        let region: Vec<u32> = region
            .data()
            .chunks_exact(8)
            .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("8 bytes")) as u32)
            .collect();
        let &[index, top, left, height, width] = region.as_slice() else { panic!("{region:?}") };
        let size = parts[1].parse().expect("a size");
        let mut view = Rgb8::new(size, size);
        let source = image(tensors, &format!("image/{index}"));
        ops::resized_crop(source.as_ref(), ops::Region { left, top, width, height }, &mut view.as_mut());
        view
    });
}

#[test]
fn golden_augment_test_views() {
    each("test", |tensors, parts| {
        let (short_side, size) = parts[1].split_once('_').expect("two sizes");
        let (short_side, size) = (short_side.parse().expect("a size"), size.parse().expect("a size"));
        let mut view = Rgb8::new(size, size);
        let source = image(tensors, &format!("image/{}", parts[0]));
        ops::resize_centre_crop(source.as_ref(), short_side, &mut view.as_mut());
        view
    });
}

#[test]
fn golden_augment_brightness() {
    each_factor("brightness", |pixels, factor| ops::brightness(pixels, factor as f32));
}

#[test]
fn golden_augment_contrast() {
    each_factor("contrast", |pixels, factor| ops::contrast(pixels, factor as f32));
}

#[test]
fn golden_augment_saturation() {
    each_factor("saturation", |pixels, factor| ops::saturation(pixels, factor as f32));
}

#[test]
fn golden_augment_hue() {
    each_factor("hue", ops::hue);
}

#[test]
fn golden_augment_grayscale() {
    each_factor("grayscale", |pixels, _| ops::grayscale(pixels));
}

#[test]
fn golden_augment_jitter_order() {
    each("jitter", |tensors, parts| {
        let mut changed = image(tensors, &format!("jitter/image/{}", parts[0]));
        for operation in parts[1].chars() {
            match operation {
                'b' => ops::brightness(&mut changed.pixels, 1.3),
                'c' => ops::contrast(&mut changed.pixels, 0.7),
                's' => ops::saturation(&mut changed.pixels, 1.35),
                'h' => ops::hue(&mut changed.pixels, -0.08),
                other => panic!("unknown operation `{other}`"),
            }
        }
        changed
    });
}

#[test]
fn golden_augment_translate() {
    each("translate", |tensors, parts| {
        let source = image(tensors, "translate/image");
        let mut moved = Rgb8::new(source.width, source.height);
        let by = |part: &String| part.parse().expect("pixels");
        ops::translate_reflect(source.as_ref(), by(&parts[0]), by(&parts[1]), &mut moved.as_mut());
        moved
    });
}

#[test]
fn golden_augment_jpeg() {
    let mut differences = Differences::default();
    for file in files() {
        let tensors = file.tensors();
        let Ok(bytes) = tensors.tensor("jpeg/bytes") else { continue };
        let decoded = decode(bytes.data(), &DecodeOptions::default()).expect("a sound JPEG");
        let theirs = image(&tensors, "jpeg/pixels");
        assert_eq!((decoded.width, decoded.height), (theirs.width, theirs.height));
        let ours: Rgb8Ref<'_> = decoded.as_ref();
        differences.add("jpeg", ours.pixels, &theirs.pixels);
    }
    differences.report("jpeg");
}
