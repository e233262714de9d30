//! Weights from elsewhere: the published code's checkpoints (`published`), files that are not what they say or mean harm
//! (`hostile`), those of other libraries (`libraries`), and the commands that read and write them (`commands`).

mod commands;
mod hostile;
mod libraries;
mod pickles;
mod published;
mod round_trip;
mod variants;
mod vits;
