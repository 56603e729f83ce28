//! A headless Chromium, driven over its own protocol: as much of it as pages need to be tested.
//!
//! Holds: nothing waits for a length of time, only for answers; a browser that says nothing for a
//! minute fails the test. Start at [`Browser::start`].

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any page takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One browser with one page.
pub(crate) struct Browser {
    process: Child,
    _profile: TempDir,
    socket: BufReader<TcpStream>,
    session: Option<String>,
    calls: u64,
    /// What the page complained about: exceptions, errors in its console.
    pub(crate) complaints: Vec<String>,
    /// Every address that the page asked for.
    pub(crate) requests: Vec<String>,
}

impl Browser {
    /// Starts it; `None`, with a line that says so, where no Chromium is installed.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let mut process =
            ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| {
                Command::new(name)
                    .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
                    .arg(format!("--window-size={width},{height}"))
                    .arg(format!("--user-data-dir={}", profile.path().display()))
                    .args(["--remote-debugging-port=0", "about:blank"])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .ok()
            });
        let Some(mut process) = process.take() else {
            println!("skipped: no Chromium here; install the package 'chromium' to test pages");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("DevTools listening on ws://").map(str::to_owned))
            .expect("Chromium says where it listens");
        // It goes on talking, and must not block on a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let (host, path) = address.split_once('/').unwrap();
        let mut browser = Self {
            process,
            _profile: profile,
            socket: upgraded(host, path),
            session: None,
            calls: 0,
            complaints: Vec::new(),
            requests: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = target["targetId"].clone();
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        Some(browser)
    }

    /// Prefers `light` or `dark` from here on.
    pub(crate) fn prefer(&mut self, theme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": theme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Opens a page from disk, at this fragment, and waits until it says that it is ready.
    pub(crate) fn open(&mut self, page: &Path, fragment: &str) {
        // Another fragment of the same page would not load it again.
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        self.call(
            "Page.navigate",
            json!({ "url": format!("file://{}{fragment}", page.display()) }),
        );
        let ready = "new Promise((done) => { const look = () => document.body?.dataset.ready \
                     ? done(true) : requestAnimationFrame(look); look(); })";
        assert_eq!(self.evaluate(ready), json!(true));
    }

    /// What an expression gives; a promise is waited for.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What an expression gives after the page has drawn what is due.
    pub(crate) fn after_drawing(&mut self, expression: &str) -> Value {
        self.evaluate(&format!(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done({expression}))))"
        ))
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { json!(key) } else { Value::Null };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key });
            if kind == "keyDown" && !text.is_null() {
                event["text"] = text.clone();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Clicks at a place.
    pub(crate) fn click(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        send(self.socket.get_mut(), message.to_string().as_bytes());
        loop {
            let told: Value = serde_json::from_slice(&receive(&mut self.socket)).unwrap();
            if told["id"] == json!(id) {
                assert!(told.get("error").is_none(), "{method}: {told}");
                return told["result"].clone();
            }
            self.note(&told);
        }
    }

    fn note(&mut self, told: &Value) {
        let parameters = &told["params"];
        let is_error = match told["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => true,
            "Runtime.consoleAPICalled" => parameters["type"] == "error",
            "Log.entryAdded" => parameters["entry"]["level"] == "error",
            "Network.requestWillBeSent" => {
                let address = parameters["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(address.to_owned());
                false
            }
            _ => false,
        };
        if is_error {
            self.complaints.push(parameters.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A WebSocket (RFC 6455) to this place.
fn upgraded(host: &str, path: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: bWFpbHN0b3JtLXBhZ2VzIQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .unwrap();
    let mut socket = BufReader::new(stream);
    let mut line = String::new();
    socket.read_line(&mut line).unwrap();
    assert!(line.contains("101"), "no WebSocket: {line}");
    while line.trim() != "" {
        line.clear();
        socket.read_line(&mut line).unwrap();
    }
    socket
}

/// One text frame, masked with zeros: a client must mask, and nobody listens in.
fn send(stream: &mut TcpStream, text: &[u8]) {
    let mut frame = vec![0x81];
    match text.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length if length <= usize::from(u16::MAX) => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text);
    stream.write_all(&frame).unwrap();
}

/// One message, of as many frames as it has.
fn receive(socket: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head).expect("the browser answers");
        let length = match head[1] & 0x7f {
            126 => {
                let mut bytes = [0; 2];
                socket.read_exact(&mut bytes).unwrap();
                u64::from(u16::from_be_bytes(bytes))
            }
            127 => {
                let mut bytes = [0; 8];
                socket.read_exact(&mut bytes).unwrap();
                u64::from_be_bytes(bytes)
            }
            short => u64::from(short),
        };
        let mut part = vec![0; length as usize];
        socket.read_exact(&mut part).unwrap();
        // Pings need no answer within the life of a test.
        if head[0] & 0x0f <= 2 {
            message.extend(part);
            if head[0] & 0x80 != 0 {
                return message;
            }
        }
    }
}
