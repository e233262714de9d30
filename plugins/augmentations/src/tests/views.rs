use super::{Picture, evaluation, picture, views};
use crate::{
    config::{Asymmetric, Flip, MultiCrop, NoAugmentation, RandAugment, SimClr},
    none::None,
    views::Views,
};
use infomax_image::{
    Rgb8,
    operations::{flip_horizontal, grayscale},
};
use infomax_sdk::{Augmentation, Key, views::random_region};

/// SimCLR's with every operation off.
fn plain(size: u32) -> SimClr {
    SimClr {
        size,
        crop: false,
        flip: Flip::Off,
        jitter_probability: 0.0,
        grayscale_probability: 0.0,
        blur_probability: Some(0.0),
        solarise_probability: 0.0,
        ..Default::default()
    }
}

/// How many of the first views of 1000 keys differ from the image.
fn changed<A: Augmentation>(config: &A::Config, view: usize) -> usize {
    let image = picture(32, 32);
    (0..1000).filter(|&key| views::<A>(config, &image, Key::new(key))[view] != image.pixels).count()
}

fn same_by_key<A: Augmentation>(config: &A::Config) {
    let image = picture(90, 70);
    let key = Key::new(3).purpose("augment").fold(11);
    let first = views::<A>(config, &image, key);
    assert_eq!(first, views::<A>(config, &image, key));
    assert_ne!(first, views::<A>(config, &image, key.fold(1)));
    assert_ne!(first[0], first[1], "the views of one image are drawn apart");
}

#[test]
fn the_same_key_gives_the_same_views_and_another_gives_others() {
    for size in [32, 48] {
        same_by_key::<Views<SimClr>>(&SimClr { size, ..Default::default() });
        same_by_key::<Views<Asymmetric>>(&Asymmetric { size, ..Default::default() });
        same_by_key::<Views<MultiCrop>>(&MultiCrop { size, ..Default::default() });
        same_by_key::<Views<RandAugment>>(&RandAugment { size, ..Default::default() });
    }
}

#[test]
fn switched_off_it_is_the_view_of_evaluation() {
    for size in [32, 64] {
        let image = picture(90, 70);
        let eval = evaluation::<Views<SimClr>>(&plain(size), &image);
        for key in 0..8 {
            assert_eq!(views::<Views<SimClr>>(&plain(size), &image, Key::new(key)), [eval.clone(), eval.clone()]);
        }
    }
    assert_eq!(changed::<Views<SimClr>>(&plain(32), 0), 0, "nothing but a copy");
}

#[test]
fn each_operation_alone_changes_views_and_its_switch_ends_that() {
    let off = plain(32);
    let on: [(&str, SimClr); 6] = [
        ("crop", SimClr { crop: true, ..off.clone() }),
        ("flip", SimClr { flip: Flip::Independent, ..off.clone() }),
        ("jitter", SimClr { jitter_probability: 1.0, ..off.clone() }),
        ("grayscale", SimClr { grayscale_probability: 1.0, ..off.clone() }),
        ("blur", SimClr { blur_probability: Some(1.0), blur_sigma: [1.0, 2.0], ..off.clone() }),
        ("solarise", SimClr { solarise_probability: 1.0, ..off.clone() }),
    ];
    for (name, config) in &on {
        let changed = changed::<Views<SimClr>>(config, 0);
        let expected = if *name == "flip" { 450..550 } else { 990..1001 };
        assert!(expected.contains(&changed), "`{name}` changes {changed} of 1000 views");
    }
    let strengthless = SimClr { jitter_strength: Some(0.0), ..on[2].1.clone() };
    assert_eq!(changed::<Views<SimClr>>(&strengthless, 0), 0, "a jitter of no strength");
}

