//! A broker in a process of its own, and clients that connect to it in each of the ways there are.
//!
//! The process is started from the benchmark's own program, so that nothing of the clients is
//! counted. Linux only.
#![allow(dead_code, reason = "each benchmark needs a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use weir_broker::Broker;
use weir_broker::config::{Overrides, load};

const SERVE: &str = "--serve-for-benchmark";
/// Of the times in `/proc`.
const TICKS_PER_S: u64 = 100;
/// A broker that says nothing for so long is stuck.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether this process was started to be the broker; it was, until its standard input ended.
pub(crate) fn has_served() -> bool {
    let arguments: Vec<String> = env::args().collect();
    let Some(at) = arguments.iter().position(|argument| argument == SERVE) else { return false };
    serve(Path::new(&arguments[at + 1]));
    true
}

fn serve(config: &Path) {
    let config = load(Some(config), &Overrides::default()).unwrap().config;
    let broker = Broker::start(config).unwrap();
    // That of the admin server comes last, if there is one.
    let addresses = broker.addresses().iter().copied().chain(broker.admin_address());
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    println!("{}", addresses.join(" "));
    let _ = std::io::stdin().read(&mut [0]);
}

/// A way into the broker.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) tls: Option<&'static str>,
    pub(crate) websocket: bool,
    has_certificate: bool,
    resumes: bool,
}

impl Way {
    pub(crate) const PLAIN: Self =
        Self { name: "plain", tls: None, websocket: false, has_certificate: false, resumes: false };
    pub(crate) const WEBSOCKET: Self = Self { name: "websocket", websocket: true, ..Self::PLAIN };
    pub(crate) const TLS: Self = Self { name: "tls 1.3", tls: Some("1.3"), ..Self::PLAIN };
    pub(crate) const TLS_12: Self = Self { name: "tls 1.2", tls: Some("1.2"), ..Self::PLAIN };
    pub(crate) const MUTUAL: Self =
        Self { name: "tls 1.3, client certificate", has_certificate: true, ..Self::TLS };
    pub(crate) const RESUMED: Self = Self { name: "tls 1.3, resumed", resumes: true, ..Self::TLS };
    pub(crate) const SECURE_WEBSOCKET: Self =
        Self { name: "websocket over tls 1.3", websocket: true, ..Self::TLS };

    pub(crate) fn config(self) -> String {
        let protocol = if self.websocket { "websocket" } else { "mqtt" };
        let tls = match self.tls {
            None => "",
            Some(_) => "[listener.tls]\ncertfile = \"node.pem\"\nkeyfile = \"node.key\"\n",
        };
        let clients = match self.has_certificate {
            false => "",
            true => "cafile = \"ca.pem\"\nrequire_certificate = true\n",
        };
        format!(
            "persistence = false\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             protocol = \"{protocol}\"\n{tls}{clients}[auth]\nallow_anonymous = true\n"
        )
    }
}

/// A folder with an authority and a certificate, P-256, that serves both sides.
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "node");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        fs::write(folder.join("node.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("node.key"), key.serialize_pem()).unwrap();
        Self {
            folder,
            authority: issuer.der().clone(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    pub(crate) fn client(&self, way: Way) -> Option<Arc<ClientConfig>> {
        let version = if way.tls? == "1.2" { &version::TLS12 } else { &version::TLS13 };
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match way.has_certificate {
            false => builder.with_no_client_auth(),
            true => {
                let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
                builder.with_client_auth_cert(vec![self.certificate.clone()], key).unwrap()
            }
        };
        if !way.resumes {
            config.resumption = Resumption::disabled();
        }
        Some(Arc::new(config))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A broker in a process of its own.
pub(crate) struct Served {
    child: Child,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Served {
    pub(crate) fn start(site: &Site, text: &str) -> Self {
        let config = site.folder.join("weir.toml");
        fs::write(&config, text).unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(SERVE)
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses = line.split_whitespace().map(|address| address.parse().unwrap());
        Self { child, addresses: addresses.collect() }
    }

    /// Memory of its own, without what is mapped from files.
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        self.status("RssAnon:") * 1024
    }

    /// All of its memory that is not swapped out.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status("VmRSS:") * 1024
    }

    /// How often its threads went to sleep of their own will.
    pub(crate) fn sleeps(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let status = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")));
        status.map(|text| number(&text.unwrap(), "voluntary_ctxt_switches:")).sum()
    }

    fn status(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        number(&text, name)
    }

    /// Processor time of all its threads, in user and in system mode.
    pub(crate) fn cpu(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = text.rsplit_once(')').unwrap();
        let times = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_S)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// Opens a connection that has said nothing yet.
pub(crate) fn open(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Box<dyn Connection> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let Some(config) = tls else { return Box::new(socket) };
    let name = "localhost".try_into().unwrap();
    let client = ClientConnection::new(config.clone(), name).unwrap();
    Box::new(StreamOwned::new(client, socket))
}

/// Connects and waits for CONNACK.
pub(crate) fn connect(
    address: SocketAddr,
    way: Way,
    tls: Option<&Arc<ClientConfig>>,
    name: &str,
) -> Box<dyn Connection> {
    let mut stream = open(address, tls);
    let mut packet = b"\x10\0\0\x04MQTT\x04\x02\0\0\0".to_vec();
    packet.push(name.len() as u8);
    packet.extend_from_slice(name.as_bytes());
    packet[1] = packet.len() as u8 - 2;
    let mut answer = [0; 6];
    if way.websocket {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
            Sec-WebSocket-Protocol: mqtt\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        // A mask of zeros leaves the payload as it is.
        let frame = [&[0x82, 0x80 | packet.len() as u8, 0, 0, 0, 0][..], &packet].concat();
        stream.write_all(&frame).unwrap();
        stream.read_exact(&mut answer).unwrap();
    } else {
        stream.write_all(&packet).unwrap();
        stream.read_exact(&mut answer[2..]).unwrap();
    }
    assert_eq!(answer[2..], [0x20, 2, 0, 0], "CONNACK");
    stream
}

fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
