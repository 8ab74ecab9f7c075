//! One device: what is asked when, and its health.
//!
//! Knows no clock and does no IO. A poll begins with [`Poller::begin`]; each of its requests is
//! answered with [`Poller::handle`], and [`Poller::end`] says what came of it. The rules are those
//! of a `Probe`: three tries in a poll, offline after three failed polls, then 1, 2, 4 ... 60 s
//! between polls. A device that refuses with an exception is there.

use super::fault::Fault;
use super::group::{Group, Request, apart, grouped};
use super::register::{Answer, decode};
use crate::config::{ModbusConfig, ReadConfig};
use crate::json::Value;
use crate::probe::Availability;

/// One device and its health.
#[derive(Debug)]
pub struct Poller {
    reads: Vec<ReadConfig>,
    groups: Vec<Group>,
    /// When a device that is offline is tried again.
    retry_ms: Option<u64>,
    availability: Option<Availability>,
    failed_polls: u32,
    backoff_ms: u64,
    poll: Poll,
    counters: Counters,
}

/// What came of a poll.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PollerReport {
    /// Place in the list of reads, and the value.
    pub values: Vec<(usize, Value)>,
    /// Set when the device went offline or came online with this poll.
    pub change: Option<Availability>,
    /// Kind and text of what is worth an event.
    pub troubles: Vec<(&'static str, String)>,
    /// What was counted since the start.
    pub counters: Vec<(&'static str, u64)>,
}

/// The poll under way.
#[derive(Debug, Default)]
struct Poll {
    values: Vec<(usize, Value)>,
    troubles: Vec<(&'static str, String)>,
    answered: bool,
    fault: Option<Fault>,
    /// Groups that the device refuses as a whole.
    refused: Vec<usize>,
}

#[derive(Debug, Default)]
struct Counters {
    polls: u64,
    failed_polls: u64,
    requests: u64,
    exceptions: u64,
    timeouts: u64,
    mismatches: u64,
    transport: u64,
    not_a_number: u64,
}

impl Poller {
    /// A poller that is first due at `now_ms`.
    pub fn new(config: &ModbusConfig, now_ms: u64) -> Self {
        Self {
            groups: grouped(&config.reads, now_ms),
            reads: config.reads.clone(),
            retry_ms: None,
            availability: None,
            failed_polls: 0,
            backoff_ms: BACKOFF_MIN_MS,
            poll: Poll::default(),
            counters: Counters::default(),
        }
    }

    /// When the next poll is due; `None` for a device that is only written to.
    pub fn next_due_ms(&self) -> Option<u64> {
        let due = self.groups.iter().map(|group| group.due_ms).min()?;
        Some(due.max(self.retry_ms.unwrap_or(0)))
    }

    /// Begins a poll: the requests that are due, each under its number.
    pub fn begin(&mut self, now_ms: u64) -> Vec<(usize, Request)> {
        self.poll = Poll::default();
        let mut due = Vec::new();
        for (number, group) in self.groups.iter_mut().enumerate() {
            if group.due_ms > now_ms {
                continue;
            }
            // A late poll neither moves the grid nor is made up for.
            let missed = (now_ms - group.due_ms) / group.every_ms;
            group.due_ms += (missed + 1) * group.every_ms;
            due.push((number, group.request));
        }
        due
    }

    /// How often a request is tried: a device that does not answer shall not hold up its
    /// neighbours more than it has to.
    pub fn tries(&self) -> u32 {
        if self.failed_polls == 0 { TRIES_PER_POLL } else { 1 }
    }

    /// Takes the answer to a request. Whether it makes sense to go on with the others.
    pub fn handle(&mut self, number: usize, answer: Result<Answer, Fault>) -> bool {
        let Some(group) = self.groups.get(number) else { return true };
        match answer {
            Ok(answer) => {
                self.poll.answered = true;
                for place in group.values.clone() {
                    self.take_value(place, number, &answer);
                }
                true
            }
            Err(fault) if fault.is_answer() => {
                self.poll.answered = true;
                if group.values.len() > 1 {
                    // One of them is not there; which one is found out by asking for each.
                    self.poll.refused.push(number);
                } else if let Some(read) = group.values.first().and_then(|at| self.reads.get(*at)) {
                    self.poll.troubles.push((fault.kind(), format!("{}: {fault}", read.name)));
                }
                true
            }
            Err(fault) => {
                self.poll.fault = Some(fault);
                // One that answered a moment ago may answer to the others.
                self.poll.answered
            }
        }
    }

    /// Counts a try that failed.
    pub fn count(&mut self, result: &Result<Answer, Fault>) {
        self.counters.requests += 1;
        let counter = match result {
            Ok(_) => return,
            Err(Fault::Exception { .. }) => &mut self.counters.exceptions,
            Err(Fault::Mismatch { .. }) => &mut self.counters.mismatches,
            Err(Fault::Timeout { .. }) => &mut self.counters.timeouts,
            Err(Fault::Transport { .. }) => &mut self.counters.transport,
        };
        *counter += 1;
    }

    /// Ends the poll.
    pub fn end(&mut self, now_ms: u64) -> PollerReport {
        let mut poll = std::mem::take(&mut self.poll);
        self.take_apart(&poll.refused, now_ms);
        let change = match poll.fault.take() {
            None => self.handle_answered(),
            Some(fault) if poll.answered => {
                poll.troubles.push((fault.kind(), fault.to_string()));
                self.handle_answered()
            }
            Some(fault) => self.handle_failed(now_ms, &fault, &mut poll),
        };
        PollerReport {
            values: poll.values,
            change,
            troubles: poll.troubles,
            counters: self.counters.named(),
        }
    }

    fn take_value(&mut self, place: usize, number: usize, answer: &Answer) {
        let (Some(read), Some(group)) = (self.reads.get(place), self.groups.get(number)) else {
            return;
        };
        let offset = usize::from(read.place.register - group.request.first);
        match decode(answer, offset, &read.place) {
            Some(value) => self.poll.values.push((place, value)),
            None => {
                self.counters.not_a_number += 1;
                let text = format!("{}: the registers do not hold a number", read.name);
                self.poll.troubles.push(("range", text));
            }
        }
    }

    fn take_apart(&mut self, refused: &[usize], now_ms: u64) {
        for number in refused {
            let Some(group) = self.groups.get_mut(*number) else { continue };
            group.due_ms = now_ms;
            let mut apart = apart(group, &self.reads).into_iter();
            if let Some(first) = apart.next() {
                *group = first;
            }
            self.groups.extend(apart);
        }
    }

    fn handle_answered(&mut self) -> Option<Availability> {
        self.counters.polls += 1;
        self.failed_polls = 0;
        self.backoff_ms = BACKOFF_MIN_MS;
        self.retry_ms = None;
        self.become_available(Availability::Online)
    }

    fn handle_failed(
        &mut self,
        now_ms: u64,
        fault: &Fault,
        poll: &mut Poll,
    ) -> Option<Availability> {
        self.counters.failed_polls += 1;
        self.failed_polls = self.failed_polls.saturating_add(1);
        if self.failed_polls < FAILED_POLLS_MAX {
            return None;
        }
        self.retry_ms = Some(now_ms.saturating_add(self.backoff_ms));
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MAX_MS);
        let change = self.become_available(Availability::Offline);
        if change.is_some() {
            let text = format!("offline after {} failed polls: {fault}", self.failed_polls);
            poll.troubles.push((fault.kind(), text));
        }
        change
    }

    fn become_available(&mut self, availability: Availability) -> Option<Availability> {
        let changed = self.availability != Some(availability);
        self.availability = Some(availability);
        changed.then_some(availability)
    }
}

impl Counters {
    fn named(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("polls", self.polls),
            ("failed_polls", self.failed_polls),
            ("requests", self.requests),
            ("exceptions", self.exceptions),
            ("timeouts", self.timeouts),
            ("mismatches", self.mismatches),
            ("transport", self.transport),
            ("not_a_number", self.not_a_number),
        ]
    }
}

