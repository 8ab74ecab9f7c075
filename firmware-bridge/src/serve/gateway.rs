//! The gateway for MQTT-SN, if the configuration has links.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use weir_node::mqtt_sn_1_2::TopicId;

use super::ServeError;
use crate::agent::client_id;
use crate::config::{Config, Framing, LinkConfig, LinkKind, NodeConfig};
use crate::gateway::{Cidr, Filter, LinkOptions, NodeOptions, Options};
use crate::link::serial::{self, SerialOptions};
use crate::link::udp::{Multicast, UdpOptions};
use crate::run::{self, Runner};
use crate::session::{Broker, Credentials};

/// Opens the links of a configuration; `None` if it has none.
pub(super) fn open<B: Broker>(
    config: &Config,
    credentials: Option<Credentials>,
    broker: &mut impl FnMut() -> B,
) -> Result<Option<Runner<B>>, ServeError> {
    if config.links.is_empty() {
        return Ok(None);
    }
    let mut options = Options::new(&config.bridge.id);
    // One of the two says that they are there: the agent is there with or without links.
    options.tells_state = false;
    options.root = config.bridge.root.as_str().into();
    options.credentials = credentials;
    options.reserved_client_ids = vec![client_id(&config.bridge.id).into()];
    options.unlisted_nodes = config.nodes.is_empty();
    let mut links = Vec::new();
    for (place, link) in config.links.iter().enumerate() {
        let (of_gateway, opened) = link_options(place, link)?;
        options.links.push(of_gateway);
        links.push(opened);
    }
    for one in &config.predefined {
        options.predefined.insert(one.client.as_deref(), TopicId(one.id), &one.topic);
    }
    let nodes = config.nodes.iter();
    options.nodes =
        nodes.map(|node| (node.client_id.as_str().into(), node_options(node))).collect();
    let state = config.bridge.data_dir.as_ref().map(|folder| folder.join(STATE_FILE));
    Ok(Some(Runner::open(options, links, state, broker())?))
}

fn link_options(
    place: usize,
    config: &LinkConfig,
) -> Result<(LinkOptions, run::LinkConfig), ServeError> {
    let (mut options, link) = match &config.kind {
        LinkKind::Serial { path, baud, framing } => {
            let framing = match framing {
                Framing::Cobs => serial::Framing::Cobs,
                Framing::Raw => serial::Framing::Raw,
            };
            let serial = SerialOptions { path: path.clone(), baud: *baud, framing };
            (LinkOptions::serial(&format!("serial-{place}")), run::LinkConfig::Serial(serial))
        }
        LinkKind::Udp { bind, multicast, sources } => {
            let bind = resolved(bind)?;
            let multicast = multicast.as_deref().map(|group| group_of(group, bind)).transpose()?;
            let mut options = LinkOptions::udp(&format!("udp-{place}"));
            options.allow_from = sources.iter().filter_map(cidr).collect();
            (options, run::LinkConfig::Udp(UdpOptions { bind, multicast }))
        }
    };
    options.advertise_s = Some(config.advertise_s).filter(|seconds| *seconds > 0);
    options.minus_one = config
        .publish_without_connection
        .then(|| vec![Filter::parse("#").expect("it is the filter of everything")]);
    Ok((options, link))
}

fn node_options(config: &NodeConfig) -> NodeOptions {
    let user = config.user.as_deref();
    let allowed = |ways: [&str; 2]| {
        let granted = config.acl.iter().filter_map(|grant| {
            let (way, filter) = grant.split_once(' ')?;
            // The configuration was read only if it is one.
            Filter::parse(filter).ok().filter(|_| ways.contains(&way))
        });
        (!config.acl.is_empty()).then(|| granted.collect())
    };
    NodeOptions {
        credentials: user.map(|user| Credentials { user: user.into(), password: None }),
        publish: allowed(["write", "readwrite"]),
        subscribe: allowed(["read", "readwrite"]),
        allow_from: Vec::new(),
        // The configuration allows at most ten times as long.
        sleep_tolerance_pct: config.sleep_tolerance.map(|share| (share * 100.0).round() as u16),
    }
}

fn resolved(address: &str) -> Result<SocketAddr, ServeError> {
    let failed = |reason: String| ServeError::Address { address: address.to_owned(), reason };
    let mut found = address.to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    found.next().ok_or_else(|| failed("the name has no address".to_owned()))
}

/// The group is joined on the interface of the address that nodes send to.
fn group_of(text: &str, bind: SocketAddr) -> Result<Multicast, ServeError> {
    let group = resolved(text)?;
    let (IpAddr::V4(address), IpAddr::V4(interface)) = (group.ip(), bind.ip()) else {
        let reason = "groups are those of IPv4".to_owned();
        return Err(ServeError::Address { address: text.to_owned(), reason });
    };
    if !address.is_multicast() {
        let reason = "it is not the address of a group, such as 239.255.18.85".to_owned();
        return Err(ServeError::Address { address: text.to_owned(), reason });
    }
    let interface = if interface.is_unspecified() { Ipv4Addr::UNSPECIFIED } else { interface };
    Ok(Multicast { group: address, port: group.port(), interface })
}

fn cidr((address, bits): &(IpAddr, u8)) -> Option<Cidr> {
    Cidr::parse(&format!("{address}/{bits}")).ok()
}

const STATE_FILE: &str = "gateway.state";
