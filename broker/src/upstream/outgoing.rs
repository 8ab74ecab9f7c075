//! What a message of this broker looks like at the upstream.
//!
//! Pure: routes, properties and limits in, a PUBLISH without packet identifier out. A message
//! keeps its end-to-end properties. Towards MQTT 5 it gets user properties besides, unless it has
//! ones of the same name: `id`, by which a receiver knows a repetition, `seq` and `src`; and the
//! count of [`Crossings`], which ends loops.

use weir_core::{MessageParts, Sequence, ShardId};
use weir_mqtt::{Delivery, PacketId, PublishProperties, QoS, TopicFilter, TopicName, Version};

use super::crossings::Crossings;
use crate::config::Route;

/// What the far end said about itself when it took the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The protocol that it speaks.
    pub version: Version,
    /// Messages under way that it takes.
    pub receive_max: u16,
    /// The longest packet that it takes.
    pub packet_bytes_max: usize,
    /// The highest QoS that it takes.
    pub qos_max: QoS,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// Not from the log: at QoS 0, now or never.
    Live,
    /// A rule named this upstream and the topic there.
    Rule(Sequence),
    /// A forward route matched.
    Routed(Sequence),
}

/// A message for the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic there.
    pub topic: String,
    /// The QoS that route, rule, message and far end agree on.
    pub qos: QoS,
    /// Whether the far end is to keep it.
    pub retain: bool,
    /// When it came here, in milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// The payload as it came.
    pub payload: Vec<u8>,
    /// The same for a record of the log however often it is sent, and of no other one, also if the
    /// message brought an `id` of its own. Empty for what is not in the log.
    pub record_id: String,
    /// Empty below MQTT 5, like all that follow. `id` is the same for a record however often it
    /// is sent.
    pub user_properties: Vec<(String, String)>,
    /// Whether the payload is text.
    pub payload_format_utf8: Option<bool>,
    /// What is left of the time after which nobody wants it.
    pub message_expiry_interval_s: Option<u32>,
    /// What the payload is.
    pub content_type: Option<String>,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What the answer is to carry.
    pub correlation_data: Option<Vec<u8>>,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsent {
    #[error("the topic there would not be a topic name")]
    BadTopic,
    #[error("it has expired")]
    Expired,
    #[error("it was forwarded from broker to broker before")]
    HopLimit,
    #[error("no route forwards it any more")]
    NoRoute,
    #[error("it is larger than the upstream takes")]
    TooLarge,
}

/// Makes outgoing messages.
#[derive(Debug)]
pub(crate) struct Forwarding {
    pub(crate) routes: Vec<Route>,
    /// The name of this broker at other brokers.
    pub(crate) node: String,
    pub(crate) shard: ShardId,
    /// The highest QoS that is used at all.
    pub(crate) qos_max: QoS,
}

impl Unsent {
    /// The name under which it is counted.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::BadTopic => "bad_topic",
            Self::Expired => "expired",
            Self::HopLimit => "hop_limit",
            Self::NoRoute => "no_route",
            Self::TooLarge => "too_large",
        }
    }

    /// Whether somebody should look at the message: it becomes a dead letter.
    pub(crate) fn is_refused(self) -> bool {
        matches!(self, Self::BadTopic | Self::TooLarge)
    }
}

impl Forwarding {
    /// What is sent for `message` at the time `unix_ms`.
    pub(crate) fn outgoing(
        &self,
        message: &MessageParts<'_>,
        origin: Origin,
        peer: &Peer,
        unix_ms: u64,
    ) -> Result<Outgoing, Unsent> {
        let (topic, qos_max) = self.destination(message.topic, origin)?;
        if TopicName::parse(&topic).is_err() {
            return Err(Unsent::BadTopic);
        }
        if message.expires_at_ms.is_some_and(|at| at <= unix_ms) {
            return Err(Unsent::Expired);
        }
        let mut outgoing = Outgoing {
            topic,
            qos: message.qos.min(qos_max).min(peer.qos_max).min(self.qos_max),
            retain: message.retain && peer.retain_available,
            received_at_ms: message.received_at_ms,
            payload: message.payload.to_vec(),
            ..Outgoing::default()
        };
        self.add_properties(&mut outgoing, message, origin, peer, unix_ms)?;
        match peer.packet_bytes_max < usize::MAX && outgoing.len() > peer.packet_bytes_max {
            true => Err(Unsent::TooLarge),
            false => Ok(outgoing),
        }
    }

