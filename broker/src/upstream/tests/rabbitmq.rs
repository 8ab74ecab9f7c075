//! A real RabbitMQ, on ports of its own, and what came there.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use lapin::message::Delivery;
use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};
use tokio::sync::oneshot;

use super::client::PATIENCE;
use super::mosquitto::Directory;
use super::ports::free_port;
use super::tls::Files;
use crate::config::{HostPort, UpstreamConfig};
use crate::upstream::amqp::{AmqpOptions, connect};

/// The running program; it ends with the value.
pub(super) struct RabbitMq {
    directory: Directory,
    pub(super) files: Files,
    port: u16,
    tls_port: u16,
    distribution_port: u16,
    names_port: u16,
    /// Knows the names of nodes of Erlang; the program would start one that outlives it.
    names: Child,
    program: Option<Child>,
}

/// A client there with a queue of its own.
pub(super) struct Queue {
    pub(super) channel: Channel,
    name: String,
    _connection: (Connection, oneshot::Sender<()>),
}

static SHARED: Mutex<Weak<RabbitMq>> = Mutex::new(Weak::new());

impl RabbitMq {
    /// One that other tests use too, and that must not be stopped. None when the tests run without
    /// programs of others, which is said.
    pub(super) fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// One of the test's own.
    pub(super) fn start() -> Option<Self> {
        if std::env::var_os("WEIR_TESTS_WITHOUT_FOREIGN").is_some_and(|value| value == "1") {
            println!("not run: rabbitmq is not used, WEIR_TESTS_WITHOUT_FOREIGN=1 is set");
            return None;
        }
        let directory = Directory::new("rabbitmq");
        let files = Files::new();
        let [port, tls_port, distribution_port, names_port] = [(); 4].map(|()| free_port());
        let file = |name: &str| files.path(name).display().to_string();
        let mut config = String::new();
        writeln!(config, "listeners.tcp.1 = 127.0.0.1:{port}").unwrap();
        writeln!(config, "listeners.ssl.1 = 127.0.0.1:{tls_port}").unwrap();
        writeln!(config, "ssl_options.cacertfile = {}", file("ca.pem")).unwrap();
        writeln!(config, "ssl_options.certfile = {}", file("localhost.pem")).unwrap();
        writeln!(config, "ssl_options.keyfile = {}", file("localhost.key")).unwrap();
        writeln!(config, "ssl_options.verify = verify_peer").unwrap();
        writeln!(config, "ssl_options.fail_if_no_peer_cert = true").unwrap();
        for (n, name) in ["PLAIN", "AMQPLAIN", "EXTERNAL"].iter().enumerate() {
            writeln!(config, "auth_mechanisms.{n} = {name}").unwrap();
        }
        writeln!(config, "ssl_cert_login_from = common_name").unwrap();
        writeln!(config, "max_message_size = 100000\nlog.file = false").unwrap();
        fs::write(directory.0.join("rabbitmq.conf"), config).expect("the directory is ours");
        let plugins = "[rabbitmq_auth_mechanism_ssl].\n";
        fs::write(directory.0.join("enabled_plugins"), plugins).expect("the directory is ours");
        let mut names = Command::new("epmd");
        names.args(["-address", "127.0.0.1", "-port", &names_port.to_string()]);
        let names = names.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let names = names.unwrap_or_else(|error| missing(&error));
        let program = None;
        let mut server = Self {
            directory,
            files,
            port,
            tls_port,
            distribution_port,
            names_port,
            names,
            program,
        };
        server.resume();
        Some(server)
    }

    pub(super) fn address(&self) -> HostPort {
        HostPort::new("127.0.0.1", self.port)
    }

    /// Where TLS is spoken, and a certificate is wanted.
    pub(super) fn tls_address(&self, host: &str) -> HostPort {
        HostPort::new(host, self.tls_port)
    }

