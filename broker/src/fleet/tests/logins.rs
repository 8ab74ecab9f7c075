//! How boxes log in, and what they are told when they may not.

use std::fs;

use nkeys::KeyPair;

use super::*;
use crate::config::{Secret, TlsClientConfig};
use crate::upstream::tests::nats_account::Account;
use crate::upstream::tests::tls::Files;

/// A message and a value go from one box that logs in so to another one.
async fn exchange(server: &NatsServer, login: impl Fn(&mut FleetConfig)) {
    let directories = [Directory::new("a"), Directory::new("b")];
    let with = |config: &mut Config| login(config.fleet.as_mut().expect("there is one"));
    let a = Member::start_with(&directories[0], "a", server, with);
    // Who finds the streams there meets nobody else who makes them.
    a.until("it was let in", |status| status.is_connected).await;
    let b = Member::start_with(&directories[1], "b", server, with);
    let mut there = Client::connect(&b.here, "there");
    there.subscribe("t/+").await;
    a.knows("b", 1).await;
    let here = Client::connect(&a.here, "here");
    for qos in 0..3 {
        here.publish("t/1", qos, "x");
        assert_eq!(there.next().await.qos, qos);
    }
    here.retain("kept", "y");
    b.until_retained(&[("kept", "y")]).await;
    for member in [a, b] {
        let status = member.until("it was let in", |status| status.is_connected).await;
        assert_eq!(status.last_error, None);
    }
}

/// What a box that logs in so is told.
async fn refusal(server: &NatsServer, login: impl FnOnce(&mut FleetConfig)) -> String {
    let directory = Directory::new("refused");
    let with = |config: &mut Config| login(config.fleet.as_mut().expect("there is one"));
    let member = Member::start_with(&directory, "refused", server, with);
    let status = member.until("it is told", |status| status.last_error.is_some()).await;
    assert!(!status.is_connected, "{status:?}");
    status.last_error.unwrap_or_default()
}

const NOT_LET_IN: &str = "the server refused the connection: Authorization Violation";

fn password(text: &str) -> impl Fn(&mut FleetConfig) {
    move |fleet| {
        fleet.username = Some("boxes".to_owned());
        fleet.password = Some(Secret::new(text));
    }
}

/// The user that docs/fleet.md describes may do all that a box does, and not without one of it.
#[tokio::test]
async fn a_user_needs_what_is_documented() {
    let page = include_str!("../../../../docs/fleet.md");
    let (_, permissions) = page.split_once("```text\npermissions: ").expect("they are there");
    let (permissions, _) = permissions.split_once("```").expect("they end");
    let user = |permissions: &str| {
        format!(
            "authorization {{ users = [\n{{ user: boxes, password: right,\n\
             permissions: {permissions} }} ] }}"
        )
    };
    let Some(server) = NatsServer::start(&user(permissions)) else { return };
    assert_eq!(refusal(&server, password("wrong")).await, NOT_LET_IN);
    exchange(&server, password("right")).await;
    let less = permissions.replace("\"weir.live.*\", \"_INBOX.>\"", "\"_INBOX.>\"");
    assert_ne!(less, permissions);
    server.configure(&user(&less));
    server.reload();
    let told = refusal(&server, password("right")).await;
    assert!(told.contains("Permissions Violation for Subscription to \"weir.live."), "{told}");
}

#[tokio::test]
async fn a_token_or_an_nkey_is_a_login() {
    let Some(server) = NatsServer::start("authorization { token: secret }") else { return };
    exchange(&server, |fleet| fleet.nats.token = Some(Secret::new("secret"))).await;
    assert_eq!(refusal(&server, |_| {}).await, NOT_LET_IN);
    let directory = Directory::new("logins");
    let file = |name: &str, text: String| {
        let path = directory.0.join(name);
        fs::write(&path, text).expect("the directory is ours");
        path
    };
    let key = KeyPair::new_user();
    server.configure(&format!("authorization {{ users = [ {{ nkey: {} }} ] }}", key.public_key()));
    server.reload();
    let seed = |key: &KeyPair| key.seed().expect("it has one");
    let right = file("right.nk", seed(&key));
    let other = file("other.nk", seed(&KeyPair::new_user()));
    let none = file("none.nk", "no seed".to_owned());
    exchange(&server, |fleet| fleet.nats.nkey_file = Some(right.clone())).await;
    assert_eq!(refusal(&server, |fleet| fleet.nats.nkey_file = Some(other)).await, NOT_LET_IN);
    let told = refusal(&server, |fleet| fleet.nats.nkey_file = Some(none)).await;
    assert!(told.starts_with("no login for the server: "), "{told}");
}

/// The server verifies what the operator has signed.
#[tokio::test]
async fn a_credentials_file_is_a_login() {
    let (account, other) = (Account::new(), Account::new());
    let Some(server) = NatsServer::start(&account.lines()) else { return };
    let directory = Directory::new("logins");
    let file = |name: &str, account: &Account| {
        let path = directory.0.join(name);
        fs::write(&path, account.credentials(-1)).expect("the directory is ours");
        path
    };
    let right = file("right.creds", &account);
    exchange(&server, |fleet| fleet.nats.creds_file = Some(right.clone())).await;
    let other = file("other.creds", &other);
    assert_eq!(refusal(&server, |fleet| fleet.nats.creds_file = Some(other)).await, NOT_LET_IN);
}

#[tokio::test]
async fn tls_knows_the_server_and_the_box() {
    let files = Files::new();
    let Some(server) = NatsServer::start(&files.nats_lines()) else { return };
    let named = server.named();
    let with = |tls: Option<TlsClientConfig>| {
        let address = named.clone();
        move |fleet: &mut FleetConfig| {
            fleet.address = vec![address.clone()];
            fleet.tls.clone_from(&tls);
        }
    };
    exchange(&server, with(Some(files.tls()))).await;
    let other = TlsClientConfig { cafile: Some(files.path("other-ca.pem")), ..files.tls() };
    let nobody = TlsClientConfig { certificate: None, ..files.tls() };
    for (tls, error) in [
        (Some(other), "no TLS with the server: invalid peer certificate: UnknownIssuer"),
        (Some(nobody), "no TLS with the server: received fatal alert: "),
        (None, "the server refused the connection: it wants TLS"),
    ] {
        let told = refusal(&server, with(tls)).await;
        assert!(told.starts_with(error), "{told}");
    }
}
