//! The upstream of the broker: the real forwarder, and a connection to the far end that fails as
//! the run demands.

use std::collections::VecDeque;

use weir_broker::config::{BacklogFull, Priority, Route, TopicTemplate};
use weir_broker::store::{Store, StoreError};
use weir_broker::{Forwarder, ForwarderOptions, Full, InnerTurn, Outgoing, Peer, Place, Read};
use weir_core::{Now, ReaderConfig, ReaderId, ReaderKind, ShardId};
use weir_mqtt::{QoS, Version};

use super::surroundings::Surroundings;
use super::trace::About;

/// The name under which rules know it.
pub(crate) const NAME: &str = "cloud";
/// What is forwarded.
const FILTERS: [&str; 3] = ["all/+", "in/+", "out/#"];
/// What of it goes first when the run has priorities.
const URGENT: &str = "in/+";

/// The broker's side.
#[derive(Debug)]
pub(crate) struct Upstream {
    forwarder: Forwarder,
    link: Option<Link>,
    connect_at: u64,
    reads_more: bool,
}

/// A connection.
#[derive(Debug, Default)]
struct Link {
    /// Given by the forwarder, not written yet.
    waiting: VecDeque<Outgoing>,
    /// On the way to the far end, with the time of arrival.
    up: VecDeque<(u64, u16, Outgoing)>,
    /// Answers on the way back.
    down: VecDeque<(u64, u16, Answer)>,
    last_id: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    /// Not now.
    Refused,
    Taken,
}

/// The names of its readers, by priority.
const READERS: [(Priority, &str); 2] = [(Priority::Normal, NAME), (Priority::High, "cloud/high")];

/// What each of its readers reads.
pub(crate) fn reader_config(around: &Surroundings, of: Priority, reader: ReaderId) -> ReaderConfig {
    let filters = FILTERS.into_iter().filter(|filter| priority(around, filter) == of);
    ReaderConfig {
        reader,
        filters: filters.map(str::to_owned).collect(),
        kind: ReaderKind::Upstream,
        names_publishers: false,
    }
}

/// How far its readers are, the normal one first.
pub(crate) fn places(store: &Store) -> Result<Vec<Place>, StoreError> {
    let ids = store.register_readers(&READERS.map(|(_, name)| name))?;
    let place = |((priority, _), reader)| {
        store.reader_cursor(ShardId(0), reader).map(|done| Place { priority, reader, done })
    };
    READERS.into_iter().zip(ids).map(place).collect()
}

fn priority(around: &Surroundings, filter: &str) -> Priority {
    let is_urgent = around.conduct.has_priorities && filter == URGENT;
    if is_urgent { Priority::High } else { Priority::Normal }
}

impl Upstream {
    /// Goes on where the store says.
    pub(crate) fn start(around: &mut Surroundings, places: Vec<Place>) -> Self {
        let route = |filter: &str| Route {
            priority: priority(around, filter),
            from: filter.to_owned(),
            to: TopicTemplate::parse("{topic}", filter).expect("a valid template"),
            qos: 2,
        };
        let options = ForwarderOptions {
            name: NAME.to_owned(),
            shard: ShardId(0),
            node: "box".to_owned(),
            routes: FILTERS.map(route).into(),
            qos_max: QoS::ExactlyOnce,
            backlog_bytes_max: 1 << 30,
            backlog_full: BacklogFull::DropOld,
            backlog_age_max_ms: None,
            drain_rate: 0,
            live_first: around.conduct.live_first,
            window: 1 + around.random.below(20) as u16,
        };
        let forwarder = Forwarder::new(options, places);
        let connect_at = around.within(500);
        Self { forwarder, link: None, connect_at, reads_more: true }
    }

    /// The store has more.
    pub(crate) fn log_grew(&mut self) {
        self.reads_more = true;
    }

    /// One round; what the shard is to be told, in this order. With `is_early` it takes what was written for
    /// acknowledged.
    pub(crate) fn run(
        &mut self,
        around: &mut Surroundings,
        store: &Store,
        now: Now,
        is_early: bool,
    ) -> Vec<InnerTurn> {
        if self.reads_more || self.forwarder.is_behind() {
            let read = self.forwarder.read(|reader, after, bytes_max, out| {
                store.read_log(ShardId(0), after, reader, bytes_max, out)
            });
            self.reads_more = read.is_ok_and(|read| read == Read::More);
        }
        self.keep_link(around);
        self.take_answers(around, now);
        if let Some(link) = &mut self.link {
            link.arrive(around);
            self.forwarder.send(now, |outgoing| link.take(outgoing));
            link.write(around, &mut self.forwarder, is_early);
        }
        std::iter::from_fn(|| self.forwarder.take_turn(now.monotonic, false)).collect()
    }