    /// The topic at the upstream and the highest QoS for it: the first route that matches says.
    fn destination(&self, topic: &str, origin: Origin) -> Result<(String, QoS), Unsent> {
        if let Origin::Rule(_) = origin {
            return Ok((topic.to_owned(), QoS::ExactlyOnce));
        }
        let route = matching(&self.routes, topic).ok_or(Unsent::NoRoute)?;
        let qos = QoS::try_from(route.qos).unwrap_or(QoS::ExactlyOnce);
        let qos = if origin == Origin::Live { QoS::AtMostOnce } else { qos };
        Ok((route.to.render(topic, &route.from), qos))
    }

    fn add_properties(
        &self,
        outgoing: &mut Outgoing,
        message: &MessageParts<'_>,
        origin: Origin,
        peer: &Peer,
        unix_ms: u64,
    ) -> Result<(), Unsent> {
        let stored = PublishProperties::decode_end_to_end(message.properties)
            .expect("stored properties were encoded by this broker");
        let own = |name: &str| stored.user_properties.iter().find(|pair| pair.0 == name);
        let crossings = Crossings::of(stored.user_properties);
        if !matches!(origin, Origin::Rule(_)) && !crossings.may_be_forwarded() {
            return Err(Unsent::HopLimit);
        }
        if peer.version != Version::V5 {
            return Ok(());
        }
        let remaining_s = |at: u64| at.saturating_sub(unix_ms).div_ceil(1000);
        outgoing.message_expiry_interval_s =
            message.expires_at_ms.map(|at| u32::try_from(remaining_s(at)).unwrap_or(u32::MAX));
        outgoing.payload_format_utf8 = stored.payload_format_utf8;
        outgoing.content_type = stored.content_type.map(str::to_owned);
        outgoing.response_topic = stored.response_topic.map(str::to_owned);
        outgoing.correlation_data = stored.correlation_data.map(<[u8]>::to_vec);
        let user = &mut outgoing.user_properties;
        let kept = stored.user_properties.iter().filter(|pair| !Crossings::is_forwarded(pair.0));
        user.extend(kept.map(|(n, v)| (n.to_owned(), v.to_owned())));
        let mut add = |name: &str, value: String| {
            if own(name).is_none() {
                user.push((name.to_owned(), value));
            }
        };
        if let Origin::Rule(sequence) | Origin::Routed(sequence) = origin {
            outgoing.record_id = self.id(sequence, message.received_at_ms);
            add("id", outgoing.record_id.clone());
            add("seq", sequence.0.to_string());
        }
        add("src", self.node.clone());
        let (name, value) = crossings.once_more_forwarded();
        user.push((name.to_owned(), value));
        Ok(())
    }

    /// The same for a record however often it is sent. The time of receipt is part of it because
    /// a broker whose data were deleted counts its positions from one again.
    fn id(&self, sequence: Sequence, received_at_ms: u64) -> String {
        let (node, shard) = (&self.node, self.shard.0);
        format!("{node}-{shard:02x}-{:016x}-{received_at_ms:x}", sequence.0)
    }
}

impl Outgoing {
    /// The length of its packet for MQTT 5.
    fn len(&self) -> usize {
        let pairs: Vec<(&str, &str)> =
            self.user_properties.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let properties = PublishProperties {
            payload_format_utf8: self.payload_format_utf8,
            content_type: self.content_type.as_deref(),
            response_topic: self.response_topic.as_deref(),
            correlation_data: self.correlation_data.as_deref(),
            user_properties: pairs.as_slice().into(),
            ..PublishProperties::default()
        };
        let mut end_to_end = Vec::new();
        if properties.encode_end_to_end(&mut end_to_end).is_err() {
            return usize::MAX;
        }
        let delivery = Delivery {
            qos: self.qos,
            packet_id: PacketId::new(1).filter(|_| self.qos > QoS::AtMostOnce),
            end_to_end: &end_to_end,
            message_expiry_interval_s: self.message_expiry_interval_s,
            ..Delivery::new(&self.topic, &self.payload)
        };
        delivery.encoded_len(Version::V5)
    }
}

/// The first route whose filter matches.
pub(crate) fn matching<'a>(routes: &'a [Route], topic: &str) -> Option<&'a Route> {
    let matches =
        |route: &&Route| TopicFilter::parse(&route.from).is_ok_and(|filter| filter.matches(topic));
    routes.iter().find(matches)
}

#[cfg(test)]
mod tests;
