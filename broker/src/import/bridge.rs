//! Bridges become upstreams. A bridge of mosquitto speaks 3.1.1 unless told otherwise, and so does
//! the upstream that is made of it.

use super::document::{Document, Table};
use super::global::not_understood;
use super::note::Note;
use super::statement::Statement;

/// One `connection`.
#[derive(Debug)]
pub(crate) struct Bridge {
    begun: Statement,
    table: Table,
    tls: Table,
    /// It never speaks without TLS.
    is_encrypted: bool,
    topics: Vec<String>,
}

/// How an option is converted.
#[derive(Clone, Copy)]
enum Way {
    Lost(&'static str),
    /// Not converted when it is switched off.
    LostIfOff(&'static str),
    LostIfOn(&'static str),
    Needless(&'static str),
    Number(&'static str),
    /// One of its own.
    Special,
    Switch(&'static str),
    Text(&'static str),
    /// A switch of `tls`.
    TlsSwitch(&'static str),
    /// A text of `tls`.
    TlsText(&'static str),
}

impl Bridge {
    pub(crate) fn new(begun: &Statement) -> Self {
        let mut table = Table::new(&format!("[upstream.{}]", key(&begun.value)));
        table.set_text("bridge_protocol_version", "mqttv311");
        let tls = Table::new("[upstream.tls]");
        Self { begun: begun.clone(), table, tls, is_encrypted: false, topics: Vec::new() }
    }

    /// Whether it is an option of bridges.
    pub(crate) fn knows(statement: &Statement) -> bool {
        way(statement).is_some()
    }

    /// Takes an option of a bridge; `None` when it is none.
    pub(crate) fn take(&mut self, statement: &Statement) -> Option<Result<(), Note>> {
        let way = way(statement)?;
        Some(self.set(way, statement))
    }

    /// Writes its table, and says what makes it useless.
    pub(crate) fn write(mut self, document: &mut Document) -> Option<Note> {
        if !self.topics.is_empty() {
            self.table.set_list("topics", self.topics.iter().map(String::as_str));
        }
        if self.is_encrypted {
            self.table.set("tls", self.tls.inline());
        }
        if self.table.get("address").is_none() {
            return Some(Note::lost(&self.begun, "the bridge has no address"));
        }
        document.push(self.table);
        None
    }

    fn set(&mut self, way: Way, statement: &Statement) -> Result<(), Note> {
        let value = statement.value.as_str();
        self.is_encrypted |= ENCRYPTED.contains(&statement.name.as_str());
        match way {
            Way::Lost(why) => return Err(Note::lost(statement, why)),
            Way::LostIfOff(why) => {
                if statement.switch() != Some(true) {
                    return Err(Note::lost(statement, why));
                }
            }
            Way::LostIfOn(why) => {
                if statement.switch() != Some(false) {
                    return Err(Note::lost(statement, why));
                }
            }
            Way::Needless(why) => return Err(Note::needless(statement, why)),
            Way::Number(key) => {
                let number = statement.number().ok_or_else(|| not_understood(statement))?;
                self.table.set(key, number);
            }
            Way::Special => return self.set_special(statement),
            Way::Switch(key) => {
                let switch = statement.switch().ok_or_else(|| not_understood(statement))?;
                self.table.set(key, switch);
            }
            Way::Text(key) => self.table.set_text(key, value),
            Way::TlsSwitch(key) => {
                let switch = statement.switch().ok_or_else(|| not_understood(statement))?;
                self.tls.set(key, switch);
            }
            Way::TlsText(key) => self.tls.set_text(key, value),
        }
        Ok(())
    }

    fn set_special(&mut self, statement: &Statement) -> Result<(), Note> {
        let value = statement.value.as_str();
        match statement.name.as_str() {
            "address" | "addresses" => {
                let addresses: Vec<String> = value.split_whitespace().map(with_port).collect();
                self.table.set_list("address", addresses.iter().map(String::as_str));
            }
            "bridge_protocol_version" => {
                let version = if value == "mqttv50" { "mqttv50" } else { "mqttv311" };
                self.table.set_text("bridge_protocol_version", version);
            }
            "bridge_tls_version" => match value {
                "tlsv1.3" => self.tls.set_text("tls_version", "1.3"),
                "tlsv1.2" => self.tls.set_text("tls_version", "1.2"),
                _ => return Err(Note::lost(statement, TLS_VERSION)),
            },
            "restart_timeout" => self.set_restart_timeout(statement)?,
            "start_type" if matches!(value, "automatic" | "lazy" | "once") => {
                self.table.set_text("start_type", value);
            }
            "start_type" => {
                return Err(Note::lost(statement, "there are automatic, lazy and once"));
            }
            "idle_timeout" => {
                let seconds: u32 = value.parse().map_err(|_| not_understood(statement))?;
                self.table.set_text("idle_timeout", &format!("{seconds}s"));
            }
            "topic" => self.topics.push(value.to_owned()),
            name => unreachable!("{name} is in the table"),
        }
        Ok(())
    }

    /// `base cap`, or one time for both.
    fn set_restart_timeout(&mut self, statement: &Statement) -> Result<(), Note> {
        let times: Option<Vec<u32>> =
            statement.value.split_whitespace().map(|time| time.parse().ok()).collect();
        let (base, cap) = match times.as_deref() {
            Some([constant]) => (*constant, *constant),
            Some([base, cap]) if base <= cap => (*base, *cap),
            _ => return Err(not_understood(statement)),
        };
        self.table.set_text("restart_timeout", &format!("{base}s {cap}s"));
        Ok(())
    }
}

fn way(statement: &Statement) -> Option<Way> {
    let option = OPTIONS.iter().find(|(name, _)| *name == statement.name);
    option.map(|(_, way)| *way)
}

/// `host` or `host:port` as `host:port`.
fn with_port(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{address}:1883"),
    }
}

/// A name as a key of TOML: upstreams have names of letters, digits, `-` and `_`.
fn key(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let key: String = name.chars().map(plain).collect();
    if key.is_empty() { "bridge".to_owned() } else { key }
}

const LOCAL: &str = "an upstream is part of the broker and no client of it";
const PSK: &str = "upstreams speak TLS with certificates";
const TLS_VERSION: &str = "weir speaks TLS 1.2 and 1.3";
/// With one of these a bridge speaks TLS; what cannot be converted of it must not make it speak in
/// clear, with its password.
const ENCRYPTED: [&str; 10] = [
    "bridge_alpn",
    "bridge_cafile",
    "bridge_capath",
    "bridge_certfile",
    "bridge_identity",
    "bridge_insecure",
    "bridge_keyfile",
    "bridge_psk",
    "bridge_require_ocsp",
    "bridge_tls_version",
];
const OPTIONS: [(&str, Way); 39] = [
    ("address", Way::Special),
    ("addresses", Way::Special),
    ("bridge_alpn", Way::TlsText("alpn")),
    ("bridge_attempt_unsubscribe", Way::Needless("what is not fetched is not subscribed to")),
    ("bridge_bind_address", Way::Lost("the system chooses the address")),
    ("bridge_cafile", Way::TlsText("cafile")),
    ("bridge_capath", Way::Lost("put the authorities into one file, `cafile`")),
    ("bridge_certfile", Way::TlsText("certfile")),
    ("bridge_identity", Way::Lost(PSK)),
    ("bridge_insecure", Way::TlsSwitch("insecure")),
    ("bridge_keyfile", Way::TlsText("keyfile")),
    ("bridge_max_packet_size", Way::Lost("the upstream says itself what it takes")),
    ("bridge_outgoing_retain", Way::LostIfOff("a retained message is forwarded as one")),
    ("bridge_protocol_version", Way::Special),
    ("bridge_psk", Way::Lost(PSK)),
    ("bridge_require_ocsp", Way::Lost("what an OCSP server says is not looked at")),
    ("bridge_tls_version", Way::Special),
    ("cleansession", Way::LostIfOn("what could not be forwarded is never forgotten")),
    ("clientid", Way::Text("remote_clientid")),
    ("idle_timeout", Way::Special),
    ("keepalive_interval", Way::Number("keepalive_interval")),
    ("local_cleansession", Way::Needless(LOCAL)),
    ("local_clientid", Way::Needless(LOCAL)),
    ("local_password", Way::Needless(LOCAL)),
    ("local_username", Way::Needless(LOCAL)),
    ("notification_topic", Way::Text("notification_topic")),
    ("notifications", Way::LostIfOn("set `notification_topic` in the upstream to tell it there")),
    ("notifications_local_only", Way::Needless("the state of upstreams is in `weir status`")),
    ("password", Way::Text("password")),
    ("remote_clientid", Way::Text("remote_clientid")),
    ("remote_password", Way::Text("password")),
    ("remote_username", Way::Text("username")),
    ("restart_timeout", Way::Special),
    ("round_robin", Way::Switch("round_robin")),
    ("start_type", Way::Special),
    ("threshold", Way::Number("threshold")),
    ("topic", Way::Special),
    ("try_private", Way::Needless("loops are ended by a property of the message")),
    ("username", Way::Text("username")),
];
