//! Boxes of a fleet in one process, with a real nats-server.

mod logins;
mod many;
mod room;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Broker;
use crate::config::{Config, FleetConfig, HostPort, ListenerConfig, RestartTimeout};
use crate::status::FleetStatus;
use crate::upstream::tests::client::{Client, PATIENCE};
use crate::upstream::tests::mosquitto::Directory;
use crate::upstream::tests::nats_server::NatsServer;

/// A box, and where clients reach it.
struct Member {
    broker: Broker,
    here: HostPort,
}

impl Member {
    fn start(directory: &Directory, name: &str, server: &NatsServer) -> Self {
        Self::start_with(directory, name, server, |_| {})
    }

    fn start_with(
        directory: &Directory,
        name: &str,
        server: &NatsServer,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut fleet = FleetConfig::new(server.address());
        fleet.name = Some(name.to_owned());
        fleet.restart_timeout =
            RestartTimeout { min: Duration::from_millis(20), max: Duration::from_millis(200) };
        let mut config = Config {
            data_dir: directory.0.clone(),
            listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
            fleet: Some(fleet),
            ..Config::default()
        };
        change(&mut config);
        let broker = Broker::start(config).expect("the broker starts");
        let here = HostPort::new("127.0.0.1", broker.addresses()[0].port());
        Self { broker, here }
    }

    /// Waits until the fleet is as wanted.
    async fn until(&self, what: &str, is: impl Fn(&FleetStatus) -> bool) -> FleetStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.broker.status().fleet.expect("it is in a fleet");
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "waited in vain until {what}: {status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until this box knows that another one wants so many filters.
    async fn knows(&self, name: &str, filters: u64) {
        let is_known = |status: &FleetStatus| {
            status.boxes.iter().any(|one| one.name == name && one.filters == filters && one.is_here)
        };
        self.until(&format!("{name} wants {filters}"), is_known).await;
    }

    /// What is retained here, as a new client gets it; with what is published meanwhile.
    async fn retained(&self) -> Vec<(String, String)> {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let end = LOOKS.fetch_add(1, Ordering::Relaxed).to_string();
        let mut client = Client::connect(&self.here, &format!("looks-{end}"));
        client.subscribe("#").await;
        client.publish("looks", 0, &end);
        let mut found = Vec::new();
        loop {
            let message = client.next().await;
            match message.topic == "looks" {
                true if message.payload == end => return found,
                // Of a look at the other box.
                true => {}
                false => found.push((message.topic, message.payload)),
            }
        }
    }

