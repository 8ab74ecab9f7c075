//! What is configured about a gateway, with its limits and their defaults.

use std::collections::BTreeMap;

use weir_node::mqtt_sn_1_2::TopicId;

use super::address::Cidr;
use super::topic::Filter;
use crate::session::Credentials;

/// What is configured about a gateway.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the gateway: the second level of its topics, and the beginning of the client id of
    /// its own session.
    pub id: Box<str>,
    /// First level of its topics.
    pub root: Box<str>,
    /// The number that nodes tell gateways apart by.
    pub gw_id: u8,
    /// Whether the gateway says in `bridge/state` whether it is there, also by its will. Beside an
    /// agent of the same name, which does that for both, it does not.
    pub tells_state: bool,
    /// For the gateway's own session, and for clients without credentials of their own.
    pub credentials: Option<Credentials>,
    /// The first id of its sessions; it counts up from there.
    pub first_session: u64,
    /// Links, in the order of their ids.
    pub links: Vec<LinkOptions>,
    /// Nodes that something is configured about.
    pub nodes: BTreeMap<Box<str>, NodeOptions>,
    /// Whether nodes that are not in `nodes` are let in.
    pub unlisted_nodes: bool,
    /// Client ids of others at the broker, whose sessions a node of that id would take over. That
    /// of the gateway itself need not be among them.
    pub reserved_client_ids: Vec<Box<str>>,
    /// Topic ids that nodes and gateway know in advance.
    pub predefined: Predefined,
    /// Clients at the same time, with those that are away and whose session is kept. Beyond, the
    /// one that is away for longest is forgotten; if none is, CONNECT is answered with congestion.
    pub clients_max: usize,
    /// Characters of a client id. The standard says 23.
    pub client_id_characters_max: usize,
    /// Topic ids of one client. Beyond, REGISTER and SUBSCRIBE are answered with congestion, and a
    /// message for a topic without an id is dropped, counted and reported.
    pub topic_ids_max: usize,
    /// Subscriptions of one client. Beyond, SUBSCRIBE is answered with congestion.
    pub subscriptions_max: usize,
    /// Milliseconds until what is not answered is sent again: Tretry of the standard.
    pub retry_ms: u64,
    /// How often it is sent again until the node counts as lost: Nretry.
    pub retries: u8,
    /// Milliseconds until it is sent again to a node that answered with congestion: Twait.
    pub wait_ms: u64,
    /// Milliseconds that a sleeper which has just been given a message is kept awake for the next
    /// one, because the broker may only now send it.
    pub linger_ms: u64,
    /// Milliseconds until a session that the broker does not answer is given up.
    pub connect_timeout_ms: u64,
    /// QoS 0 messages that wait for one sleeper. Those of QoS 1 and 2 wait at the broker, whose
    /// limits hold for them.
    pub sleep_queue_max: usize,
    /// Which ones are dropped beyond.
    pub sleep_policy: SleepPolicy,
    /// Messages that a sleeper is given before it may sleep again.
    pub messages_per_wake: u32,
    /// Keep-alive time towards the broker in seconds.
    pub broker_keep_alive_s: u16,
    /// Milliseconds between two events of the same kind about the same device; those in between
    /// are counted.
    pub event_interval_ms: u64,
    /// Milliseconds between two reports of the counters.
    pub metrics_interval_ms: u64,
}

/// What is configured about a link.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// What it is called in logs and topics.
    pub name: Box<str>,
    /// Seconds between two ADVERTISE; `None` sends none.
    pub advertise_s: Option<u16>,
    /// Octets of the longest datagram, with what a forwarder adds.
    pub datagram_max: usize,
    /// Where nodes may be, for links that have IP addresses; empty is anywhere.
    pub allow_from: Vec<Cidr>,
    /// Topics that anyone may publish to without a session, with QoS -1; `None` is not at all.
    pub minus_one: Option<Vec<Filter>>,
}

