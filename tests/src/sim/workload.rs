//! What clients are like and what they do next.

use weir_core::ListenerId;
use weir_mqtt::{QoS, Version};

use super::network::Ways;
use super::random::Random;
use super::setup::{Conduct, DEAD_LETTERS};

/// What a client is there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// It does whatever clients do.
    Any,
    /// Gets all dead letters.
    Mourner,
    /// Publishes what the rules read, exactly once.
    Sensor,
    /// Gets all that the rules send.
    Watcher,
    /// Is a member of shared subscriptions, and subscribes to nothing else.
    Worker,
}

impl Role {
    /// What it always subscribes to.
    pub(crate) fn filter(self) -> Option<String> {
        match self {
            Self::Mourner => Some(format!("{DEAD_LETTERS}/#")),
            Self::Watcher => Some("out/#".to_owned()),
            Self::Any | Self::Sensor | Self::Worker => None,
        }
    }
}

/// What stays the same about a client.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) version: Version,
    /// Its session outlives its connection.
    pub(crate) is_kept: bool,
    pub(crate) expiry_s: u32,
    pub(crate) receive_max: Option<u16>,
    pub(crate) keep_alive_s: u16,
    /// Of a hundred connections of a kept session, so many begin anew.
    pub(crate) clean_percent: u64,
    pub(crate) will: Option<WillProfile>,
    pub(crate) answer_ms_max: u64,
    /// It reads little at a time.
    pub(crate) is_slow: bool,
    /// Of a hundred things that it does, so many are publishes.
    pub(crate) publish_percent: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct WillProfile {
    pub(crate) qos: QoS,
    pub(crate) delay_s: u32,
}

/// One thing that a connected client can do.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Goodbye,
    Nothing,
    Partition { ms: u64, ways: Ways },
    Ping,
    Publish(Vec<Draft>),
    Reset,
    Stall { ms: u64 },
    Subscribe { filter: String, qos: QoS },
    Takeover,
    Unsubscribe,
}

/// A message that is to be published.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) topic: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) is_removal: bool,
    pub(crate) padding: usize,
    pub(crate) expiry_s: Option<u32>,
    /// It is to be published so long after it was sent.
    pub(crate) delay_s: u32,
}

impl Profile {
    pub(crate) fn draw(random: &mut Random, number: usize) -> Self {
        // The first one always keeps its session, so every run has somebody to whom much is owed.
        let is_kept = number == 0 || random.chance(65);
        let version = if random.chance(60) { Version::V5 } else { Version::V311 };
        let expiry_s = match version {
            _ if !is_kept => 0,
            Version::V5 if number > 0 && random.chance(30) => 1 + random.below(8) as u32,
            Version::V5 => 3600,
            _ => 14 * 24 * 3600,
        };
        let will_delay_s = if version == Version::V5 && random.chance(40) { 2 } else { 0 };
        Self {
            name: format!("client-{number}"),
            role: Role::Any,
            version,
            is_kept,
            expiry_s,
            receive_max: (version == Version::V5 && random.chance(50))
                .then(|| 1 + random.below(8) as u16),
            keep_alive_s: if random.chance(40) { 3 } else { 0 },
            clean_percent: if number > 0 && random.chance(30) { 20 } else { 0 },
            will: random
                .chance(40)
                .then(|| WillProfile { qos: qos(random), delay_s: will_delay_s }),
            answer_ms_max: [0, 5, 50, 400][random.below(4) as usize],
            is_slow: random.chance(15),
            publish_percent: [10, 50, 90][random.below(3) as usize],
        }
    }
}

impl Profile {
    /// A client with a purpose. Those of the rules and of dead letters never lose their sessions.
    pub(crate) fn of_role(random: &mut Random, number: usize, role: Role) -> Self {
        let drawn = Self::draw(random, number);
        let profile = Self {
            name: format!("{role:?}-{number}").to_lowercase(),
            role,
            is_kept: true,
            will: None,
            publish_percent: if role == Role::Sensor { 70 } else { 0 },
            ..drawn
        };
        if role == Role::Worker {
            let version = profile.version;
            let is_short = version == Version::V5 && random.chance(30);
            let expiry_s = if is_short { 1 + random.below(6) as u32 } else { 3600 };
            return Self { expiry_s, ..profile };
        }
        Self { version: Version::V5, expiry_s: 3600, clean_percent: 0, ..profile }
    }

    /// The listener that it comes in by: only the one of ordinary clients may have small queues.
    pub(crate) fn listener(&self) -> ListenerId {
        ListenerId(u16::from(self.role != Role::Any))
    }

    /// One that only looks at what is retained.
    pub(crate) fn of_probe(random: &mut Random, number: usize) -> Self {
        Self {
            name: "probe".to_owned(),
            version: Version::V5,
            is_kept: false,
            expiry_s: 0,
            receive_max: None,
            will: None,
            ..Self::draw(random, number)
        }
    }
}

