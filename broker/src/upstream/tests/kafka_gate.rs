//! A gate before a broker of Kafka, which itself asks nobody who he is: it speaks TLS, wants a login,
//! and asks for pauses.
//!
//! Brokers say where they are, and whoever asks goes there: in those answers the gate puts itself in
//! their place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::tls::Files;
use crate::auth::{ClientFirst, Keys, derive_keys};
use crate::config::{CertificateUsername, HostPort, TlsConfig, TlsVersion};

/// Ends with the value.
pub(super) struct Gate {
    port: u16,
    /// Whether the passwords are the right ones.
    knows: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// What it asks for.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    /// The mechanism of SASL, if somebody is to log in; `gate` with the password `right`.
    pub(super) sasl: Option<&'static str>,
    pub(super) tls: Option<TlsAcceptor>,
    /// A pause after each request to store something.
    pub(super) pause_ms: u32,
}

struct Guard {
    broker: HostPort,
    port: u16,
    wanted: Wanted,
    knows: Arc<AtomicBool>,
}

/// How far a login has come.
enum Progress {
    Begun,
    /// The first word of SCRAM, and the challenge.
    Challenged(Vec<u8>, String),
    Done,
}

impl Gate {
    /// Before the only broker there is.
    pub(super) async fn open(broker: HostPort, wanted: Wanted) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let knows = Arc::new(AtomicBool::new(true));
        let guard = Arc::new(Guard { broker, port, wanted, knows: knows.clone() });
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let guard = guard.clone();
                // A connection that breaks is over.
                tokio::spawn(async move { guard.admit(stream).await.ok() });
            }
        });
        Self { port, knows, task }
    }

    /// By the name that is in the certificate.
    pub(super) fn address(&self) -> HostPort {
        HostPort::new("localhost", self.port)
    }

    /// From now on no password is the right one, or the right one is again.
    pub(super) fn forget(&self, is_forgotten: bool) {
        self.knows.store(!is_forgotten, Ordering::Release);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// TLS that wants a certificate of the authority in the files.
pub(super) fn tls(files: &Files) -> TlsAcceptor {
    let config = TlsConfig {
        certfile: files.path("localhost.pem"),
        keyfile: files.path("localhost.key"),
        cafile: Some(files.path("ca.pem")),
        crlfile: None,
        require_certificate: true,
        username: CertificateUsername::default(),
        tls_version: TlsVersion::V12,
    };
    TlsAcceptor::from(config.load(0).expect("the files are ours").server)
}

impl Guard {
    async fn admit(&self, stream: TcpStream) -> std::io::Result<()> {
        match &self.wanted.tls {
            Some(tls) => self.serve(tls.accept(stream).await?).await,
            None => self.serve(stream).await,
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut here: S) -> std::io::Result<()> {
        let broker = (self.broker.host(), self.broker.port());
        let mut there = TcpStream::connect(broker).await?;
        let mut progress =
            if self.wanted.sasl.is_some() { Progress::Begun } else { Progress::Done };
        loop {
            let request = frame(&mut here).await?;
            let answer = match (i16_at(&request, 0), &progress) {
                (HANDSHAKE, _) => self.handshake(&request),
                (AUTHENTICATE, _) => self.authenticate(&request, &mut progress),
                (API_VERSIONS, _) | (_, Progress::Done) => {
                    send(&mut there, &request).await?;
                    let mut answer = frame(&mut there).await?;
                    match i16_at(&request, 0) {
                        METADATA => self.step_in(&mut answer),
                        PRODUCE => {
                            let end = answer.len() - 4;
                            answer[end..].copy_from_slice(&self.wanted.pause_ms.to_be_bytes());
                        }
                        _ => {}
                    }
                    answer
                }
                // As Kafka does with whoever begins with something else.
                _ => return Ok(()),
            };
            send(&mut here, &answer).await?;
        }
    }

    fn handshake(&self, request: &[u8]) -> Vec<u8> {
        let asked = text(body(request));
        let (code, mechanism) = match self.wanted.sasl {
            None => (34, ""),
            Some(mechanism) => (if asked == mechanism { 0 } else { 33 }, mechanism),
        };
        let mut answer = request[4..8].to_vec();
        answer.extend(i16::to_be_bytes(code));
        answer.extend(1_i32.to_be_bytes());
        answer.extend((mechanism.len() as i16).to_be_bytes());
        answer.extend(mechanism.as_bytes());
        answer
    }

    fn authenticate(&self, request: &[u8], progress: &mut Progress) -> Vec<u8> {
        let word = &body(request)[4..];
        let said = match progress {
            Progress::Begun if self.wanted.sasl == Some("PLAIN") => {
                let is_right = word == b"\0gate\0right" && self.knows.load(Ordering::Acquire);
                is_right.then(|| {
                    *progress = Progress::Done;
                    String::new()
                })
            }
            Progress::Begun => ClientFirst::parse(word).map(|first| {
                let challenge = first.challenge("of-the-gate", SALT, 4_096);
                *progress = Progress::Challenged(word.to_vec(), challenge.clone());
                challenge
            }),
            Progress::Challenged(first, challenge) => {
                let password = if self.knows.load(Ordering::Acquire) { "right" } else { "other" };
                let keys = derive_keys(password.as_bytes(), SALT, 4_096);
                let (stored, server) = keys.split_at(32);
                let first = ClientFirst::parse(first).filter(|first| first.username == "gate");
                let keys = Keys { stored, server };
                let said = first.and_then(|first| first.verify(challenge.as_bytes(), word, keys));
                if said.is_some() {
                    *progress = Progress::Done;
                }
                said
            }
            Progress::Done => None,
        };
        let mut answer = request[4..8].to_vec();
        let told = "Authentication failed: Invalid username or password";
        match said {
            Some(_) => answer.extend([0, 0, 0xff, 0xff]),
            None => {
                answer.extend(58_i16.to_be_bytes());
                answer.extend((told.len() as i16).to_be_bytes());
                answer.extend(told.as_bytes());
            }
        }
        let said = said.unwrap_or_default();
        answer.extend((said.len() as i32).to_be_bytes());
        answer.extend(said.as_bytes());
        answer
    }

    /// Puts the gate in the place of the brokers.
    fn step_in(&self, answer: &mut Vec<u8>) {
        // Behind the number of the question and the pause that is asked for.
        let mut place = 8;
        let count = i32_at(answer, place);
        place += 4;
        for _ in 0..count {
            let host = place + 4;
            let length = i16_at(answer, host) as usize;
            answer.splice(host..host + 2 + length, *b"\0\x09localhost");
            let port = host + 11;
            answer[port..port + 4].copy_from_slice(&i32::from(self.port).to_be_bytes());
            let rack = i16_at(answer, port + 4).max(0) as usize;
            place = port + 6 + rack;
        }
    }
}

async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; stream.read_i32().await? as usize];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> std::io::Result<()> {
    stream.write_i32(frame.len() as i32).await?;
    stream.write_all(frame).await?;
    stream.flush().await
}

/// What stands behind the name of the client.
fn body(request: &[u8]) -> &[u8] {
    &request[10 + i16_at(request, 8) as usize..]
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(&bytes[2..2 + i16_at(bytes, 0) as usize]).expect("a text")
}

fn i16_at(bytes: &[u8], place: usize) -> i16 {
    i16::from_be_bytes(bytes[place..place + 2].try_into().expect("two bytes"))
}

fn i32_at(bytes: &[u8], place: usize) -> i32 {
    i32::from_be_bytes(bytes[place..place + 4].try_into().expect("four bytes"))
}

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const AUTHENTICATE: i16 = 36;
const SALT: &[u8] = b"salt of the gate";
