//! `infomax reproduce`: a run once more, with the libraries that it kept, and whether the same bits come out.

use super::say;
use crate::{
    child::ends_with_this_process,
    console::note,
    error::{Error, Fault, Result},
    record::{STARTED_BY, Started},
    reproduction::{Compared, Original, compare},
    train::Signals,
};
use clap::Args;
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread,
    time::Duration,
};

/// Between two looks at the child and at what signals ask for.
const POLL: Duration = Duration::from_millis(50);
/// What it says where something differs.
const DIFFERS: u8 = 10;

/// Arguments of `infomax reproduce`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax reproduce runs/shapes-demo-1\n\n\
    Exit code 0 where everything recorded is the same bit by bit, 10 where something differs. On a CPU of the same model, with the \
    same libtorch and the same data, it is the same; the number of threads is taken from the run.")]
pub struct Reproduce {
    /// A run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The new run's name, beside the run; `RUN-again-1`, `-2`, … where not given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Reproduce {
    /// Repeats a run and compares.
    ///
    /// # Errors
    /// What can't be repeated; what the repetition's process says; what differs.
    pub fn run(self) -> Result<()> {
        let original = Original::open(&self.run)?;
        let folder = tempfile::tempdir().map_err(Error::io("make a folder in", std::env::temp_dir()))?;
        let config = original.write(folder.path())?;
        original.check_data(&config)?;
        let doubts = original.doubts();
        doubts.iter().for_each(|doubt| note(format!("the same bits are not promised: {doubt}")));
        let parent = original.run().parent().unwrap_or(Path::new("/")).to_owned();
        let name = self.name.unwrap_or_else(|| free_name(&parent, &original.name()));
        let text = |value: &str| toml::Value::from(value).to_string();
        let mut settings = original.settings();
        settings.push(format!("record.run_directory={}", text(&parent.to_string_lossy())));
        settings.push(format!("record.name={}", text(&name)));
        say(&format!("repeating {} as {}", original.run().display(), parent.join(&name).display()));
        let status = train(&config, &settings)?;
        if !status.success() {
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            let fault = Fault::new(format!("the repetition did not come to its end: {status}; it is told above"));
            return Err(Error::Reproduction {
                fault: fault.at(parent.join(&name).display().to_string()),
                exit_code: code,
            });
        }
        let compared = compare(original.run(), &parent.join(&name), original.is_finished())?;
        verdict(&compared, &original, &parent.join(&name), &doubts)
    }
}

/// Trains in a process of its own, which nothing but the run's own config has a say in.
fn train(config: &Path, settings: &[String]) -> Result<ExitStatus> {
    let signals = Signals::listen(false)?;
    let executable = infomax_desk::program::program().map_err(Error::io("find the executable of", "/proc/self"))?;
    let mut command = Command::new(&executable);
    command.arg("train").arg(config).arg("--locked");
    settings.iter().for_each(|setting| {
        command.args(["--set", setting]);
    });
    let of_configs = std::env::vars_os().map(|(name, _)| name).filter(|n| n.to_string_lossy().starts_with("INFOMAX__"));
    of_configs.for_each(|name| {
        command.env_remove(name);
    });
    command.env(STARTED_BY, Started::this(&[]).to_variable());
    ends_with_this_process(&mut command, libc::SIGTERM);
    let mut child = command.spawn().map_err(Error::io("start", &executable))?;
    let mut was_asked = false;
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io("wait for", &executable))? {
            return Ok(status);
        }
        if signals.asked() && !was_asked {
            was_asked = true;
            // SAFETY: the child has not been waited for, so its number is still its own.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
        }
        thread::sleep(POLL);
    }
}

fn free_name(parent: &Path, name: &str) -> String {
    let names = (1_u64..).map(|number| format!("{name}-again-{number}"));
    names.into_iter().find(|name| !parent.join(name).exists()).expect("the numbers don't end")
}

fn verdict(compared: &Compared, original: &Original, repetition: &Path, doubts: &[String]) -> Result<()> {
    let Compared { rows, tensors, differences } = compared;
    if differences.is_empty() {
        say(&format!("identical: {rows} rows of metrics and {tensors} tensors, bit by bit"));
        return Ok(());
    }
    let alike = format!("{rows} rows of metrics before it and {tensors} tensors are the same");
    let message = format!("the repetition differs from the run: {}; {alike}", differences.join("; "));
    let hint = match doubts {
        [] => "nothing that is recorded explains it: another program may have changed the machine's libraries, or a \
               component draws by something else than its key"
            .to_owned(),
        doubts => format!("it may be: {}", doubts.join("; ")),
    };
    let at = format!("{}, {}", original.run().display(), repetition.display());
    Err(Error::Reproduction { fault: Fault::new(message).at(at).hint(hint), exit_code: DIFFERS })
}
