//! A broker with an admin server, a way to ask it, and clients of MQTT 5.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use weir_mqtt::{
    Connect, ConnectProperties, Packet, PacketId, Publish, QoS, Subscribe, SubscribeFilter,
    SubscriptionOptions, TopicFilter, Version,
};

use crate::admin::AdminKey;
use crate::broker::Broker;
use crate::config::{AdminConfig, Config, HostPort, ListenAddress};

/// How long a test waits for something that has to come.
pub(in crate::admin) const PATIENCE: Duration = Duration::from_secs(10);

/// A running broker; its directory goes with it.
pub(in crate::admin) struct Server {
    broker: Option<Broker>,
    folder: PathBuf,
}

impl Server {
    pub(in crate::admin) fn start() -> Self {
        Self::with(|_| {})
    }

    /// One whose configuration was changed.
    pub(in crate::admin) fn with(change: impl FnOnce(&mut Config)) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("weir-admin-{}-{number}", std::process::id()));
        let mut config = Config { data_dir: folder.clone(), ..Config::default() };
        config.listeners[0].address = ListenAddress::Tcp(HostPort::new("127.0.0.1", 0));
        config.admin =
            AdminConfig { address: Some(HostPort::new("127.0.0.1", 0)), ..AdminConfig::default() };
        change(&mut config);
        Self { broker: Some(Broker::start(config).unwrap()), folder }
    }

    pub(in crate::admin) fn mqtt(&self) -> SocketAddr {
        self.broker.as_ref().unwrap().addresses()[0]
    }

    pub(in crate::admin) fn admin(&self) -> SocketAddr {
        self.broker.as_ref().unwrap().admin_address().unwrap()
    }

    pub(in crate::admin) fn key(&self) -> String {
        AdminKey::read(&self.folder).unwrap().token()
    }

    /// The answer to a request without a body.
    pub(in crate::admin) fn ask(&self, method: &str, path: &str, token: Option<&str>) -> Answer {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        self.send(method, path, &token.unwrap_or_default(), "")
    }

    /// The same with headers and a body.
    pub(in crate::admin) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let mut stream = TcpStream::connect(self.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = match headers.to_ascii_lowercase().contains("host:") {
            true => String::new(),
            false => format!("Host: {}\r\n", self.admin()),
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}Content-Length: \
             {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { code, head, body: bytes[at + 4..].to_vec() }
    }

    /// Server-sent events, read by somebody with the key.
    pub(in crate::admin) fn events(&self, path: &str) -> Events {
        let stream = TcpStream::connect(self.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (host, key) = (self.admin(), self.key());
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n");
        (&stream).write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains(" 200 "), "{first}");
        while !lines.next().unwrap().unwrap().is_empty() {}
        Events { lines }
    }

    /// What a path shows to somebody with the key.
    pub(in crate::admin) fn view(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, Some(&self.key()));
        assert_eq!(answer.code, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.broker.take().unwrap().shutdown();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Server-sent events as they come.
pub(in crate::admin) struct Events {
    lines: Lines<BufReader<TcpStream>>,
}

impl Events {
    /// The data of the next event of this name; others before it are passed over.
    pub(in crate::admin) fn next(&mut self, name: &str) -> Value {
        loop {
            let line = self.lines.next().unwrap().unwrap();
            if line.strip_prefix("event: ") == Some(name) {
                let data = self.lines.next().unwrap().unwrap();
                return serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            }
        }
    }
}

/// An answer of HTTP.
#[derive(Debug)]
pub(in crate::admin) struct Answer {
    pub(in crate::admin) code: u16,
    pub(in crate::admin) head: String,
    body: Vec<u8>,
}

impl Answer {
    pub(in crate::admin) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(in crate::admin) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.text()))
    }
}

/// A client that is connected.
pub(in crate::admin) struct Client {
    stream: TcpStream,
}

/// One with a session that ends with its connection.
pub(in crate::admin) fn client(server: &Server, client_id: &str) -> Client {
    connect(server, client_id, None)
}

/// One with a session that is kept.
pub(in crate::admin) fn kept_client(server: &Server, client_id: &str) -> Client {
    connect(server, client_id, Some(3600))
}

fn connect(server: &Server, client_id: &str, expiry_s: Option<u32>) -> Client {
    let stream = TcpStream::connect(server.mqtt()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let client = Client { stream };
    let properties =
        ConnectProperties { session_expiry_interval_s: expiry_s, ..ConnectProperties::default() };
    let connect = Connect { properties, ..Connect::new(Version::V5, client_id) };
    client.send(&Packet::Connect(connect));
    assert_eq!(client.packet()[0], 0x20);
    client
}

impl Client {
    pub(in crate::admin) fn subscribe(&self, filter: &str, qos: u8) {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)];
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filter = TopicFilter::parse(filter).unwrap();
        let filters = [SubscribeFilter { filter, options }];
        let packet_id = PacketId::new(1).unwrap();
        let subscribe =
            Subscribe { packet_id, properties: Default::default(), filters: filters[..].into() };
        self.send(&Packet::Subscribe(subscribe));
        assert_eq!(self.packet()[0], 0x90);
    }

    /// Publishes a retained message with QoS 1 and waits for its acknowledgement.
    pub(in crate::admin) fn retain(&self, topic: &str, payload: &[u8]) {
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            retain: true,
            packet_id: PacketId::new(2),
            ..Publish::new(topic, payload)
        };
        self.send(&Packet::Publish(publish));
        assert_eq!(self.packet()[0], 0x40);
    }

    /// The reason of the DISCONNECT that comes next.
    pub(in crate::admin) fn disconnected_with(&self) -> u8 {
        let packet = self.packet();
        assert_eq!(packet[0], 0xe0, "{packet:x?}");
        packet[2]
    }

    fn send(&self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(Version::V5, &mut bytes).unwrap();
        (&self.stream).write_all(&bytes).unwrap();
    }

    /// The next packet, with a length below 128.
    pub(in crate::admin) fn packet(&self) -> Vec<u8> {
        let mut head = [0; 2];
        (&self.stream).read_exact(&mut head).unwrap();
        assert!(head[1] < 128, "{head:x?}");
        let mut packet = vec![0; usize::from(head[1])];
        (&self.stream).read_exact(&mut packet).unwrap();
        [head.to_vec(), packet].concat()
    }
}
