//! The `config` table of `asymmetric`.

views_config! {
    /// BYOL's pair: blur and solarising differ between the views. At 32 pixels the defaults are solo-learn's for CIFAR.
    Asymmetric {
        /// Probability that the first view is blurred, and the second. Without a value: 0 and 0 up to 32 pixels, else 1
        /// and 0.1, as BYOL has it.
        #[schemars(inner(range(min = 0.0, max = 1.0)), extend("unit" = "dimensionless"))]
        blur_probability: Option<[f64; 2]> = None,
        /// Probability that the first view is solarised, and the second.
        #[schemars(inner(range(min = 0.0, max = 1.0)), extend("unit" = "dimensionless"))]
        solarise_probability: [f64; 2] = [0.0, 0.2],
    }
    common {
        brightness: 0.4, // BYOL, table 6, as the four below
        contrast: 0.4,
        saturation: 0.2,
        hue: 0.1,
        jitter_strength: Some(1.0),
    }
}
