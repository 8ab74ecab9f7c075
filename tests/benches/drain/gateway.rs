//! The broker whose backlog is filled and drains.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use weir_mqtt::{QoS, Version};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::wait::pass;
use weir_tests::harness::weir::Weir;

use crate::far_end::FarEnd;
use crate::process::{self, Reading};

pub(crate) struct Gateway {
    weir: Weir,
    admin: SocketAddr,
    data: PathBuf,
}

/// What the status says of the upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) depth: u64,
    pub(crate) acknowledged: u64,
    pub(crate) dropped: u64,
}

impl Gateway {
    pub(crate) fn start(folder: &Folder, far_end: &dyn FarEnd, drain_rate: u32) -> Self {
        let (kind, address, more) = far_end.upstream();
        let config = format!(
            "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             [auth]\nallow_anonymous = true\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [log]\nlevel = \"error\"\n[upstream.far]\nkind = \"{kind}\"\naddress = \"{address}\"\n\
             remote_clientid = \"gateway\"\nrestart_timeout = \"100ms 500ms\"\n\
             drain_rate = {drain_rate}\n{more}\
             forward = [{{ from = \"day/#\", to = \"far/{{topic}}\", qos = 1 }}]\n"
        );
        let weir = Weir::start(&folder.write("weir.toml", config));
        let admin = weir.admin_address();
        Self { weir, admin, data: folder.path().join("data") }
    }

    /// Publishes so many messages, of ten sensors, and waits until all are in the backlog.
    pub(crate) fn fill(&mut self, messages: u64) {
        let mut publisher = Publisher::new("sensors", Version::V5, 100);
        publisher.connect(self.weir.address()).unwrap();
        publisher.publish((0..messages).map(|number| Message {
            topic: format!("day/{}", number % 10),
            payload: format!("{number:x>PAYLOAD_BYTES$}").into_bytes(),
            qos: QoS::AtLeastOnce,
            ..Message::default()
        }));
        self.wait_for("a full backlog", |upstream| upstream.depth == messages);
    }

    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&Upstream) -> bool) {
        let start = Instant::now();
        while !is(&self.upstream()) {
            assert!(start.elapsed() < LIMIT, "no {what}: {:?}", self.upstream());
            pass(Duration::from_millis(5));
        }
    }

    pub(crate) fn upstream(&self) -> Upstream {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(stream, "GET /api/v1/status HTTP/1.0\r\nHost: {}\r\n\r\n", self.admin).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: serde_json::Value = serde_json::from_str(body).unwrap();
        let upstream = &status["upstreams"][0];
        let count = |name: &str| upstream[name].as_u64().unwrap_or_else(|| panic!("{status}"));
        let dropped = upstream["dropped"].as_object().unwrap().values();
        Upstream {
            depth: count("depth"),
            acknowledged: count("acknowledged"),
            dropped: dropped.map(|count| count.as_u64().unwrap()).sum(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.weir.address()
    }

    pub(crate) fn process(&self) -> Reading {
        Reading::take(self.weir.process().id())
    }

    pub(crate) fn forget_peak(&self) {
        process::forget_peak(self.weir.process().id());
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        process::disk_bytes(&self.data)
    }
}

pub(crate) const PAYLOAD_BYTES: usize = 100;
const LIMIT: Duration = Duration::from_secs(300);
