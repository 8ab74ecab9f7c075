//! How many connections a listener has.

use std::{io::Read, net::TcpStream};

use crate::support::{
    gateway::{Folder, wait_until},
    mqtt::Client,
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
