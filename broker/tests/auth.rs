//! A whole broker with passwords and an ACL, and real clients: who gets in, what they may do, and
//! what a change of the files does to clients that are connected.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Packet, PubAckReason, SubscribeReasonCode,
};
use rumqttc::v5::{Client, Connection, ConnectionError, Event, MqttOptions, StateError};
use weir_broker::Broker;
use weir_broker::config::{Config, HostPort, JwtConfig, JwtKey, ListenerConfig};

mod auth {
    //! One file for each way to ask somebody else.

    mod service;
}

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of the test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-auth-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.persistence = false;
        config.listeners = vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))];
        config.auth.allow_anonymous = false;
        config.auth.password_file = Some(self.0.join("passwords"));
        config
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A client and what it hears.
struct Device {
    client: Client,
    connection: Connection,
}

impl Device {
    /// Connects; the answer is the reason when the broker refuses.
    fn connect(
        broker: &Broker,
        name: &str,
        credentials: Option<(&str, &str)>,
    ) -> Result<Self, ConnectReturnCode> {
        Self::connect_to(broker.addresses()[0], name, credentials)
    }

    fn connect_to(
        address: SocketAddr,
        name: &str,
        credentials: Option<(&str, &str)>,
    ) -> Result<Self, ConnectReturnCode> {
        let mut options = MqttOptions::new(name, address.ip().to_string(), address.port());
        if let Some((username, password)) = credentials {
            options.set_credentials(username, password);
        }
        let (client, mut connection) = Client::new(options, 10);
        match connection.recv_timeout(PATIENCE).unwrap() {
            Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                assert_eq!(connack.code, ConnectReturnCode::Success);
                Ok(Self { client, connection })
            }
            Err(ConnectionError::ConnectionRefused(code)) => Err(code),
            other => panic!("{other:?} instead of CONNACK"),
        }
    }

    /// The next packet from the broker; none when the connection has ended.
    fn hear(&mut self) -> Option<Packet> {
        loop {
            match self.connection.recv_timeout(PATIENCE).unwrap() {
                Ok(Event::Incoming(packet)) => return Some(packet),
                Ok(Event::Outgoing(_)) => {}
                Err(_) => return None,
            }
        }
    }

    fn publish(&mut self, topic: &str) -> PubAckReason {
        self.client.publish(topic, QoS::AtLeastOnce, false, "x").unwrap();
        match self.hear() {
            Some(Packet::PubAck(puback)) => puback.reason,
            other => panic!("{other:?} instead of PUBACK"),
        }
    }

    fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.client.subscribe(filter, QoS::AtLeastOnce).unwrap();
        match self.hear() {
            Some(Packet::SubAck(suback)) => suback.return_codes[0],
            other => panic!("{other:?} instead of SUBACK"),
        }
    }
}

/// Sets a password with the program itself.
fn weir_passwd(file: &Path, arguments: &[&str], password: &str) -> i32 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("passwd")
        .arg(file)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(password.as_bytes());
    child.wait().unwrap().code().unwrap()
}

fn set_password(file: &Path, user: &str, password: &str) {
    assert_eq!(weir_passwd(file, &[user, "--password-stdin"], &format!("{password}\n")), 0);
}

#[test]
fn weir_passwd_makes_changes_and_deletes_users_and_the_broker_reads_it_again() {
    let folder = Folder::new("passwd");
    let file = folder.0.join("passwords");
    set_password(&file, "ann", "first");
    set_password(&file, "bob", "of bob");
    let broker = Broker::start(folder.config()).unwrap();
    let connect = |name, user, password| Device::connect(&broker, name, Some((user, password)));
    let mut ann = connect("a", "ann", "first").unwrap();
    let mut bob = connect("b", "bob", "of bob").unwrap();
    assert_eq!(connect("c", "ann", "of bob").err(), Some(ConnectReturnCode::BadUserNamePassword));
    assert_eq!(Device::connect(&broker, "c", None).err(), Some(ConnectReturnCode::NotAuthorized));

    set_password(&file, "ann", "second");
    assert_ne!(bob.publish("t"), PubAckReason::NotAuthorized);
    broker.reload_auth().unwrap();
    // Her password is another one: she is told and closed, and nobody else is.
    assert!(!matches!(ann.hear(), Some(Packet::PubAck(_))));
    assert_ne!(bob.publish("t"), PubAckReason::NotAuthorized);
    assert!(connect("a", "ann", "first").is_err());
    connect("a", "ann", "second").unwrap();

    assert_eq!(weir_passwd(&file, &["-D", "bob"], ""), 0);
    assert_eq!(weir_passwd(&file, &["-D", "bob"], ""), 1);
    broker.reload_auth().unwrap();
    assert!(connect("b", "bob", "of bob").is_err());
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("ann:$argon2id$v=19$") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_password_file_is_for_its_owner_and_keeps_the_mode_it_was_given() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let file = folder.0.join("passwords");
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    set_password(&file, "ann", "x");
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    set_password(&file, "ann", "y");
    assert_eq!(mode(), 0o640);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left behind");
    assert_eq!(weir_passwd(&file, &["a:b", "--password-stdin"], "x\n"), 2);
    assert_eq!(weir_passwd(&file, &["ann", "--password-stdin"], "\n"), 2);
    assert_eq!(weir_passwd(&file, &["ann"], "x\n"), 2);
}

