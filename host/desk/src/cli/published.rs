//! The flags of the published training script, which work as they stand and set keys of the config.

use crate::config::{Flag, FlagValue, PublishedDataset, PublishedDefaults};
use clap::{Args, builder::PossibleValuesParser};

/// The published script's flags. Without a config file its defaults hold; with one, only the flags that are given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "As the published AMDIM script")]
pub struct PublishedArguments {
    /// The dataset, with its folder names and the size of its views
    #[arg(long, value_name = "NAME")]
    #[arg(value_parser = PossibleValuesParser::new(PublishedDataset::ALL.map(PublishedDataset::name)))]
    dataset: Option<String>,
    /// The folder that holds the dataset's archive, or `ILSVRC2012_img_train/` and `ILSVRC2012_img_val/` and the like
    #[arg(long = "input_dir", alias = "input-dir", value_name = "DIR")]
    input_dir: Option<String>,
    /// Channels of the encoder's first layer
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    ndf: Option<String>,
    /// Channels of its feature maps
    #[arg(long = "n_rkhs", alias = "n-rkhs", value_name = "N", allow_hyphen_values = true)]
    n_rkhs: Option<String>,
    /// Residual layers in each of its stacks
    #[arg(long = "n_depth", visible_alias = "res_depth", aliases = ["n-depth", "res-depth"])]
    #[arg(value_name = "N", allow_hyphen_values = true)]
    n_depth: Option<String>,
    /// Whether to normalise inside its residual blocks too
    #[arg(long = "use_bn", alias = "use-bn", value_name = "0|1", value_parser = PossibleValuesParser::new(["0", "1"]))]
    use_bn: Option<String>,
    /// Scores are squashed to ± this
    #[arg(long, value_name = "C", allow_hyphen_values = true)]
    tclip: Option<String>,
    /// Images per update, over all devices
    #[arg(long = "batch_size", alias = "batch-size", value_name = "N", allow_hyphen_values = true)]
    batch_size: Option<String>,
    /// Learning rate after the warm-up
    #[arg(long = "learning_rate", alias = "learning-rate", value_name = "LR", allow_hyphen_values = true)]
    learning_rate: Option<String>,
    /// Where all randomness comes from
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    seed: Option<String>,
    /// Train classifiers alone, on a frozen encoder
    #[arg(long, visible_alias = "finetune")]
    classifiers: bool,
    /// The encoder to start from: a published `.pth`, a `.safetensors`, a checkpoint directory or a run directory
    #[arg(long = "cpt_load_path", visible_alias = "checkpoint_path", value_name = "PATH")]
    #[arg(aliases = ["cpt-load-path", "checkpoint-path"])]
    cpt_load_path: Option<String>,
    /// The folder that holds run directories
    #[arg(long = "output_dir", alias = "output-dir", value_name = "DIR")]
    output_dir: Option<String>,
    /// The run directory's name; a fresh numbered one where not given
    #[arg(long = "run_name", alias = "run-name", value_name = "NAME", allow_hyphen_values = true)]
    run_name: Option<String>,
}

impl PublishedArguments {
    /// Whether none of the flags is given.
    pub fn are_empty(&self) -> bool {
        self.first().is_none()
    }

    /// One of the flags that are given.
    pub fn first(&self) -> Option<&'static str> {
        self.dataset.as_ref().map(|_| "--dataset").or_else(|| self.flags().first().map(|flag| flag.name))
    }

    /// What holds where no config file is given; none where no flag is either.
    pub fn defaults(&self) -> Option<PublishedDefaults> {
        let dataset = self.dataset().unwrap_or(PublishedDataset::C10);
        (!self.are_empty()).then_some(PublishedDefaults { dataset, classifiers: self.classifiers })
    }

    /// The dataset that is given.
    pub fn dataset(&self) -> Option<PublishedDataset> {
        PublishedDataset::ALL.into_iter().find(|dataset| self.dataset.as_deref() == Some(dataset.name()))
    }

    /// Each other flag that is given, with the key that it sets.
    pub fn flags(&self) -> Vec<Flag> {
        let use_bn = self.use_bn.as_deref().map(|given| (given == "1").to_string());
        let values = [
            ("--ndf", "encoder.config.ndf", &self.ndf),
            ("--n_rkhs", "encoder.config.n_rkhs", &self.n_rkhs),
            ("--n_depth", "encoder.config.depth", &self.n_depth),
            ("--use_bn", "encoder.config.use_bn", &use_bn),
            ("--tclip", "loss.config.tclip", &self.tclip),
            ("--batch_size", "train.batch_size", &self.batch_size),
            ("--learning_rate", "optimizer.lr", &self.learning_rate),
            ("--seed", "train.seed", &self.seed),
        ];
        let stage = self.classifiers.then(|| "classifiers".to_owned());
        let texts = [
            ("--input_dir", "dataset.config.root", &self.input_dir),
            ("--classifiers", "train.stage", &stage),
            ("--cpt_load_path", "encoder.weights", &self.cpt_load_path),
            ("--output_dir", "record.run_directory", &self.output_dir),
            ("--run_name", "record.name", &self.run_name),
        ];
        let values = values.map(|(name, key, given)| (name, key, given.clone().map(FlagValue::Toml)));
        let texts = texts.map(|(name, key, given)| (name, key, given.clone().map(FlagValue::Text)));
        let given = values.into_iter().chain(texts);
        given.filter_map(|(name, key, value)| value.map(|value| Flag { name, key, value })).collect()
    }
}
