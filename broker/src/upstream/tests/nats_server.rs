//! A real nats-server with JetStream, on a port of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::client::PATIENCE;
use super::mosquitto::Directory;
use super::ports::free_port;
use crate::config::HostPort;

/// The running program; it ends with the value.
pub(crate) struct NatsServer {
    directory: Directory,
    port: u16,
    program: Option<Child>,
}

/// A message as a stream keeps it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) payload: String,
    /// Lines of `name: value`.
    pub(crate) headers: Vec<String>,
}

impl NatsServer {
    /// Starts it with more lines of configuration. None when the tests run without programs of
    /// others, which is said.
    pub(crate) fn start(lines: &str) -> Option<Self> {
        if std::env::var_os("WEIR_TESTS_WITHOUT_FOREIGN").is_some_and(|value| value == "1") {
            println!("not run: nats-server is not used, WEIR_TESTS_WITHOUT_FOREIGN=1 is set");
            return None;
        }
        let directory = Directory::new("nats");
        let mut server = Self { directory, port: free_port(), program: None };
        server.configure(lines);
        server.resume();
        Some(server)
    }

    /// What it is told when it starts or [reloads](Self::reload).
    pub(crate) fn configure(&self, lines: &str) {
        // A login takes longer than its two seconds on a machine that is busy enough.
        let patient = |block: &str| format!("{block} timeout: 30,");
        let lines = ["authorization {", "tls {"]
            .iter()
            .fold(lines.to_owned(), |lines, block| lines.replace(block, &patient(block)));
        let store = self.directory.0.join("store");
        let config = format!(
            "listen: \"127.0.0.1:{}\"\nlog_file: \"{}\"\n\
             jetstream {{ store_dir: \"{}\" }}\n{lines}\n",
            self.port,
            self.directory.0.join("log").display(),
            store.display()
        );
        fs::write(self.directory.0.join("nats.conf"), config).expect("the directory is ours");
    }

    pub(crate) fn address(&self) -> HostPort {
        HostPort::new("127.0.0.1", self.port)
    }

    /// The same by the name of the certificate.
    pub(crate) fn named(&self) -> HostPort {
        HostPort::new("localhost", self.port)
    }

    /// Returns when it has read its configuration again.
    pub(crate) fn reload(&self) {
        let program = self.program.as_ref().expect("it runs");
        let before = self.log().matches(RELOADED).count();
        let told = Command::new("kill").args(["-HUP", &program.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "nats-server cannot be told");
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(RELOADED).count() == before {
            assert!(Instant::now() < deadline, "nats-server does not reload: {}", self.log());
            std::thread::yield_now();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.0.join("log")).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        let Some(mut program) = self.program.take() else { return };
        program.kill().expect("it was started here");
        program.wait().expect("it was started here");
    }

    /// Removes all that it has stored.
    pub(crate) fn forget(&self) {
        fs::remove_dir_all(self.directory.0.join("store")).expect("it does not run");
    }

    /// Starts it again where it was.
    pub(crate) fn resume(&mut self) {
        let config = self.directory.0.join("nats.conf");
        let start = |program: &str| {
            let mut command = Command::new(program);
            command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn()
        };
        let program = start("nats-server").or_else(|_| start("/usr/sbin/nats-server"));
        self.program = Some(program.unwrap_or_else(|error| {
            panic!(
                "nats-server cannot be started ({error}): install it (apt-get install \
                 nats-server), or set WEIR_TESTS_WITHOUT_FOREIGN=1 to leave these tests out"
            )
        }));
        self.says("\"jetstream\":true");
    }

    /// Waits until this is in what it greets those who come with.
    pub(crate) fn says(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.greeting().is_some_and(|greeting| greeting.contains(text)) {
            if Instant::now() > deadline {
                panic!("nats-server does not say {text}: {}", self.log());
            }
            std::thread::yield_now();
        }
    }

    fn greeting(&self) -> Option<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("it is not zero");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        Some(line)
    }
}

