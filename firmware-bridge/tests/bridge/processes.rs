//! Processes of a test: the program, mosquitto, and the clients of mosquitto that see what it does.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support;
use crate::support::ports::free_port;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with the value.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for its end, at most so long; how long that took.
    pub(crate) fn ended_within(&mut self, patience: Duration) -> Duration {
        let start = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < patience, "the process did not end");
            thread::sleep(Duration::from_millis(5));
        }
        start.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The program, and what it says on stderr.
pub(crate) struct Told {
    pub(crate) process: Process,
    lines: Receiver<String>,
}

impl Told {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
        let lines = lines_of(process.0.stderr.take().unwrap());
        Self { process, lines }
    }

    /// Waits until it says so.
    #[track_caller]
    pub(crate) fn says(&self, expected: &str) {
        let start = Instant::now();
        let mut others = Vec::new();
        while let Some(left) = PATIENCE.checked_sub(start.elapsed()) {
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(expected) => return,
                Ok(line) => others.push(line),
                Err(_) => break,
            }
        }
        panic!("`{expected}` was not said, but {others:#?}");
    }
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.take_while(|line| sender.send(line.clone()).is_ok()).count()
    });
    lines
}

/// A directory that is gone with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("weir-bridge-run-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A broker, and where it is.
pub(crate) struct Mosquitto {
    pub(crate) process: Process,
    pub(crate) port: u16,
    pub(crate) folder: Folder,
    pub(crate) program: PathBuf,
}

impl Mosquitto {
    pub(crate) fn start(test: &str) -> Option<Self> {
        let program = support::program(test, "mosquitto")?;
        support::program(test, "mosquitto_sub")?;
        Some(Self::with(program, free_port(), ""))
    }

    /// One that has a port for TLS besides, which is returned; `keys` are those of its listener.
    pub(crate) fn start_with_tls(test: &str, keys: &str) -> Option<(Self, u16)> {
        let program = support::program(test, "mosquitto")?;
        support::program(test, "mosquitto_sub")?;
        let [port, tls] = [(); 2].map(|()| free_port());
        let more = format!("listener {tls} 127.0.0.1\n{keys}");
        Some((Self::with(program, port, &more), tls))
    }

    fn with(program: PathBuf, port: u16, more: &str) -> Self {
        let folder = Folder::new();
        let text = format!("listener {port} 127.0.0.1\n{more}allow_anonymous true\nuser root\n");
        folder.file("mosquitto.conf", &text);
        let process = Self::process(&program, &folder, port);
        Self { process, port, folder, program }
    }

    fn process(program: &Path, folder: &Folder, port: u16) -> Process {
        let file = folder.0.join("mosquitto.conf");
        let process =
            Process::start(Command::new(program).arg("-c").arg(file).stderr(Stdio::null()));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "mosquitto does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        process
    }

    /// Starts one that has ended anew: it has forgotten everything.
    pub(crate) fn start_again(&mut self) {
        self.process = Self::process(&self.program, &self.folder, self.port);
    }

    pub(crate) fn stop(&mut self) {
        self.process.signal("-KILL");
        self.process.ended_within(PATIENCE);
    }

    /// A subscriber that the broker knows of: what is published from now on is heard.
    pub(crate) fn subscribe(&self, filter: &str) -> Subscriber {
        let child = Command::new("mosquitto_sub")
            .args(["-p", &self.port.to_string(), "-q", "1", "-t", filter, "-F", "%r %t %p"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut subscriber = Subscriber::new(child);
        let topic = filter.replace(['#', '+'], "probe");
        let start = Instant::now();
        while !subscriber.hears_probe(Duration::from_millis(500)) {
            assert!(start.elapsed() < PATIENCE, "{filter} is not heard");
            self.publish(&topic, PROBE);
        }
        subscriber
    }

    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        let sent = Command::new("mosquitto_pub")
            .args(["-p", &self.port.to_string(), "-q", "1", "-t", topic, "-m", payload])
            .status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn bridge(&self, arguments: &[&str]) -> Process {
        Process::start(self.command().args(arguments).stdout(Stdio::null()))
    }

    /// The program, to run with this broker.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-bridge"));
        command.args(["run", "--broker", &format!("127.0.0.1:{}", self.port)]);
        command
    }
}

/// What mosquitto_sub has heard.
pub(crate) struct Subscriber {
    _process: Process,
    lines: Receiver<String>,
    /// What came before the probe.
    earlier: RefCell<VecDeque<Heard>>,
}

/// A payload that says that a subscription is there, and nothing else.
pub(crate) const PROBE: &str = "probe";

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) retained: bool,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

impl Subscriber {
    pub(crate) fn new(mut child: Child) -> Self {
        let lines = lines_of(child.stdout.take().unwrap());
        Self { _process: Process(child), lines, earlier: RefCell::default() }
    }

    pub(crate) fn hears_probe(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while let Some(left) = patience.checked_sub(start.elapsed()) {
            match self.line_within(left) {
                Some(heard) if heard.payload == PROBE => return true,
                Some(heard) => self.earlier.borrow_mut().push_back(heard),
                None => return false,
            }
        }
        false
    }

    /// The next message, at most so much later.
    pub(crate) fn next_within(&self, patience: Duration) -> Option<Heard> {
        if let Some(heard) = self.earlier.borrow_mut().pop_front() {
            return Some(heard);
        }
        let start = Instant::now();
        loop {
            let heard = self.line_within(patience.checked_sub(start.elapsed())?)?;
            if heard.payload != PROBE {
                return Some(heard);
            }
        }
    }

    pub(crate) fn line_within(&self, patience: Duration) -> Option<Heard> {
        let line = self.lines.recv_timeout(patience).ok()?;
        let mut parts = line.splitn(3, ' ');
        Some(Heard {
            retained: parts.next()? == "1",
            topic: parts.next()?.to_owned(),
            payload: parts.next().unwrap_or_default().to_owned(),
        })
    }

    /// The next message that fits.
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&Heard) -> bool) -> Heard {
        let start = Instant::now();
        let mut others = Vec::new();
        while let Some(left) = PATIENCE.checked_sub(start.elapsed()) {
            match self.next_within(left) {
                Some(heard) if fits(&heard) => return heard,
                Some(heard) => others.push(heard),
                None => break,
            }
        }
        panic!("{what} did not come, but {others:#?}");
    }

    /// Waits for messages that come in any order.
    pub(crate) fn wait_for_all(&self, wanted: &[(&str, &str)]) {
        let mut wanted = wanted.to_vec();
        while let Some((topic, _)) = wanted.first() {
            let heard = self.wait_for(topic, |heard| {
                wanted.contains(&(heard.topic.as_str(), heard.payload.as_str()))
            });
            wanted.retain(|one| *one != (heard.topic.as_str(), heard.payload.as_str()));
        }
    }

    pub(crate) fn wait_for_payload(&self, topic: &str, payload: &str) -> Heard {
        self.wait_for(topic, |heard| heard.topic == topic && heard.payload == payload)
    }
}

/// A bridge of one simulated sensor and one simulated output.
pub(crate) fn plant(keys: &str) -> String {
    format!(
        "[bridge]\nid = \"plant\"\nmetrics_s = 1\n{keys}\n\
         [[i2c]]\nbus = \"sim\"\n\
         [[sensor]]\nname = \"hall\"\ndriver = \"sht4x\"\nbus = \"sim\"\nevery_s = 0.2\n\
         [[gpio]]\nname = \"pump\"\nchip = \"sim\"\nline = 17\ndirection = \"out\"\n"
    )
}
