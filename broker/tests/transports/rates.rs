//! Clients that are too fast are read more slowly, and connections that come too fast wait.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    gateway::{Folder, PATIENCE, wait_until},
    mqtt::{Client, publish_packet},
    process::Process,
};

const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n";

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What was read before the broker stopped to read was lost when the client had gone meanwhile.
#[test]
fn all_messages_of_a_client_that_was_too_fast_arrive_although_it_is_gone() {
    let folder = Folder::new();
    let gateway = folder.start(&format!("{LISTENER}max_message_rate = 100\n")).unwrap();
    let mut watcher = Client::connect(connect(gateway.address()), "watcher").unwrap();
    watcher.subscribe("t");
    let since = Instant::now();
    // More than is read at a time.
    let payload = [b'x'; 2000];
    let mut bytes = Vec::new();
    (0..160).for_each(|_| bytes.extend(publish_packet("t", &payload)));
    bytes.extend([0xe0, 0]);
    let mut client = Client::connect(connect(gateway.address()), "fast").unwrap();
    thread::spawn(move || client.stream.write_all(&bytes).unwrap());
    for _ in 0..160 {
        assert_eq!(watcher.message().1.len(), 2000);
    }
    assert!(since.elapsed() > Duration::from_millis(550), "{:?}", since.elapsed());
    wait_until("its end", || gateway.connections() == 1);
    let throttled = gateway.broker.status().throttled;
    assert!((1..=60).contains(&throttled["messages"]) && throttled["bytes"] == 0, "{throttled:?}");
}

/// A listener may allow more, or less, than the limits for all.
#[test]
fn the_rate_of_a_listener_goes_before_that_of_all() {
    let folder = Folder::new();
    let config = format!(
        "{LISTENER}max_byte_rate = 0\n{LISTENER}[limits]\nmax_byte_rate = 1000\nmax_packet_size = \
         \"8KB\"\n"
    );
    let gateway = folder.start(&config).unwrap();
    let addresses = gateway.broker.addresses().to_vec();
    for (address, bytes_are_limited) in addresses.into_iter().zip([false, true]) {
        let mut client = Client::connect(connect(address), "a").unwrap();
        let since = Instant::now();
        client.publish("t", &[b'x'; 1500]);
        client.ping().unwrap();
        assert_eq!(since.elapsed() > Duration::from_millis(490), bytes_are_limited);
        assert_eq!(gateway.broker.status().throttled["bytes"], u64::from(bytes_are_limited));
    }
}

#[test]
fn connections_over_the_rate_wait_for_their_turn() {
    let folder = Folder::new();
    let process = Process::start(&folder, &format!("{LISTENER}max_connect_rate = 10\n"), "warn");
    let since = Instant::now();
    // All at once: the kernel keeps those that have to wait.
    let streams: Vec<TcpStream> = (0..25).map(|_| process.tcp()).collect();
    let clients: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(number, stream)| Client::connect(stream, &number.to_string()).unwrap())
        .collect();
    assert!(since.elapsed() > Duration::from_millis(1400), "{:?}", since.elapsed());
    for mut client in clients {
        client.ping().unwrap();
    }
    let line = process.line_with("lets connections wait");
    assert!(line.contains("rate=\"connects\"") && line.contains("listener=\"127.0.0.1:"), "{line}");
}

#[test]
fn a_client_that_is_slowed_down_is_named_in_the_log() {
    let folder = Folder::new();
    let config = format!("{LISTENER}[limits]\nmax_subscribe_rate = 1\n");
    let process = Process::start(&folder, &config, "warn");
    let mut client = Client::connect(process.tcp(), "eager").unwrap();
    client.subscribe("a");
    client.subscribe("b");
    let line = process.line_with("read more slowly");
    assert!(
        line.contains("client_id=\"eager\"") && line.contains("rate=\"subscriptions\""),
        "{line}"
    );
}
