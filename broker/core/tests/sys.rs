//! The `$SYS` tree: what it says, who sees it, who may write, and that it costs nothing on disk.

use std::collections::BTreeMap;

use crate::support::*;

/// Everything that a new subscription to the tree gets, by the name below `$SYS/broker`.
fn tree(world: &World) -> BTreeMap<String, String> {
    let watcher = world.connect(v5("watcher of the tree"));
    watcher.send_subscribe("$SYS/#", QOS2, None, |_| {});
    let all = watcher.receive_all();
    assert!(all.iter().all(|received| received.retain && received.qos == QOS0));
    watcher.disconnect();
    let name = |topic: String| topic.strip_prefix("$SYS/broker/").expect("one root").to_owned();
    all.into_iter().map(|received| (name(received.topic), received.payload)).collect()
}

fn surroundings() -> Surroundings {
    Surroundings {
        version: "1.2.3".to_owned(),
        uptime_s: 12,
        memory: Some(Memory { bytes: 1000, bytes_max: 2000 }),
        store: Some(StoreFacts { status: "ok", bytes: 4096, ..StoreFacts::default() }),
        upstreams: vec![upstream("cloud", true), upstream("plant", false)],
        ..Surroundings::default()
    }
}

fn upstream(name: &str, is_connected: bool) -> UpstreamFacts {
    UpstreamFacts { name: name.to_owned(), is_connected, status: "{\"depth\":0}".to_owned() }
}

#[test]
fn the_tree_says_what_the_shell_and_the_core_know() {
    let world = World::new();
    let away = world.connect(v5("away").kept());
    away.subscribe("t", QOS1);
    away.hang_up();
    let stalled = world.connect(v5("stalled"));
    stalled.subscribe("t", QOS0);
    stalled.subscribe("$share/g/t", QOS0);
    stalled.stall();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS0, "kept", "four");
    publisher.publish_acknowledged("t", "waits");
    world.surroundings(&surroundings());
    let tree = tree(&world);
    let expected = [
        ("version", "weir version 1.2.3"),
        ("uptime", "12 seconds"),
        ("heap/current", "1000"),
        ("heap/maximum", "2000"),
        ("store/status", "ok"),
        ("store/bytes", "4096"),
        ("connection/cloud/state", "1"),
        ("connection/plant/state", "0"),
        ("clients/total", "3"),
        ("clients/connected", "2"),
        ("clients/active", "2"),
        ("clients/disconnected", "1"),
        ("clients/inactive", "1"),
        ("clients/maximum", "2"),
        ("clients/expired", "0"),
        ("connections/socket/count", "2"),
        ("subscriptions/count", "3"),
        ("shared_subscriptions/count", "1"),
        ("retained messages/count", "1"),
        ("messages/stored", "2"),
        ("store/messages/count", "2"),
        ("publish/messages/received", "2"),
        ("publish/messages/sent", "2"),
        ("publish/bytes/received", "9"),
        ("publish/bytes/sent", "10"),
        ("publish/messages/dropped", "0"),
        ("packet/out/count", "2"),
        ("load/connections/1min", "0.00"),
    ];
    for (name, value) in expected {
        assert_eq!(tree.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn what_has_changed_goes_to_subscribers_and_nothing_else() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("$SYS/broker/clients/+", QOS1);
    world.surroundings(&surroundings());
    assert_eq!(watcher.receive_all().len(), 7);
    world.surroundings(&surroundings());
    watcher.expect_nothing();
    let _other = world.connect(v5("other"));
    world.surroundings(&surroundings());
    let topics: Vec<String> = watcher.receive_all().into_iter().map(|r| r.topic).collect();
    let changed = ["total", "connected", "active", "maximum"];
    assert_eq!(topics, changed.map(|name| format!("$SYS/broker/clients/{name}")));
}

/// Upstreams come and go while the broker runs.
#[test]
fn of_an_upstream_that_is_gone_nothing_stays() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("$SYS/broker/connection/#", QOS1);
    let changed = |upstreams: &[UpstreamFacts]| {
        world.surroundings(&Surroundings { upstreams: upstreams.to_vec(), ..surroundings() });
        let all = watcher.receive_all().into_iter();
        let root = "$SYS/broker/connection/".len();
        all.map(|one| format!("{} {}", &one.topic[root..], one.payload)).collect::<Vec<_>>()
    };
    let (cloud, plant) = (upstream("cloud", true), upstream("plant", false));
    let all = [
        "cloud/state 1",
        "cloud/status {\"depth\":0}",
        "plant/state 0",
        "plant/status {\"depth\":0}",
    ];
    assert_eq!(changed(&[cloud.clone(), plant]), all);
    assert_eq!(changed(&[cloud]), ["plant/state ", "plant/status "]);
}

