//! TLS to a real broker of another maker that wants certificates of its clients.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use super::client::Client;
use super::mosquitto::{Directory, Mosquitto};
use super::ports::free_port;
use super::{BOTH, route, start, until, upstream};
use crate::config::{HostPort, MqttVersion, TlsClientConfig};
use crate::status::UpstreamState;

/// An authority, what it has signed, and another authority that has signed nothing, in files.
pub(crate) struct Files(Directory);

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self(Directory::new("certificates"));
        let works = authority("Works");
        files.write("ca.pem", &works.pem());
        files.write("other-ca.pem", &authority("Others").pem());
        for (name, purpose) in [
            ("localhost", ExtendedKeyUsagePurpose::ServerAuth),
            ("gate", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![purpose];
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &works).unwrap();
            files.write(&format!("{name}.pem"), &certificate.pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What nats-server is told that wants certificates of its clients.
    #[cfg(feature = "nats")]
    pub(crate) fn nats_lines(&self) -> String {
        let file = |name: &str| self.path(name).display().to_string();
        format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
            file("localhost.pem"),
            file("localhost.key"),
            file("ca.pem")
        )
    }

    /// What mosquitto is told, for a second listener on a port.
    fn lines(&self, port: u16) -> Vec<String> {
        let file = |name: &str| self.path(name).display().to_string();
        vec![
            format!("listener {port} 127.0.0.1"),
            format!("cafile {}", file("ca.pem")),
            format!("certfile {}", file("localhost.pem")),
            format!("keyfile {}", file("localhost.key")),
            "require_certificate true".to_owned(),
        ]
    }

    pub(crate) fn tls(&self) -> TlsClientConfig {
        TlsClientConfig {
            cafile: Some(self.path("ca.pem")),
            certificate: Some((self.path("gate.pem"), self.path("gate.key"))),
            ..TlsClientConfig::default()
        }
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Mosquitto with a listener for TLS, and where that is.
fn far_end(files: &Files) -> Option<(Mosquitto, u16)> {
    let port = free_port();
    let lines = files.lines(port);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Some((Mosquitto::open(&lines)?, port))
}

#[tokio::test]
async fn messages_go_over_tls_with_a_certificate_of_the_box() {
    let files = Files::new();
    let Some((far, port)) = far_end(&files) else { return };
    for version in BOTH {
        let directory = Directory::new("data");
        let mut config = upstream(HostPort::new("localhost", port), version);
        config.forward = vec![route("agg/#", "{topic}", 1)];
        config.tls = Some(files.tls());
        let mut there = Client::connect(&far.address(), "there");
        there.subscribe("agg/#").await;
        let (broker, here) = start(&directory, &config);
        until(&broker, |status| status.state == UpstreamState::Connected).await;
        let local = Client::connect(&here, "local");
        local.publish("agg/a", 1, "21.5");
        assert_eq!(there.next().await.payload, "21.5");
    }
}

/// The text of what is wrong, and what the upstream comes to once that is put right: no restart.
#[tokio::test]
async fn what_is_wrong_with_certificates_is_told() {
    let files = Files::new();
    let Some((_far, port)) = far_end(&files) else { return };
    let named = HostPort::new("localhost", port);
    let other = TlsClientConfig { cafile: Some(files.path("other-ca.pem")), ..files.tls() };
    let nobody = TlsClientConfig { certificate: None, ..files.tls() };
    let unnamed = HostPort::new("127.0.0.1", port);
    for (address, tls, error) in [
        (&named, &other, "invalid peer certificate: UnknownIssuer"),
        (&unnamed, &files.tls(), "certificate not valid for name \"127.0.0.1\""),
        (&named, &nobody, "received fatal alert: "),
    ] {
        for version in BOTH {
            let directory = Directory::new("data");
            let mut config = upstream(address.clone(), version);
            config.tls = Some(tls.clone());
            let (broker, _) = start(&directory, &config);
            let status = until(&broker, |status| status.last_error.is_some()).await;
            let told = status.last_error.unwrap();
            assert!(
                told.starts_with("no TLS with the upstream: ") && told.contains(error),
                "{told}"
            );
        }
    }
    let directory = Directory::new("data");
    let mut config = upstream(unnamed, MqttVersion::V50);
    config.tls = Some(TlsClientConfig { insecure: true, ..files.tls() });
    let (broker, _) = start(&directory, &config);
    until(&broker, |status| status.state == UpstreamState::Connected).await;
}

/// A certificate that is renewed is shown on the next connection.
#[tokio::test]
async fn files_are_read_for_each_connection() {
    let files = Files::new();
    let Some((_far, port)) = far_end(&files) else { return };
    let key = fs::read_to_string(files.path("gate.key")).unwrap();
    files.write("gate.key", "half a ke");
    let directory = Directory::new("data");
    let mut config = upstream(HostPort::new("localhost", port), MqttVersion::V50);
    config.tls = Some(files.tls());
    let (broker, _) = start(&directory, &config);
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let told = status.last_error.unwrap();
    assert!(told.ends_with("holds no private key in PEM form"), "{told}");
    files.write("gate.key", &key);
    until(&broker, |status| status.state == UpstreamState::Connected).await;
}
