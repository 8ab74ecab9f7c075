//! TLS: who gets in, with which versions, and what is said about files that are wrong.

use std::{
    io::{ErrorKind, Read, Write},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{
    certificates::Authority,
    gateway::wait_until,
    mqtt::Client,
    secure::{Drip, Site, secure, tcp},
};

const CLIENTS: &str = "cafile = \"ca.pem\"\nrequire_certificate = true\n";

#[test]
fn a_client_speaks_over_tls() {
    let site = Site::new();
    let gateway = site.start("");
    let mut client = Client::connect(site.connect(&gateway), "secure").unwrap();
    client.check(b"small");
    client.ping().unwrap();
}

#[test]
fn large_messages_pass_in_both_directions() {
    let site = Site::new();
    let gateway = site.start("");
    let mut client = Client::connect(site.connect(&gateway), "large").unwrap();
    let payload: Vec<u8> = (0..1_900_000_u64).map(|n| ((n * n) >> 7) as u8).collect();
    client.check(&payload);
    client.ping().unwrap();
}

#[test]
fn every_byte_may_come_by_itself() {
    let site = Site::new();
    let gateway = site.start(CLIENTS);
    let identity = site.authority.client("drip", 1);
    let stream = secure(Drip(tcp(&gateway), 1), site.authority.client_config(Some(&identity)));
    Client::connect(stream, "drip").unwrap().check(&[3; 2000]);
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_get_in() {
    let site = Site::new();
    let gateway = site.start(CLIENTS);
    let connect = |authority: &Authority, serial: Option<u64>| {
        let identity = serial.map(|serial| authority.client("node", serial));
        // The identity may be of another authority than the one that the client believes.
        let config = site.authority.client_config(identity.as_ref());
        Client::connect(secure(tcp(&gateway), config), "node").map(drop)
    };
    connect(&site.authority, Some(1)).unwrap();
    assert!(connect(&site.authority, None).is_err(), "without a certificate");
    assert!(connect(&Authority::new("elsewhere"), Some(1)).is_err(), "of somebody else");
    assert_eq!(gateway.refused("tls"), 2);
}

#[test]
fn a_certificate_may_be_asked_for_without_being_required() {
    let site = Site::new();
    let gateway = site.start("cafile = \"ca.pem\"\n");
    Client::connect(site.connect(&gateway), "without").unwrap().ping().unwrap();
    let identity = site.authority.client("with", 1);
    let config = site.authority.client_config(Some(&identity));
    Client::connect(secure(tcp(&gateway), config), "with").unwrap().ping().unwrap();
}

#[test]
fn a_revoked_certificate_does_not_count() {
    let site = Site::new();
    site.folder.write("clients.crl", site.authority.revoke(&[7]));
    let gateway = site.start(&format!("{CLIENTS}crlfile = \"clients.crl\"\n"));
    let connect = |serial| {
        let identity = site.authority.client("node", serial);
        let config = site.authority.client_config(Some(&identity));
        Client::connect(secure(tcp(&gateway), config), "node").map(drop)
    };
    connect(6).unwrap();
    assert!(connect(7).is_err());
}

#[test]
fn a_client_that_speaks_something_else_is_told_and_closed() {
    let site = Site::new();
    let gateway = site.start("");
    for garbage in
        [b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02id".as_slice(), &[0xff; 70_000], b"GET / "]
    {
        let mut stream = tcp(&gateway);
        // It may be closed before all of it is written.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    wait_until("the refusal of all", || gateway.refused("tls") == 3);
    wait_until("the end of all", || gateway.connections() == 0);
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let site = Site::new();
    let listener = format!("{}[limits]\nconnect_timeout = \"150ms\"\n", Site::listener(""));
    let gateway = site.folder.start(&listener).unwrap();
    let mut silent = tcp(&gateway);
    let mut slow = tcp(&gateway);
    slow.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).unwrap();
    for stream in [&mut silent, &mut slow] {
        // Reading ends because the broker has closed, not because the test lost its patience.
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
    wait_until("the refusal of both", || gateway.refused("tls") == 2);
    assert_eq!(gateway.connections(), 0);
}

#[test]
fn a_slow_reader_gets_everything_in_the_end() {
    let site = Site::new();
    let gateway = site.start("");
    let mut slow = Client::connect(site.connect(&gateway), "slow").unwrap();
    slow.subscribe("echo");
    let mut sender = Client::connect(site.connect(&gateway), "sender").unwrap();
    // More than the buffers of the kernel and of TLS together, so that writing has to wait.
    let payload = vec![9; 1_800_000];
    for _ in 0..3 {
        sender.publish("echo", &payload);
        sender.ping().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(slow.message().1 == payload);
    }
}

/// Whether `openssl s_client` agrees on this version; none when it is not installed.
fn openssl_connects(port: u16, version: &str) -> Option<bool> {
    let address = format!("127.0.0.1:{port}");
    let arguments = ["s_client", "-connect", &address, version, "-brief"];
    let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).output().ok()?;
    Some(output.status.success())
}

#[test]
fn the_oldest_version_is_as_configured() {
    let site = Site::new();
    let (both, new) = (site.start(""), site.start("tls_version = \"1.3\"\n"));
    let connects = |gateway: &crate::support::gateway::Gateway, version| {
        openssl_connects(gateway.address().port(), version)
    };
    if connects(&both, "-tls1_3").is_none() {
        return println!("not run: openssl is not installed");
    }
    assert_eq!(connects(&both, "-tls1_2"), Some(true));
    assert_eq!(connects(&both, "-tls1_3"), Some(true));
    assert_eq!(connects(&new, "-tls1_2"), Some(false));
    assert_eq!(connects(&new, "-tls1_3"), Some(true));
    assert_eq!(connects(&both, "-tls1_1"), Some(false));
}
