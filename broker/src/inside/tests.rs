//! Sessions from inside, at a whole broker, with a client of a library at its socket.

use std::future::poll_fn;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use weir_firmware_bridge::session::{
    Broker as _, Command, Credentials, DELIVERIES_MAX, Delivery, DeliveryId, Event, Full,
    LostReason, PUBLISHES_MAX, QoS, RefusedReason, SessionId, SessionOptions, Ticket, Will,
};

use super::InsideBroker;
use crate::Broker;
use crate::config::{Config, HostPort, ListenerConfig};
use crate::upstream::tests::client::Client;
use crate::upstream::tests::mosquitto::Directory;

/// A user with a password that nobody says.
const PASSWORDS: &str = "pump:$7$101$dHdlbHZlIGJ5dGVz$F9/PAo194pCw5Vt/PLUbNkEofVDzeDLnUNBsNm+XK8gpgca6NG7+dnyE37nLhJqoVs3aB8tdXVVO8gDRhJ08QQ==\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker, and its other end as the bridge has it.
struct Stage {
    directory: Directory,
    broker: Broker,
    inside: InsideBroker,
    events: Vec<(SessionId, Event)>,
    last_session: u64,
    last_ticket: u64,
}

impl Stage {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = Directory::new("inside");
        let mut config = Config {
            data_dir: directory.0.clone(),
            listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
            ..Config::default()
        };
        change(&mut config);
        let broker = Broker::start(config).expect("the broker starts");
        let inside = InsideBroker::new(broker.door());
        Self { directory, broker, inside, events: Vec::new(), last_session: 0, last_ticket: 0 }
    }

    fn client(&self, id: &str) -> Client {
        Client::connect(&HostPort::new("127.0.0.1", self.broker.addresses()[0].port()), id)
    }

    fn open(&mut self, client_id: &str, change: impl FnOnce(&mut SessionOptions)) -> SessionId {
        let mut options = SessionOptions {
            client_id: client_id.into(),
            clean_session: true,
            keep_alive_s: 0,
            will: None,
            credentials: None,
        };
        change(&mut options);
        self.last_session += 1;
        let id = SessionId(self.last_session);
        self.inside.open(id, options).expect("there is room");
        id
    }

    /// Opens a session and waits until it is there; whether it was before.
    async fn join(
        &mut self,
        client_id: &str,
        change: impl FnOnce(&mut SessionOptions),
    ) -> (SessionId, bool) {
        let id = self.open(client_id, change);
        match self.next(id).await {
            Event::Connected { session_present } => (id, session_present),
            other => panic!("{other:?}"),
        }
    }

    /// The next event of a session.
    async fn next(&mut self, of: SessionId) -> Event {
        let wait = async {
            loop {
                if let Some(at) = self.events.iter().position(|(id, _)| *id == of) {
                    return self.events.remove(at).1;
                }
                let (inside, events) = (&mut self.inside, &mut self.events);
                poll_fn(|context| inside.poll_events(context, events)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("an event in time")
    }

    async fn next_delivery(&mut self, of: SessionId) -> Delivery {
        match self.next(of).await {
            Event::Delivered(delivery) => delivery,
            other => panic!("{other:?}"),
        }
    }

    /// Gives a command and lets it be written, as whoever owns the broker does.
    fn command(&mut self, of: SessionId, command: Command) {
        self.inside.command(of, command).expect("there is room");
        let mut context = Context::from_waker(Waker::noop());
        let _ = self.inside.poll_events(&mut context, &mut self.events);
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn publish(&mut self, of: SessionId, topic: &str, qos: QoS, payload: &str) -> Ticket {
        let ticket = self.ticket();
        self.command(of, publish(topic, qos, payload, ticket));
        ticket
    }

    async fn subscribe(&mut self, of: SessionId, filter: &str) {
        let ticket = self.ticket();
        let (filter, qos) = (filter.into(), QoS::ExactlyOnce);
        self.command(of, Command::Subscribe { ticket, filter, qos });
        let granted = Some(QoS::ExactlyOnce);
        assert_eq!(self.next(of).await, Event::Subscribed { ticket, granted });
    }

    async fn leave(&mut self, of: SessionId) {
        self.command(of, Command::Disconnect { publish_will: false });
        assert_eq!(self.next(of).await, Event::Closed);
    }
}

fn publish(topic: &str, qos: QoS, payload: &str, ticket: Ticket) -> Command {
    Command::Publish {
        ticket: (qos != QoS::AtMostOnce).then_some(ticket),
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos,
        retain: false,
    }
}

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[tokio::test]
async fn messages_go_both_ways_at_every_quality_of_service() {
    let mut stage = Stage::new();
    let mut outside = stage.client("outside");
    outside.subscribe("up/#").await;
    let (node, was_there) = stage.join("node", |_| {}).await;
    assert!(!was_there);
    stage.subscribe(node, "down/+").await;
    for (number, qos) in LEVELS.into_iter().enumerate() {
        let ticket = stage.publish(node, "up/a", qos, &number.to_string());
        if qos != QoS::AtMostOnce {
            assert_eq!(stage.next(node).await, Event::Published(ticket));
        }
        let message = outside.next().await;
        assert_eq!((message.payload, message.qos), (number.to_string(), number as u8));
        outside.publish("down/a", number as u8, "back");
        let delivery = stage.next_delivery(node).await;
        assert_eq!((&*delivery.topic, delivery.qos), ("down/a", qos));
        assert_eq!(&delivery.payload[..], b"back");
        stage.command(node, Command::Acknowledge(delivery.id));
    }
    stage.leave(node).await;
}

#[tokio::test]
async fn a_kept_session_finds_what_came_meanwhile() {
    let mut stage = Stage::new();
    let outside = stage.client("outside");
    let kept = |options: &mut SessionOptions| options.clean_session = false;
    let (node, _) = stage.join("node", kept).await;
    stage.subscribe(node, "down/+").await;
    stage.leave(node).await;
    for number in 0..50 {
        outside.publish("down/a", 1, &number.to_string());
    }
    let (node, was_there) = stage.join("node", kept).await;
    assert!(was_there);
    for number in 0..50 {
        let delivery = stage.next_delivery(node).await;
        assert_eq!(&delivery.payload[..], number.to_string().as_bytes());
        stage.command(node, Command::Acknowledge(delivery.id));
    }
    // A clean one of the same name begins anew, and leaves nothing.
    stage.leave(node).await;
    let (node, was_there) = stage.join("node", |_| {}).await;
    assert!(!was_there);
    stage.leave(node).await;
    let (_, was_there) = stage.join("node", kept).await;
    assert!(!was_there);
}

/// What is not acknowledged holds back what is behind it, at the broker.
#[tokio::test]
async fn a_receiver_that_does_not_acknowledge_is_given_no_more_than_it_can_hold() {
    let mut stage = Stage::new();
    let outside = stage.client("outside");
    let (node, _) = stage.join("node", |_| {}).await;
    stage.subscribe(node, "down/+").await;
    let all = DELIVERIES_MAX + 24;
    for number in 0..all {
        outside.publish("down/a", 1 + (number % 2) as u8, &number.to_string());
    }
    let mut held = Vec::new();
    for _ in 0..DELIVERIES_MAX {
        held.push(stage.next_delivery(node).await.id);
    }
    // An answer that comes behind shows that no more deliveries came before it.
    let ticket = stage.publish(node, "up/a", QoS::AtLeastOnce, "a");
    assert_eq!(stage.next(node).await, Event::Published(ticket));
    for id in held {
        stage.command(node, Command::Acknowledge(id));
    }
    for _ in DELIVERIES_MAX..all {
        let id = stage.next_delivery(node).await.id;
        stage.command(node, Command::Acknowledge(id));
    }
}

#[tokio::test]
async fn a_will_can_change_and_everything_else_stays() {
    let mut stage = Stage::new();
    let mut outside = stage.client("outside");
    outside.subscribe("will/#").await;
    let will = |payload: &'static str| {
        let payload = Bytes::from_static(payload.as_bytes());
        Some(Will { topic: "will/node".into(), payload, qos: QoS::AtLeastOnce, retain: false })
    };
    let (node, _) = stage.join("node", |options| options.will = will("first")).await;
    stage.subscribe(node, "down/+").await;
    for qos in [1, 2] {
        outside.publish("down/a", qos, &format!("before {qos}"));
    }
    let before = [stage.next_delivery(node).await.id, stage.next_delivery(node).await.id];
    stage.command(node, Command::SetWill(will("second")));
    assert_eq!(stage.next(node).await, Event::Connected { session_present: true });
    for id in before {
        stage.command(node, Command::Acknowledge(id));
    }
    outside.publish("down/a", 1, "after");
    let after = stage.next_delivery(node).await;
    assert_eq!(&after.payload[..], b"after", "what was given before is not given again");
    // At once, also while it changes once more.
    stage.command(node, Command::SetWill(will("third")));
    stage.command(node, Command::Disconnect { publish_will: true });
    assert_eq!(stage.next(node).await, Event::Connected { session_present: true });
    assert_eq!(stage.next(node).await, Event::Closed);
    assert_eq!(outside.next().await.payload, "third");
    let (_, was_there) = stage.join("node", |options| options.clean_session = false).await;
    assert!(!was_there, "it was to be clean");
}

#[tokio::test]
async fn a_session_that_is_taken_over_comes_back() {
    let mut stage = Stage::new();
    let (node, _) = stage.join("node", |options| options.clean_session = false).await;
    let other = stage.client("node");
    assert_eq!(stage.next(node).await, Event::Lost(LostReason::TakenOver));
    let full = stage.inside.command(node, publish("up/a", QoS::AtLeastOnce, "a", Ticket(9)));
    assert_eq!(full, Err(Full), "nothing is published while it is away");
    drop(other);
    assert_eq!(stage.next(node).await, Event::Connected { session_present: true });
}

#[tokio::test]
async fn the_bridge_vouches_for_its_users_and_for_nobody_else() {
    let mut stage = Stage::with(|config| {
        let (users, rights) = (config.data_dir.join("users"), config.data_dir.join("acl"));
        std::fs::write(&users, PASSWORDS).expect("ours");
        std::fs::write(&rights, "user pump\ntopic readwrite pump/#\n").expect("ours");
        config.auth.allow_anonymous = false;
        (config.auth.password_file, config.auth.acl_file) = (Some(users), Some(rights));
    });
    let nobody = stage.open("node", |_| {});
    let refused = stage.next(nobody).await;
    assert!(
        matches!(
            refused,
            Event::Refused(RefusedReason::Credentials | RefusedReason::NotAuthorized)
        ),
        "{refused:?}"
    );
    let user = Credentials { user: "pump".into(), password: None };
    let (node, _) = stage.join("node", |options| options.credentials = Some(user)).await;
    stage.subscribe(node, "pump/+").await;
    stage.publish(node, "pump/a", QoS::AtMostOnce, "mine");
    assert_eq!(&stage.next_delivery(node).await.payload[..], b"mine");
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let ticket = stage.publish(node, "others/a", qos, "not mine");
        assert_eq!(
            stage.next(node).await,
            Event::PublishRefused { ticket, reason: 0x87 },
            "{qos:?}"
        );
        let ticket = stage.publish(node, "pump/a", qos, "mine");
        let mut answers = [stage.next(node).await, stage.next(node).await];
        answers.sort_by_key(|event| matches!(event, Event::Published(_)));
        let [Event::Delivered(delivery), Event::Published(published)] = &answers else {
            panic!("{answers:?}");
        };
        assert_eq!(*published, ticket);
        stage.command(node, Command::Acknowledge(delivery.id));
    }
    let ticket = stage.ticket();
    let (filter, qos) = ("others/+".into(), QoS::AtLeastOnce);
    stage.command(node, Command::Subscribe { ticket, filter, qos });
    assert_eq!(stage.next(node).await, Event::Subscribed { ticket, granted: None });
    assert!(stage.directory.0.exists());
}

/// Without a password file nobody was asked who a client is, so that the users of the bridge had no
/// name either. An ACL file alone then took away what it gave them.
#[tokio::test]
async fn users_of_the_bridge_are_known_where_nobody_else_is_checked() {
    let mut stage = Stage::with(|config| {
        let rights = config.data_dir.join("acl");
        std::fs::write(&rights, "user pump\ntopic readwrite pump/#\n").expect("ours");
        config.auth.acl_file = Some(rights);
    });
    let user = Credentials { user: "pump".into(), password: None };
    let (node, _) = stage.join("node", |options| options.credentials = Some(user)).await;
    stage.subscribe(node, "pump/+").await;
    let ticket = stage.publish(node, "pump/a", QoS::AtLeastOnce, "mine");
    let mut events = vec![stage.next(node).await, stage.next(node).await];
    events.retain(|event| !matches!(event, Event::Delivered(_)));
    assert_eq!(events, [Event::Published(ticket)]);
    let ticket = stage.publish(node, "others/a", QoS::AtLeastOnce, "not mine");
    assert_eq!(stage.next(node).await, Event::PublishRefused { ticket, reason: 0x87 });
    let ticket = stage.publish(node, "others/a", QoS::ExactlyOnce, "not mine");
    assert_eq!(stage.next(node).await, Event::PublishRefused { ticket, reason: 0x87 });
}

#[tokio::test]
async fn more_than_is_allowed_at_a_time_is_refused_and_nothing_is_lost() {
    let mut stage = Stage::new();
    let mut outside = stage.client("outside");
    outside.subscribe("up/#").await;
    let (node, _) = stage.join("node", |_| {}).await;
    for number in 0..PUBLISHES_MAX {
        stage.publish(node, "up/a", QoS::ExactlyOnce, &number.to_string());
    }
    let more = publish("up/a", QoS::AtLeastOnce, "more", Ticket(1_000));
    assert_eq!(stage.inside.command(node, more), Err(Full));
    for number in 0..PUBLISHES_MAX {
        assert_eq!(stage.next(node).await, Event::Published(Ticket(number as u64 + 1)));
        assert_eq!(outside.next().await.payload, number.to_string());
    }
    // Nobody knows these.
    stage.command(node, Command::Acknowledge(DeliveryId(99)));
    stage.command(SessionId(99), Command::Disconnect { publish_will: true });
}
