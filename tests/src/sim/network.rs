//! The network between clients and the broker: a stream of bytes each way for a connection.
//!
//! Bytes arrive in order, late, and cut at any place. A connection can end with everything
//! delivered, be reset at any byte, or be gone for one side while the other does not know. A
//! client can be cut off for a while: nothing comes through, one way or both, and new connections
//! wait as well.

use std::collections::{BTreeMap, VecDeque};

use super::random::Random;
use super::setup::Conduct;

/// The name of a connection in the network; never used twice.
pub(crate) type LinkId = usize;

/// Every connection there was.
#[derive(Debug)]
pub(crate) struct Network {
    links: Vec<Link>,
    /// Those that wait to be accepted.
    dialled: Vec<LinkId>,
    seed: u64,
    /// How often each client has dialled.
    dials: BTreeMap<usize, u64>,
    /// Until when clients are cut off.
    cut_off: BTreeMap<usize, u64>,
    /// Who is to be woken when, since the last call of [`Network::take_wakes`].
    wakes: Vec<(u64, Wake)>,
}

/// Who has something to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wake {
    Broker,
    Client(LinkId),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: usize,
    /// Each connection has chance of its own, so that others do not change when it is left out.
    random: Random,
    /// When the broker can accept it.
    accept_at: u64,
    up: Pipe,
    down: Pipe,
    /// The broker has accepted it.
    is_accepted: bool,
    /// The broker's end is open.
    has_broker: bool,
    /// The client's end is open.
    has_client: bool,
    /// The broker's writes fail: it has been told that the client is gone.
    is_reset: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    chunks: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    last_at: u64,
    end_at: Option<u64>,
    stalled_until: u64,
}

/// How a client leaves a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leave {
    /// Everything that was sent arrives, then nothing more.
    Abandon,
    /// Everything that was sent arrives, then the end.
    Finish,
    /// Some of what was sent arrives, then an error.
    Reset,
    /// Some of what was sent arrives, then nothing more.
    Silence,
}

/// What does not come through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ways {
    Both,
    Down,
    Up,
}

