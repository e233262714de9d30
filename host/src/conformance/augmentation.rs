//! Checks of an augmentation: it writes every byte, by its key alone, for any image.

use super::{
    batch::Batch,
    subject::{Subject, all, no_panic, said, take},
};
use infomax_abi::{FfiAugmentation, FfiImage, FfiView};
use infomax_sdk::{AugmentationDescription, Error, ErrorKind, Key};
use std::thread;

const SIZES: [[u32; 2]; 6] = [[32, 32], [96, 64], [33, 180], [1, 1], [1, 200], [200, 2]];

pub(super) fn check(subject: &mut Subject<'_>) {
    let text = serde_json::to_string(&subject.request()).expect("a request is plain data");
    let described = subject.describe(&subject.request()).map_err(said);
    let description = described
        .and_then(|value| serde_json::from_value::<AugmentationDescription>(value).map_err(|error| error.to_string()));
    let description = match description.and_then(|d| sensible(&d).map(|()| d)) {
        Ok(description) => description,
        Err(message) => return subject.verdict::<()>("description", Err(message)),
    };
    subject.verdict("description", Ok(()));
    let made = take(subject.module.create_augmentation()(subject.name.as_str().into(), text.as_str().into()));
    let augmentation = match made {
        Ok(augmentation) => augmentation,
        Err(error) => return subject.verdict::<()>("creation", Err(error.to_string())),
    };
    subject.verdict("creation", Ok(()));
    let under_test = UnderTest { augmentation: &augmentation, description: &description };
    subject.verdict("every byte, by the key alone", under_test.writes_by_key());
    subject.verdict("several threads", under_test.many_threads());
    subject.verdict("any image", under_test.any_image());
    if let Some(batch) = Batch::of(&augmentation, &description) {
        let sizes = [&[under_test.usual()][..], &SIZES].concat();
        subject.verdict("views in batch", batch.equals_one_by_one(&sizes));
    }
    subject.verdict("drop", take(augmentation.vtable.drop()(augmentation.instance)).map_err(said));
}

fn sensible(description: &AugmentationDescription) -> Result<(), String> {
    if description.views.is_empty() {
        return Err("it makes no view".to_owned());
    }
    if description.std.iter().any(|&std| std.is_nan() || std <= 0.0) || description.mean.iter().any(|m| !m.is_finite())
    {
        return Err(format!("it normalises by mean {:?} and std {:?}", description.mean, description.std));
    }
    let sizes = description.views.iter().map(|view| [view.height, view.width]).chain([description.eval_size]);
    all(sizes.map(|size| if size.contains(&0) { Err("a view has no pixels".to_owned()) } else { Ok(()) }))
}

struct UnderTest<'a> {
    augmentation: &'a FfiAugmentation,
    description: &'a AugmentationDescription,
}

// SAFETY: an augmentation is `Sync` on the plugin's side, by the bound of the author's trait.
unsafe impl Sync for UnderTest<'_> {}

impl UnderTest<'_> {
    /// An image of the first view's size: one that every augmentation takes.
    fn usual(&self) -> [u32; 2] {
        let view = &self.description.views[0];
        [view.width, view.height]
    }

    /// All training views of an image, into buffers that hold `fill` before.
    fn train(&self, [width, height]: [u32; 2], key: Key, fill: u8) -> Result<Vec<Vec<u8>>, Error> {
        let pixels = noise(width, height);
        let sizes = || self.description.views.iter().map(|view| [view.width, view.height]);
        let mut buffers: Vec<Vec<u8>> = sizes().map(|[w, h]| vec![fill; (w * h * 3) as usize]).collect();
        let mut views: Vec<FfiView<'_>> = sizes()
            .zip(&mut buffers)
            .map(|([width, height], buffer)| FfiView { width, height, pixels: buffer.as_mut_slice().into() })
            .collect();
        let image = FfiImage { width, height, pixels: pixels.as_slice().into() };
        let [a, b] = key.0;
        let call = self.augmentation.vtable.train_views();
        take(call(self.augmentation.instance, image, a, b, views.as_mut_slice().into()))?;
        drop(views);
        Ok(buffers)
    }

    fn eval(&self, [width, height]: [u32; 2], fill: u8) -> Result<Vec<u8>, Error> {
        let pixels = noise(width, height);
        let [eval_height, eval_width] = self.description.eval_size;
        let mut buffer = vec![fill; (eval_width * eval_height * 3) as usize];
        let view = FfiView { width: eval_width, height: eval_height, pixels: buffer.as_mut_slice().into() };
        let image = FfiImage { width, height, pixels: pixels.as_slice().into() };
        take(self.augmentation.vtable.eval_view()(self.augmentation.instance, image, view))?;
        Ok(buffer)
    }

    fn writes_by_key(&self) -> Result<(), String> {
        for number in 0..8 {
            let key = Key::new(5).fold(number);
            let train = |fill| self.train(self.usual(), key, fill).map_err(said);
            if train(0)? != train(255)? {
                return Err("one key gives different views, or a byte is not written".to_owned());
            }
        }
        let eval = |fill| self.eval(self.usual(), fill).map_err(said);
        if eval(0)? != eval(255)? {
            return Err("the view for evaluation differs from call to call, or a byte is not written".to_owned());
        }
        Ok(())
    }

    fn many_threads(&self) -> Result<(), String> {
        let keys: Vec<Key> = (0..16).map(|number| Key::new(6).fold(number)).collect();
        let alone: Vec<_> = keys.iter().map(|&key| self.train(self.usual(), key, 0).map_err(said)).collect();
        let together: Vec<_> = thread::scope(|scope| {
            let started: Vec<_> =
                keys.iter().map(|&key| scope.spawn(move || self.train(self.usual(), key, 0).map_err(said))).collect();
            started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a panic".to_owned()))).collect()
        });
        if alone != together { Err("views differ where several threads make them".to_owned()) } else { Ok(()) }
    }

    /// Small, flat and tall images: views or a refusal of the image, never a panic.
    fn any_image(&self) -> Result<(), String> {
        all(SIZES.into_iter().map(|size| {
            let [width, height] = size;
            let what = format!("an image of {width}×{height}");
            let answers = [self.train(size, Key::new(7), 0).map(drop), self.eval(size, 0).map(drop)];
            all(answers.iter().map(|answer| {
                no_panic(&what, answer)?;
                match answer {
                    Err(error) if error.kind != ErrorKind::Data => {
                        Err(format!("{what} is to be refused as a data error, it says: {error}"))
                    }
                    _ => Ok(()),
                }
            }))
        }))
    }
}

/// An image without structure, the same for a size.
fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut rng = Key::new(u64::from(width) << 32 | u64::from(height)).rng();
    (0..width * height * 3).map(|_| rng.below(256) as u8).collect()
}
