//! Fetches a file over HTTP: resumed from a `.part` file, checked against its published MD5, renamed when it is whole.

use crate::{archive::hex, names};
use infomax_sdk::{Error, Result};
use md5::{Digest, Md5};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use ureq::http::{HeaderMap, header};

/// Attempts without any progress before giving up.
pub(crate) const RETRIES: u32 = 5;
const CONNECT_SECONDS: u64 = 30;
const ATTEMPT_SECONDS: u64 = 1800; // an attempt that takes longer is resumed

/// One download.
pub(crate) struct Download<'a> {
    pub url: &'a str,
    pub target: &'a Path,
    pub md5: &'a str,
    pub retries: u32,
}

/// Why an attempt failed.
enum Failure {
    /// Try again.
    Passing(String),
    /// Trying again won't help.
    Final(String),
}

impl Download<'_> {
    /// Leaves the whole file at `target`, or an error and perhaps a `.part` file to resume from.
    pub fn run(&self) -> Result<()> {
        let part = with_suffix(self.target, ".part");
        let fail = |what: &str, cause: io::Error| {
            Error::data(format!("can't {what} `{}`", names::path(&part))).caused_by(&cause)
        };
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&part);
        let file = file.as_mut().map_err(|cause| fail("open", io::Error::new(cause.kind(), cause.to_string())))?;
        lock(file).map_err(|cause| fail("lock", cause))?;
        if self.target.is_file() {
            return Ok(()); // another process fetched it while this one waited
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(CONNECT_SECONDS)))
            .timeout_recv_response(Some(Duration::from_secs(CONNECT_SECONDS)))
            .timeout_recv_body(Some(Duration::from_secs(ATTEMPT_SECONDS)))
            .build()
            .into();
        let mut idle = 0;
        loop {
            let before = length(file);
            match self.attempt(&agent, file) {
                Ok(()) => break,
                Err(Failure::Final(reason)) => return Err(self.failed(&reason)),
                Err(Failure::Passing(reason)) => {
                    idle = if length(file) > before { 0 } else { idle + 1 };
                    if idle >= self.retries {
                        return Err(self.failed(&reason));
                    }
                    log::warn!("download of `{}` interrupted at byte {}: {reason}", self.url, length(file));
                    thread::sleep(Duration::from_millis(200 << idle.min(6)));
                }
            }
        }
        file.sync_all().map_err(|cause| fail("sync", cause))?;
        let found = md5_of(&part).map_err(|cause| fail("read", cause))?;
        if found != self.md5 {
            let _ = fs::remove_file(&part);
            let expected = self.md5;
            return Err(Error::data(format!("`{}` has the MD5 `{found}`, expected `{expected}`", self.url))
                .hint("the file was damaged on its way or replaced: try again, or fetch it by hand"));
        }
        fs::rename(&part, self.target).map_err(|cause| fail("rename", cause))
    }

    fn attempt(&self, agent: &ureq::Agent, file: &mut File) -> Result<(), Failure> {
        let have = length(file);
        let mut request = agent.get(self.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let mut response = request.call().map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::Final(error.to_string()),
            other => Failure::Passing(other.to_string()),
        })?;
        let status = response.status().as_u16();
        let start = match status {
            200 => 0,
            206 if content_range(response.headers()).is_some_and(|(start, _)| start == have) => have,
            416 if content_range(response.headers()).is_some_and(|(_, total)| total == have) => return Ok(()),
            206 | 416 => {
                truncate(file)?;
                return Err(Failure::Passing(format!("status {status} for the bytes from {have} on")));
            }
            429 | 500..=599 => return Err(Failure::Passing(format!("status {status}"))),
            other => return Err(Failure::Final(format!("status {other}"))),
        };
        if start == 0 && have > 0 {
            truncate(file)?; // the server doesn't resume
        }
        let total = response.body().content_length().map(|rest| start + rest);
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 1 << 16];
        let mut done = start;
        let mut told = start;
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(count) => count,
                Err(error) => return Err(Failure::Passing(error.to_string())),
            };
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).map_err(|error| Failure::Final(error.to_string()))?;
            done += count as u64;
            if done - told >= total.unwrap_or(1 << 30) / 20 {
                told = done;
                log::info!("{} MB of {} MB of `{}`", done >> 20, total.unwrap_or(0) >> 20, self.url);
            }
        }
        match total {
            Some(total) if done < total => Err(Failure::Passing(format!("{done} of {total} bytes came"))),
            _ => Ok(()),
        }
    }

    fn failed(&self, reason: &str) -> Error {
        let target = names::path(self.target);
        let mut error = Error::data(format!("can't download `{}`", self.url));
        error.causes.push(reason.to_owned());
        error.hint(format!("check the network and start again (it resumes), or put the file at `{target}` by hand"))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

fn truncate(file: &File) -> Result<(), Failure> {
    file.set_len(0).map_err(|error| Failure::Final(error.to_string()))
}

/// Waits until no other process downloads the same file; released with the file.
fn lock(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor belongs to `file`, which outlives the call; `flock` touches no memory.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// First byte and total length of `bytes 5-9/10` or `bytes */10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let start = range.split_once('-').map_or(0, |(start, _)| start.parse().unwrap_or(u64::MAX));
    Some((start, total.parse().unwrap_or(u64::MAX)))
}

fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests;
