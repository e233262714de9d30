//! The `config` table of `randaugment`.

views_config! {
    /// Two views by RandAugment after crop and flip. Jitter, grayscale, blur and solarising come before it where their
    /// probabilities are set.
    RandAugment {
        /// Operations in a row.
        #[schemars(range(min = 0, max = 14), extend("unit" = "operations"))]
        operations: u32 = 2,
        /// Strength of every operation, of 30.
        #[schemars(range(min = 0, max = 30), extend("unit" = "dimensionless"))]
        magnitude: u32 = 9,
        /// Red, green and blue of what comes in from outside.
        #[schemars(extend("unit" = "dimensionless"))]
        fill: [u8; 3] = [0, 0, 0],
        /// Probability that a view is blurred.
        #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
        blur_probability: f64 = 0.0,
        /// Probability that a view is solarised.
        #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
        solarise_probability: f64 = 0.0,
    }
    common {
        jitter_probability: 0.0,
        grayscale_probability: 0.0,
    }
}
