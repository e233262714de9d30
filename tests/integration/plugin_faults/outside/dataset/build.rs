//! Writes the plugin's manifest.

/// A dataset without settings.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoConfig {}

fn main() {
    infomax_manifest::Builder::new().dataset::<NoConfig>("numbers", "Six grey pixels").write();
}
