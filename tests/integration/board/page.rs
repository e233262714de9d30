//! A board that was started, and folders of runs for it to show.

use crate::support::binary::infomax;
use infomax::record::{MetricsFile, Row};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A board; ended when dropped.
pub struct Shown {
    pub child: Child,
    pub address: SocketAddr,
    /// As it was printed.
    pub url: String,
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was answered.
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Starts a board in a folder.
pub fn shown(folder: &Path, arguments: &[&str]) -> Shown {
    let port: &[&str] = if arguments.contains(&"--port") { &[] } else { &["--port", "0"] };
    let arguments = [&["board"], port, arguments].concat();
    let mut child = infomax(folder, &arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("it says where it is").to_owned();
    // Of all addresses of the machine it tells the machine's name.
    let port = url.split('/').nth(2).and_then(|host| host.rsplit(':').next()).unwrap().parse().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Shown { child, address, url }
}

impl Shown {
    /// Asks as a browser does.
    pub fn get(&self, path: &str) -> Answered {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address))
    }

    /// Sends some bytes and reads all that comes.
    pub fn ask(&self, request: &str) -> Answered {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answered { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The page as soon as it holds a text.
    pub fn soon(&self, path: &str, text: &str) -> String {
        let began = Instant::now();
        loop {
            let body = self.get(path).body;
            if body.contains(text) {
                return body;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "`{text}` does not come: {body}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A run that a test writes itself.
pub struct Written {
    pub path: PathBuf,
    metrics: MetricsFile,
}

/// Writes a run of some rows; `config` is laid over a small one.
pub fn written(folder: &Path, name: &str, config: &str, steps: u64) -> Written {
    let path = folder.join("runs").join(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("config.toml"), format!("{config}\n[train]\nsteps = 100\nbatch_size = 8\n")).unwrap();
    let mut run = Written { metrics: MetricsFile::open(&path.join("metrics.jsonl")).unwrap(), path };
    (1..=steps).for_each(|step| run.row(step));
    run
}

impl Written {
    /// Appends a row of training, and each tenth step a test.
    pub fn row(&mut self, step: u64) {
        let values =
            [("loss", 100.0 / step as f64), ("lr", 0.1), ("images_per_second", 200.0), ("waiting_for_data", 0.1)];
        self.append(step, &values);
        if step % 10 == 0 {
            self.append(step, &[("linear_top1", 30.0 + step as f64 / 10.0)]);
        }
    }

    /// Appends a row.
    pub fn append(&mut self, step: u64, values: &[(&str, f64)]) {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        self.metrics.append(&Row { step, epoch: 0, seconds: step as f64, values }).unwrap();
    }

    /// Writes how it stands.
    pub fn history(&self, end: &str) {
        let end = if end.is_empty() { String::new() } else { format!(r#", "end": {end}"#) };
        let text = format!(r#"{{"parts": [{{"began": 1700000000, "from_step": 0, "until_step": 100{end}}}]}}"#);
        fs::write(self.path.join("history.json"), text).unwrap();
    }
}

/// Every file below a folder, with its length and its time.
pub fn contents(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let facts = entry.path().symlink_metadata().unwrap();
            if facts.is_dir() {
                folders.push(entry.path());
            }
            all.push((entry.path(), facts.len(), facts.modified().unwrap()));
        }
    }
    all.sort();
    all
}
