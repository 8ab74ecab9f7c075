//! How many connections a listener has.

use std::{io::Read, net::TcpStream};

use crate::support::{
    gateway::{Folder, wait_until},
    mqtt::Client,
    secure::{Site, tcp},
};

#[test]
fn a_listener_has_no_more_connections_than_it_may() {
    let folder = Folder::new();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nmax_connections = 1\n";
    let gateway = folder.start(listener).unwrap();
    let connect = || TcpStream::connect(gateway.address()).unwrap();
    let first = Client::connect(connect(), "first").unwrap();
    assert_eq!(connect().read(&mut [0]).unwrap_or(0), 0, "one more is closed at once");
    assert_eq!(gateway.refused("max_connections"), 1);
    drop(first);
    wait_until("the end of the first connection", || gateway.connections() == 0);
    Client::connect(connect(), "second").unwrap().ping().unwrap();
}

/// Whoever never ends a handshake holds a place too, until the time for CONNECT is over.
#[test]
fn a_connection_counts_from_before_its_handshake() {
    let site = Site::new();
    let listener =
        Site::listener("").replace("[listener.tls]", "max_connections = 1\n[listener.tls]");
    let listener = format!("{listener}[limits]\nconnect_timeout = \"300ms\"\n");
    let gateway = site.folder.start(&listener).unwrap();
    let silent = tcp(&gateway);
    wait_until("the first connection", || gateway.connections() == 1);
    assert_eq!(tcp(&gateway).read(&mut [0]).unwrap_or(0), 0, "one more is closed at once");
    assert_eq!((gateway.refused("max_connections"), gateway.refused("tls")), (1, 0));
    wait_until("the end of the silent one", || gateway.connections() == 0);
    assert_eq!(gateway.refused("tls"), 1);
    Client::connect(site.connect(&gateway), "in time").unwrap().ping().unwrap();
    drop(silent);
}
