//! Changed certificates, revocation lists and authorities, as an operator changes them: the files
//! of a running process.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use rustls::{ClientConnection, StreamOwned, pki_types::CertificateDer};

use crate::support::{
    certificates::{Authority, Identity},
    mqtt::Client,
    process::Process,
    secure::{Site, secure},
};

const CLIENTS: &str = "cafile = \"ca.pem\"\nrequire_certificate = true\n";

fn start(site: &Site, more: &str) -> Process {
    Process::start(&site.folder, &Site::listener(more), "info")
}

fn connect(
    process: &Process,
    authority: &Authority,
    identity: Option<&Identity>,
) -> io::Result<Client<StreamOwned<ClientConnection, TcpStream>>> {
    Client::connect(secure(process.tcp(), authority.client_config(identity)), "client")
}

/// The certificate that the broker shows to whoever comes now.
fn shown(process: &Process, authority: &Authority) -> CertificateDer<'static> {
    let client = connect(process, authority, None).unwrap();
    client.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn a_changed_certificate_is_used_by_itself_and_nobody_loses_a_connection() {
    let site = Site::new();
    let process = start(&site, "");
    let stream = secure(process.tcp(), site.authority.client_config(None));
    let mut early = Client::connect(stream, "early").unwrap();
    let renewed = site.authority.server();
    site.install(&renewed);
    process.line_with("the certificates have changed and are in use");
    assert_eq!(shown(&process, &site.authority), renewed.der());
    early.check(b"still here");
}

#[test]
fn sighup_reads_certificates_and_a_wrong_file_says_what_to_do() {
    let site = Site::new();
    let process = start(&site, "");
    let first = shown(&process, &site.authority);
    site.folder.write("broker.key", site.authority.server().key_pem());
    process.hang_up();
    let line = process.line_with("the old ones stay");
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains("does not belong to the certificate"), "{line}");
    assert!(line.contains("help=\"give the key that the certificate was made with"), "{line}");
    assert_eq!(shown(&process, &site.authority), first);
    let renewed = site.authority.server();
    site.install(&renewed);
    process.hang_up();
    process.line_with("certificates were read again");
    assert_eq!(shown(&process, &site.authority), renewed.der());
}

#[test]
fn a_wrong_file_is_reported_by_itself_too() {
    let site = Site::new();
    let process = start(&site, "");
    site.folder.write("broker.pem", "-----BEGIN CERTIFICATE-----\nhalf");
    let line = process.line_with("the old ones stay");
    assert!(line.contains("broker.pem") && line.contains("help="), "{line}");
    connect(&process, &site.authority, None).unwrap().ping().unwrap();
}

#[test]
fn a_certificate_that_is_revoked_meanwhile_ends_its_connections_and_opens_nothing_new() {
    let site = Site::new();
    site.folder.write("clients.crl", site.authority.revoke(&[1]));
    let process = start(&site, &format!("{CLIENTS}crlfile = \"clients.crl\"\n"));
    let (node, other) = (site.authority.client("node", 7), site.authority.client("other", 8));
    let dial = |identity| secure(process.tcp(), site.authority.client_config(Some(identity)));
    let mut staying = Client::connect(dial(&other), "other").unwrap();
    let mut old = Client::connect(dial(&node), "old").unwrap();
    let mut new = Client::connect_v5(dial(&node), "new");
    let mut silent = dial(&node);
    silent.conn.complete_io(&mut silent.sock).unwrap();

    site.folder.write("clients.crl", site.authority.revoke(&[1, 7]));
    process.hang_up();
    let (first, body) = new.read_packet().unwrap();
    assert_eq!((first, body[0]), (0xe0, 0x98), "DISCONNECT with administrative action");
    assert_eq!(old.stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "one that has not sent CONNECT");
    for _ in 0..3 {
        let line = process.line_with("audit: certificate revoked");
        assert!(
            line.contains("subject=\"CN=node\"") && line.contains("address=127.0.0.1"),
            "{line}"
        );
    }
    assert!(connect(&process, &site.authority, Some(&node)).is_err());
    staying.ping().unwrap();
}

#[test]
fn a_refused_certificate_stands_in_the_audit_log_and_a_scanner_cannot_fill_it() {
    let site = Site::new();
    site.folder.write("clients.crl", site.authority.revoke(&[7]));
    let process = start(&site, &format!("{CLIENTS}crlfile = \"clients.crl\"\n"));
    let listener = format!("listener=\"{}\"", process.address);
    let refused = |identity: Option<&Identity>, reason: &str| {
        assert!(connect(&process, &site.authority, identity).is_err());
        let line = process.line_with("audit: handshake refused");
        assert!(line.contains("address=127.0.0.1") && line.contains(&listener), "{line}");
        assert!(line.contains(reason), "{line}");
    };
    refused(None, "peer sent no certificates");
    refused(Some(&site.authority.client("node", 7)), "invalid peer certificate: Revoked");
    refused(
        Some(&Authority::new("x").client("node", 1)),
        "invalid peer certificate: UnknownIssuer",
    );
    for _ in 0..50 {
        let mut scanner = process.tcp();
        scanner.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = scanner.read_to_end(&mut Vec::new());
    }
    site.folder.write("broker.key", "none");
    process.hang_up();
    let lines = process.lines_until("the old ones stay");
    let told = lines.iter().filter(|line| line.contains("audit: handshake refused")).count();
    assert_eq!(told, 17, "20 in a minute");
}

#[test]
fn another_authority_lets_in_other_clients() {
    let site = Site::new();
    let process = start(&site, CLIENTS);
    let elsewhere = Authority::new("elsewhere");
    let (old, new) = (site.authority.client("old", 1), elsewhere.client("new", 1));
    connect(&process, &site.authority, Some(&old)).unwrap();
    assert!(connect(&process, &site.authority, Some(&new)).is_err());
    site.folder.write("ca.pem", elsewhere.pem());
    process.hang_up();
    process.line_with("certificates were read again");
    connect(&process, &site.authority, Some(&new)).unwrap();
    assert!(connect(&process, &site.authority, Some(&old)).is_err());
}
