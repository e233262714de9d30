//! Bytes behind a URL, bounded in size and time.

use super::refused;
use crate::error::Result;
use std::{io::Read, time::Duration};

const DEADLINE: Duration = Duration::from_secs(600);
const CONNECTING: Duration = Duration::from_secs(30);

/// At most so many bytes; a longer answer is refused.
pub(super) fn get(url: &str, most: u64) -> Result<Vec<u8>> {
    let hint = "check the address and the network; what is already here is untouched";
    let agent = ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).timeout_connect(Some(CONNECTING)).build();
    let agent = ureq::Agent::new_with_config(agent);
    let answer = agent.get(url).call().map_err(|error| refused(url, format!("it can't be fetched: {error}"), hint))?;
    let mut bytes = Vec::new();
    let read = answer.into_body().into_reader().take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| refused(url, format!("it can't be fetched: {error}"), hint))?;
    if bytes.len() as u64 > most {
        return Err(refused(url, format!("it is longer than {most} bytes"), "it is not what the index promises"));
    }
    Ok(bytes)
}