    /// Ends it without a warning.
    pub(super) fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill().expect("it was started here");
            program.wait().expect("it was started here");
        }
    }

    /// Starts it again where it was.
    pub(super) fn resume(&mut self) {
        let mut command = self.command("rabbitmq-server");
        let program = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.program = Some(program.spawn().unwrap_or_else(|error| missing(&error)));
        let deadline = Instant::now() + Duration::from_secs(90);
        while TcpStream::connect(("127.0.0.1", self.tls_port)).is_err() {
            let program = self.program.as_mut().expect("it was started");
            let ended = program.try_wait().expect("it was started here");
            assert!(ended.is_none(), "rabbitmq has ended: {ended:?}");
            assert!(Instant::now() < deadline, "rabbitmq does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Has the program do something.
    pub(super) fn control(&self, arguments: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let done = self.command("rabbitmqctl").args(arguments).output();
            let done = done.unwrap_or_else(|error| missing(&error));
            if done.status.success() {
                return;
            }
            let told = String::from_utf8_lossy(&done.stderr);
            // It listens before it has started.
            let may_come = told.contains("requires the 'rabbit' app to be running");
            assert!(may_come && Instant::now() < deadline, "{arguments:?}: {told}");
        }
    }

    /// A queue that gets what is published with such a routing key.
    pub(super) async fn queue(&self, name: &str, key: &str) -> Queue {
        self.queue_with(name, key, FieldTable::default()).await
    }

    /// The same for one message, which refuses others.
    pub(super) async fn small_queue(&self, name: &str, key: &str) -> Queue {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        self.queue_with(name, key, arguments).await
    }

    async fn queue_with(&self, name: &str, key: &str, arguments: FieldTable) -> Queue {
        let config = UpstreamConfig::new("queue", self.address());
        let options = AmqpOptions { amqp: config.amqp, credentials: None, tls: None };
        let connection = connect(&self.address(), options).await.expect("it lets us in");
        let channel = connection.0.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.into(), options, arguments).await.expect("a queue");
        let queue = Queue { channel, name: name.to_owned(), _connection: connection };
        queue.bind("amq.topic", key).await;
        queue
    }

    fn command(&self, program: &str) -> Command {
        let path = &self.directory.0;
        let arguments =
            "+S 1 -kernel inet_dist_use_interface {127,0,0,1} -kernel logger_level warning";
        let mut command = Command::new(format!("/usr/lib/rabbitmq/bin/{program}"));
        command
            .env("HOME", path)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq"))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("enabled_plugins"))
            .env("RABBITMQ_LOG_BASE", path.join("log"))
            .env("RABBITMQ_MNESIA_BASE", path.join("data"))
            .env(
                "RABBITMQ_NODENAME",
                format!("weir-{}-{}@localhost", std::process::id(), self.port),
            )
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments)
            // Then the script becomes the program, so that its number is the program's.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        for program in self.program.iter_mut().chain([&mut self.names]) {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

impl Queue {
    /// Gets what an exchange has for such a routing key, too.
    pub(super) async fn bind(&self, exchange: &str, key: &str) {
        let (name, table) = (self.name.as_str().into(), FieldTable::default());
        let options = QueueBindOptions::default();
        let bound = self.channel.queue_bind(name, exchange.into(), key.into(), options, table);
        bound.await.expect("the queue and the exchange are there");
    }

    pub(super) async fn declare_exchange(&self, name: &str) {
        let (options, table) = (ExchangeDeclareOptions::default(), FieldTable::default());
        let there = self.channel.exchange_declare(name.into(), ExchangeKind::Topic, options, table);
        there.await.expect("it can be declared");
    }

    pub(super) async fn delete_exchange(&self, name: &str) {
        let options = ExchangeDeleteOptions::default();
        self.channel.exchange_delete(name.into(), options).await.expect("it was there");
    }

    /// The next message, which is taken out of the queue.
    pub(super) async fn next(&self) -> Delivery {
        let deadline = Instant::now() + PATIENCE;
        let options = BasicGetOptions { no_ack: true };
        loop {
            let got = self.channel.basic_get(self.name.as_str().into(), options).await;
            if let Some(message) = got.expect("the queue is there") {
                return message.delivery;
            }
            assert!(Instant::now() < deadline, "no message in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The payloads up to `last`, each once, in the order in which they came first.
    pub(super) async fn payloads_until(&self, last: &str) -> Vec<String> {
        let mut payloads: Vec<String> = Vec::new();
        while payloads.last().is_none_or(|payload| payload != last) {
            let payload = text(&self.next().await);
            if !payloads.contains(&payload) {
                payloads.push(payload);
            }
        }
        payloads
    }
}

pub(super) fn text(message: &Delivery) -> String {
    String::from_utf8(message.data.clone()).expect("the tests send text")
}

fn missing(error: &std::io::Error) -> ! {
    panic!(
        "rabbitmq cannot be started ({error}): install it (apt-get install rabbitmq-server), or set \
         WEIR_TESTS_WITHOUT_FOREIGN=1 to leave these tests out"
    )
}
