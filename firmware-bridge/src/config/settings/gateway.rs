//! Links and nodes of the MQTT-SN gateway.

use std::path::PathBuf;

/// A link on which nodes speak MQTT-SN.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// What it is.
    pub kind: LinkKind,
    /// How often the gateway advertises itself, in seconds; 0 = never.
    pub advertise_s: u16,
    /// Whether messages of QoS -1 are taken.
    pub publish_without_connection: bool,
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A serial line.
    Serial {
        /// Its device.
        path: PathBuf,
        /// Bits in a second.
        baud: u32,
        /// How frames stand on it.
        framing: Framing,
    },
    /// A UDP port.
    Udp {
        /// Host and port to listen at.
        bind: String,
        /// Group for what concerns all nodes, host and port.
        multicast: Option<String>,
        /// Addresses that may speak, as address and length of the prefix; `None` = any.
        sources: Option<(std::net::IpAddr, u8)>,
    },
}

impl LinkConfig {
    /// The address or the device that tells it from others.
    pub fn place(&self) -> String {
        match &self.kind {
            LinkKind::Serial { path, .. } => path.display().to_string(),
            LinkKind::Udp { bind, .. } => bind.clone(),
        }
    }
}

/// How frames stand on a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// COBS with a checksum.
    Cobs,
    /// The length of MQTT-SN alone.
    Raw,
}

/// A topic id that nodes know without registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredefinedConfig {
    /// The id, 1 to 65,534.
    pub id: u16,
    /// The topic name.
    pub topic: String,
    /// The client it is for; `None` = all.
    pub client: Option<String>,
}

/// A node that may connect.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Its client id.
    pub client_id: String,
    /// User name at the broker; `None` = that of the bridge.
    pub user: Option<String>,
    /// Texts of `read FILTER`, `write FILTER`, `readwrite FILTER`; empty = whatever the broker
    /// allows.
    pub acl: Vec<String>,
    /// Share by which it may sleep longer than it said; `None` = as for the keep-alive time.
    pub sleep_tolerance: Option<f64>,
}
