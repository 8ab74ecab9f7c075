//! Listeners, each with the options behind it. Options of a listener that stand before the first
//! one are about the default listener, which exists when something is said about it.

use super::document::{Document, Table};
use super::global::not_understood;
use super::note::Note;
use super::statement::Statement;

/// All listeners.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    default: Listener,
    /// Those that `listener` has begun.
    others: Vec<Listener>,
    is_per_listener: bool,
}

#[derive(Debug)]
struct Listener {
    port: Option<u16>,
    host: Option<String>,
    is_ipv4: bool,
    path: Option<String>,
    table: Table,
    tls: Table,
}

/// How an option is converted.
#[derive(Clone, Copy)]
enum Way {
    Lost(&'static str),
    LostIfOn(&'static str),
    Needless(&'static str),
    Number(&'static str),
    /// One of its own.
    Special,
    Switch(&'static str),
    /// A switch of `tls`.
    TlsSwitch(&'static str),
    /// A path of `tls`.
    TlsText(&'static str),
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            port: None,
            host: None,
            is_ipv4: false,
            path: None,
            table: Table::new("[[listener]]"),
            tls: Table::new("[listener.tls]"),
        }
    }
}

impl Listeners {
    /// Takes an option of a listener; `None` when it is none.
    pub(crate) fn take(&mut self, statement: &Statement) -> Option<Result<(), Note>> {
        if statement.name == "per_listener_settings" {
            self.is_per_listener = statement.switch() == Some(true);
            return None;
        }
        if statement.name == "listener" {
            return Some(self.begin(statement));
        }
        // Of the whole broker unless each listener has its own.
        let is_own = statement.name != "allow_anonymous" || self.is_per_listener;
        let (_, way) = OPTIONS.iter().find(|(name, _)| *name == statement.name && is_own)?;
        let listener = self.others.last_mut().unwrap_or(&mut self.default);
        Some(listener.set(*way, statement))
    }

    /// Writes a table for each.
    pub(crate) fn write(self, document: &mut Document) {
        let default = Some(self.default).filter(Listener::is_said);
        for listener in default.into_iter().chain(self.others) {
            listener.write(document);
        }
    }

    fn begin(&mut self, statement: &Statement) -> Result<(), Note> {
        let mut words = statement.value.splitn(2, [' ', '\t']);
        let port = words.next().and_then(|port| port.parse().ok());
        let port: u16 = port.ok_or_else(|| not_understood(statement))?;
        let place = words.next().map(|place| place.trim().to_owned());
        let mut listener = Listener::default();
        match (port, place) {
            (0, Some(path)) => listener.path = Some(path),
            (0, None) => return Err(not_understood(statement)),
            (port, host) => (listener.port, listener.host) = (Some(port), host),
        }
        self.others.push(listener);
        Ok(())
    }
}

impl Listener {
    fn set(&mut self, way: Way, statement: &Statement) -> Result<(), Note> {
        let value = statement.value.as_str();
        let wrong = || not_understood(statement);
        match way {
            Way::Lost(why) => return Err(Note::lost(statement, why)),
            Way::LostIfOn(why) => {
                if statement.switch() != Some(false) {
                    return Err(Note::lost(statement, why));
                }
            }
            Way::Needless(why) => return Err(Note::needless(statement, why)),
            Way::Number(key) => self.table.set(key, statement.number().ok_or_else(wrong)?),
            Way::Special => return self.set_special(statement),
            Way::Switch(key) => self.table.set(key, statement.switch().ok_or_else(wrong)?),
            Way::TlsSwitch(key) => self.tls.set(key, statement.switch().ok_or_else(wrong)?),
            Way::TlsText(key) => self.tls.set_text(key, value),
        }
        Ok(())
    }

    fn set_special(&mut self, statement: &Statement) -> Result<(), Note> {
        let value = statement.value.as_str();
        let wrong = || not_understood(statement);
        match statement.name.as_str() {
            "accept_protocol_versions" => {
                let versions = value.split(',').map(|version| match version.trim() {
                    "3" => Some("3.1"),
                    "4" => Some("3.1.1"),
                    "5" => Some("5.0"),
                    _ => None,
                });
                let versions: Vec<&str> = versions.collect::<Option<_>>().ok_or_else(wrong)?;
                self.table.set_list("accept_protocol_versions", versions);
            }
            "bind_address" => self.host = Some(value.to_owned()),
            "max_connections" => {
                let connections = statement.number().filter(|number| *number >= -1);
                self.table.set("max_connections", connections.ok_or_else(wrong)?);
            }
            "mount_point" => {
                self.table.set_text("mount_point", value);
                if !value.ends_with('/') {
                    let why = "a mount point ends with a slash here, or its topics would not be \
                               whole levels";
                    self.table.set_text("mount_point", &format!("{value}/"));
                    return Err(Note::lost(statement, why));
                }
            }
            "port" => self.port = Some(value.parse().map_err(|_| wrong())?),
            "protocol" => match value {
                "mqtt" => self.table.set_text("protocol", "mqtt"),
                "websockets" => self.table.set_text("protocol", "websocket"),
                _ => return Err(wrong()),
            },
            "socket_domain" => self.is_ipv4 = value == "ipv4",
            "tls_version" => match value {
                "tlsv1.3" => self.tls.set_text("tls_version", "1.3"),
                "tlsv1.2" => self.tls.set_text("tls_version", "1.2"),
                "tlsv1.1" => {
                    return Err(Note::lost(statement, "TLS 1.1 is not safe any more"));
                }
                _ => return Err(wrong()),
            },
            name => unreachable!("{name} is in the table"),
        }
        Ok(())
    }

    fn is_said(&self) -> bool {
        self.port.is_some() || self.host.is_some() || !self.table.is_empty() || !self.tls.is_empty()
    }

    fn write(self, document: &mut Document) {
        let mut table = Table::new("[[listener]]");
        match &self.path {
            Some(path) => table.set_text("path", path),
            None => table.set_text("address", &self.address()),
        }
        table.extend(self.table);
        if !self.tls.is_empty() {
            table.set("tls", self.tls.inline());
        }
        document.push(table);
    }

    fn address(&self) -> String {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        match self.host.as_deref() {
            Some(host) if host.contains(':') => format!("[{host}]:{port}"),
            Some(host) => format!("{host}:{port}"),
            None if self.is_ipv4 => format!("0.0.0.0:{port}"),
            None => format!("[::]:{port}"),
        }
    }
}

const DEFAULT_PORT: u16 = 1883;
const CIPHERS: &str = "the TLS library chooses among safe ciphers only";
const ENGINES: &str = "keys are files in PEM form";
const OPTIONS: [(&str, Way); 37] = [
    ("accept_protocol_versions", Way::Special),
    ("allow_anonymous", Way::Switch("allow_anonymous")),
    ("allow_zero_length_clientid", Way::Switch("allow_zero_length_clientid")),
    ("bind_address", Way::Special),
    ("bind_interface", Way::Lost("name an address of the interface in `listener`")),
    ("cafile", Way::TlsText("cafile")),
    ("capath", Way::Lost("put the authorities into one file, `cafile`")),
    ("certfile", Way::TlsText("certfile")),
    ("ciphers", Way::Needless(CIPHERS)),
    ("ciphers_tls1.3", Way::Needless(CIPHERS)),
    ("crlfile", Way::TlsText("crlfile")),
    ("dhparamfile", Way::Needless(CIPHERS)),
    (
        "disable_client_cert_date_checks",
        Way::LostIfOn("certificates out of their time are refused"),
    ),
    (
        "enable_proxy_protocol",
        Way::Lost("set `proxy_protocol` of the listener to \"v1\", \"v2\" or \"any\""),
    ),
    ("http_dir", Way::Lost("there are no files to serve")),
    ("keyfile", Way::TlsText("keyfile")),
    ("max_connections", Way::Special),
    ("max_qos", Way::Number("max_qos")),
    ("max_topic_alias", Way::Lost("set `max_topic_alias` of [limits]")),
    ("max_topic_alias_broker", Way::Lost("set `max_topic_alias_broker` of [limits]")),
    ("message_size_limit", Way::Number("message_size_limit")),
    ("mount_point", Way::Special),
    ("port", Way::Special),
    ("protocol", Way::Special),
    ("psk_hint", Way::Lost("TLS with pre-shared keys is not there; use certificates")),
    ("require_certificate", Way::TlsSwitch("require_certificate")),
    ("socket_domain", Way::Special),
    ("tls_engine", Way::Lost(ENGINES)),
    ("tls_engine_kpass_sha1", Way::Lost(ENGINES)),
    ("tls_keyform", Way::Lost(ENGINES)),
    ("tls_version", Way::Special),
    ("use_identity_as_username", Way::TlsSwitch("use_identity_as_username")),
    ("use_subject_as_username", Way::TlsSwitch("use_subject_as_username")),
    ("use_username_as_clientid", Way::LostIfOn("client identifiers are those of the clients")),
    ("websockets_headers_size", Way::Needless("the head of a request may have 8 KB")),
    ("websockets_log_level", Way::Needless("the level of the log decides")),
    ("websockets_origin", Way::Lost("every origin may connect; users and certificates decide")),
];
