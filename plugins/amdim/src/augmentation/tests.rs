use super::Amdim;
use crate::config::augmentation::{AmdimAugmentation, Flip};
use infomax_sdk::{Augmentation, ImageRef, Key, ViewMut};

struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

fn picture(width: u32, height: u32) -> Picture {
    let pixels = (0..width as usize * height as usize * 3).map(|i| (i * 37 % 251) as u8 ^ (i >> 7) as u8).collect();
    Picture { width, height, pixels }
}

fn views(augmentation: &impl Augmentation, picture: &Picture, size: u32, key: Key) -> [Vec<u8>; 2] {
    let bytes = size as usize * size as usize * 3;
    let (mut one, mut two) = (vec![0; bytes], vec![0; bytes]);
    let mut views = [&mut one, &mut two].map(|pixels| ViewMut { width: size, height: size, pixels });
    augmentation.train_views(as_ref(picture), key, &mut views).expect("views of any image");
    [one, two]
}

fn as_ref(picture: &Picture) -> ImageRef<'_> {
    ImageRef { width: picture.width, height: picture.height, pixels: &picture.pixels }
}

fn plain(size: u32) -> AmdimAugmentation {
    let config = AmdimAugmentation { size, crop: false, jitter: false, flip: Flip::Off, ..Default::default() };
    AmdimAugmentation { grayscale_probability: 0.0, ..config }
}

fn mirrored(pixels: &[u8], size: usize) -> Vec<u8> {
    let mut mirrored = Vec::with_capacity(pixels.len());
    for row in pixels.chunks_exact(size * 3) {
        row.rchunks_exact(3).for_each(|pixel| mirrored.extend_from_slice(pixel));
    }
    mirrored
}

#[test]
fn the_same_key_gives_the_same_views_and_another_gives_others() {
    for size in [32, 64, 128] {
        let amdim = Amdim::create(&AmdimAugmentation { size, ..Default::default() }).expect("a config");
        let image = picture(90, 70);
        let key = Key::new(3).purpose("augment").fold(11);
        let first = views(&amdim, &image, size, key);
        assert_eq!(first, views(&amdim, &image, size, key));
        assert_ne!(first, views(&amdim, &image, size, key.fold(1)));
        assert_ne!(first[0], first[1], "the views of one image are drawn apart");
    }
}

#[test]
fn switched_off_it_is_the_view_of_evaluation() {
    for size in [32, 64, 128] {
        let amdim = Amdim::create(&plain(size)).expect("a config");
        let image = picture(90, 70);
        let mut eval = vec![0; size as usize * size as usize * 3];
        let mut view = ViewMut { width: size, height: size, pixels: &mut eval };
        amdim.eval_view(as_ref(&image), &mut view).expect("a view");
        for key in 0..8 {
            assert_eq!(views(&amdim, &image, size, Key::new(key)), [eval.clone(), eval.clone()]);
        }
    }
    let amdim = Amdim::create(&plain(32)).expect("a config");
    let image = picture(32, 32);
    assert_eq!(views(&amdim, &image, 32, Key::new(1))[0], image.pixels, "nothing but a copy");
}

#[test]
fn a_shared_flip_is_shared_and_an_independent_one_is_not() {
    let image = picture(32, 32);
    let flipped = mirrored(&image.pixels, 32);
    let count = |flip: Flip| {
        let amdim = Amdim::create(&AmdimAugmentation { flip, ..plain(32) }).expect("a config");
        let mut flips = [0; 3];
        for key in 0..200 {
            let which = views(&amdim, &image, 32, Key::new(key)).map(|view| {
                assert!(view == image.pixels || view == flipped);
                usize::from(view == flipped)
            });
            flips[0] += which[0];
            flips[1] += which[1];
            flips[2] += which[0] ^ which[1];
        }
        flips
    };
    assert_eq!(count(Flip::Off), [0, 0, 0]);
    let shared = count(Flip::Shared);
    assert!((70..130).contains(&shared[0]) && shared[2] == 0, "{shared:?}");
    let independent = count(Flip::Independent);
    assert!((70..130).contains(&independent[1]) && (70..130).contains(&independent[2]), "{independent:?}");
}

#[test]
fn switching_the_jitter_off_leaves_the_crops() {
    let image = picture(100, 80);
    let still = AmdimAugmentation { size: 64, jitter: false, grayscale_probability: 0.0, ..Default::default() };
    let never = AmdimAugmentation { jitter: true, jitter_probability: 0.0, ..still.clone() };
    let [still, never] = [still, never].map(|config| Amdim::create(&config).expect("a config"));
    assert_eq!(views(&still, &image, 64, Key::new(5)), views(&never, &image, 64, Key::new(5)));
}

#[test]
fn probabilities_are_kept() {
    let image = picture(32, 32);
    let amdim = Amdim::create(&AmdimAugmentation { grayscale_probability: 0.25, ..plain(32) }).expect("a config");
    let gray = |view: &Vec<u8>| view.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
    let count = (0..1000).filter(|&key| gray(&views(&amdim, &image, 32, Key::new(key))[0])).count();
    assert!((200..300).contains(&count), "{count} of 1000");
}

#[test]
fn d10_odd_sizes_never_panic() {
    for (width, height) in [(1, 1), (1, 20_000), (20_000, 1), (2, 2), (31, 33), (32, 1), (500, 3)] {
        let image = picture(width, height);
        for size in [32, 64, 128] {
            let amdim = Amdim::create(&AmdimAugmentation { size, ..Default::default() }).expect("a config");
            for key in 0..4 {
                views(&amdim, &image, size, Key::new(key));
            }
        }
    }
}

#[test]
fn d10_an_image_without_pixels_is_an_error() {
    let amdim = Amdim::create(&AmdimAugmentation::default()).expect("a config");
    for (width, height, length) in [(0, 0, 0), (0, 5, 0), (4, 4, 47)] {
        let pixels = vec![0; length];
        let mut out = vec![0; 3072];
        let mut view = ViewMut { width: 32, height: 32, pixels: &mut out };
        assert!(amdim.eval_view(ImageRef { width, height, pixels: &pixels }, &mut view).is_err());
    }
}

#[test]
fn a_config_that_cannot_work_is_named() {
    let message = |config: AmdimAugmentation| Amdim::describe(&config).expect_err("refused").message;
    assert_eq!(message(AmdimAugmentation { size: 48, ..Default::default() }), "`size` is `48`");
    let crop_area = [0.9, 0.3];
    assert_eq!(message(AmdimAugmentation { crop_area, ..Default::default() }), "`crop_area` is `[0.9, 0.3]`");
    assert_eq!(message(AmdimAugmentation { hue: Some(f64::NAN), ..Default::default() }), "`hue` is `NaN`");
}
