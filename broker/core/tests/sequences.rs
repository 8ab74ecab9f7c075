//! Random sequences: what must hold whatever clients, network, store and power do. A failure names
//! its seed.

use std::collections::BTreeMap;

use crate::support::*;

const MESSAGES: usize = 12;
const PUBLISHERS: usize = 6;
/// The publisher whose messages are all delayed, each by the same time.
const DELAYED: usize = 2;
/// It reads from the store, and is behind.
const READER: ReaderId = ReaderId(3);
/// The publishers whose messages it reads.
const READ: [usize; 3] = [0, 1, DELAYED];
/// The publishers to topics with a level of their own.
const RELAXED: usize = 3;
const UNWRITTEN: usize = 4;
const FORWARDED: usize = 5;
/// The upstream that gets what the last one publishes.
const UPSTREAM: ReaderId = ReaderId(4);

/// Devices by the book, a client that sends anything at all, and a world that fails.
struct Run {
    world: World,
    chance: Chance,
    publishers: Vec<Device>,
    subscribers: Vec<(QoS, Device)>,
    chaos: Vec<Client>,
    /// What the reader has read.
    read: Vec<String>,
    /// What was taken from the publishers of what is never written, at the last crash.
    forgotten: Vec<String>,
    /// What the upstream has got, in its order, and at which positions.
    forwarded: Vec<String>,
    positions: BTreeMap<Sequence, String>,
    /// How far the upstream is.
    done: Sequence,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let limits = Limits {
            inflight_messages_max: [0, 1, 3, 20][chance.below(4) as usize],
            unacknowledged_inbound_max: [1, 4, 1024][chance.below(3) as usize],
            send_buffer_bytes_max: [40, 400, 256_000][chance.below(3) as usize],
            pinned_positions: [0, 5, 1024][chance.below(3) as usize],
            queued_memory_eased_at: [0, 300, 32_000_000][chance.below(3) as usize],
            queues_qos0: chance.below(2) == 0,
            dead_letter: [None, Some("$dead".into())][chance.below(2) as usize].clone(),
            durability: levels(),
            held_bytes_max: [0, 40, 4_000_000][chance.below(3) as usize],
            ..Limits::default()
        };
        // The window of a device is five, so one below that needs devices without a quota.
        let narrow = (1..5).contains(&limits.inflight_messages_max);
        let filters = READ.map(|index| format!("t/{index}")).to_vec();
        let reader = ReaderConfig {
            reader: READER,
            filters,
            kind: ReaderKind::Upstream,
            names_publishers: false,
        };
        let filters = vec![format!("t/{FORWARDED}")];
        let upstream = ReaderConfig {
            reader: UPSTREAM,
            filters,
            kind: ReaderKind::Upstream,
            names_publishers: false,
        };
        let world = World::with_readers(limits, vec![reader, upstream]);
        let mut device = |name: String, wanted: &[(&str, QoS)]| {
            let options = if narrow || chance.below(2) == 0 {
                v311(&name).kept()
            } else {
                v5(&name).kept().receive_max(1 + chance.below(4) as u16)
            };
            let mut device = Device::new(&world, options, wanted);
            device.reads_on_after_loss = chance.below(2) == 0;
            device
        };
        let publishers = (0..PUBLISHERS).map(|n| device(format!("publisher-{n}"), &[])).collect();
        let subscribers = [
            (QOS1, device("one".to_owned(), &[("t/#", QOS1)])),
            (QOS2, device("two".to_owned(), &[("t/+", QOS2)])),
            (
                QOS2,
                device(
                    "overlapping".to_owned(),
                    &[
                        ("t/#", QOS1),
                        ("t/0", QOS2),
                        ("t/1", QOS2),
                        ("t/2", QOS2),
                        ("t/3", QOS2),
                        ("t/4", QOS2),
                        ("t/5", QOS2),
                    ],
                ),
            ),
        ];
        let mut run = Self {
            world,
            chance,
            publishers,
            subscribers: subscribers.into(),
            chaos: Vec::new(),
            read: Vec::new(),
            forgotten: Vec::new(),
            forwarded: Vec::new(),
            positions: BTreeMap::new(),
            done: Sequence(0),
        };
        for (_, subscriber) in &mut run.subscribers {
            while !subscriber.is_subscribed() {
                subscriber.step();
            }
        }
        for (index, publisher) in run.publishers.iter_mut().enumerate() {
            let topic = format!("{}t/{index}", if index == DELAYED { "$delayed/2/" } else { "" });
            for n in 0..MESSAGES {
                let qos = if n % 2 == 0 { QOS1 } else { QOS2 };
                publisher.to_publish.push_back((qos, topic.clone(), format!("{index}/{n:02}")));
            }
        }
        run
    }

    /// One thing happens.
    fn step(&mut self) {
        self.world.hand_over_some(&mut self.chance);
        match self.chance.below(100) {
            0 => self.crash(),
            1..=3 => self.some_device().hang_up(),
            4..=9 => self.misbehave(),
            10 => self.world.advance_ms(self.chance.below(5000)),
            11 => self.world.commit(),
            12 | 13 => {
                self.world.commit_awaited();
            }
            14 => self.read(),
            15..=17 => {
                self.world.load();
            }
            18..=20 => {
                let count = 1 + self.chance.below(3) as usize;
                self.forward(count);
            }
            21..=35 => {
                self.world.commit_one();
            }
            _ => {
                self.some_device().step();
            }
        }
    }

    /// The reader takes what it finds behind its cursor, and is done with some of it.
    fn read(&mut self) {
        let found = self.world.net().store.unread(READER);
        let count = self.chance.below(found.len() as u64 + 1) as usize;
        self.read.extend(found.iter().map(|(_, payload)| payload.clone()));
        if let Some((done, _)) = found[..count].last() {
            self.world.reader_done(READER, *done);
        }
    }

    fn crash(&mut self) {
        self.forgotten = self.publishers[UNWRITTEN].taken();
        self.forgotten.extend(self.publishers[FORWARDED].taken());
        self.world.crash_for_s(self.chance.below(3));
        self.done = self.world.net().store.readers.get(&UPSTREAM).copied().unwrap_or_default();
    }

    /// The upstream takes what it finds in the log, up to a number of messages, and is done with
    /// it; false when there is nothing.
    fn forward(&mut self, count: usize) -> bool {
        let found = {
            let net = self.world.net();
            let is_read = |targets: &[Target]| {
                targets.iter().any(|target| target.destination == Destination::Reader(UPSTREAM))
            };
            let logged = net.store.log.iter().filter(|(_, (_, targets))| is_read(targets));
            let logged = logged.map(|(at, (message, _))| (*at, message));
            let held = net.store.held.iter().map(|(at, message)| (*at, message));
            let found = logged.chain(held).filter(|(at, _)| *at > self.done);
            let payload =
                |message: &Message| String::from_utf8_lossy(message.payload()).into_owned();
            let mut found: Vec<_> = found.map(|(at, message)| (at, payload(message))).collect();
            found.sort();
            found.truncate(count);
            found
        };
        let Some((last, _)) = found.last().cloned() else { return false };
        for (at, payload) in found {
            let before = self.positions.insert(at, payload.clone());
            assert!(before.is_none_or(|before| before == payload), "{at:?} is of two messages");
            self.forwarded.push(payload);
        }
        self.done = last;
        self.world.reader_done(UPSTREAM, last);
        true
    }

    fn some_device(&mut self) -> &mut Device {
        let number = self.chance.below((PUBLISHERS + self.subscribers.len()) as u64) as usize;
        match number.checked_sub(self.publishers.len()) {
            None => &mut self.publishers[number],
            Some(number) => &mut self.subscribers[number].1,
        }
    }

    /// A client without manners: valid packets at the wrong time, cut ones, and noise. It stays
    /// away from the topics of the others.
    fn misbehave(&mut self) {
        if self.chance.below(4) == 0 || self.chaos.is_empty() {
            let name = format!("chaos-{}", self.chance.below(3));
            let options =
                [v5(&name), v5(&name).expiry(2), v311(&name), v311(&name).kept(), v31(&name)];
            let options = options[self.chance.below(5) as usize].clone();
            let options =
                if self.chance.below(2) == 0 { options.will("c/w", "gone") } else { options };
            let options = options.keep_alive(self.chance.below(4) as u16);
            self.chaos.push(self.world.dial(&options));
            return;
        }
        let index = self.chance.below(self.chaos.len() as u64) as usize;
        let id = 1 + self.chance.below(4) as u16;
        let qos = [QOS0, QOS1, QOS2][self.chance.below(3) as usize];
        let kind = self.chance.below(15);
        let bytes: Vec<u8> = (0..20).map(|_| self.chance.below(256) as u8).collect();
        let topic = ["c/t", "$delayed/1/c/t"][usize::from(bytes[1] < 40)];
        let client = &self.chaos[index];
        match kind {
            0..=3 => client.publish_with(qos, topic, "x", |publish| {
                publish.packet_id = PacketId::new(id).filter(|_| qos != QOS0);
                publish.retain = bytes[0] < 60;
            }),
            4 => client.puback(id),
            5 => client.pubrec(id),
            6 => client.pubrel(id),
            7 => client.pubcomp(id),
            8 | 9 => {
                let filter = if bytes[0] < 60 { "$dead/#" } else { "c/#" };
                client.send_subscribe(filter, qos, None, |_| {});
            }
            10 => {
                client.send_unsubscribe("c/#");
            }
            11 => client.stall(),
            12 => self.chaos.swap_remove(index).hang_up(),
            13 if client.version == Version::V5 => client.refuse(qos, id),
            _ => client.send_bytes(&bytes),
        }
    }

    /// Faults stop, and everything comes to an end.
    fn settle(&mut self) {
        self.chaos.drain(..).for_each(|client| client.hang_up());
        self.world.release_parcels();
        self.world.release_commits();
        self.world.release_loads();
        let mut idle = 0;
        while idle < 3 {
            let publishers = self.publishers.iter_mut();
            let devices = publishers.chain(self.subscribers.iter_mut().map(|(_, device)| device));
            let mut acted = devices.map(Device::step).filter(|acted| *acted).count();
            acted += usize::from(self.forward(usize::MAX));
            idle = if acted > 0 || self.world.metrics().delayed > 0 { 0 } else { idle + 1 };
            if acted == 0 {
                self.world.advance_s(1);
            }
        }
        while !self.world.net().store.unread(READER).is_empty() {
            self.read();
        }
    }

    fn check(&self, seed: u64) {
        assert_eq!(self.world.metrics().drops.unreadable, 0, "seed {seed}");
        for publisher in &self.publishers {
            assert_eq!(publisher.acknowledged.len(), MESSAGES, "seed {seed}");
        }
        for index in READ {
            let read = numbers(&format!("{index}/"), self.read.iter());
            check_arrival(&read, &[], false, seed);
        }
        for (granted, subscriber) in &self.subscribers {
            for index in 0..self.publishers.len() {
                let from = format!("{index}/");
                let payloads = subscriber.payloads();
                let payloads = payloads.into_iter().filter(|payload| payload.starts_with(&from));
                let payloads: Vec<usize> = payloads
                    .map(|payload| payload[from.len()..].parse().expect("a number"))
                    .collect();
                let may_miss: Vec<usize> = match index {
                    RELAXED => numbers(&from, self.world.net().lost.iter()),
                    UNWRITTEN | FORWARDED => numbers(&from, self.forgotten.iter()),
                    _ => Vec::new(),
                };
                // What is not written comes at QoS 1.
                let once = *granted == QOS2 && index != UNWRITTEN && index != FORWARDED;
                check_arrival(&payloads, &may_miss, once, seed);
            }
        }
    }

    /// What was acknowledged, and what was offered until it was, has come to the upstream.
    fn check_upstream(&self, seed: u64) {
        let forwarded = numbers(&format!("{FORWARDED}/"), self.forwarded.iter());
        check_arrival(&forwarded, &[], false, seed);
        assert_eq!((self.world.metrics().held, self.world.metrics().held_bytes), (0, 0));
    }

    /// All sessions end, and nothing may be left.
    fn end(self) {
        drop(self.publishers);
        drop(self.subscribers);
        let names = ["one", "two", "overlapping"].map(str::to_owned);
        let publishers = (0..PUBLISHERS).map(|n| format!("publisher-{n}"));
        let chaos = (0..3).map(|n| format!("chaos-{n}"));
        for name in names.into_iter().chain(publishers).chain(chaos) {
            self.world.connect(v311(&name)).disconnect();
        }
        let metrics = self.world.metrics();
        let of_readers = READ.len() as u64 + 1;
        let left = (metrics.sessions, metrics.subscriptions, metrics.connections);
        assert_eq!(left, (0, of_readers, 0));
        assert_eq!((metrics.queued_messages, metrics.queued_bytes), (0, 0));
        assert_eq!((metrics.delayed, metrics.delayed_bytes), (0, 0));
        assert_eq!((self.world.gated(), self.world.poll_timeout()), (0, None));
        assert!(self.world.net().store.sessions.is_empty());
        assert!(self.world.net().store.log.is_empty());
        self.world.crash();
        assert_eq!(self.world.metrics().sessions, 0);
    }
}