    /// When the next round is to be, for a process that began at `started`.
    pub(crate) fn next_at(&self, around: &Surroundings, started: u64) -> Option<u64> {
        let reads = (self.reads_more || self.forwarder.is_behind()).then_some(around.now + 1);
        let told = self.forwarder.poll_timeout().map(|at| started + at.0);
        let linked = match &self.link {
            Some(link) => link.next_at(around),
            None => Some(self.connect_at),
        };
        [reads, told, linked].into_iter().flatten().min()
    }

    /// What still waits.
    pub(crate) fn depth(&self) -> u64 {
        self.forwarder.depth()
    }

    /// The process dies; of what is under way some arrives.
    pub(crate) fn crash(mut self, around: &mut Surroundings) {
        self.disconnect(around);
    }

    fn keep_link(&mut self, around: &mut Surroundings) {
        let permille = around.conduct.reset_permille;
        if self.link.is_some() && around.happens(permille) {
            self.disconnect(around);
        }
        if self.link.is_none() && around.now >= self.connect_at {
            let receive_max = [1, 2, 3, 20, u16::MAX][around.random.below(5) as usize];
            self.forwarder.connected(Peer {
                version: Version::V5,
                receive_max,
                packet_bytes_max: usize::MAX,
                qos_max: QoS::ExactlyOnce,
                retain_available: true,
            });
            self.link = Some(Link::default());
            around.note(About::ALL, format_args!("the upstream is connected"));
        }
    }

    fn take_answers(&mut self, around: &mut Surroundings, now: Now) {
        let Some(link) = &mut self.link else { return };
        let mut is_usable = true;
        while is_usable
            && let Some((at, packet_id, answer)) = link.down.front().copied()
            && at <= around.now
        {
            link.down.pop_front();
            match answer {
                Answer::Taken => self.forwarder.handle_acknowledged(packet_id),
                Answer::Refused => {
                    let refused =
                        self.forwarder.handle_refused(Some(packet_id), "busy", false, now.unix_ms);
                    is_usable = refused.is_ok();
                }
            }
        }
        if !is_usable {
            self.disconnect(around);
        }
    }

    fn disconnect(&mut self, around: &mut Surroundings) {
        let Some(mut link) = self.link.take() else { return };
        around.note(About::ALL, format_args!("the upstream is gone"));
        let arriving = around.random.below(link.up.len() as u64 + 1);
        for (_, _, outgoing) in link.up.drain(..arriving as usize) {
            around.far_end_receives(&outgoing);
        }
        self.forwarder.disconnected();
        let pause_ms = if around.is_calm { 100 } else { 4_000 };
        self.connect_at = around.within(pause_ms);
    }
}

impl Link {
    fn take(&mut self, outgoing: Outgoing) -> Result<(), Full> {
        if self.waiting.len() >= REQUESTS_MAX {
            return Err(Full);
        }
        self.waiting.push_back(outgoing);
        Ok(())
    }

    fn write(&mut self, around: &mut Surroundings, forwarder: &mut Forwarder, is_early: bool) {
        for outgoing in self.waiting.drain(..) {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let packet_id = (outgoing.qos > QoS::AtMostOnce).then_some(self.last_id);
            forwarder.handle_sent(packet_id);
            if is_early {
                forwarder.handle_acknowledged(self.last_id);
            }
            let at = arrival(around, self.up.back().map(|(at, ..)| *at));
            self.up.push_back((at, self.last_id, outgoing));
        }
    }

    /// What has come to the far end is answered.
    fn arrive(&mut self, around: &mut Surroundings) {
        while let Some((at, packet_id, outgoing)) =
            self.up.pop_front_if(|(at, ..)| *at <= around.now)
        {
            debug_assert!(at <= around.now, "it has arrived");
            let is_refused = !around.is_calm && around.random.chance(1);
            let answer = if is_refused && around.far_end.refuse(&outgoing) {
                Answer::Refused
            } else {
                around.far_end_receives(&outgoing);
                Answer::Taken
            };
            if outgoing.qos > QoS::AtMostOnce {
                let at = arrival(around, self.down.back().map(|(at, ..)| *at));
                self.down.push_back((at, packet_id, answer));
            }
        }
    }

    fn next_at(&self, around: &Surroundings) -> Option<u64> {
        let waiting = (!self.waiting.is_empty()).then_some(around.now + 1);
        let up = self.up.front().map(|(at, ..)| *at);
        let down = self.down.front().map(|(at, ..)| *at);
        [waiting, up, down].into_iter().flatten().min()
    }
}

/// Behind what is under way already.
fn arrival(around: &mut Surroundings, last: Option<u64>) -> u64 {
    around.within(around.conduct.delay_ms_max).max(last.unwrap_or(0))
}

/// What a client library takes before it has written it.
const REQUESTS_MAX: usize = 10;
