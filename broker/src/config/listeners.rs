//! `[[listener]]`: its values with their types, and the check of what belongs together.

pub(crate) mod tls;

pub(crate) use tls::TLS_VERSIONS;

/// The values of `proxy_protocol` in the file.
pub(crate) const PROXY_PROTOCOLS: [&str; 4] = ["false", "v1", "v2", "any"];
/// The values of `accept_protocol_versions`.
pub(crate) const MQTT_VERSIONS: [&str; 3] = ["3.1", "3.1.1", "5.0"];

use std::{fmt, path::PathBuf};

use weir_config::{Origin, Problems, Refusal, Tree, Values};
use weir_mqtt::{TopicName, Version};

use super::{
    CertificateUsername, HostPort, ProxyProtocol, TlsConfig, code, declared::LISTENER, notation,
    settings::unless_zero,
};

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerConfig {
    /// Where it listens.
    pub address: ListenAddress,
    /// Permissions of the file of a Unix socket.
    pub mode: u32,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Connections that it may have at a time; `None` = no limit.
    pub max_connections: Option<u32>,
    /// Connections that are taken in a second; 0 = no limit.
    pub max_connect_rate: u32,
    /// The header that a load balancer puts in front of everything.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Clients without a user name are let in; `None` = as `[auth]` says.
    pub allow_anonymous: Option<bool>,
    /// Clients without an identifier are given one.
    pub allow_zero_length_clientid: bool,
    /// Versions that are spoken.
    pub accept_protocol_versions: Vec<Version>,
    /// Highest QoS of clients.
    pub max_qos: u8,
    /// Clients may retain messages and are sent retained ones.
    pub retain_available: bool,
    /// Largest payload, in bytes; `None` = no limit.
    pub message_size_limit: Option<u64>,
    /// QoS 1 and 2 messages under way to or from each client; `None` here and below = as
    /// `[limits]` says.
    pub max_inflight_messages: Option<u16>,
    /// Bytes of QoS 1 and 2 messages under way to each client; 0 = no limit.
    pub max_inflight_bytes: Option<u64>,
    /// Messages that wait for each client; 0 = no limit.
    pub max_queued_messages: Option<u32>,
    /// Bytes that wait for each client; 0 = no limit.
    pub max_queued_bytes: Option<u64>,
    /// Messages go out at the QoS of the subscription.
    pub upgrade_outgoing_qos: Option<bool>,
    /// Messages that each client may publish in a second; 0 = no limit.
    pub max_message_rate: Option<u32>,
    /// Bytes that each client may send in a second; 0 = no limit.
    pub max_byte_rate: Option<u32>,
    /// Topic filters that each client may subscribe to in a second; 0 = no limit.
    pub max_subscribe_rate: Option<u32>,
    /// What all topics of clients begin with, unseen by them; it ends with a slash.
    pub mount_point: Option<String>,
    /// TLS in front of what is spoken.
    pub tls: Option<TlsConfig>,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A TCP port.
    Tcp(HostPort),
    /// The file of a Unix socket.
    Unix(PathBuf),
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// MQTT as it is.
    Mqtt,
    /// MQTT in WebSocket frames.
    WebSocket,
}

impl ListenerConfig {
    /// A listener for plain MQTT without limits of its own.
    pub fn new(address: impl Into<ListenAddress>) -> Self {
        Self::read(&Values::new(&LISTENER), address.into())
    }

    /// Without TLS: that can fail.
    fn read(values: &Values, address: ListenAddress) -> Self {
        Self {
            address,
            mode: notation::mode(&values.text("mode")).expect("it was read as one"),
            protocol: Protocol::from_name(values.choice("protocol")),
            max_connections: values.whole::<i64>("max_connections").try_into().ok(),
            max_connect_rate: values.whole("max_connect_rate"),
            proxy_protocol: match values.choice("proxy_protocol") {
                "any" => Some(ProxyProtocol::Any),
                "v1" => Some(ProxyProtocol::V1),
                "v2" => Some(ProxyProtocol::V2),
                _ => None,
            },
            allow_anonymous: values.optional("allow_anonymous", Values::flag),
            allow_zero_length_clientid: values.flag("allow_zero_length_clientid"),
            accept_protocol_versions: versions(&values.choices("accept_protocol_versions")),
            max_qos: values.whole("max_qos"),
            retain_available: values.flag("retain_available"),
            message_size_limit: unless_zero(values.size("message_size_limit")),
            max_inflight_messages: values.optional("max_inflight_messages", Values::whole),
            max_inflight_bytes: values.optional("max_inflight_bytes", Values::size),
            max_queued_messages: values.optional("max_queued_messages", Values::whole),
            max_queued_bytes: values.optional("max_queued_bytes", Values::size),
            upgrade_outgoing_qos: values.optional("upgrade_outgoing_qos", Values::flag),
            max_message_rate: values.optional("max_message_rate", Values::whole),
            max_byte_rate: values.optional("max_byte_rate", Values::small_size),
            max_subscribe_rate: values.optional("max_subscribe_rate", Values::whole),
            mount_point: values.optional("mount_point", Values::text),
            tls: None,
        }
    }

    /// What holds for connections from inside the process, which come by no address.
    pub(crate) fn inside() -> Self {
        Self::new(HostPort::new("inside", 0))
    }

    /// Clients are known by their certificates, whatever they say.
    pub(crate) fn knows_clients(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.username != CertificateUsername::None)
    }

    /// Nobody gets in without a certificate.
    pub(crate) fn requires_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.require_certificate)
    }
}

