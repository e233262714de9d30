//! Chromium without a window, asked over its own protocol.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};

/// A browser with one page; ended when dropped.
pub struct Browser {
    child: Child,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    number: u64,
    /// What pages have complained about.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the browser; none, and told, where there is none.
pub fn browser() -> Option<Browser> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let Some(name) = names
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success()))
    else {
        println!("SKIPPED: there is no chromium here: `apt-get install chromium`");
        return None;
    };
    let profile = tempfile::tempdir().unwrap();
    let mut child = Command::new(name)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--remote-debugging-port=0",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("about:blank")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned));
    let url = url.expect("it says where it listens");
    thread::spawn(move || lines.for_each(drop));
    let (socket, _) = tungstenite::connect(&url).unwrap();
    let mut browser = Browser { child, socket, session: None, number: 0, complaints: Vec::new(), _profile: profile };
    let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
    let attached = browser.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
    browser.session = attached["sessionId"].as_str().map(str::to_owned);
    for domain in ["Page", "Runtime", "Log"] {
        browser.ask(&format!("{domain}.enable"), json!({}));
    }
    Some(browser)
}

impl Browser {
    /// Sends a command and waits for its answer.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = session.clone().into();
        }
        self.socket.send(Message::text(command.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown") => {
                    self.complaints.push(answer["params"]["exceptionDetails"].to_string())
                }
                Some("Log.entryAdded") if answer["params"]["entry"]["level"] == "error" => {
                    self.complaints.push(answer["params"]["entry"]["text"].to_string());
                }
                _ => {}
            }
            if answer["id"] == self.number {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The value of a line of script.
    pub fn eval(&mut self, script: &str) -> Value {
        let answer =
            self.ask("Runtime.evaluate", json!({ "expression": script, "returnByValue": true, "awaitPromise": true }));
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until a line of script is true.
    pub fn until(&mut self, script: &str) {
        let began = Instant::now();
        while self.eval(&format!("!!({script})")) != true {
            if began.elapsed() >= Duration::from_secs(30) {
                // There is no body for a moment while a page is opened.
                let page = self.eval("document.body?.innerText.slice(0, 1500)");
                panic!("`{script}` does not come true: {page}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Opens an address and waits until the page is there.
    pub fn open(&mut self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url }));
        self.until(&format!("location.href.startsWith({}) && document.readyState === 'complete'", json!(url)));
    }

    /// Presses a key, by its name or letter.
    pub fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowDown" => 40,
            "ArrowRight" => 39,
            "Tab" => 9,
            _ => 0,
        };
        let text = if key == "Enter" {
            "\r"
        } else if key.chars().count() == 1 {
            key
        } else {
            ""
        };
        let mut event = json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        self.ask("Input.dispatchKeyEvent", event);
    }

    /// Types a text.
    pub fn text(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// Presses where an element is.
    pub fn click(&mut self, selector: &str) {
        let place = self.place(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            self.ask(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": place.0, "y": place.1, "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// Moves the pointer to an element.
    pub fn hover(&mut self, selector: &str) {
        let place = self.place(selector);
        self.ask("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": place.0, "y": place.1 }));
    }

    fn place(&mut self, selector: &str) -> (f64, f64) {
        let script = format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{ block: 'center' }}); const b = e.getBoundingClientRect(); \
             return [b.x + b.width / 2, b.y + b.height / 2]; }})()",
            json!(selector)
        );
        let place = self.eval(&script);
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    /// Makes the window so large, and light or dark.
    pub fn window(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// A picture of what is seen, as a file: for whoever looks at it.
    pub fn picture(&mut self, path: &std::path::Path) {
        use std::io::Read;
        let data = self.ask("Page.captureScreenshot", json!({ "format": "png" }))["data"].as_str().unwrap().to_owned();
        // The browser decodes what it encoded.
        let bytes = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut decoding = bytes.unwrap();
        let mut input = decoding.stdin.take().unwrap();
        let writing = thread::spawn(move || std::io::Write::write_all(&mut input, data.as_bytes()));
        let mut bytes = Vec::new();
        decoding.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
        writing.join().unwrap().unwrap();
        decoding.wait().unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
