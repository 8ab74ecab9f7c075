//! A service to which JSON is posted, and which fails as it is told.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

/// A service that takes every message but when it is told otherwise.
#[derive(Debug)]
pub struct HttpService {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    taken: Vec<Value>,
    refusals: u32,
    unanswered: u32,
}

impl HttpService {
    /// Listens on a free port of this machine, until the process ends.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// The same at this address.
    ///
    /// # Panics
    /// Somebody else listens there.
    #[must_use]
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Mutex<Shared>>::default();
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                // A connection that breaks is over.
                thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers so many of the next requests with 503, and takes nothing of them.
    pub fn refuse(&self, requests: u32) {
        lock(&self.shared).refusals += requests;
    }

    /// Takes so many of the next requests, and leaves without an answer.
    pub fn leave(&self, requests: u32) {
        lock(&self.shared).unanswered += requests;
    }

    /// The objects that were taken since the last call, in their order.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        std::mem::take(&mut lock(&self.shared).taken)
    }
}

fn serve(stream: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(body) = read_request(&mut reader)? {
        let answer = {
            let mut shared = lock(shared);
            if shared.refusals > 0 {
                shared.refusals -= 1;
                "503 Service Unavailable"
            } else {
                match serde_json::from_slice(&body) {
                    Ok(Value::Array(objects)) => shared.taken.extend(objects),
                    Ok(object) => shared.taken.push(object),
                    Err(error) => return Err(io::Error::other(error)),
                }
                if shared.unanswered > 0 {
                    shared.unanswered -= 1;
                    return Ok(());
                }
                "204 No Content"
            }
        };
        stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
    }
    Ok(())
}

/// The body of the next request; none at the end of the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