impl Action {
    pub(crate) fn draw(
        random: &mut Random,
        conduct: &Conduct,
        me: usize,
        profile: &Profile,
    ) -> Self {
        let trouble = random.below(1000);
        let mut limit = conduct.reset_permille;
        if trouble < limit {
            return Self::Reset;
        }
        limit += conduct.stall_permille;
        if trouble < limit {
            return Self::Stall { ms: random.below(3_000) };
        }
        limit += conduct.partition_permille;
        if trouble < limit {
            let ways = [Ways::Both, Ways::Down, Ways::Up][random.below(3) as usize];
            return Self::Partition { ms: 100 + random.below(8_000), ways };
        }
        limit += conduct.takeover_permille;
        if trouble < limit {
            return Self::Takeover;
        }
        if random.chance(profile.publish_percent) {
            let count = if random.chance(15) { 1 + random.below(12) } else { 1 };
            let drafts = (0..count).map(|_| match profile.role {
                Role::Sensor => Draft::of_sensor(random, me),
                _ => Draft::draw(random, me, profile),
            });
            return Self::Publish(drafts.collect());
        }
        match random.below(100) {
            ..35 if profile.role == Role::Worker => {
                let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][random.below(2) as usize];
                Self::Subscribe { filter: SHARED[random.below(3) as usize].to_owned(), qos }
            }
            50..57 if profile.role == Role::Worker => Self::Unsubscribe,
            ..57 if profile.role != Role::Any => Self::Nothing,
            0..45 => Self::Subscribe { filter: filter(random, conduct), qos: qos(random) },
            45..57 => Self::Unsubscribe,
            57..62 => Self::Goodbye,
            62..70 => Self::Ping,
            _ => Self::Nothing,
        }
    }
}

impl Draft {
    /// Topics of a client's own have one QoS each, besides 0, and only those are retained: then
    /// it is known which message is the last.
    fn draw(random: &mut Random, me: usize, profile: &Profile) -> Self {
        let padding = if random.chance(3) { random.below(6_000) } else { random.below(40) };
        let short_s = 1 + random.below(4) as u32;
        let mut expiry_s = None;
        let mut delay_s = 0;
        let (topic, qos, retain) = match random.below(100) {
            0..8 => (format!("own/{me}/q0"), QoS::AtMostOnce, false),
            8..22 => (format!("own/{me}/q1"), QoS::AtLeastOnce, false),
            22..38 => (format!("own/{me}/q2"), QoS::ExactlyOnce, false),
            38..46 => ("all/q1".to_owned(), QoS::AtLeastOnce, false),
            46..53 => ("all/q2".to_owned(), QoS::ExactlyOnce, false),
            number @ 53..61 => {
                expiry_s = (profile.version == Version::V5).then_some(short_s);
                match number {
                    53..57 => (format!("brief/{me}/q1"), QoS::AtLeastOnce, false),
                    _ => (format!("brief/{me}/q2"), QoS::ExactlyOnce, false),
                }
            }
            number @ 61..66 => {
                delay_s = short_s;
                match number {
                    61..63 => (format!("later/{me}/q1"), QoS::AtLeastOnce, false),
                    _ => (format!("later/{me}/q2"), QoS::ExactlyOnce, false),
                }
            }
            66..83 => {
                let qos = if random.chance(25) { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                (format!("own/{me}/r1/{}", random.below(2)), qos, true)
            }
            _ => (format!("own/{me}/r2"), QoS::ExactlyOnce, true),
        };
        let is_removal = retain && random.chance(20);
        Self { topic, qos, retain, is_removal, padding: padding as usize, expiry_s, delay_s }
    }

    /// Readings, and now and then a value that a rule joins to them.
    fn of_sensor(random: &mut Random, me: usize) -> Self {
        let is_set = random.chance(8);
        let kind = if is_set { "set" } else { "in" };
        Self {
            topic: format!("{kind}/{me}"),
            qos: QoS::ExactlyOnce,
            retain: is_set,
            is_removal: false,
            padding: 0,
            expiry_s: None,
            delay_s: 0,
        }
    }
}

fn filter(random: &mut Random, conduct: &Conduct) -> String {
    let other = random.below(conduct.clients as u64);
    match random.below(18) {
        0 => "#".to_owned(),
        1 => "own/#".to_owned(),
        2 => format!("own/{other}/#"),
        3 => format!("own/{other}/+"),
        4 => "own/+/q1".to_owned(),
        5 => "own/+/q2".to_owned(),
        6 => "own/+/r1/+".to_owned(),
        7 => "own/+/r2".to_owned(),
        8 => "all/+".to_owned(),
        9 => "all/q2".to_owned(),
        10 => "will/+".to_owned(),
        11 => "in/+".to_owned(),
        12 => format!("own/{other}/r1/0"),
        13 | 14 => "brief/#".to_owned(),
        15 | 16 => "later/+/+".to_owned(),
        _ => "out/#".to_owned(),
    }
}

/// What workers share.
const SHARED: [&str; 3] = ["$share/a/own/+/+", "$share/b/all/+", "$share/b/brief/#"];

fn qos(random: &mut Random) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce]
        [random.below(4) as usize]
}
