//! A core with clients, whose disk keeps everything at once.

use weir_core::{ConnectionId, Core, Effect, Input, Instant, Limits, ListenerId, Now, Recovered};
use weir_mqtt::{
    Connect, Packet, PacketId, QoS, Subscribe, SubscribeFilter, SubscribeProperties,
    SubscriptionOptions, TopicFilter, Version, frame_len,
};

const NOW: Now = Now { monotonic: Instant(0), unix_ms: 1_700_000_000_000 };

pub(crate) struct Broker {
    core: Core,
    connections: u32,
    effects: Vec<Effect>,
    /// The identifier of the last QoS 1 message that somebody got.
    last: Option<PacketId>,
}

impl Broker {
    pub(crate) fn new() -> Self {
        let recovered = Recovered::default();
        let core = Core::new(Limits::default(), Vec::new(), recovered, 1, NOW);
        Self { core, connections: 0, effects: Vec::new(), last: None }
    }

    pub(crate) fn connect(&mut self, name: &str, is_kept: bool) -> ConnectionId {
        let connection = ConnectionId { slot: self.connections, generation: 0 };
        self.connections += 1;
        self.core.handle(NOW, Input::Opened { connection, listener: ListenerId(0) });
        let connect = Connect { clean_start: !is_kept, ..Connect::new(Version::V311, name) };
        self.receive(connection, &encoded(Version::V311, Packet::Connect(connect)));
        connection
    }

    pub(crate) fn subscribe(&mut self, connection: ConnectionId, filter: &str, qos: QoS) {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filter = TopicFilter::parse(filter).expect("a valid filter");
        let filters = [SubscribeFilter { filter, options }];
        let subscribe = Subscribe {
            packet_id: PacketId::new(1).expect("not zero"),
            properties: SubscribeProperties::default(),
            filters: (&filters[..]).into(),
        };
        self.receive(connection, &encoded(Version::V311, Packet::Subscribe(subscribe)));
    }

    pub(crate) fn acknowledge(&mut self, connection: ConnectionId) {
        let packet_id = self.last.take().expect("it has got a message");
        let [high, low] = packet_id.get().to_be_bytes();
        self.receive(connection, &[0x40, 2, high, low]);
    }

    /// A turn: what a client has sent, and all that comes of it.
    pub(crate) fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.core.handle(NOW, Input::Received { connection, bytes });
        loop {
            let mut effects = std::mem::take(&mut self.effects);
            self.core.drain(|effect| effects.push(effect));
            if effects.is_empty() {
                self.effects = effects;
                return;
            }
            for effect in effects.drain(..) {
                match effect {
                    Effect::Admitted { .. } => {}
                    Effect::Commit(batch) => {
                        self.core.handle(NOW, Input::Committed { batch: batch.number });
                    }
                    Effect::Flush { connection } => self.write(connection),
                    other => panic!("{other:?} is not expected"),
                }
            }
            self.effects = effects;
        }
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.core.metrics().publish_sent
    }

    fn write(&mut self, connection: ConnectionId) {
        let written = self.core.outbound(connection).expect("it is open").bytes();
        let bytes = written.len();
        // A QoS 1 PUBLISH to one subscriber is alone in its buffer.
        if written.first().is_some_and(|first| first & 0xf6 == 0x32)
            && frame_len(written) == Ok(Some(bytes))
            && let Ok(Packet::Publish(publish)) = Packet::decode(written, Version::V311)
        {
            self.last = publish.packet_id;
        }
        self.core.handle(NOW, Input::Sent { connection, bytes });
    }
}

pub(crate) fn encoded(version: Version, packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).expect("a valid packet");
    bytes
}