#[test]
fn files_of_the_mosquitto_of_this_machine_are_read_unchanged() {
    let folder = Folder::new("mosquitto");
    let file = folder.write("passwords", "");
    for (user, kind) in [("six", "sha512"), ("seven", "sha512-pbkdf2")] {
        let mut program = Command::new("mosquitto_passwd");
        program.args(["-H", kind, "-b"]).arg(&file).args([user, "pass wörd:$"]);
        match program.stderr(Stdio::null()).status() {
            Ok(status) if status.success() => {}
            _ => return,
        }
    }
    let broker = Broker::start(folder.config()).unwrap();
    for user in ["six", "seven"] {
        Device::connect(&broker, user, Some((user, "pass wörd:$"))).unwrap();
        assert!(Device::connect(&broker, user, Some((user, "pass wörd"))).is_err());
    }
}

#[test]
fn an_acl_holds_for_publish_subscribe_and_delivery_and_its_change_for_open_connections() {
    let folder = Folder::new("acl");
    let file = folder.0.join("passwords");
    set_password(&file, "ann", "a");
    let acl = "topic read open/#\n\nuser ann\ntopic write open/#\npattern readwrite dev/%c/#\n";
    let mut config = folder.config();
    config.auth.allow_anonymous = true;
    config.auth.acl_file = Some(folder.write("acl", acl));
    let broker = Broker::start(config).unwrap();
    let mut ann = Device::connect(&broker, "c1", Some(("ann", "a"))).unwrap();
    let mut anyone = Device::connect(&broker, "c2", None).unwrap();

    assert_eq!(anyone.subscribe("closed/#"), SubscribeReasonCode::NotAuthorized);
    assert!(matches!(anyone.subscribe("#"), SubscribeReasonCode::Success(_)));
    assert_eq!(anyone.publish("open/x"), PubAckReason::NotAuthorized);
    assert_eq!(ann.publish("dev/c2/x"), PubAckReason::NotAuthorized);
    assert_eq!(ann.publish("dev/c1/x"), PubAckReason::Success);
    assert_eq!(ann.publish("open/x"), PubAckReason::Success);
    let Some(Packet::Publish(publish)) = anyone.hear() else { panic!("it arrives") };
    assert_eq!(publish.topic, "open/x");

    folder.write("acl", "topic read open/y\nuser ann\ntopic write open/#\n");
    broker.reload_auth().unwrap();
    ann.publish("open/x");
    ann.publish("open/y");
    let Some(Packet::Publish(publish)) = anyone.hear() else { panic!("it arrives") };
    assert_eq!(publish.topic, "open/y");
    let dropped = broker.status().messages.dropped["acl"];
    assert!(dropped >= 3, "{dropped}");

    // What is wrong changes nothing.
    folder.write("acl", "topic reed open/#\n");
    let problems = broker.reload_auth().unwrap_err();
    assert!(problems[0].to_string().contains("acl:1:7"), "{}", problems[0]);
    assert_eq!(ann.publish("dev/c1/x"), PubAckReason::NotAuthorized);
}