/// The peer is gone.
pub(crate) struct Gone;

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            links: Vec::new(),
            dialled: Vec::new(),
            seed,
            dials: BTreeMap::new(),
            cut_off: BTreeMap::new(),
            wakes: Vec::new(),
        }
    }

    /// Who is to be woken, and when.
    pub(crate) fn take_wakes(&mut self) -> Vec<(u64, Wake)> {
        std::mem::take(&mut self.wakes)
    }

    /// A client opens a connection.
    pub(crate) fn dial(&mut self, now: u64, client: usize, conduct: &Conduct) -> LinkId {
        let id = self.links.len();
        let dial = self.dials.entry(client).or_default();
        *dial += 1;
        let mut random = Random::of(&[self.seed, 1 << 32, client as u64, *dial]);
        let cut_off_until = self.cut_off.get(&client).copied().unwrap_or(0);
        let accept_at = now.max(cut_off_until) + random.below(conduct.delay_ms_max + 1);
        self.wakes.push((accept_at, Wake::Broker));
        self.dialled.push(id);
        self.links.push(Link {
            client,
            random,
            accept_at,
            up: Pipe { last_at: accept_at, ..Pipe::default() },
            down: Pipe { last_at: accept_at, ..Pipe::default() },
            is_accepted: false,
            has_broker: true,
            has_client: true,
            is_reset: false,
        });
        id
    }

    pub(crate) fn client_of(&self, id: LinkId) -> usize {
        self.links[id].client
    }

    /// The client sends.
    pub(crate) fn client_write(&mut self, now: u64, id: LinkId, bytes: &[u8], conduct: &Conduct) {
        let link = &mut self.links[id];
        if link.has_client && link.has_broker {
            let random = &mut link.random;
            link.up.push(now, bytes, random, conduct, |at| self.wakes.push((at, Wake::Broker)));
        }
    }

    /// What has arrived for the client, up to about `bytes_max`; true when nothing more will come.
    pub(crate) fn client_read(
        &mut self,
        now: u64,
        id: LinkId,
        bytes_max: usize,
    ) -> (Vec<u8>, bool) {
        let link = &mut self.links[id];
        let bytes = link.down.take(now, bytes_max);
        if !bytes.is_empty() && link.has_broker {
            self.wakes.push((now, Wake::Broker));
        }
        (bytes, link.down.has_ended(now))
    }

    /// The client reads and writes nothing for a while.
    pub(crate) fn stall(&mut self, id: LinkId, until: u64) {
        let link = &mut self.links[id];
        link.up.stalled_until = until;
        link.down.stalled_until = until;
        self.wakes.push((until, Wake::Broker));
        self.wakes.push((until, Wake::Client(id)));
    }

    /// Whether a read of the client would give anything.
    pub(crate) fn has_for_client(&self, now: u64, id: LinkId) -> bool {
        let down = &self.links[id].down;
        down.has_arrived(now) || down.has_ended(now)
    }

    /// Nothing comes through between a client and the broker for a while, in one direction or in
    /// both.
    pub(crate) fn cut_off(&mut self, client: usize, until: u64, ways: Ways) {
        self.cut_off.insert(client, until);
        for (id, link) in self.links.iter_mut().enumerate() {
            if link.client == client && link.has_client && link.has_broker {
                if ways != Ways::Down {
                    link.up.stalled_until = link.up.stalled_until.max(until);
                }
                if ways != Ways::Up {
                    link.down.stalled_until = link.down.stalled_until.max(until);
                }
                self.wakes.push((until, Wake::Broker));
                self.wakes.push((until, Wake::Client(id)));
            }
        }
    }

    /// Whether a new connection of a client would have to wait.
    pub(crate) fn is_cut_off(&self, now: u64, client: usize) -> bool {
        self.cut_off.get(&client).is_some_and(|until| *until > now)
    }

    /// The client leaves.
    pub(crate) fn hang_up(&mut self, now: u64, id: LinkId, leave: Leave) {
        let link = &mut self.links[id];
        link.has_client = false;
        link.down.chunks.clear();
        let is_rude = matches!(leave, Leave::Reset | Leave::Silence);
        if is_rude && link.up.stalled_until.max(link.accept_at) > now {
            // What could not go out is not sent again by a client that has given up.
            link.up.chunks.clear();
            self.dialled.retain(|dialled| *dialled != id || link.accept_at <= now);
        }
        if is_rude {
            link.up.cut(now, &mut link.random);
        }
        if matches!(leave, Leave::Finish | Leave::Reset) {
            link.is_reset = leave == Leave::Reset;
            let at = link.up.last_at.max(now).max(link.up.stalled_until);
            link.up.end_at = Some(at);
            self.wakes.push((at, Wake::Broker));
        }
    }

    /// Connections that the broker can accept now.
    pub(crate) fn accept(&mut self, now: u64) -> Vec<LinkId> {
        let links = &mut self.links;
        let accepted = self.dialled.extract_if(.., |id| links[*id].accept_at <= now);
        let accepted: Vec<LinkId> = accepted.collect();
        accepted.iter().for_each(|id| links[*id].is_accepted = true);
        accepted
    }

    /// Whether the broker has, or had, the connection, or will take it although nobody is there
    /// any more.
    pub(crate) fn may_be_accepted(&self, id: LinkId) -> bool {
        self.links[id].is_accepted || self.dialled.contains(&id)
    }

    /// What has arrived for the broker; true when nothing more will come.
    pub(crate) fn broker_read(
        &mut self,
        now: u64,
        id: LinkId,
        bytes_max: usize,
    ) -> (Vec<u8>, bool) {
        let link = &mut self.links[id];
        (link.up.take(now, bytes_max), link.up.has_ended(now))
    }

    /// Whether a read of the broker would give anything.
    pub(crate) fn is_readable(&self, now: u64, id: LinkId) -> bool {
        let up = &self.links[id].up;
        up.has_arrived(now) || up.has_ended(now)
    }

    /// The broker writes; the answer is how many bytes were taken.
    pub(crate) fn broker_write(
        &mut self,
        now: u64,
        id: LinkId,
        bytes: &[u8],
        conduct: &Conduct,
    ) -> Result<usize, Gone> {
        let link = &mut self.links[id];
        if link.is_reset {
            return Err(Gone);
        }
        let room = conduct.socket_bytes.saturating_sub(link.down.bytes);
        let taken = bytes.len().min(room);
        if link.has_client {
            let wakes = &mut self.wakes;
            link.down.push(now, &bytes[..taken], &mut link.random, conduct, |at| {
                wakes.push((at, Wake::Client(id)));
            });
        } else {
            link.down.bytes += taken;
        }
        Ok(taken)
    }

    /// The broker closes its end; what it wrote arrives.
    pub(crate) fn broker_close(&mut self, now: u64, id: LinkId) {
        let link = &mut self.links[id];
        link.has_broker = false;
        link.up.chunks.clear();
        let at = link.down.last_at.max(now).max(link.down.stalled_until);
        link.down.end_at = Some(at);
        self.wakes.push((at, Wake::Client(id)));
    }

    /// The process of the broker is gone, and with it all its connections. After a power cut
    /// clients notice late.
    pub(crate) fn broker_died(&mut self, now: u64, notice_ms_max: u64) {
        self.dialled.clear();
        for id in 0..self.links.len() {
            let link = &mut self.links[id];
            if !link.has_broker {
                continue;
            }
            link.has_broker = false;
            link.up.chunks.clear();
            link.down.cut(now, &mut link.random);
            let notice = now + link.random.below(notice_ms_max + 1);
            let at = link.down.last_at.max(notice).max(link.down.stalled_until);
            link.down.end_at = Some(at);
            self.wakes.push((at, Wake::Client(id)));
        }
    }

    /// Nobody listens: what was dialled is refused.
    pub(crate) fn refuse(&mut self, now: u64) {
        self.broker_died(now, 0);
    }

    /// What is still on its way to a client, or from it to a broker that lives.
    pub(crate) fn unrest(&self) -> Option<String> {
        let mut open = self.links.iter().enumerate().filter(|(_, link)| link.has_client);
        let (id, link) = open.find(|(_, link)| {
            let is_empty = link.up.chunks.is_empty() && link.down.chunks.is_empty();
            !link.has_broker || !is_empty
        })?;
        let (up, down) = (link.up.bytes, link.down.bytes);
        let client = link.client;
        Some(format!("{up} bytes from and {down} bytes to client {client} on link {id}"))
    }
}

