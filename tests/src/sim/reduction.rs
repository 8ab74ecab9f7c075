//! What is left out of a run, so that a failure is told with as little as possible.
//!
//! Every client and every kind of trouble has chance of its own, and everything that one of them
//! does has a number and chance of its own too: so the rest of a run stays nearly the same when
//! something is left out of it.

use std::collections::{BTreeMap, BTreeSet};

use super::rule_set;

/// Parts of a run that do not happen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reduction {
    /// The trouble is over by then, milliseconds.
    until_ms: Option<u64>,
    /// Clients that never do anything.
    clients: BTreeSet<usize>,
    /// Kinds of trouble.
    troubles: BTreeSet<Trouble>,
    /// Rules, by name: most of what happens comes of them.
    rules: BTreeSet<String>,
    /// Single deeds.
    deeds: BTreeMap<Actor, BTreeSet<u32>>,
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Trouble {
    BrokenStarts,
    ClockSteps,
    Crashes,
    Delays,
    Exchanges,
    Expulsions,
    FailingReads,
    FailingSyncs,
    Fragments,
    FullDisk,
    Limits,
    Partitions,
    PowerCuts,
    Resets,
    Sleep,
    SlowCommits,
    SlowReaders,
    SmallSockets,
    Stalls,
    Takeovers,
    Twins,
}

/// Whose chance something is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Actor {
    Broker,
    Calendar,
    Client(usize),
    Crash,
    Disk,
    Operator,
    Rules,
    Sleep,
    Start,
    Store,
    Upstream,
    Warden,
    World,
}

impl Reduction {
    pub(crate) fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    pub(crate) fn troubles(&self) -> impl Iterator<Item = Trouble> {
        self.troubles.iter().copied()
    }

    /// Whether a client never does anything.
    pub(crate) fn has_no_client(&self, client: usize) -> bool {
        self.clients.contains(&client)
    }

    /// Whether a rule is not there.
    pub(crate) fn has_no_rule(&self, name: &str) -> bool {
        self.rules.contains(name)
    }

    /// Whether a deed does not happen.
    pub(crate) fn has_no_deed(&self, actor: Actor, number: u32) -> bool {
        self.deeds.get(&actor).is_some_and(|deeds| deeds.contains(&number))
    }

    pub(crate) fn until(&self, ms: u64) -> Self {
        Self { until_ms: Some(ms), ..self.clone() }
    }

    pub(crate) fn without_client(&self, client: usize) -> Self {
        let mut less = self.clone();
        less.clients.insert(client);
        less.deeds.remove(&Actor::Client(client));
        less
    }

    pub(crate) fn without_rules(&self, names: &[&str]) -> Self {
        let mut less = self.clone();
        less.rules.extend(names.iter().map(|name| (*name).to_owned()));
        less
    }

    pub(crate) fn without_trouble(&self, trouble: Trouble) -> Self {
        let mut less = self.clone();
        less.troubles.insert(trouble);
        less
    }

    pub(crate) fn without_deeds(&self, actor: Actor, numbers: &[u32]) -> Self {
        let mut less = self.clone();
        less.deeds.entry(actor).or_default().extend(numbers);
        less
    }

    /// The words that [`Reduction::read`] reads.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(ms) = self.until_ms {
            words.push(format!("until={ms}"));
        }
        if !self.clients.is_empty() {
            let clients: Vec<String> = self.clients.iter().map(ToString::to_string).collect();
            words.push(format!("clients=-{}", clients.join(",")));
        }
        if !self.troubles.is_empty() {
            let names: Vec<String> = self.troubles.iter().map(|t| format!("{t:?}")).collect();
            words.push(format!("without={}", names.join(",")));
        }
        if !self.rules.is_empty() {
            let names: Vec<&str> = self.rules.iter().map(String::as_str).collect();
            words.push(format!("without-rules={}", names.join(",")));
        }
        for (actor, deeds) in &self.deeds {
            words.push(format!("{}=-{}", actor.name(), ranges(deeds)));
        }
        words
    }

    /// Takes a word; nothing when it is not one of these.
    pub(crate) fn read(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "until" => self.until_ms = Some(value.parse().ok()?),
            "without-rules" => {
                for name in value.split(',') {
                    self.rules.insert(rule_set::names().find(|known| *known == name)?.to_owned());
                }
            }
            "clients" => {
                for client in value.strip_prefix('-')?.split(',') {
                    self.clients.insert(client.parse().ok()?);
                }
            }
            "without" => {
                for name in value.split(',') {
                    let mut all = Trouble::ALL.into_iter();
                    self.troubles.insert(all.find(|known| format!("{known:?}") == name)?);
                }
            }
            _ => {
                let actor = Actor::of_name(name)?;
                for range in value.strip_prefix('-')?.split(',') {
                    let (first, last) = range.split_once("..").unwrap_or((range, range));
                    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
                    self.deeds.entry(actor).or_default().extend(first..=last);
                }
            }
        }
        Some(())
    }
}

impl Trouble {
    pub(crate) const ALL: [Self; 21] = [
        Self::BrokenStarts,
        Self::ClockSteps,
        Self::Crashes,
        Self::Delays,
        Self::Exchanges,
        Self::Expulsions,
        Self::FailingReads,
        Self::FailingSyncs,
        Self::Fragments,
        Self::FullDisk,
        Self::Limits,
        Self::Partitions,
        Self::PowerCuts,
        Self::Resets,
        Self::Sleep,
        Self::SlowCommits,
        Self::SlowReaders,
        Self::SmallSockets,
        Self::Stalls,
        Self::Takeovers,
        Self::Twins,
    ];
}

impl Actor {
    const UNNUMBERED: [Self; 12] = [
        Self::Broker,
        Self::Calendar,
        Self::Crash,
        Self::Disk,
        Self::Rules,
        Self::Sleep,
        Self::Start,
        Self::Store,
        Self::Upstream,
        Self::World,
        Self::Operator,
        Self::Warden,
    ];

    fn name(self) -> String {
        match self {
            Self::Client(number) => format!("client{number}"),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        if let Some(number) = name.strip_prefix("client") {
            return number.parse().ok().map(Self::Client);
        }
        Self::UNNUMBERED.into_iter().find(|actor| actor.name() == name)
    }

    /// Stands for it where chance is drawn.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Client(number) => 1_000 + number as u64,
            other => {
                let place = Self::UNNUMBERED.iter().position(|actor| *actor == other);
                place.map_or(0, |place| place as u64)
            }
        }
    }
}

/// Numbers as text, with ranges for those that follow each other.
fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers.iter().copied() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): (u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}..{last}"),
    };
    let texts: Vec<String> = ranges.into_iter().map(text).collect();
    texts.join(",")
}
