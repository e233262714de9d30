//! `infomax board`.

use super::say;
use crate::{
    board::{Following, Gate, Listening, serve},
    error::{Error, Result},
    listing::given,
};
use clap::Args;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
};

/// Arguments of `infomax board`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  infomax board\n  infomax board runs /scratch/runs --port 8080\n\n\
    From a machine that you reach by ssh: `ssh -L 7117:localhost:7117 MACHINE`, then open http://localhost:7117 here.")]
pub struct Board {
    /// Folders that runs lie in, also those of other machines; `runs` where none is named
    folders: Vec<PathBuf>,
    /// The port; the first free one from 7117 where not given
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The address to listen at; others than this machine's own need the token that is printed
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Ask for a token here too: other users of this machine can reach its own address
    #[arg(long)]
    token: bool,
}

impl Board {
    /// Shows the runs until it is ended.
    ///
    /// # Errors
    /// A folder that is not there, a port that is taken.
    pub fn run(self) -> Result<()> {
        let folders = given(&self.folders)?;
        let listening = Listening::at(self.address, self.port)?;
        let gate = Gate::new(listening.address, self.token).map_err(Error::io("read", "/dev/urandom"))?;
        let following = Arc::new(Following::new(folders));
        following.start().map_err(Error::io("start a thread for", "the board"))?;
        let seen = following.seen();
        say(&format!(
            "{}, {}: {} (Ctrl-C ends it)",
            counted(seen.listed(false).count(), "run", "runs"),
            counted(seen.studies.len(), "study", "studies"),
            listening.url(gate.token())
        ));
        serve(listening.socket, gate, following)
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
