//! Connections that go from the shard that accepts them to the shard of their client, with
//! whatever layers they have.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use weir_core::{Placement, ShardId};

use crate::support::{
    gateway::{Folder, Gateway, wait_until},
    mqtt::{Client, connect_packet, publish_packet},
    secure::{Drip, Site, secure, tcp},
    websocket::Framed,
};

const SHARDS: u8 = 3;

/// A client identifier for each shard.
fn one_each() -> impl Iterator<Item = String> {
    let placement = Placement::new(SHARDS, []);
    (0..SHARDS).map(ShardId).map(move |shard| {
        let mut names = (0..).map(|number| format!("client-{number}"));
        names.find(|name| placement.home(name) == shard).unwrap()
    })
}

fn with_shards(listener: &str) -> String {
    format!("shards = {SHARDS}\n{listener}")
}

const PLAIN: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n";

#[test]
fn clients_over_tls_go_to_every_shard() {
    let site = Site::new();
    let gateway = site.folder.start(&with_shards(&Site::listener(""))).unwrap();
    for id in one_each() {
        let mut client = Client::connect(site.connect(&gateway), &id).unwrap();
        client.check(&vec![7; 200_000]);
        let stream = secure(Drip(tcp(&gateway), 1), site.authority.client_config(None));
        Client::connect(stream, &format!("{id} drip")).unwrap().check(&[3; 500]);
    }
    wait_until("the end of all", || gateway.connections() == 0);
}

#[test]
fn clients_over_websocket_and_tls_go_to_every_shard() {
    let site = Site::new();
    let websocket = "protocol = \"websocket\"\n";
    let secured = Site::listener("");
    let secured = secured.replace("[listener.tls]", &format!("{websocket}[listener.tls]"));
    let listeners = format!("{PLAIN}{websocket}{secured}");
    let gateway = site.folder.start(&with_shards(&listeners)).unwrap();
    for id in one_each() {
        for portion in [3, 100_000] {
            let stream = Framed::connect(tcp(&gateway), portion).unwrap();
            Client::connect(stream, &id).unwrap().check(&vec![1; portion.min(70_000) * 2]);
            let address = gateway.broker.addresses()[1];
            let stream = std::net::TcpStream::connect(address).unwrap();
            let stream = secure(stream, site.authority.client_config(None));
            let stream = Framed::connect(stream, portion).unwrap();
            Client::connect(stream, &id).unwrap().check(&vec![2; portion.min(70_000) * 2]);
        }
    }
}

/// A client that had said all and closed its half was taken for gone before its connection moved,
/// and what it had said was lost.
#[test]
fn nothing_that_was_said_before_the_move_is_lost() {
    let folder = Folder::new();
    let gateway = folder.start(&with_shards(PLAIN)).unwrap();
    let mut listener = Client::connect(tcp(&gateway), "listener").unwrap();
    listener.subscribe("#");
    for round in 0..30 {
        for id in one_each() {
            let mut bytes = connect_packet(&id);
            if round % 2 == 1 {
                // A session that is kept: CONNACK waits, and what comes behind CONNECT waits for it.
                bytes[9] = 0;
            }
            for number in 0..20_u8 {
                bytes.extend(publish_packet(&id, &[round, number]));
            }
            bytes.extend([0xe0, 0]);
            let mut stream = tcp(&gateway);
            // In two pieces, of which the second comes during the move or after it.
            let (first, second) = bytes.split_at(bytes.len() * usize::from(round) / 30);
            stream.write_all(first).unwrap();
            stream.write_all(second).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            for number in 0..20 {
                assert_eq!(listener.message(), (id.clone(), vec![round, number]));
            }
        }
    }
    wait_until("the end of all others", || gateway.connections() == 1);
}

#[test]
fn a_connection_that_has_moved_counts_once_for_its_listener() {
    let folder = Folder::new();
    let gateway = folder.start(&with_shards(&format!("{PLAIN}max_connections = 3\n"))).unwrap();
    for round in 0..3 {
        let connect = |id: String| Client::connect(tcp(&gateway), &id).unwrap();
        let mut clients: Vec<_> = one_each().map(connect).collect();
        assert_eq!(tcp(&gateway).read(&mut [0]).unwrap_or(0), 0, "one more is closed at once");
        assert_eq!((gateway.refused("max_connections"), gateway.connections()), (round + 1, 3));
        clients.iter_mut().for_each(|client| client.ping().unwrap());
        drop(clients);
        wait_until("the end of all", || gateway.connections() == 0);
    }
}

#[test]
fn clients_of_every_shard_lose_connections_with_revoked_certificates() {
    let site = Site::new();
    site.folder.write("clients.crl", site.authority.revoke(&[99]));
    let tls = "cafile = \"ca.pem\"\nrequire_certificate = true\ncrlfile = \"clients.crl\"\n";
    let gateway = site.folder.start(&with_shards(&Site::listener(tls))).unwrap();
    let connect = |id: &str, serial| {
        let identity = site.authority.client(id, serial);
        let stream = secure(tcp(&gateway), site.authority.client_config(Some(&identity)));
        Client::connect(stream, id)
    };
    let mut pairs = Vec::new();
    for (id, serial) in one_each().zip(1..) {
        pairs.push((connect(&id, serial).unwrap(), connect(&format!("{id} stays"), 50).unwrap()));
    }
    site.folder.write("clients.crl", site.authority.revoke(&[1, 2, 3, 99]));
    gateway.broker.reload_certificates().unwrap();
    wait_until("the end of three", || gateway.connections() == 3);
    for (gone, stays) in &mut pairs {
        assert!(gone.ping().is_err());
        stays.ping().unwrap();
    }
    assert_eq!(gateway.broker.status().auth.revoked, 3);
}

#[test]
fn a_client_takes_over_from_itself_in_its_shard() {
    let folder = Folder::new();
    let gateway = folder.start(&with_shards(PLAIN)).unwrap();
    for id in one_each() {
        let mut before = Client::connect_v5(tcp(&gateway), &id);
        let mut after = Client::connect(tcp(&gateway), &id).unwrap();
        let (first, body) = before.read_packet().unwrap();
        assert_eq!((first, body[0]), (0xe0, 0x8e), "DISCONNECT: session taken over");
        after.ping().unwrap();
    }
    wait_until("the end of those before", || sessions(&gateway) == (0, 0));
}

fn sessions(gateway: &Gateway) -> (u64, u64) {
    let status = gateway.broker.status();
    (status.connections, status.sessions)
}