const TRIES_PER_POLL: u32 = 3;
const FAILED_POLLS_MAX: u32 = 3;
const BACKOFF_MIN_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn poller() -> Poller {
        let text = "[[modbus]]\nname = \"m\"\ntcp = \"h:1\"\nevery_s = 10\n\
                    [[modbus.read]]\nname = \"a\"\nregister = 0\n\
                    [[modbus.read]]\nname = \"b\"\nregister = 1\n";
        let config = config::parse("test", text, Path::new("")).unwrap();
        Poller::new(&config.modbus[0], 0)
    }

    const TIMEOUT: Fault = Fault::Timeout { timeout_ms: 1_000 };

    /// One poll with the same answer to each request.
    fn poll(poller: &mut Poller, now_ms: u64, answer: &Result<Answer, Fault>) -> PollerReport {
        for (number, _) in poller.begin(now_ms) {
            poller.count(answer);
            if !poller.handle(number, answer.clone()) {
                break;
            }
        }
        poller.end(now_ms)
    }

    #[test]
    fn values_come_from_one_request() {
        let mut poller = poller();
        let report = poll(&mut poller, 0, &Ok(Answer::Words(vec![7, 8])));
        let shown: Vec<_> =
            report.values.iter().map(|(place, value)| (*place, value.to_string())).collect();
        assert_eq!(shown, [(0, "7".to_owned()), (1, "8".to_owned())]);
        assert_eq!(report.change, Some(Availability::Online));
        assert_eq!(poller.next_due_ms(), Some(10_000));
        assert!(poller.begin(9_999).is_empty());
    }

    #[test]
    fn device_goes_offline_after_three_failed_polls_and_is_asked_less_and_less() {
        let mut poller = poller();
        poll(&mut poller, 0, &Ok(Answer::Words(vec![7, 8])));
        assert_eq!(poller.tries(), 3);
        let mut waits = Vec::new();
        let mut troubles = 0;
        let mut changes = Vec::new();
        for _ in 0..10 {
            let now_ms = poller.next_due_ms().unwrap();
            let report = poll(&mut poller, now_ms, &Err(TIMEOUT));
            assert!(report.values.is_empty());
            troubles += report.troubles.len();
            changes.extend(report.change);
            waits.push(poller.next_due_ms().unwrap() - now_ms);
        }
        assert_eq!(poller.tries(), 1);
        assert_eq!(changes, [Availability::Offline]);
        assert_eq!(troubles, 1, "one event");
        assert!(waits.iter().all(|wait| *wait >= 10_000), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait >= 60_000), "{waits:?}");
        let now_ms = poller.next_due_ms().unwrap();
        let report = poll(&mut poller, now_ms, &Ok(Answer::Words(vec![7, 8])));
        assert_eq!(report.change, Some(Availability::Online));
    }

    #[test]
    fn refused_group_is_asked_for_one_by_one() {
        let mut poller = poller();
        let refused = Err(Fault::Exception { code: 2 });
        let report = poll(&mut poller, 0, &refused);
        assert_eq!(report.change, Some(Availability::Online), "it is there");
        assert!(report.troubles.is_empty(), "which one it is is not known yet");
        assert_eq!(poller.next_due_ms(), Some(0));
        let requests = poller.begin(0);
        assert_eq!(requests.len(), 2);
        poller.handle(requests[0].0, Ok(Answer::Words(vec![7])));
        poller.handle(requests[1].0, refused);
        let report = poller.end(0);
        assert_eq!(report.values.len(), 1);
        assert_eq!(
            report.troubles,
            [("exception", "b: the device refuses: illegal data address (exception 2)".to_owned())]
        );
    }

    #[test]
    fn late_poll_is_not_made_up_for() {
        let mut poller = poller();
        poll(&mut poller, 25_000, &Ok(Answer::Words(vec![7, 8])));
        assert_eq!(poller.next_due_ms(), Some(30_000));
    }
}
