use weir_core::{
    ConnectionId, Core, Effect, Input, Instant, Limits, ListenerId, Now, ReaderConfig, ReaderKind,
    Recovered, ShardId,
};
use weir_mqtt::{Connect, Packet, PacketId, Publish, QoS, Version};
use weir_rules::{Plan, Source, compile};

use super::*;
use crate::store::{Store, StoreOptions};

const NOW: Now = Now { monotonic: Instant(0), unix_ms: 1_700_000_000_000 };
const PER_CLIENT: &str = "\
[rule.count]
from   = \"in\"
by     = { client = \"client\" }
window = \"tumbling 1m\"
select = { n = \"count()\" }
to     = \"out/{client}\"
";

fn plan(text: &str) -> Plan {
    compile(&[Source::new("test.toml", text)]).expect("a correct rule")
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(Version::V5, &mut bytes).expect("a packet of a test can be encoded");
    bytes
}

/// A client that publishes once.
fn publish(core: &mut Core, slot: u32, client_id: &str) {
    let connection = ConnectionId { slot, generation: 0 };
    core.handle(NOW, Input::Opened { connection, listener: ListenerId(0) });
    let connect = Connect::new(Version::V5, client_id);
    let publish =
        Publish { qos: QoS::AtLeastOnce, packet_id: PacketId::new(1), ..Publish::new("in", b"1") };
    for packet in [Packet::Connect(connect), Packet::Publish(publish)] {
        core.handle(NOW, Input::Received { connection, bytes: &encoded(&packet) });
    }
}

/// What the rules send when their windows are closed.
fn results(plan: Plan, reader: ReaderId, records: &Records) -> Vec<String> {
    let mut pipeline = Pipeline::new(Engine::new(plan), reader, Vec::new());
    pipeline.handle(NOW.unix_ms, records);
    pipeline.advance(NOW.unix_ms + 120_000);
    let turn = pipeline.take_turn().expect("there are results");
    let results = turn.publications.iter().map(|one| {
        let message = one.borrow().message;
        format!("{} {}", message.topic, String::from_utf8_lossy(message.payload))
    });
    results.collect()
}

/// What a rule computed from `client` was computed from nothing, as the client of every message was
/// empty: on its way to the rules, and when they read the log again.
#[test]
fn the_log_and_a_message_that_comes_say_the_same_about_the_client() {
    let store = Store::in_memory(StoreOptions::default()).expect("a store in memory");
    let reader = store.register_readers(&["rules"]).expect("one reader")[0];
    let config = ReaderConfig {
        reader,
        filters: vec!["in".to_owned()],
        kind: ReaderKind::Rules,
        names_publishers: plan(PER_CLIENT).reads_client(),
    };
    let mut core = Core::new(Limits::default(), vec![config], Recovered::default(), 1, NOW);
    for (slot, client_id) in (0..).zip(["a", "b", "b", "a", "a"]) {
        publish(&mut core, slot, client_id);
    }
    let (mut came, mut batches) = (Records::default(), Vec::new());
    core.drain(|effect| match effect {
        Effect::ToReader { records, .. } => came = records,
        Effect::Commit(batch) => batches.push(batch),
        _ => {}
    });
    store.commit(&batches).expect("a store in memory takes everything");
    let kept = not_handled(&store, ShardId::FIRST, reader, Sequence(0)).expect("a log");
    assert_eq!((came.len(), kept.len()), (5, 5));
    let results = [came, kept].map(|records| results(plan(PER_CLIENT), reader, &records));
    assert_eq!(results[0], results[1]);
    let begins = |at: usize, text: &str| results[0][at].starts_with(text);
    assert!(begins(0, "out/a {\"client\":\"a\",\"n\":3,"), "{:?}", results[0]);
    assert!(begins(1, "out/b {\"client\":\"b\",\"n\":2,"), "{:?}", results[0]);
}

#[test]
fn only_rules_that_need_the_client_ask_for_it() {
    let copy = |more: &str| format!("[rule.copy]\nfrom = \"in\"\nto = \"out\"\n{more}");
    assert!(!plan(&copy("")).reads_client());
    assert!(plan(&copy("where = \"client != 'a'\"")).reads_client());
    let time = "time = { field = \"ts\", per = \"source\" }\nby = { x = \"x\" }\n\
                window = \"tumbling 1m\"\nselect = { n = \"count()\" }\n";
    assert!(plan(&copy(time)).reads_client());
    assert!(!plan(&copy(&time.replace("source", "key"))).reads_client());
}