    async fn until_retained(&self, expected: &[(&str, &str)]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.broker.status().retained == expected.len() as u64 {
                let found = self.retained().await;
                let found: Vec<(&str, &str)> = found
                    .iter()
                    .map(|(topic, payload)| (topic.as_str(), payload.as_str()))
                    .collect();
                if found == expected {
                    return;
                }
                assert!(Instant::now() < deadline, "{found:?}, not {expected:?}");
            }
            assert!(Instant::now() < deadline, "not {expected:?}: {:?}", self.broker.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_message_reaches_another_box_when_somebody_there_wants_it() {
    let Some(server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let a = Member::start(&directories[0], "a", &server);
    let b = Member::start(&directories[1], "b", &server);
    let mut there = Client::connect(&b.here, "there");
    there.subscribe("t/+").await;
    a.knows("b", 1).await;
    let here = Client::connect(&a.here, "here");
    here.publish("nobody", 1, "0");
    for (qos, payload) in [(0, "a"), (1, "b"), (2, "c")] {
        here.publish("t/1", qos, payload);
        let message = there.next().await;
        assert_eq!((message.topic.as_str(), message.payload.as_str()), ("t/1", payload));
        assert_eq!(message.qos, qos);
        assert_eq!(message.content_type.as_deref(), Some("text/plain"));
        assert_eq!(message.user["unit"], "celsius");
    }
    let status = a.until("all is stored", |a| a.sent == 3 && a.acknowledged == 2).await;
    assert_eq!((status.depth, status.dropped.len()), (0, 0), "{status:?}");
    b.until("all has come", |b| b.received == 3 && b.sent == 0).await;
}

#[tokio::test]
async fn what_is_retained_is_the_same_on_all_boxes() {
    let Some(server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let a = Member::start(&directories[0], "a", &server);
    let here = Client::connect(&a.here, "here");
    here.retain("old", "1");
    here.retain("gone", "1");
    a.until("it is written", |a| a.retained_sent == 2).await;
    let b = Member::start(&directories[1], "b", &server);
    b.until_retained(&[("gone", "1"), ("old", "1")]).await;
    let there = Client::connect(&b.here, "there");
    there.retain("gone", "");
    there.retain("new", "2");
    there.retain("old", "2");
    for member in [&a, &b] {
        member.until_retained(&[("new", "2"), ("old", "2")]).await;
    }
}

/// The box that retains it cannot know of them. They get it once, as a message, and what comes after
/// it once too.
#[tokio::test]
async fn a_value_from_before_their_box_was_known_reaches_those_who_subscribe() {
    let Some(mut server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let a = Member::start(&directories[0], "a", &server);
    let here = Client::connect(&a.here, "here");
    here.retain("t/1", "before");
    a.until("it is written", |a| a.retained_sent == 1).await;
    server.kill();
    let b = Member::start(&directories[1], "b", &server);
    let mut there = Client::connect(&b.here, "there");
    there.subscribe("t/#").await;
    server.resume();
    assert_eq!(there.next().await.payload, "before");
    a.knows("b", 1).await;
    for payload in ["known", "last"] {
        here.retain("t/1", payload);
        let message = there.next().await;
        assert_eq!((message.payload.as_str(), message.is_retained), (payload, false));
    }
    b.until("it is here", |b| b.received == 2).await;
    // Everything is read again, and nothing handed again.
    server.kill();
    server.resume();
    a.until("it is back", |a| a.is_connected).await;
    a.knows("b", 1).await;
    here.publish("t/2", 1, "end");
    assert_eq!(there.next().await.payload, "end");
}

/// Also between shards, since clients of a box are in any of them.
#[tokio::test]
async fn topics_that_are_not_shared_stay_on_their_box() {
    let Some(server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let share = |config: &mut Config| {
        config.shards = Some(3);
        config.fleet.as_mut().expect("there is one").filters = vec!["shared/#".to_owned()];
    };
    let a = Member::start_with(&directories[0], "a", &server, share);
    let b = Member::start_with(&directories[1], "b", &server, share);
    let mut subscribers = Vec::new();
    for id in ["one", "two", "three", "four"] {
        let mut subscriber = Client::connect(&b.here, id);
        subscriber.subscribe("#").await;
        subscribers.push(subscriber);
    }
    a.knows("b", 1).await;
    for id in ["five", "six", "seven", "eight"] {
        let here = Client::connect(&a.here, id);
        here.retain("own", id);
        here.publish("own/1", 1, id);
        here.retain("shared/1", id);
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.next().await.topic, "shared/1");
        }
    }
    let is_written = |a: &FleetStatus| a.retained_sent == 4 && a.retained == 1 && a.depth == 0;
    let status = a.until("all is written", is_written).await;
    assert_eq!(status.sent, 4, "{status:?}");
    b.until_retained(&[("shared/1", "eight")]).await;
}

#[tokio::test]
async fn what_is_in_the_way_is_told() {
    let Some(server) = NatsServer::start("authorization { token: \"secret\" }") else { return };
    let directory = Directory::new("a");
    let a = Member::start(&directory, "a", &server);
    let told = |text: &'static str| {
        move |a: &FleetStatus| a.last_error.as_ref().is_some_and(|error| error.contains(text))
    };
    a.until("the login is wrong", told("the server refused the connection")).await;
    server.configure("");
    server.reload();
    a.until("it is let in", |a| a.is_connected).await;
}

/// The stream and its positions are others then.
#[tokio::test]
async fn a_server_that_has_lost_everything_is_filled_again() {
    let Some(mut server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let a = Member::start(&directories[0], "a", &server);
    let b = Member::start(&directories[1], "b", &server);
    let mut there = Client::connect(&b.here, "there");
    there.subscribe("t").await;
    a.knows("b", 1).await;
    let here = Client::connect(&a.here, "here");
    for payload in ["1", "2", "3"] {
        here.publish("t", 1, payload);
        assert_eq!(there.next().await.payload, payload);
    }
    here.retain("kept", "x");
    b.until_retained(&[("kept", "x")]).await;
    server.kill();
    server.forget();
    server.resume();
    for payload in ["4", "5"] {
        here.publish("t", 1, payload);
        assert_eq!(there.next().await.payload, payload);
    }
    here.retain("late", "y");
    b.until_retained(&[("kept", "x"), ("late", "y")]).await;
}
