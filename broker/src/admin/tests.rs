//! The admin server over a real socket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
};

use super::*;

/// A server on a thread of its own that stops at the end of the test.
struct Server {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(status: Status) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (address, addresses) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            let stop = async { stopped.await.unwrap_or_default() };
            runtime.block_on(serve(listener, move || status.clone(), None, stop)).unwrap();
        });
        Self { address: addresses.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take().unwrap().send(()).ok();
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn the_status_is_json() {
    let status = Status { version: "1.2.3".into(), connections: 7, ..Status::default() };
    let answer = Server::start(status.clone()).get("/api/v1/status");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Status>(body).unwrap(), status);
}

#[test]
fn readiness_follows_the_broker_and_health_does_not() {
    let server = Server::start(Status::default());
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(server.get("/readyz").starts_with("HTTP/1.1 503"));
    let server = Server::start(Status { ready: true, ..Status::default() });
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn an_unknown_path_names_the_known_ones() {
    let answer = Server::start(Status::default()).get("/metrics");
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/api/v1/status"), "{answer}");
}
