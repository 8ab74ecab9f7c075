//! TLS to a real mosquitto, as the log of the program and a subscriber tell it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

use crate::processes::{Folder, Mosquitto, PATIENCE, Told, plant};

/// An authority that makes certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn write(&self, folder: &Folder, name: &str) -> PathBuf {
        folder.file(name, &self.0.pem())
    }

    /// Writes a certificate for a name and its key.
    fn certify(&self, folder: &Folder, file: &str, name: &str, year: i32) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let certificate = folder.file(&format!("{file}.pem"), &certificate.pem());
        (certificate, folder.file(&format!("{file}.key"), &key.serialize_pem()))
    }
}

/// A mosquitto with TLS on one port, and without on another for those who look.
fn start(
    test: &str,
    (certificate, key): &(PathBuf, PathBuf),
    clients: Option<&Path>,
) -> Option<(Mosquitto, u16)> {
    let mut keys = format!("certfile {}\nkeyfile {}\n", certificate.display(), key.display());
    if let Some(authority) = clients {
        keys.push_str(&format!("cafile {}\nrequire_certificate true\n", authority.display()));
    }
    Mosquitto::start_with_tls(test, &keys)
}

/// Starts the program with `[tls]`.
fn with_tls(broker: &Mosquitto, address: &str, tls: &str) -> Told {
    let text = plant(&format!("broker = \"{address}\"\n[tls]\n{tls}\n"));
    let file = broker.folder.file("bridge.toml", &text);
    Told::start(
        Command::new(env!("CARGO_BIN_EXE_weir-bridge")).arg("run").arg("--config").arg(file),
    )
}

fn toml(key: &str, path: &Path) -> String {
    format!("{key} = \"{}\"\n", path.display())
}

#[test]
fn samples_come_over_tls_also_with_a_certificate_of_the_bridge() {
    let test = "samples_come_over_tls_also_with_a_certificate_of_the_bridge";
    let (folder, authority) = (Folder::new(), Authority::new("plant"));
    let server = authority.certify(&folder, "server", "127.0.0.1", 2060);
    let client = authority.certify(&folder, "client", "bridge", 2060);
    let ca = authority.write(&folder, "ca.pem");
    let keys = toml("cafile", &ca) + &toml("certfile", &client.0) + &toml("keyfile", &client.1);
    for (wants_certificate, tls) in [(None, toml("cafile", &ca)), (Some(&*ca), keys)] {
        let Some((broker, port)) = start(test, &server, wants_certificate) else { return };
        let subscriber = broker.subscribe("edge/plant/#");
        let mut bridge = with_tls(&broker, &format!("127.0.0.1:{port}"), &tls);
        subscriber.wait_for_payload("edge/plant/bridge/state", "online");
        subscriber.wait_for("a sample", |heard| heard.topic == "edge/plant/hall/state");
        broker.publish("edge/plant/pump/switch/set", "ON");
        subscriber.wait_for_payload("edge/plant/pump/switch", "ON");
        bridge.process.signal("-TERM");
        bridge.process.ended_within(PATIENCE);
        subscriber.wait_for_payload("edge/plant/bridge/state", "offline");
    }
}

#[test]
fn broker_that_is_not_to_be_believed_gets_nothing_and_the_log_says_why() {
    let test = "broker_that_is_not_to_be_believed_gets_nothing_and_the_log_says_why";
    let (folder, authority) = (Folder::new(), Authority::new("plant"));
    let ca = authority.write(&folder, "ca.pem");
    let other = Authority::new("other").write(&folder, "other.pem");
    let right = authority.certify(&folder, "right", "127.0.0.1", 2060);
    let expired = authority.certify(&folder, "expired", "127.0.0.1", 2021);
    let named = authority.certify(&folder, "named", "broker.example", 2060);
    for (server, tls, expected) in [
        (&right, toml("cafile", &other), "an authority that is not believed"),
        (&expired, toml("cafile", &ca), "has expired"),
        (&named, toml("cafile", &ca), "is for another name"),
        (&named, toml("cafile", &ca) + "server_name = \"broker.elsewhere\"", "for another name"),
    ] {
        let Some((broker, port)) = start(test, server, None) else { return };
        let subscriber = broker.subscribe("edge/plant/#");
        let bridge = with_tls(&broker, &format!("127.0.0.1:{port}"), &tls);
        bridge.says(expected);
        let heard = subscriber.next_within(std::time::Duration::from_millis(100));
        assert!(heard.is_none(), "{heard:?}");
    }
    for more in ["server_name = \"broker.example\"", "insecure = true"] {
        let Some((broker, port)) = start(test, &named, None) else { return };
        let subscriber = broker.subscribe("edge/plant/#");
        let tls = toml("cafile", &ca) + more;
        let _bridge = with_tls(&broker, &format!("127.0.0.1:{port}"), &tls);
        subscriber.wait_for_payload("edge/plant/bridge/state", "online");
    }
}

