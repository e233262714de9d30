//! The `config` table of `multi-crop`.

views_config! {
    /// SwAV's views: two large crops and several small ones.
    MultiCrop {
        /// Number of small crops.
        #[schemars(range(min = 0, max = 62), extend("unit" = "crops"))]
        local_crops: u32 = 6,
        /// Side of a small crop in pixels.
        #[schemars(range(min = 1, max = 4096), extend("unit" = "pixels"))]
        local_size: u32 = 16,
        /// Smallest and largest share of the image's area in a small crop.
        #[schemars(inner(range(min = 0.0001, max = 1.0)), extend("unit" = "dimensionless"))]
        local_crop_area: [f64; 2] = [0.05, 0.14],
        /// Probability that a view is blurred. Without a value: 0 up to 32 pixels, else 0.5.
        #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
        blur_probability: Option<f64> = None,
        /// Probability that a view is solarised.
        #[schemars(range(min = 0.0, max = 1.0), extend("unit" = "dimensionless"))]
        solarise_probability: f64 = 0.0,
    }
    common {
        crop_area: [0.14, 1.0], // SwAV, appendix A, as the small crops' size and area
    }
}
