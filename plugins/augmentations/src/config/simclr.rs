//! The `config` table of `simclr`.

views_config! {
    /// SimCLR's pair: both views of an image are drawn alike.
    SimClr {
        /// Probability that a view is blurred. Without a value: 0 up to 32 pixels, else 0.5, as SimCLR has it.
        #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
        blur_probability: Option<f64> = None,
        /// Probability that a view is solarised.
        #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
        solarise_probability: f64 = 0.0,
    }
    common {}
}
