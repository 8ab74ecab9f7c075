//! What a connection costs on each way into the broker: memory while it is idle, and processor
//! time and connections per second while it is made.
//!
//! `cargo bench --package weir-broker --bench transports`, with `ulimit -n 8000` or more. The
//! broker is a process of its own, started from this program, so that nothing of the clients is
//! counted. Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use weir_broker::Broker;
use weir_broker::config::{Overrides, load};

const SERVE: &str = "--serve-for-benchmark";
/// Connections at which memory is looked at.
const STEPS: [usize; 4] = [500, 1500, 2500, 3500];
const ROUND: Duration = Duration::from_secs(3);
const CLIENT_THREADS: usize = 2;
/// Of the times in `/proc`.
const TICKS_PER_S: u64 = 100;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == SERVE) {
        return serve(Path::new(&arguments[at + 1]));
    }
    let site = Site::new();
    println!("bytes of memory for each idle connection, between {STEPS:?} connections");
    for way in [Way::PLAIN, Way::WEBSOCKET, Way::TLS, Way::MUTUAL, Way::SECURE_WEBSOCKET] {
        println!("  {:<30} {:?}", way.name, idle_bytes(&site, way));
    }
    println!("connections one after the other, by {CLIENT_THREADS} threads for {ROUND:?}");
    for way in
        [Way::PLAIN, Way::WEBSOCKET, Way::TLS, Way::TLS_12, Way::MUTUAL, Way::RESUMED, Way::PLAIN]
    {
        let (per_s, cpu_us) = connects(&site, way);
        println!("  {:<30} {per_s:>6} /s  {cpu_us:>5} us of the broker's time", way.name);
    }
}

/// The broker's side of the benchmark: until its standard input ends.
fn serve(config: &Path) {
    let config = load(Some(config), &Overrides::default()).unwrap().config;
    let broker = Broker::start(config).unwrap();
    println!("{}", broker.addresses()[0]);
    let _ = std::io::stdin().read(&mut [0]);
}

/// A way into the broker.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    tls: Option<&'static str>,
    websocket: bool,
    has_certificate: bool,
    resumes: bool,
}

impl Way {
    const PLAIN: Self =
        Self { name: "plain", tls: None, websocket: false, has_certificate: false, resumes: false };
    const WEBSOCKET: Self = Self { name: "websocket", websocket: true, ..Self::PLAIN };
    const TLS: Self = Self { name: "tls 1.3", tls: Some("1.3"), ..Self::PLAIN };
    const TLS_12: Self = Self { name: "tls 1.2", tls: Some("1.2"), ..Self::PLAIN };
    const MUTUAL: Self =
        Self { name: "tls 1.3, client certificate", has_certificate: true, ..Self::TLS };
    const RESUMED: Self = Self { name: "tls 1.3, resumed", resumes: true, ..Self::TLS };
    const SECURE_WEBSOCKET: Self =
        Self { name: "websocket over tls 1.3", websocket: true, ..Self::TLS };

    fn config(self) -> String {
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
struct Site {
    folder: PathBuf,
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Site {
    fn new() -> Self {
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

    fn client(&self, way: Way) -> Option<Arc<ClientConfig>> {
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
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(site: &Site, way: Way) -> Self {
        let config = site.folder.join("weir.toml");
        fs::write(&config, way.config()).unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(SERVE)
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    /// Memory of its own, without what is mapped from files.
    fn anonymous_bytes(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Processor time of all its threads, in user and in system mode.
    fn cpu(&self) -> Duration {
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

trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// Connects and waits for CONNACK.
fn connect(
    address: SocketAddr,
    way: Way,
    tls: Option<&Arc<ClientConfig>>,
    name: &str,
) -> Box<dyn Connection> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    let mut stream: Box<dyn Connection> = match tls {
        None => Box::new(socket),
        Some(config) => {
            let name = "localhost".try_into().unwrap();
            let client = ClientConnection::new(config.clone(), name).unwrap();
            Box::new(StreamOwned::new(client, socket))
        }
    };
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

/// What each connection adds, between every two steps.
fn idle_bytes(site: &Site, way: Way) -> Vec<u64> {
    let served = Served::start(site, way);
    let tls = site.client(way);
    let mut open = Vec::new();
    let mut seen = Vec::new();
    for step in STEPS {
        while open.len() < step {
            let name = format!("c{}", open.len());
            open.push(connect(served.address, way, tls.as_ref(), &name));
        }
        seen.push((step as u64, served.anonymous_bytes()));
    }
    let between = seen.windows(2);
    between.map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect()
}

/// Connections per second, and the broker's time for each in microseconds.
fn connects(site: &Site, way: Way) -> (u64, u64) {
    let served = Served::start(site, way);
    let tls = site.client(way);
    drop(connect(served.address, way, tls.as_ref(), "first"));
    let (before, since) = (served.cpu(), Instant::now());
    let count: u64 = thread::scope(|scope| {
        let (address, tls) = (served.address, tls.as_ref());
        let work = move |number: usize| {
            let mut count = 0;
            while since.elapsed() < ROUND {
                drop(connect(address, way, tls, &format!("c{number}")));
                count += 1;
            }
            count
        };
        let threads: Vec<_> =
            (0..CLIENT_THREADS).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let cpu = served.cpu().saturating_sub(before);
    let per_s = count * 1000 / u64::try_from(since.elapsed().as_millis()).unwrap();
    (per_s, u64::try_from(cpu.as_micros()).unwrap() / count)
}
