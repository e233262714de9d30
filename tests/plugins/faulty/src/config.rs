//! The one config of all faulty components: in which callback which fault.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the fault happens and what it is; the default is none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FaultyConfig {
    /// The method that misbehaves.
    pub callback: Callback,
    /// What it does.
    pub fault: Fault,
    /// From which step on, for faults of values.
    pub step: u64,
    /// In which of several processes; in all of them where not given.
    pub rank: Option<u64>,
    /// A file that the first fault makes, and that no other follows.
    pub once: Option<std::path::PathBuf>,
    /// At which steps gradients by hand are infinite, as after an overflow.
    pub overflow_steps: Vec<u64>,
    /// Whether the loss makes its gradients by hand.
    pub by_hand: bool,
}

/// A method of a component.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    #[default]
    Nowhere,
    Describe,
    Create,
    Drop,
    Facts,
    Read,
    Locate,
    Labels,
    TrainViews,
    EvalView,
    Draw,
    BatchViews,
    Forward,
    ForwardBackward,
    BeforeStep,
    AfterUpdate,
    Tensors,
    Save,
    Load,
}

/// A way to misbehave. From `shape` on: values that break the contract.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    #[default]
    None,
    Panic,
    PanicWithNumber,
    TorchError,
    TorchPanic,
    Shape,
    Rank,
    Kind,
    Undefined,
    Missing,
    ViewTooFew,
    Detached,
    /// An operator without a derivative.
    NoDerivative,
    NotANumber,
    TermShape,
    TermKind,
    TermUndefined,
    TermNotANumber,
    GradientShape,
    GradientMissing,
    NoGradLeft,
    ThreadsLeft,
    AutocastLeft,
    Replaced,
    /// The process is killed, as from outside.
    Kill,
    /// A tenth of a second is lost.
    Sleep,
    /// One bit of a parameter changes.
    FlipBit,
    /// The process ends, as if all were well.
    Exit,
    /// The process aborts.
    Abort,
    /// An address that isn't there is written to.
    Segfault,
    /// Nothing comes back for a long time.
    Hang,
    /// A tensor of a tebibyte.
    Huge,
    /// A mebibyte a call is never given back.
    Leak,
    /// The first input is changed in place.
    ChangesInput,
    /// Whatever a process has once is changed.
    Globals,
    /// An image counts by its place in the batch.
    ByPlace,
    /// A number is drawn from libtorch's generator.
    Draws,
    /// More than a half-precision number can hold comes up on the way.
    OverflowsInHalf,
    /// A gradient by hand is three times too long.
    GradientWrong,
    /// A number is read from the device.
    Waits,
    /// A number is drawn by a key that does not come from the step's.
    OwnKey,
    /// A number that changes from step to step comes from the host.
    HostNumber,
    /// From its step on every third step is another one.
    Rhythm,
    /// A training pass is normalised by hand, by the statistics of its own process's images.
    OwnStatistics,
    /// No fault: the same by the SDK, which shares the statistics.
    SharedStatistics,
    /// A training pass is normalised where the first image is bright.
    Branches,
}