/// What is configured about a node.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// The user of the broker that it is; that of the gateway if it has none.
    pub credentials: Option<Credentials>,
    /// Topics that it may publish to; `None` is what the broker allows.
    pub publish: Option<Vec<Filter>>,
    /// Topics that it may subscribe to; `None` is what the broker allows.
    pub subscribe: Option<Vec<Filter>>,
    /// Where it may be; empty is anywhere.
    pub allow_from: Vec<Cidr>,
    /// How much longer than it said it may sleep, in percent; as for the keep-alive time if not
    /// given.
    pub sleep_tolerance_pct: Option<u16>,
}

/// Which messages of QoS 0 are dropped when too many wait for a sleeper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SleepPolicy {
    /// Those that wait for longest.
    #[default]
    DropOldest,
    /// Those that come last.
    KeepOldest,
}

/// Topic ids that are configured on both sides: for all clients, and for single ones, which come
/// first.
#[derive(Clone, Debug, Default)]
pub struct Predefined {
    for_all: BTreeMap<u16, Box<str>>,
    for_one: BTreeMap<Box<str>, BTreeMap<u16, Box<str>>>,
}

impl Predefined {
    /// Adds a valid topic name; `client` of `None` is for all. A second name for the same id
    /// replaces the first one.
    pub fn insert(&mut self, client: Option<&str>, id: TopicId, topic: &str) {
        let ids = match client {
            Some(client) => self.for_one.entry(client.into()).or_default(),
            None => &mut self.for_all,
        };
        ids.insert(id.0, topic.into());
    }

    /// The topic name of an id; `client` of `None` is one without a session.
    pub(super) fn name(&self, client: Option<&str>, id: TopicId) -> Option<&str> {
        let own = client.and_then(|client| self.for_one.get(client)?.get(&id.0));
        own.or_else(|| self.for_all.get(&id.0)).map(|name| &**name)
    }

    /// An id of a topic name.
    pub(super) fn id(&self, client: &str, name: &str) -> Option<TopicId> {
        let find = |ids: &BTreeMap<u16, Box<str>>| {
            ids.iter().find(|(_, topic)| ***topic == *name).map(|(id, _)| TopicId(*id))
        };
        let own = self.for_one.get(client).and_then(find);
        // An id for all that means something else to this client does not lead to the name.
        own.or_else(|| find(&self.for_all).filter(|id| self.name(Some(client), *id) == Some(name)))
    }
}

impl Options {
    /// The client id of the gateway's own session.
    pub fn own_client_id(&self) -> String {
        format!("{}-gateway", self.id)
    }

    /// The options of a gateway without links and nodes, in which everyone is let in.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            root: "edge".into(),
            tells_state: true,
            gw_id: 1,
            credentials: None,
            first_session: 0,
            links: Vec::new(),
            nodes: BTreeMap::new(),
            unlisted_nodes: true,
            reserved_client_ids: Vec::new(),
            predefined: Predefined::default(),
            clients_max: 10_000,
            client_id_characters_max: 64,
            topic_ids_max: 256,
            subscriptions_max: 64,
            retry_ms: 10_000,
            retries: 5,
            wait_ms: 60_000,
            linger_ms: 100,
            connect_timeout_ms: 10_000,
            sleep_queue_max: 100,
            sleep_policy: SleepPolicy::DropOldest,
            messages_per_wake: 10_000,
            broker_keep_alive_s: 60,
            event_interval_ms: 10_000,
            metrics_interval_ms: 60_000,
        }
    }
}

impl LinkOptions {
    /// A network link: an ADVERTISE every 15 minutes, and datagrams that fit an Ethernet frame.
    pub fn udp(name: &str) -> Self {
        Self {
            name: name.into(),
            advertise_s: Some(900),
            datagram_max: 1_400,
            allow_from: Vec::new(),
            minus_one: None,
        }
    }

    /// A serial line, with datagrams of at most 255 octets.
    pub fn serial(name: &str) -> Self {
        Self { datagram_max: 255, ..Self::udp(name) }
    }
}