#[test]
fn certificate_that_the_broker_wants_or_does_not_believe_is_named() {
    let test = "certificate_that_the_broker_wants_or_does_not_believe_is_named";
    let (folder, authority) = (Folder::new(), Authority::new("plant"));
    let ca = authority.write(&folder, "ca.pem");
    let server = authority.certify(&folder, "server", "127.0.0.1", 2060);
    let expired = authority.certify(&folder, "expired", "bridge", 2021);
    let foreign = Authority::new("other").certify(&folder, "foreign", "bridge", 2060);
    let Some((broker, port)) = start(test, &server, Some(&ca)) else { return };
    let address = format!("127.0.0.1:{port}");
    let bridge = with_tls(&broker, &address, &toml("cafile", &ca));
    bridge.says("the broker wants a certificate: set `certfile`");
    for (client, expected) in [
        (expired, "the certificate in `certfile` has expired"),
        (foreign, "does not believe the certificate in `certfile`"),
    ] {
        let keys = toml("cafile", &ca) + &toml("certfile", &client.0) + &toml("keyfile", &client.1);
        with_tls(&broker, &address, &keys).says(expected);
    }
    // The other way round: no TLS where TLS is asked for.
    let bridge = with_tls(&broker, &format!("127.0.0.1:{}", broker.port), "");
    bridge.says("does the broker speak TLS on this port?");
}

/// A gateway in the field outlives its certificates and those of its broker.
#[test]
fn new_certificates_of_both_ends_are_used_from_the_next_connection_on() {
    let test = "new_certificates_of_both_ends_are_used_from_the_next_connection_on";
    let (folder, old, new) = (Folder::new(), Authority::new("old"), Authority::new("new"));
    let ca = old.write(&folder, "ca.pem");
    let server = old.certify(&folder, "server", "127.0.0.1", 2060);
    let client = old.certify(&folder, "client", "bridge", 2060);
    let Some((mut broker, port)) = start(test, &server, Some(&ca)) else { return };
    let keys = toml("cafile", &ca) + &toml("certfile", &client.0) + &toml("keyfile", &client.1);
    let subscriber = broker.subscribe("edge/plant/#");
    let bridge = with_tls(&broker, &format!("127.0.0.1:{port}"), &keys);
    subscriber.wait_for_payload("edge/plant/bridge/state", "online");

    // The broker has a new authority first: nobody is believed until the bridge has it, too.
    broker.stop();
    new.write(&folder, "ca.pem");
    let held_back = fs::read_to_string(&ca).unwrap();
    old.write(&folder, "ca.pem");
    new.certify(&folder, "server", "127.0.0.1", 2060);
    broker.start_again();
    bridge.says("an authority that is not believed");
    folder.file("ca.pem", &held_back);
    new.certify(&folder, "client", "bridge", 2060);
    broker.stop();
    broker.start_again();
    let subscriber = broker.subscribe("edge/plant/#");
    subscriber.wait_for_payload("edge/plant/bridge/state", "online");
}

#[test]
fn check_says_what_is_wrong_with_the_files_without_a_connection() {
    let (folder, authority) = (Folder::new(), Authority::new("plant"));
    let ca = authority.write(&folder, "ca.pem");
    let (certificate, key) = authority.certify(&folder, "client", "bridge", 2060);
    let (_, other_key) = authority.certify(&folder, "other", "other", 2060);
    let empty = folder.file("empty.pem", "nothing\n");
    let missing = folder.0.join("missing.pem");
    let check = |tls: &str| {
        let file = folder.file("bridge.toml", &plant(&format!("[tls]\n{tls}\n")));
        let program = env!("CARGO_BIN_EXE_weir-bridge");
        let ended = Command::new(program).args(["check", "--config"]).arg(file).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let pair = |key: &Path| toml("certfile", &certificate) + &toml("keyfile", key);
    assert_eq!(check(&(toml("cafile", &ca) + &pair(&key))), (Some(0), String::new()));
    for (tls, expected) in [
        (toml("cafile", &missing), "`cafile`: cannot read `"),
        (toml("cafile", &empty), "holds no certificate"),
        (pair(&other_key), "does not belong to the certificate"),
        (pair(&certificate), "holds no private key"),
        ("server_name = \"not a name\"".to_owned(), "cannot be the name in a certificate"),
    ] {
        let (code, told) = check(&tls);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(expected) && told.contains("help: "), "{told}");
    }
}
