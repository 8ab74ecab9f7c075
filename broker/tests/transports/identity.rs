//! Who a client is by its certificate.

use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

use crate::support::{
    certificates::Identity,
    gateway::Gateway,
    mqtt::{Client, connect_packet, connect_packet_as},
    secure::{Site, secure, tcp},
};

const BAD_USER_NAME_OR_PASSWORD: u8 = 4;
const NOT_GRANTED: u8 = 0x80;

/// A broker that takes the user name from `part` of the certificates, with an ACL for `user`.
fn start(site: &Site, part: &str, more: &str, user: &str) -> Gateway {
    let acl = format!("user {user}\ntopic readwrite own/#\npattern readwrite users/%u/#\n");
    site.folder.write("acl", acl);
    let tls = format!("cafile = \"ca.pem\"\n{part} = true\n{more}");
    let listener = format!("{}[auth]\nacl_file = \"acl\"\n", Site::listener(&tls));
    site.folder.start(&listener).unwrap()
}

type Connected = Result<Client<StreamOwned<ClientConnection, TcpStream>>, u8>;

fn connect(site: &Site, gateway: &Gateway, who: Option<&Identity>, packet: &[u8]) -> Connected {
    let stream = secure(tcp(gateway), site.authority.client_config(who));
    Client::connect_with(stream, packet).unwrap()
}

#[test]
fn the_common_name_is_the_user_name_and_the_acl_is_about_it() {
    let site = Site::new();
    let required = "require_certificate = true\n";
    let gateway = start(&site, "use_identity_as_username", required, "node-7");
    let node = site.authority.client("node-7", 1);
    let other = site.authority.client("node-8", 2);
    let packets = [connect_packet("a"), connect_packet_as("a", "root", "guess")];
    for packet in packets {
        let mut client = connect(&site, &gateway, Some(&node), &packet).unwrap();
        assert_eq!(client.ask("own/x"), 0);
        assert_eq!(client.ask("users/node-7/x"), 0);
        assert_eq!(client.ask("users/root/x"), NOT_GRANTED);
        client.publish("own/x", b"mine");
        assert_eq!(client.message().0, "own/x");
        let mut client = connect(&site, &gateway, Some(&other), &packet).unwrap();
        assert_eq!(client.ask("own/x"), NOT_GRANTED);
    }
}

#[test]
fn the_whole_subject_is_the_user_name_where_it_is_wanted() {
    let site = Site::new();
    let gateway = start(&site, "use_subject_as_username", "", "CN=node-7");
    let node = site.authority.client("node-7", 1);
    let mut client = connect(&site, &gateway, Some(&node), &connect_packet("a")).unwrap();
    assert_eq!(client.ask("own/x"), 0);
    assert_eq!(client.ask("users/CN=node-7/x"), 0);
}

#[test]
fn a_client_without_a_name_in_a_certificate_is_refused() {
    let site = Site::new();
    let gateway = start(&site, "use_identity_as_username", "", "node-7");
    let nameless = site.authority.nameless_client();
    for who in [None, Some(&nameless)] {
        for packet in [connect_packet("a"), connect_packet_as("a", "node-7", "guess")] {
            let code = connect(&site, &gateway, who, &packet).err();
            assert_eq!(code, Some(BAD_USER_NAME_OR_PASSWORD));
        }
    }
}

/// Elsewhere a certificate opens the connection and says nothing about the user.
#[test]
fn a_certificate_alone_is_no_user() {
    let site = Site::new();
    site.folder.write("acl", "user node-7\ntopic readwrite own/#\n");
    let tls = "cafile = \"ca.pem\"\nrequire_certificate = true\n";
    let auth = "[auth]\nacl_file = \"acl\"\nallow_anonymous = true\n";
    let gateway = site.folder.start(&format!("{}{auth}", Site::listener(tls))).unwrap();
    let node = site.authority.client("node-7", 1);
    let mut client = connect(&site, &gateway, Some(&node), &connect_packet("a")).unwrap();
    assert_eq!(client.ask("own/x"), NOT_GRANTED);
}
