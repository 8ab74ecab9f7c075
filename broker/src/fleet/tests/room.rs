//! A server that has no room, or has lost where something would be.

use super::*;
use crate::upstream::tests::nats_server::Admin;

const NO_ROOM: &str = "the server takes nothing for now: maximum bytes exceeded";

fn has_no_room(status: &FleetStatus) -> bool {
    status.without_room > 0 && status.last_error.as_deref() == Some(NO_ROOM)
}

/// The stream is full of what a box is to get that is away.
#[tokio::test]
async fn messages_without_room_wait_and_go_on_when_there_is_some() {
    let Some(server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let little = |config: &mut Config| {
        config.fleet.as_mut().expect("there is one").messages_max_bytes = 64 << 10;
    };
    let a = Member::start_with(&directories[0], "a", &server, little);
    let b = Member::start_with(&directories[1], "b", &server, little);
    let mut there = Client::connect(&b.here, "there");
    there.subscribe("t").await;
    a.knows("b", 1).await;
    drop((there, b));
    a.until("it is away", |status| !status.boxes[0].is_here).await;
    let mut local = Client::connect(&a.here, "local");
    local.subscribe("t").await;
    let payload = |n: usize| format!("{n:01000}");
    for n in 0..300 {
        local.publish("t", 1, &payload(n));
    }
    for n in 0..300 {
        assert_eq!(local.next().await.payload, payload(n), "local messages wait for nobody");
    }
    let waits = |a: &FleetStatus| has_no_room(a) && a.depth > 200;
    let status = a.until("there is no room", waits).await;
    assert!(status.is_connected && status.dropped.is_empty(), "{status:?}");
    let b = Member::start_with(&directories[1], "b", &server, little);
    let mut there = Client::connect(&b.here, "there");
    for n in 0..300 {
        assert_eq!(there.next().await.payload, payload(n));
    }
    let status = a.until("all is sent", |a| a.depth == 0).await;
    assert_eq!(status.dropped.len(), 0, "{status:?}");
    b.until("all has come", |b| b.received == 300).await;
}

/// Messages go on meanwhile.
#[tokio::test]
async fn values_without_room_wait_and_are_written_when_there_is_some() {
    let Some(server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let little = |config: &mut Config| {
        config.fleet.as_mut().expect("there is one").retained_max_bytes = 16 << 10;
    };
    let a = Member::start_with(&directories[0], "a", &server, little);
    let b = Member::start_with(&directories[1], "b", &server, little);
    let mut there = Client::connect(&b.here, "there");
    there.subscribe("t").await;
    a.knows("b", 1).await;
    let here = Client::connect(&a.here, "here");
    let values: Vec<(String, String)> =
        (0..40).map(|n| (format!("kept/{n:02}"), format!("{n:01000}"))).collect();
    values.iter().for_each(|(topic, payload)| here.retain(topic, payload));
    let status = a.until("there is no room", has_no_room).await;
    assert!(status.is_connected && status.retained_sent < 20, "{status:?}");
    for n in 0..100 {
        here.publish("t", 1, &n.to_string());
        assert_eq!(there.next().await.payload, n.to_string());
    }
    let status = a.until("all is sent", |a| a.acknowledged == 100).await;
    assert!(status.retained_sent < 20, "there still is no room for values: {status:?}");
    let admin = Admin::connect(&server).await;
    admin.change_stream("KV_weir_retained", "max_bytes", (1 << 20).into()).await;
    let is_written = |a: &FleetStatus| a.retained_sent == 40 && a.depth == 0;
    let status = a.until("all is written", is_written).await;
    assert_eq!(status.dropped.len(), 0);
    let expected: Vec<(&str, &str)> =
        values.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
    b.until_retained(&expected).await;
}

/// Somebody has removed them; a box that was connected asked again and again for what they hold.
#[tokio::test]
async fn streams_that_are_removed_are_made_anew_and_filled() {
    let Some(server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let a = Member::start(&directories[0], "a", &server);
    let b = Member::start(&directories[1], "b", &server);
    let mut there = Client::connect(&b.here, "there");
    there.subscribe("t").await;
    a.knows("b", 1).await;
    let here = Client::connect(&a.here, "here");
    here.retain("kept", "x");
    b.until_retained(&[("kept", "x")]).await;
    let admin = Admin::connect(&server).await;
    for (n, stream) in ["weir_messages", "KV_weir_retained", "KV_weir_boxes"].iter().enumerate() {
        admin.remove_stream(stream).await;
        let payload = n.to_string();
        here.publish("t", 1, &payload);
        assert_eq!(there.next().await.payload, payload, "without {stream}");
        here.retain("late", &payload);
        b.until_retained(&[("kept", "x"), ("late", &payload)]).await;
        a.knows("b", 1).await;
    }
    let late = Member::start(&Directory::new("late"), "late", &server);
    late.until_retained(&[("kept", "x"), ("late", "2")]).await;
}
