//! The examples of the library do what they say.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

#[allow(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/client.rs"]
mod client;
#[allow(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/embedded.rs"]
mod embedded;
#[allow(dead_code, reason = "it is a program of its own too")]
#[path = "../examples/sink.rs"]
mod sink;

/// A directory that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("weir-example-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The standard input and output of an example, from the other side.
struct Pipe<T>(T);

impl Read for Pipe<mpsc::Receiver<Vec<u8>>> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Without its other end it has ended.
        let bytes = self.0.recv().unwrap_or_default();
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Write for Pipe<mpsc::Sender<Vec<u8>>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes until the text ends so.
fn read_until(output: &mpsc::Receiver<Vec<u8>>, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let bytes = output.recv_timeout(Duration::from_secs(20)).expect("more output in time");
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

#[test]
fn the_embedded_broker_listens_says_how_it_is_and_ends() {
    let folder = Folder::new("embedded");
    let directory = folder.0.clone();
    let (mut input, reads) = {
        let (sender, receiver) = mpsc::channel();
        (Pipe(sender), BufReader::new(Pipe(receiver)))
    };
    let (writes, output) = mpsc::channel();
    let run = move || embedded::run(&directory, 0, reads, Pipe(writes)).unwrap();
    let thread = std::thread::spawn(run);
    let text = read_until(&output, "\n");
    let address: SocketAddr = text.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    // CONNECT of 3.1.1 without a client identifier, and CONNACK.
    stream.write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00").unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    input.write_all(b"\n").unwrap();
    assert!(read_until(&output, "messages\n").starts_with("1 clients"));
    drop(input);
    thread.join().unwrap();
    assert!(folder.0.join("weir.redb").exists());
}

#[test]
fn the_client_counts_its_starts() {
    let folder = Folder::new("client");
    for start in 1..=3 {
        let mut out = Vec::new();
        client::run(&folder.0, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with(&format!("start {start}\n")), "{text}");
        assert_eq!(text.contains("was there"), start > 1, "{text}");
    }
}

#[test]
fn the_sink_has_each_message_once() {
    let folder = Folder::new("sink");
    let file = folder.0.join("archive.csv");
    for start in 1..=2 {
        let mut out = Vec::new();
        sink::run(&folder.0.join("data"), &file, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "10 written\n");
        let text = fs::read_to_string(&file).unwrap();
        let numbers: Vec<_> = text.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
        let all: Vec<_> = (0..start).flat_map(|_| 0..10).map(|number| number.to_string()).collect();
        assert_eq!(numbers, all);
    }
}