/// Rules have a branch of their own: names of rules never meet those of the broker.
#[test]
fn what_has_changed_of_a_rule_goes_to_subscribers() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("$SYS/rules/#", QOS1);
    let rules = |matched: u32| {
        let figures = [("keys", 3), ("matched", matched), ("errors_by_code/R101", 1)];
        let figures = figures.map(|(name, value)| (name.to_owned(), value.to_string()));
        let tank = RuleFacts { name: "tank".to_owned(), figures: figures.to_vec() };
        Surroundings { rules: vec![tank], ..surroundings() }
    };
    let changed = |matched| {
        world.surroundings(&rules(matched));
        let all = watcher.receive_all().into_iter();
        all.map(|received| format!("{} {}", received.topic, received.payload)).collect::<Vec<_>>()
    };
    let all = [
        "$SYS/rules/tank/keys 3",
        "$SYS/rules/tank/matched 7",
        "$SYS/rules/tank/errors_by_code/R101 1",
    ];
    assert_eq!(changed(7), all);
    assert_eq!(changed(7), [""; 0]);
    assert_eq!(changed(8), ["$SYS/rules/tank/matched 8"]);
    // Of a rule that is gone nothing stays, and whoever watches is told.
    world.surroundings(&surroundings());
    let gone: Vec<String> = watcher.receive_all().into_iter().map(|one| one.payload).collect();
    assert_eq!(gone, ["", "", ""]);
    let late = world.connect(v5("late"));
    late.send_subscribe("$SYS/rules/#", QOS1, None, |_| {});
    assert!(late.receive_all().is_empty());
}

/// An expired session is counted, and so is the most that were there at a time.
#[test]
fn clients_are_counted_over_their_ends() {
    let world = World::new();
    let first = world.connect(v5("first").expiry(10));
    let second = world.connect(v5("second"));
    first.hang_up();
    second.hang_up();
    world.advance_s(11);
    world.surroundings(&surroundings());
    let tree = tree(&world);
    let value = |name: &str| tree[name].as_str();
    assert_eq!((value("clients/total"), value("clients/expired")), ("0", "1"));
    assert_eq!((value("clients/connected"), value("clients/maximum")), ("0", "2"));
}

/// [MQTT-4.7.2-1]
#[test]
fn wildcards_at_the_beginning_do_not_match_the_tree() {
    let world = World::new();
    let client = world.connect(v5("a"));
    for filter in ["#", "+/#", "+/broker/uptime", "$share/g/#"] {
        client.subscribe(filter, QOS0);
    }
    world.surroundings(&surroundings());
    client.expect_nothing();
}