#[test]
fn wrong_passwords_take_time_and_then_ban_the_address() {
    let folder = Folder::new("ban");
    set_password(&folder.0.join("passwords"), "ann", "right");
    let mut config = folder.config();
    config.auth.max_failures = Some(2);
    config.auth.ban = Duration::from_secs(3);
    let broker = Broker::start(config).unwrap();
    let start = Instant::now();
    for _ in 0..2 {
        let refused = Device::connect(&broker, "a", Some(("ann", "wrong"))).err();
        assert_eq!(refused, Some(ConnectReturnCode::BadUserNamePassword));
    }
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_secs(2), "{elapsed:?}");
    let refused = Device::connect(&broker, "a", Some(("ann", "right"))).err();
    assert_eq!(refused, Some(ConnectReturnCode::Banned));
    while Device::connect(&broker, "a", Some(("ann", "right"))).is_err() {
        assert!(start.elapsed() < PATIENCE, "a ban ends");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn files_that_are_wrong_stop_the_start_with_every_problem_at_once() {
    let folder = Folder::new("wrong");
    folder.write("passwords", "ann:hunter2\n");
    let mut config = folder.config();
    config.auth.acl_file = Some(folder.write("acl", "topic\n"));
    let Err(error) = Broker::start(config) else { panic!("it must not start") };
    let told = error.to_string();
    assert!(told.contains("passwords:1:1") && told.contains("acl:1:1"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn scram_keys_are_only_made_from_what_every_client_writes_the_same_way() {
    let folder = Folder::new("scram");
    let file = folder.0.join("passwords");
    let scram = |more: &[&str], password| {
        weir_passwd(&file, &[&["ann", "--scram", "--password-stdin"], more].concat(), password)
    };
    assert_eq!(scram(&[], "pencil\n"), 0);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("ann:$scram-sha-256$4096$") && text.lines().count() == 1, "{text}");
    assert_eq!(scram(&["--iterations", "10000"], "pencil\n"), 0);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("ann:$scram-sha-256$10000$"), "{text}");
    for (more, password) in
        [(&[][..], "wörd\n"), (&[], "\n"), (&["--iterations", "4095"], "x\n"), (&["-D"], "")]
    {
        assert_eq!(scram(more, password), 2, "{password}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(weir_passwd(&file, &["ann", "--iterations", "9999"], "x\n"), 2);
    // The password itself holds too.
    let broker = Broker::start(folder.config()).unwrap();
    Device::connect(&broker, "c", Some(("ann", "pencil"))).unwrap();
    assert!(Device::connect(&broker, "c", Some(("ann", "pencils"))).is_err());
}

/// HS256 with the secret of the test below.
fn token(body: &str) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    use hmac::{Hmac, KeyInit, Mac};
    let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    let message = format!("{}.{}", part(r#"{"alg":"HS256"}"#), part(body));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes()))
}

const SECRET: &str = "a secret of thirty-two bytes, at least";

fn with_tokens(folder: &Folder) -> Broker {
    let mut config = folder.config();
    set_password(&folder.0.join("passwords"), "bob", "b");
    let key = folder.write("key", SECRET);
    config.auth.jwt = Some(JwtConfig::new(JwtKey::Secret(key)));
    Broker::start(config).unwrap()
}

/// Why the broker ends the connection.
fn farewell(mut device: Device) -> Option<DisconnectReasonCode> {
    loop {
        match device.connection.recv_timeout(PATIENCE).unwrap() {
            Ok(_) => {}
            Err(ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code, ..
            })) => return Some(reason_code),
            Err(_) => return None,
        }
    }
}

#[test]
fn a_connection_ends_with_its_token() {
    let folder = Folder::new("token-end");
    let broker = with_tokens(&folder);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // Clocks may differ by a minute, so it holds for three seconds more.
    let short = token(&format!(r#"{{"sub":"ann","exp":{}}}"#, now.as_secs() + 3 - 60));
    let ann = Device::connect(&broker, "a", Some(("x", &short))).unwrap();
    let mut bob = Device::connect(&broker, "b", Some(("bob", "b"))).unwrap();
    assert_eq!(farewell(ann), Some(DisconnectReasonCode::NotAuthorized));
    let refused = Device::connect(&broker, "a", Some(("x", &short))).err();
    assert_eq!(refused, Some(ConnectReturnCode::BadUserNamePassword));
    bob.publish("t");
}

#[test]
fn another_key_revokes_every_token_and_nothing_else() {
    let folder = Folder::new("token-key");
    let broker = with_tokens(&folder);
    let long = token(r#"{"sub":"ann","exp":4102444800}"#);
    let mut ann = Device::connect(&broker, "a", Some(("x", &long))).unwrap();
    let mut bob = Device::connect(&broker, "b", Some(("bob", "b"))).unwrap();
    // The same key again.
    broker.reload_auth().unwrap();
    ann.publish("t");
    folder.write("key", "another secret of thirty-two bytes");
    broker.reload_auth().unwrap();
    assert_eq!(farewell(ann), Some(DisconnectReasonCode::NotAuthorized));
    assert!(Device::connect(&broker, "a", Some(("x", &long))).is_err());
    bob.publish("t");
}

#[test]
fn a_token_takes_the_place_of_a_password() {
    let folder = Folder::new("token");
    let mut config = folder.config();
    config.auth.password_file = None;
    let key = folder.write("key", &format!("{SECRET}\n"));
    let mut jwt = JwtConfig::new(JwtKey::Secret(key));
    jwt.acl_claim = Some("acl".to_owned());
    config.auth.jwt = Some(jwt);
    let broker = Broker::start(config).unwrap();
    // HS256, {"sub":"ann","exp":4102444800,"acl":["write out/#"]}
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsImFjbCI6WyJ3cml0ZSB\
        vdXQvIyJdfQ.EGaJmLjplV76tBg2BdQK5hqk72_Qcg3wcn825WfbK5c";
    let mut ann = Device::connect(&broker, "a", Some(("anything", token))).unwrap();
    assert_ne!(ann.publish("out/x"), PubAckReason::NotAuthorized);
    assert_eq!(ann.publish("in/x"), PubAckReason::NotAuthorized);
    let changed = token.replace("eyJzdWIi", "eyJzdWJi");
    let refused = Device::connect(&broker, "b", Some(("ann", &changed))).err();
    assert_eq!(refused, Some(ConnectReturnCode::BadUserNamePassword));
}
