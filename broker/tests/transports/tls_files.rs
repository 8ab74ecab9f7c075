//! What is said about certificates that cannot be used, and their exchange at run time.

use std::fs;

use crate::support::{certificates::Authority, mqtt::Client, secure::Site};

fn problems(site: &Site, more: &str) -> String {
    let text = site.folder.problems(&Site::listener(more));
    text.replace(&format!("{}/", site.folder.path().display()), "")
}

#[test]
fn a_missing_file_is_shown_in_its_line() {
    let site = Site::new();
    fs::remove_file(site.folder.path().join("broker.key")).unwrap();
    assert_eq!(
        problems(&site, ""),
        "error[C007]: cannot read `broker.key`: No such file or directory (os error 2)\n  \
         --> weir.toml:6:11\n6 | keyfile = \"broker.key\"\n  |           ^^^^^^^^^^^^ this file\n  \
         = help: the user that runs weir must be able to read the file\n"
    );
}

#[test]
fn a_key_of_another_certificate_is_shown() {
    let site = Site::new();
    site.folder.write("broker.key", site.authority.server().key_pem());
    let text = problems(&site, "");
    assert!(text.contains("the key in `broker.key` does not belong to the certificate"), "{text}");
    assert!(text.contains("--> weir.toml:6:11"), "{text}");
}

#[test]
fn files_with_something_else_in_them_are_shown() {
    let site = Site::new();
    site.folder.write("broker.pem", "hello");
    let text = problems(&site, "");
    assert!(text.contains("`broker.pem` holds no certificate in PEM form"), "{text}");
    site.install(&site.authority.server());
    site.folder.write("broker.key", site.authority.pem());
    assert!(problems(&site, "").contains("`broker.key` holds no private key in PEM form"));
    site.install(&site.authority.server());
    site.folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let text = problems(&site, "cafile = \"ca.pem\"\n");
    assert!(text.contains("`ca.pem` cannot be used"), "{text}");
}

#[test]
fn what_is_about_certificates_of_clients_needs_their_authority() {
    let site = Site::new();
    let text = problems(&site, "require_certificate = true\ncrlfile = \"x\"\n");
    assert!(text.contains("`require_certificate` needs `cafile`"), "{text}");
    assert!(text.contains("`crlfile` needs `cafile`"), "{text}");
    let both = "cafile = \"ca.pem\"\nuse_identity_as_username = true\n\
                use_subject_as_username = true\n";
    assert!(problems(&site, both).contains("cannot be both"));
    let missing = "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = { certfile = \"broker.pem\" }\n";
    assert!(site.folder.problems(missing).contains("`keyfile` is missing"));
    let no_table = "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n";
    assert!(site.folder.problems(no_table).contains("write `tls = { … }`"));
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let site = Site::new();
    site.install(&site.authority.expired_server());
    let loaded = site.folder.load(&Site::listener("")).unwrap();
    let warning = loaded.warnings[0].to_string();
    assert!(warning.starts_with("warning[C007]: the certificate in"), "{warning}");
    assert!(warning.contains("has expired on 2020-02-29"), "{warning}");
}

#[test]
fn certificates_are_exchanged_while_a_client_stays_connected() {
    let site = Site::new();
    let gateway = site.start("");
    let mut early = Client::connect(site.connect(&gateway), "early").unwrap();
    let renewed = site.authority.server();
    site.install(&renewed);
    gateway.broker.reload_certificates().unwrap();
    let late = Client::connect(site.connect(&gateway), "late").unwrap();
    let seen = late.stream.conn.peer_certificates().unwrap();
    assert_eq!(seen[0], renewed.der());
    early.check(b"still here");
    assert_ne!(early.stream.conn.peer_certificates().unwrap()[0], renewed.der());
}

#[test]
fn files_that_cannot_be_used_leave_the_old_ones_in_place() {
    let site = Site::new();
    let gateway = site.start("");
    site.folder.write("broker.key", Authority::new("x").server().key_pem());
    let error = &gateway.broker.reload_certificates().unwrap_err()[0];
    assert!(error.to_string().contains("does not belong"), "{error}");
    Client::connect(site.connect(&gateway), "after").unwrap().ping().unwrap();
}