/// It would be a write for each interval, and for each session that waits.
#[test]
fn nothing_of_the_tree_reaches_the_store() {
    let world = World::new();
    let kept = world.connect(v5("kept").kept());
    kept.subscribe("$SYS/#", QOS2);
    let away = world.connect(v5("away").kept());
    away.subscribe("$SYS/#", QOS2);
    away.hang_up();
    world.hold_commits();
    for uptime_s in 0..20 {
        world.surroundings(&Surroundings { uptime_s, ..surroundings() });
    }
    assert!(world.net().pending.is_empty(), "nothing is to be committed");
    assert!(kept.receive_all().len() > 60);
    world.release_commits();
    kept.unsubscribe("$SYS/#");
    kept.send_subscribe("$SYS/#", QOS2, None, |_| {});
    assert!(kept.receive_all().iter().all(|received| received.qos == QOS0));
    assert!(world.net().store.log.is_empty() && world.net().store.retained.is_empty());
    assert_eq!((world.metrics().retained, world.metrics().queued_messages), (0, 0));
    world.crash();
    assert!(tree(&world).is_empty(), "it is built again");
    world.surroundings(&surroundings());
    assert!(tree(&world).len() > 60);
}

/// Whatever is below `$SYS` belongs to the broker; other names that begin with `$` are the
/// clients' own, hidden from wildcards at the beginning.
#[test]
fn clients_write_other_topics_that_begin_with_a_dollar_but_not_these() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    for filter in ["$SYS/#", "$SYS", "$SYSTEM", "$mine/#", "#"] {
        watcher.subscribe(filter, QOS1);
    }
    let client = world.connect(v5("client"));
    for topic in ["$SYS", "$SYS/", "$SYS/broker/uptime", "$SYS/mine"] {
        for retain in [false, true] {
            let id = client.next_id();
            client.publish_with(QOS1, topic, "forged", |publish| {
                publish.retain = retain;
                publish.packet_id = PacketId::new(id);
            });
            let reason = client.expect_reason(PacketKind::Puback, id);
            assert_eq!(reason, ReasonCode::NotAuthorized, "{topic}");
        }
    }
    watcher.expect_nothing();
    for topic in ["$mine/x", "$SYSTEM"] {
        client.publish_acknowledged(topic, "x");
        let received = watcher.receive_and_acknowledge();
        assert_eq!(received.topic, topic);
        watcher.expect_nothing();
    }
    let with_will = world.connect(v5("with a will").will("$mine/will", "gone"));
    with_will.hang_up();
    assert_eq!(watcher.receive_and_acknowledge().payload, "gone");
}

/// A rule for the whole tree lets a client see it; without one it sees nothing of it.
#[test]
fn the_acl_says_who_reads_the_tree() {
    let limits = Limits { authentication: true, ..Limits::default() };
    let world = World::with_limits(limits);
    let rule = |filter| Rule::topic(Access::Read, TopicFilter::parse(filter).expect("valid"));
    let rules = [(Some("admin"), rule("$SYS/#")), (Some("device"), rule("#"))];
    world.permit(Some(Acl::new(rules, [])));
    world.surroundings(&surroundings());
    let admin = world.connect_as("admin", v5("1"));
    admin.subscribe("$SYS/broker/uptime", QOS0);
    assert_eq!(admin.payloads(), ["12 seconds"]);
    let device = world.connect_as("device", v5("2"));
    device.send_subscribe("$SYS/broker/uptime", QOS0, None, |_| {});
    assert_eq!(device.expect_suback(), [ReasonCode::NotAuthorized as u8]);
    world.surroundings(&Surroundings { uptime_s: 13, ..surroundings() });
    assert_eq!(admin.payloads(), ["13 seconds"]);
    device.expect_nothing();
}

/// Upstreams and rules read the tree when a filter of theirs names it.
#[test]
fn the_tree_is_forwarded_only_where_a_filter_names_it() {
    let reader = |number, filter: &str| ReaderConfig {
        reader: ReaderId(number),
        filters: vec![filter.to_owned()],
        kind: ReaderKind::Upstream,
        names_publishers: false,
    };
    let readers = vec![reader(1, "#"), reader(2, "$SYS/broker/uptime")];
    let world = World::with_readers(Limits::default(), readers);
    world.surroundings(&surroundings());
    let seen = world.take_reader_messages();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].reader, seen[0].sequence), (ReaderId(2), None));
    assert_eq!(seen[0].payload, "12 seconds");
}