impl Pipe {
    fn push(
        &mut self,
        now: u64,
        bytes: &[u8],
        random: &mut Random,
        conduct: &Conduct,
        mut wake: impl FnMut(u64),
    ) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = 1 + random.below(conduct.fragment_bytes_max) as usize;
            let (chunk, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            // Most pieces come at once behind the one before.
            let delay = if random.chance(30) { random.below(conduct.delay_ms_max + 1) } else { 0 };
            self.last_at = self.last_at.max(now + delay);
            self.bytes += chunk.len();
            self.chunks.push_back((self.last_at, chunk.to_vec()));
            wake(self.last_at.max(self.stalled_until));
        }
    }

    fn take(&mut self, now: u64, bytes_max: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while self.has_arrived(now) && taken.len() < bytes_max {
            let Some((_, chunk)) = self.chunks.pop_front() else { break };
            taken.extend_from_slice(&chunk);
        }
        self.bytes = self.bytes.saturating_sub(taken.len());
        taken
    }

    fn has_arrived(&self, now: u64) -> bool {
        self.stalled_until <= now && self.chunks.front().is_some_and(|(at, _)| *at <= now)
    }

    fn has_ended(&self, now: u64) -> bool {
        self.chunks.is_empty() && self.end_at.is_some_and(|at| at <= now)
    }

    /// Loses what has not arrived yet, from a random byte on.
    fn cut(&mut self, now: u64, random: &mut Random) {
        let on_the_way: usize =
            self.chunks.iter().filter(|(at, _)| *at > now).map(|(_, chunk)| chunk.len()).sum();
        let mut left = random.below(on_the_way as u64 + 1) as usize;
        self.chunks.retain_mut(|(at, chunk)| {
            if *at > now {
                chunk.truncate(left);
                left -= chunk.len();
            }
            !chunk.is_empty()
        });
        self.last_at = self.chunks.back().map_or(now, |(at, _)| *at);
    }
}