/// What it logs then.
const RELOADED: &str = "Reloaded server configuration";

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Somebody with the right to look into streams.
pub(crate) struct Admin(async_nats::Client);

impl Admin {
    pub(crate) async fn connect(server: &NatsServer) -> Self {
        Self::connect_with(server, ConnectOptions::new()).await
    }

    pub(crate) async fn connect_with(server: &NatsServer, options: ConnectOptions) -> Self {
        Self(options.connect(server.address().to_string()).await.expect("it is let in"))
    }

    /// What JetStream answers to a request of its interface; none before it is ready.
    async fn ask(&self, what: &str, request: &Value) -> Option<Value> {
        let request = serde_json::to_vec(request).expect("JSON");
        let answer = self.0.request(format!("$JS.API.{what}"), request.into()).await.ok()?;
        serde_json::from_slice(&answer.payload).ok()
    }

    /// Makes a stream `PLANT` with more settings.
    pub(crate) async fn add_stream(&self, subjects: &[&str], more: &[(&str, Value)]) {
        let mut stream = json!({ "name": "PLANT", "subjects": subjects, "storage": "file",
            "duplicate_window": 120_000_000_000_u64, "retention": "limits", "num_replicas": 1 });
        for (name, value) in more {
            stream[name] = value.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask("STREAM.CREATE.PLANT", &stream).await {
                Some(answer) if answer["error"].is_null() => return,
                answer => assert!(Instant::now() < deadline, "{answer:?}"),
            }
        }
    }

    /// Changes one setting of a stream.
    pub(crate) async fn change_stream(&self, stream: &str, setting: &str, value: Value) {
        let info = self.ask(&format!("STREAM.INFO.{stream}"), &json!({})).await;
        let mut config = info.expect("it is there")["config"].take();
        config[setting] = value;
        let changed = self.ask(&format!("STREAM.UPDATE.{stream}"), &config).await;
        let error = changed.expect("an answer")["error"].take();
        assert!(error.is_null(), "{error}");
    }

    pub(crate) async fn remove_stream(&self, stream: &str) {
        let removed = self.ask(&format!("STREAM.DELETE.{stream}"), &json!({})).await;
        assert_eq!(removed.expect("an answer")["success"], true);
    }

    /// Every message of the stream, in order, once there are so many.
    pub(crate) async fn stored(&self, count: usize) -> Vec<Stored> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self.ask("STREAM.INFO.PLANT", &json!({})).await.unwrap_or_default();
            let last = info["state"]["last_seq"].as_u64().unwrap_or_default();
            if last >= count as u64 {
                let mut stored = Vec::new();
                for sequence in 1..=last {
                    let request = json!({ "seq": sequence });
                    let answer = self.ask("STREAM.MSG.GET.PLANT", &request).await;
                    stored.push(Stored::of(&answer.expect("an answer")["message"]));
                }
                return stored;
            }
            assert!(Instant::now() < deadline, "{info}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn subscribe(&self, subject: &'static str) -> async_nats::Subscriber {
        let subscriber = self.0.subscribe(subject).await.expect("it may");
        self.0.flush().await.expect("the server is there");
        subscriber
    }
}

impl Stored {
    fn of(message: &Value) -> Self {
        let text = |name: &str| {
            let bytes = Base64::decode_vec(message[name].as_str().unwrap_or_default());
            String::from_utf8(bytes.expect("Base64")).expect("a text")
        };
        Self {
            subject: message["subject"].as_str().expect("it has a subject").to_owned(),
            payload: text("data"),
            headers: text("hdrs").lines().map(str::to_owned).collect(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ String| -> Option<usize> {
            let (found, _) = line.split_once(':')?;
            (found == name).then_some(name.len() + 1)
        };
        self.headers.iter().find_map(|line| value(line).map(|start| line[start..].trim()))
    }
}
