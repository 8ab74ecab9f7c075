//! The real binary with a configuration file in a folder, and what it says.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::Instant,
};

use super::gateway::{Folder, PATIENCE};

/// `weir run`, killed at the end.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts it with these listeners and waits until clients can connect.
    pub(crate) fn start(folder: &Folder, listeners: &str, log: &str) -> Self {
        folder.load(listeners).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config"])
            .arg(folder.path().join("weir.toml"))
            .env("WEIR_LOG", log)
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        for from in [stdout, stderr] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(from).lines().map_while(Result::ok) {
                    // The test may be over.
                    let _ = sender.send(line);
                }
            });
        }
        let mut process = Self { child, lines, address: ([127, 0, 0, 1], 0).into() };
        let line = process.line_with("listens on ");
        process.address = line.split_once("listens on ").unwrap().1.parse().unwrap();
        process
    }

    /// Waits for a line of its output or its log.
    pub(crate) fn line_with(&self, text: &str) -> String {
        self.lines_until(text).pop().expect("that line is one")
    }

    /// All the lines up to and with one that has this text.
    pub(crate) fn lines_until(&self, text: &str) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.contains(text)) {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            lines.push(line.unwrap_or_else(|_| panic!("`{text}` was not said: {lines:#?}")));
        }
        lines
    }

    pub(crate) fn hang_up(&self) {
        let kill = format!("kill -HUP {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