impl ListenAddress {
    /// The TCP port; 0 lets the system choose one, and a Unix socket has none.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl From<HostPort> for ListenAddress {
    fn from(address: HostPort) -> Self {
        Self::Tcp(address)
    }
}

impl From<PathBuf> for ListenAddress {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Protocol {
    pub(crate) const NAMES: [&'static str; 2] = ["mqtt", "websocket"];

    fn from_name(name: &str) -> Self {
        match name {
            "mqtt" => Self::Mqtt,
            "websocket" => Self::WebSocket,
            _ => unreachable!("declared by the same names"),
        }
    }
}

/// Every listener with the place of its address.
pub(crate) type Listeners = Vec<(ListenerConfig, Option<Origin>)>;

/// The listeners that the sources name; without any, the one on this machine.
pub(crate) fn check(
    tree: &Tree,
    default: Vec<ListenerConfig>,
    problems: &mut Problems,
) -> Listeners {
    let tables = tree.list(&LISTENER);
    if tables.is_empty() {
        refuse_no_listener(tree, problems);
        return default.into_iter().map(|listener| (listener, None)).collect();
    }
    let mut listeners = Listeners::new();
    for values in tables {
        let Some((address, origin)) = address(values, problems) else { continue };
        if is_taken(&address, &listeners) {
            problems.refuse(origin.source, taken(&address, &origin, "another listener"));
        }
        check_mount_point(values, problems);
        let mut listener = ListenerConfig::read(values, address);
        listener.tls = values.table("tls").and_then(|values| tls::check(values, problems));
        listeners.push((listener, Some(origin)));
    }
    listeners
}

/// A list that is there, and empty, is not meant.
fn refuse_no_listener(tree: &Tree, problems: &mut Problems) {
    let Some(Origin { source, span }) = tree.place_of_list(&LISTENER).cloned() else { return };
    let message = "without a listener nobody can connect";
    let refusal = Refusal::new(code::VALUE, span, message, "an empty list");
    problems.refuse(source, refusal.help("leave the key out to listen on 127.0.0.1:1883"));
}

/// A topic behind it must be a topic, and nobody's but its listener's.
fn check_mount_point(values: &Values, problems: &mut Problems) {
    let (Some(text), Some(at)) =
        (values.optional("mount_point", Values::text), values.origin("mount_point"))
    else {
        return;
    };
    let refuse = |label: &str| {
        let message = format!("`{text}` cannot be a mount point");
        Refusal::new(code::TOPIC, at.span.clone(), message, label)
    };
    if TopicName::parse(&text).is_err() || text.starts_with('$') {
        let help = "topic levels without wildcards, for example \"site/a/\"";
        problems.refuse(at.source, refuse("no topic can begin so").help(help));
    } else if !text.ends_with('/') {
        let help = format!("write \"{text}/\"; mosquitto puts it in front of topics as it is");
        problems.refuse(at.source, refuse("must end with a slash").help(help));
    }
}

fn versions(names: &[&str]) -> Vec<Version> {
    let version = |name: &&str| match *name {
        "3.1" => Version::V31,
        "3.1.1" => Version::V311,
        _ => Version::V5,
    };
    names.iter().map(version).collect()
}

/// Whether one of the listeners is there already.
pub(crate) fn is_taken(address: &ListenAddress, listeners: &Listeners) -> bool {
    address.port() != Some(0) && listeners.iter().any(|(other, _)| other.address == *address)
}

/// What is said about the second one at an address.
pub(crate) fn taken(address: &ListenAddress, at: &Origin, by: &str) -> Refusal {
    Refusal::new(
        code::CONFLICT,
        at.span.clone(),
        format!("{by} has the address {address} already"),
        "twice the same address",
    )
    .help("give each its own port")
}

fn refuse_without_place(values: &Values, problems: &mut Problems) {
    let Some(Origin { source, span }) = values.header().cloned() else { return };
    let message = "`address` is missing";
    let refusal = Refusal::new(code::MISSING, span, message, "needs `address`");
    problems.refuse(source, refusal.help("for example address = \"127.0.0.1:1883\""));
}

fn address(values: &Values, problems: &mut Problems) -> Option<(ListenAddress, Origin)> {
    let address = values.optional("address", Values::parsed).map(ListenAddress::Tcp);
    let path = values.optional("path", Values::path).map(ListenAddress::Unix);
    let (name, chosen) = match (address, path) {
        (Some(_), Some(_)) => {
            let Origin { source, span } = values.origin("path")?.clone();
            let message = "both `address` and `path` are given";
            let refusal = Refusal::new(code::CONFLICT, span, message, "one of them too many");
            problems.refuse(source, refusal.help("write a [[listener]] for each"));
            return None;
        }
        (Some(address), None) => ("address", address),
        (None, Some(path)) => ("path", path),
        (None, None) => {
            if values.is_missing("address") && values.is_missing("path") {
                refuse_without_place(values, problems);
            }
            return None;
        }
    };
    if name == "address"
        && let Some(Origin { source, span }) = values.origin("mode").cloned()
    {
        let message = "`mode` is for a Unix socket, and this listener has an address";
        let refusal = Refusal::new(code::CONFLICT, span, message, "not for TCP");
        problems.refuse(source, refusal.help("remove the key, or write `path` for `address`"));
    }
    Some((chosen, values.origin(name)?.clone()))
}
