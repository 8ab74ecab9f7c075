//! Changed certificates, revocation lists and authorities, as an operator changes them: the files
//! of a running process.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::Instant,
};

use rustls::{ClientConnection, StreamOwned, pki_types::CertificateDer};

use crate::support::{
    certificates::{Authority, Identity},
    gateway::{PATIENCE, wait_until},
    mqtt::Client,
    secure::{Site, secure},
};

const CLIENTS: &str = "cafile = \"ca.pem\"\nrequire_certificate = true\n";

/// `weir run` with the files of a site; killed at the end.
struct Process {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
}

impl Process {
    fn start(site: &Site, more: &str) -> Self {
        site.folder.load(&Site::listener(more)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config"])
            .arg(site.folder.path().join("weir.toml"))
            .env_remove("WEIR_LOG")
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
    fn line_with(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("`{text}` was not said"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn hang_up(&self) {
        let kill = format!("kill -HUP {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn connect(
        &self,
        authority: &Authority,
        identity: Option<&Identity>,
    ) -> std::io::Result<Client<StreamOwned<ClientConnection, TcpStream>>> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::connect(secure(stream, authority.client_config(identity)), "client")
    }

    /// The certificate that the broker shows to whoever comes now.
    fn shown(&self, authority: &Authority) -> CertificateDer<'static> {
        let client = self.connect(authority, None).unwrap();
        client.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_changed_certificate_is_used_by_itself_and_nobody_loses_a_connection() {
    let site = Site::new();
    let process = Process::start(&site, "");
    let stream = TcpStream::connect(process.address).unwrap();
    let stream = secure(stream, site.authority.client_config(None));
    let mut early = Client::connect(stream, "early").unwrap();
    let renewed = site.authority.server();
    site.install(&renewed);
    process.line_with("the certificates have changed and are in use");
    assert_eq!(process.shown(&site.authority), renewed.der());
    early.check(b"still here");
}

#[test]
fn sighup_reads_certificates_and_a_wrong_file_says_what_to_do() {
    let site = Site::new();
    let process = Process::start(&site, "");
    let first = process.shown(&site.authority);
    site.folder.write("broker.key", site.authority.server().key_pem());
    process.hang_up();
    let line = process.line_with("the old ones stay");
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains("does not belong to the certificate"), "{line}");
    assert!(line.contains("help=\"give the key that the certificate was made with"), "{line}");
    assert_eq!(process.shown(&site.authority), first);
    let renewed = site.authority.server();
    site.install(&renewed);
    process.hang_up();
    process.line_with("certificates were read again");
    assert_eq!(process.shown(&site.authority), renewed.der());
}

#[test]
fn a_wrong_file_is_reported_by_itself_too() {
    let site = Site::new();
    let process = Process::start(&site, "");
    site.folder.write("broker.pem", "-----BEGIN CERTIFICATE-----\nhalf");
    let line = process.line_with("the old ones stay");
    assert!(line.contains("broker.pem") && line.contains("help="), "{line}");
    process.connect(&site.authority, None).unwrap().ping().unwrap();
}

#[test]
fn a_certificate_that_is_revoked_meanwhile_opens_nothing_new() {
    let site = Site::new();
    site.folder.write("clients.crl", site.authority.revoke(&[1]));
    let process = Process::start(&site, &format!("{CLIENTS}crlfile = \"clients.crl\"\n"));
    let node = site.authority.client("node", 7);
    let mut early = process.connect(&site.authority, Some(&node)).unwrap();
    site.folder.write("clients.crl", site.authority.revoke(&[1, 7]));
    process.hang_up();
    process.line_with("certificates were read again");
    wait_until("the refusal", || process.connect(&site.authority, Some(&node)).is_err());
    early.ping().unwrap();
}

#[test]
fn another_authority_lets_in_other_clients() {
    let site = Site::new();
    let process = Process::start(&site, CLIENTS);
    let elsewhere = Authority::new("elsewhere");
    let (old, new) = (site.authority.client("old", 1), elsewhere.client("new", 1));
    process.connect(&site.authority, Some(&old)).unwrap();
    assert!(process.connect(&site.authority, Some(&new)).is_err());
    site.folder.write("ca.pem", elsewhere.pem());
    process.hang_up();
    process.line_with("certificates were read again");
    process.connect(&site.authority, Some(&new)).unwrap();
    assert!(process.connect(&site.authority, Some(&old)).is_err());
}