#[test]
fn an_operation_switched_off_leaves_the_others_draws() {
    let image = picture(100, 80);
    let all = SimClr {
        size: 64,
        jitter_probability: 0.0,
        grayscale_probability: 1.0,
        blur_probability: Some(0.0),
        ..Default::default()
    };
    let without = SimClr { grayscale_probability: 0.0, ..all.clone() };
    for key in (0..20).map(Key::new) {
        let mut ours = views::<Views<SimClr>>(&without, &image, key);
        ours.iter_mut().for_each(|view| grayscale(view));
        assert_eq!(ours, views::<Views<SimClr>>(&all, &image, key), "the same crop and flip");
    }
}

#[test]
fn probabilities_are_kept() {
    let near = |count: usize, probability: f64| (count as f64 / 1000.0 - probability).abs() < 0.045; // three deviations
    for probability in [0.2, 0.5, 0.8] {
        for config in [
            SimClr { jitter_probability: probability, ..plain(32) },
            SimClr { grayscale_probability: probability, ..plain(32) },
            SimClr { blur_probability: Some(probability), blur_sigma: [0.5, 2.0], ..plain(32) },
            SimClr { solarise_probability: probability, ..plain(32) },
        ] {
            let count = changed::<Views<SimClr>>(&config, 1);
            assert!(near(count, probability), "{count} of 1000 instead of {probability}: {config:?}");
        }
    }
}

#[test]
fn blur_and_solarising_differ_between_asymmetric_views() {
    let off = Asymmetric {
        crop: false,
        flip: Flip::Off,
        jitter_probability: 0.0,
        grayscale_probability: 0.0,
        blur_probability: Some([0.0, 0.0]),
        solarise_probability: [0.0, 0.0],
        ..Default::default()
    };
    let blurred = Asymmetric { blur_probability: Some([1.0, 0.1]), blur_sigma: [0.5, 2.0], ..off.clone() };
    let solarised = Asymmetric { solarise_probability: [0.0, 0.2], ..off };
    let counts = |config: &Asymmetric| [0, 1].map(|view| changed::<Views<Asymmetric>>(config, view));
    let [one, two] = counts(&blurred);
    assert!(one == 1000 && (70..130).contains(&two), "blurred: {one} and {two}");
    let [one, two] = counts(&solarised);
    assert!(one == 0 && (160..240).contains(&two), "solarised: {one} and {two}");
}

#[test]
fn a_shared_flip_is_shared_and_an_independent_one_is_not() {
    let image = picture(32, 32);
    let mut mirrored = Rgb8 { width: 32, height: 32, pixels: image.pixels.clone() };
    flip_horizontal(&mut mirrored.as_mut());
    let differing = |flip| {
        let of = |key| views::<Views<SimClr>>(&SimClr { flip, ..plain(32) }, &image, Key::new(key));
        let pairs: Vec<Vec<Vec<u8>>> = (0..400).map(of).collect();
        assert!(pairs.iter().flatten().all(|view| *view == image.pixels || *view == mirrored.pixels));
        pairs.iter().filter(|pair| pair[0] != pair[1]).count()
    };
    assert_eq!(differing(Flip::Shared), 0);
    assert!((160..240).contains(&differing(Flip::Independent)));
}

#[test]
fn crops_cover_the_range_of_areas_and_aspects() {
    let (mut areas, mut aspects) = (Vec::new(), Vec::new());
    for key in 0..4000 {
        let region = random_region(600, 600, [0.08, 1.0], [0.75, 4.0 / 3.0], &mut Key::new(key).rng());
        areas.push(f64::from(region.width * region.height) / 360_000.0);
        aspects.push(f64::from(region.width) / f64::from(region.height));
    }
    let ends = |numbers: &[f64]| {
        numbers.iter().fold([f64::MAX, f64::MIN], |[low, high], &number| [low.min(number), high.max(number)])
    };
    let ([smallest, largest], [narrow, wide]) = (ends(&areas), ends(&aspects));
    assert!((0.078..0.09).contains(&smallest) && (0.97..=1.0).contains(&largest), "{smallest} {largest}");
    assert!((0.74..0.77).contains(&narrow) && (1.3..1.35).contains(&wide), "{narrow} {wide}");
    // Below 0.5 every aspect fits, so nothing is drawn again: the share there is that of a uniform, over those that fit.
    let below = |limit: f64| areas.iter().filter(|&&area| area < limit).count() as f64;
    let ratio = below(0.29) / below(0.5);
    assert!((ratio - 0.5).abs() < 0.04, "{ratio}");
}

