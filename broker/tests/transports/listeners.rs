//! Listeners of one broker that treat their clients differently.

use std::{net::TcpStream, os::unix::net::UnixStream};

use crate::support::{
    gateway::{Folder, Gateway},
    mqtt::{Client, connect_packet},
};

const UNACCEPTABLE_VERSION: u8 = 1;
const IDENTIFIER_REJECTED: u8 = 2;
const NOT_AUTHORIZED: u8 = 5;

fn connect(gateway: &Gateway, listener: usize, id: &str) -> Result<Client<TcpStream>, u8> {
    let stream = TcpStream::connect(gateway.broker.addresses()[listener]).unwrap();
    Client::connect_with(stream, &connect_packet(id)).unwrap()
}

#[test]
fn programs_of_this_machine_need_no_name_where_others_do() {
    let folder = Folder::new();
    let listeners = "[[listener]]\naddress = \"127.0.0.1:0\"\n\
                     [[listener]]\npath = \"mqtt.sock\"\nallow_anonymous = true\n[auth]\n";
    let gateway = folder.start(listeners).unwrap();
    assert_eq!(connect(&gateway, 0, "a").err(), Some(NOT_AUTHORIZED));
    let stream = UnixStream::connect(folder.path().join("mqtt.sock")).unwrap();
    Client::connect(stream, "a").unwrap().check(b"local");
}

#[test]
fn clients_behind_a_mount_point_see_their_own_topics_only() {
    let folder = Folder::new();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let listeners = format!("{listener}{listener}mount_point = \"site/a/\"\n");
    let gateway = folder.start(&listeners).unwrap();
    let mut outside = connect(&gateway, 0, "outside").unwrap();
    let mut inside = connect(&gateway, 1, "inside").unwrap();
    outside.subscribe("#");
    inside.subscribe("#");
    inside.publish("t", b"1");
    assert_eq!(inside.message(), ("t".to_owned(), b"1".to_vec()));
    assert_eq!(outside.message(), ("site/a/t".to_owned(), b"1".to_vec()));
    outside.publish("elsewhere", b"2");
    outside.publish("site/a/u", b"3");
    assert_eq!(inside.message(), ("u".to_owned(), b"3".to_vec()));
}

#[test]
fn a_listener_says_which_clients_it_takes() {
    let folder = Folder::new();
    let listeners = "[[listener]]\naddress = \"127.0.0.1:0\"\n\
                     accept_protocol_versions = [\"5.0\"]\n\
                     [[listener]]\naddress = \"127.0.0.1:0\"\n\
                     allow_zero_length_clientid = false\nmessage_size_limit = \"1KB\"\n";
    let gateway = folder.start(listeners).unwrap();
    assert_eq!(connect(&gateway, 0, "a").err(), Some(UNACCEPTABLE_VERSION));
    assert_eq!(connect(&gateway, 1, "").err(), Some(IDENTIFIER_REJECTED));
    let mut client = connect(&gateway, 1, "a").unwrap();
    client.subscribe("t");
    client.publish("t", &[0; 1025]);
    client.publish("t", &[1; 1024]);
    assert_eq!(client.message().1, [1; 1024]);
}

#[test]
fn what_cannot_be_a_mount_point_is_said() {
    let folder = Folder::new();
    let problems = |value: &str| {
        let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nmount_point = ";
        folder.problems(&format!("{listener}\"{value}\"\n"))
    };
    assert!(problems("a/+/").contains("no topic can begin so"));
    assert!(problems("$SYS/").contains("no topic can begin so"));
    let text = problems("site/a");
    assert!(text.contains("must end with a slash"), "{text}");
    assert!(text.contains("write \"site/a/\""), "{text}");
    let versions = "[[listener]]\naddress = \"127.0.0.1:0\"\naccept_protocol_versions = ";
    assert!(folder.problems(&format!("{versions}[]\n")).contains("an empty list"));
    assert!(folder.problems(&format!("{versions}[\"5\"]\n")).contains("\"3.1.1\""));
}

#[test]
fn who_is_let_in_by_a_listener_is_warned_about_there() {
    let folder = Folder::new();
    let warnings = |text: &str| -> Vec<String> {
        let loaded = folder.load(&format!("{text}[auth]\n")).unwrap();
        loaded.warnings.iter().map(ToString::to_string).collect()
    };
    let open = warnings("[[listener]]\naddress = \"0.0.0.0:1883\"\nallow_anonymous = true\n");
    assert!(open[0].contains("everybody who reaches 0.0.0.0:1883 may connect"), "{open:?}");
    assert!(open[0].contains("weir.toml:3:11"), "{open:?}");
    let local = "[[listener]]\npath = \"mqtt.sock\"\nallow_anonymous = true\n";
    assert!(warnings(local).is_empty());
}