fn levels() -> DurabilityLevels {
    let filters = [
        (RELAXED, Durability::Relaxed),
        (UNWRITTEN, Durability::None),
        (FORWARDED, Durability::Upstream),
    ];
    let filters = filters.map(|(index, level)| (format!("t/{index}"), level)).to_vec();
    DurabilityLevels { default: Durability::Commit, filters }
}

/// The numbers of the messages of one publisher.
fn numbers<'a>(from: &str, payloads: impl Iterator<Item = &'a String>) -> Vec<usize> {
    let own = payloads.filter_map(|payload| payload.strip_prefix(from));
    own.map(|number| number.parse().expect("a number")).collect()
}

/// Even numbers were published with QoS 1, odd ones with QoS 2. Each arrives, but for what may be
/// missing, and in order.
fn check_arrival(numbers: &[usize], may_miss: &[usize], once: bool, seed: u64) {
    for parity in 0..2 {
        let arrived: Vec<usize> = numbers.iter().copied().filter(|n| n % 2 == parity).collect();
        let mut first: Vec<usize> = Vec::new();
        arrived.iter().for_each(|n| {
            if !first.contains(n) {
                first.push(*n)
            }
        });
        let is_expected =
            |n: &usize| n % 2 == parity && (first.contains(n) || !may_miss.contains(n));
        let expected: Vec<usize> = (0..MESSAGES).filter(is_expected).collect();
        assert_eq!(first, expected, "each arrives, in order; {may_miss:?} seed {seed}");
        if parity == 1 && once {
            assert_eq!(arrived, expected, "exactly once; seed {seed}");
        }
    }
}

fn run(seed: u64) {
    let mut run = Run::new(seed);
    run.world.hold_commits();
    run.world.hold_parcels();
    run.world.hold_loads();
    for _ in 0..600 {
        run.step();
    }
    run.settle();
    run.check(seed);
    run.check_upstream(seed);
    run.end();
}

#[test]
fn whatever_happens_what_was_acknowledged_arrives_and_nothing_is_left() {
    for seed in 0..150 {
        run(seed);
    }
}

/// For long runs: `SEEDS=100000 cargo test -p weir-core --test protocol -- --ignored sequences`.
#[test]
#[ignore = "takes as long as it is told to"]
fn many_seeds() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1000);
    for seed in 1000..1000 + seeds {
        run(seed);
    }
}