#[test]
fn multi_crop_gives_two_large_views_and_the_small_ones() {
    let config = MultiCrop { size: 40, local_crops: 3, local_size: 24, ..Default::default() };
    let description = Views::<MultiCrop>::describe(&config).expect("a config that works");
    let listed: Vec<(&str, u32, u32)> = description.views.iter().map(|v| (v.name.as_str(), v.width, v.group)).collect();
    let local = |name| (name, 24, 1);
    assert_eq!(listed, [("global1", 40, 0), ("global2", 40, 0), local("local1"), local("local2"), local("local3")]);
    let made = views::<Views<MultiCrop>>(&config, &picture(80, 60), Key::new(1));
    assert!(made.iter().all(|view| view.iter().any(|&value| value != 0)), "every view is written");
    assert_ne!(made[2], made[3]);
}

#[test]
fn normalisation_follows_the_size_unless_it_is_given() {
    let describe = |config: &SimClr| Views::<SimClr>::describe(config).expect("a config that works");
    assert!((describe(&plain(32)).mean[0] - 125.3 / 255.0).abs() < 1e-9);
    assert_eq!(describe(&plain(96)).std, [0.229, 0.224, 0.225]);
    let given = SimClr { mean: Some([0.5; 3]), std: Some([0.25; 3]), ..plain(32) };
    assert_eq!((describe(&given).mean, describe(&given).std), ([0.5; 3], [0.25; 3]));
}

#[test]
fn d10_odd_sizes_never_panic() {
    for (width, height) in [(1, 1), (1, 20_000), (20_000, 1), (2, 2), (31, 33), (32, 1), (500, 3)] {
        let image = picture(width, height);
        let off: Picture = picture(width, height);
        for key in (0..4).map(Key::new) {
            for size in [1, 32, 64] {
                views::<Views<SimClr>>(
                    &SimClr { size, blur_probability: Some(1.0), ..Default::default() },
                    &image,
                    key,
                );
                views::<Views<RandAugment>>(&RandAugment { size, operations: 8, ..Default::default() }, &image, key);
            }
            views::<Views<MultiCrop>>(&MultiCrop::default(), &image, key);
        }
        let made = views::<None>(&NoAugmentation::default(), &off, Key::new(0));
        assert_eq!(made[0], made[1]);
    }
}

#[test]
fn a_config_that_cannot_work_is_named() {
    let message = |config: SimClr| Views::<SimClr>::describe(&config).expect_err("refused").message;
    assert_eq!(message(SimClr { size: 0, ..plain(32) }), "`size` is `0`");
    assert_eq!(message(SimClr { crop_area: [0.9, 0.3], ..plain(32) }), "`crop_area` is `[0.9, 0.3]`");
    assert_eq!(message(SimClr { blur_sigma: [-1.0, 2.0], ..plain(32) }), "`blur_sigma` is `[-1, 2]`");
    assert_eq!(message(SimClr { hue: f64::NAN, ..plain(32) }), "`hue` is `NaN`");
    assert_eq!(message(SimClr { solarise_probability: 1.5, ..plain(32) }), "`solarise_probability` is `1.5`");
    assert!(message(SimClr { std: Some([0.2, 0.0, 0.2]), ..plain(32) }).starts_with("`std` holds"));
    let local = MultiCrop { local_size: 0, ..Default::default() };
    assert_eq!(Views::<MultiCrop>::describe(&local).expect_err("refused").message, "`local_size` is `0`");
}
