//! Links and nodes of the MQTT-SN gateway.

use std::net::IpAddr;

use weir_config::{Tree, Values};

use super::super::declared::{LINK, NODE, PREDEFINED};
use super::super::settings::{Framing, LinkConfig, LinkKind, NodeConfig, PredefinedConfig};
use super::{Builder, header};

impl Builder<'_> {
    pub(super) fn links(&mut self, tree: &Tree) -> Vec<LinkConfig> {
        let mut links: Vec<LinkConfig> = Vec::new();
        for values in tree.list(&LINK) {
            let link = LinkConfig {
                kind: self.link_kind(values),
                advertise_s: values.whole("advertise_s"),
                publish_without_connection: values.flag("publish_without_connection"),
            };
            let is_taken = links.iter().any(|other| match (&other.kind, &link.kind) {
                (LinkKind::Udp { bind: a, .. }, LinkKind::Udp { bind: b, .. }) => a == b,
                (LinkKind::Serial { path: a, .. }, LinkKind::Serial { path: b, .. }) => a == b,
                _ => false,
            });
            if is_taken {
                let key = if values.is_given("path") { "path" } else { "bind" };
                let help = "remove one, or give it another place";
                self.conflict(values.place(key), "two links at one place", "taken", help);
            }
            links.push(link);
        }
        links
    }

    fn link_kind(&mut self, values: &Values) -> LinkKind {
        if values.choice("kind") == "udp" {
            for key in ["path", "baud", "framing"] {
                self.only_with(values, key, "serial links");
            }
            let sources = values.optional("sources", Values::text).and_then(|text| {
                let network = network(&text);
                if network.is_none() {
                    let message = format!("`{text}` is not a range of addresses");
                    let help = "for example \"192.168.7.0/24\" or \"fd00::/8\"";
                    self.wrong(values.place("sources"), &message, "address/bits", help);
                }
                network
            });
            let multicast = values.optional("multicast", Values::text);
            return LinkKind::Udp { bind: values.text("bind"), multicast, sources };
        }
        for key in ["bind", "multicast", "sources"] {
            self.only_with(values, key, "UDP links");
        }
        if values.is_missing("path") {
            let message = "a serial link needs `path`";
            let help = "for example path = \"/dev/ttyUSB0\"";
            self.wrong(header(values), message, "no device", help);
        }
        let raw = values.choice("framing") == "raw";
        LinkKind::Serial {
            path: values.optional("path", Values::path).unwrap_or_default(),
            baud: values.whole("baud"),
            framing: if raw { Framing::Raw } else { Framing::Cobs },
        }
    }

    pub(super) fn predefined(&mut self, tree: &Tree) -> Vec<PredefinedConfig> {
        let mut all: Vec<PredefinedConfig> = Vec::new();
        for values in tree.list(&PREDEFINED) {
            let client = Some(values.text("client")).filter(|client| client != "*");
            let one =
                PredefinedConfig { id: values.whole("id"), topic: values.text("topic"), client };
            let same =
                |other: &PredefinedConfig| (other.id, &other.client) == (one.id, &one.client);
            if all.iter().any(same) && values.is_given("id") {
                let message = format!("the id {} is there twice", one.id);
                self.conflict(values.place("id"), &message, "taken", "use another id");
            }
            all.push(one);
        }
        all
    }

    pub(super) fn nodes(&mut self, tree: &Tree) -> Vec<NodeConfig> {
        let mut nodes: Vec<NodeConfig> = Vec::new();
        for values in tree.list(&NODE) {
            let client_id = values.text("client_id");
            let is_given = values.is_given("client_id");
            if nodes.iter().any(|other| other.client_id == client_id) && is_given {
                let message = format!("`{client_id}` is there twice");
                self.conflict(values.place("client_id"), &message, "again", "remove one of them");
            }
            nodes.push(NodeConfig {
                client_id,
                user: values.optional("user", Values::text),
                acl: values.texts("acl"),
                sleep_tolerance: values.optional("sleep_tolerance", Values::number),
            });
        }
        nodes
    }
}

/// `address/bits`.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}
