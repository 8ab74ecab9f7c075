//! Alerts: for each key a small machine that goes from normal over pending to firing and back.
//!
//! Nothing here knows messages or timers: the engine tells what a condition has given and how late
//! it is, and gets what is to be sent. What a condition has given holds until it gives something
//! else; null is nothing. Times of conditions are those of the rule (of its messages, or of
//! arrival), times of silence and of reminders those of the clock.

use crate::expression::Program;

/// `[rule.NAME.alert]`, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    /// `None` if only silence is watched.
    pub(crate) when: Option<Program>,
    /// `None` is the opposite of `when`.
    pub(crate) clear: Option<Program>,
    /// How long `when` must hold; named `for` in files.
    pub(crate) hold: i64,
    /// How long `clear` must hold.
    pub(crate) clear_hold: i64,
    pub(crate) repeat: Option<i64>,
    pub(crate) silent: Option<i64>,
    /// Values that are kept, because timers send them without a message.
    pub(crate) kept: Vec<Kept>,
    /// The local of the value that is sent.
    pub(crate) value: Option<u16>,
    pub(crate) message: Vec<MessagePart>,
}

/// A value that is kept from message to message.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) slot: u16,
    pub(crate) program: Program,
}

/// A part of the text that is sent.
#[derive(Clone, Debug)]
pub(crate) enum MessagePart {
    Literal(String),
    Value { slot: u16, digits: Option<u8> },
}

/// What the conditions gave for one message or result; `None` is null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) when: Option<bool>,
    pub(crate) clear: Option<bool>,
}

/// Bits and text of each value that is kept, see `boxed`.
pub(crate) type Held = Vec<(u64, Option<Box<str>>)>;

/// The state of the alert of a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AlertState {
    pub(crate) phase: Phase,
    /// Whether the key has been silent for too long. It is then normal or firing underneath.
    pub(crate) is_silent: bool,
    /// Arrival of the last message that was looked at, in rules without window.
    pub(crate) heard: i64,
    /// Clock of the last message that was sent.
    pub(crate) told: i64,
    /// Reminders since the last message that was none.
    pub(crate) repeats: u32,
    /// Values of `kept`, then outputs.
    pub(crate) held: Held,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Normal,
    Pending {
        since: i64,
    },
    Firing {
        since: i64,
        /// Since when `clear` holds.
        clearing: Option<i64>,
    },
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) kind: SignalKind,
    /// Since when it is so.
    pub(crate) since: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalKind {
    Firing,
    Resolved,
    Silent,
}

impl SignalKind {
    /// As it stands in the body.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SignalKind::Firing => "firing",
            SignalKind::Resolved => "resolved",
            SignalKind::Silent => "silent",
        }
    }
}

impl AlertState {
    /// Lets time go on with what holds.
    pub(crate) fn elapse(&mut self, alert: &Alert, time: i64) -> Option<Signal> {
        match self.phase {
            Phase::Pending { since } if since.saturating_add(alert.hold) <= time => {
                self.phase = Phase::Firing { since, clearing: None };
                Some(Signal { kind: SignalKind::Firing, since })
            }
            Phase::Firing { clearing: Some(since), .. }
                if since.saturating_add(alert.clear_hold) <= time =>
            {
                self.phase = Phase::Normal;
                Some(Signal { kind: SignalKind::Resolved, since })
            }
            _ => None,
        }
    }

    /// Takes what the conditions gave; time has gone on to `time` before.
    pub(crate) fn observe(&mut self, alert: &Alert, verdict: Verdict, time: i64) -> Option<Signal> {
        let was_silent = std::mem::take(&mut self.is_silent);
        self.phase = match (self.phase, verdict) {
            (Phase::Normal, Verdict { when: Some(true), .. }) => Phase::Pending { since: time },
            (Phase::Pending { .. }, Verdict { when: Some(false), .. }) => Phase::Normal,
            (Phase::Firing { since, clearing }, Verdict { clear: Some(clear), .. }) => {
                let clearing = clear.then_some(clearing.unwrap_or(time));
                Phase::Firing { since, clearing }
            }
            (phase, _) => phase,
        };
        // A message that ends a silence says how things stand now, whatever that is.
        self.elapse(alert, time).or_else(|| was_silent.then(|| self.standing(time)))
    }

    /// The key has been silent for too long; `newest` is the time of its last message.
    pub(crate) fn fall_silent(&mut self, newest: i64) -> Signal {
        self.is_silent = true;
        self.phase = match self.phase {
            Phase::Normal | Phase::Pending { .. } => Phase::Normal,
            Phase::Firing { since, .. } => Phase::Firing { since, clearing: None },
        };
        Signal { kind: SignalKind::Silent, since: newest }
    }

    /// What was sent last, to be sent again.
    pub(crate) fn remind(&mut self, newest: i64) -> Signal {
        self.repeats = self.repeats.saturating_add(1);
        match self.is_silent {
            true => Signal { kind: SignalKind::Silent, since: newest },
            false => self.standing(newest),
        }
    }

    /// When, in the time of the conditions, `elapse` has something to do next.
    pub(crate) fn due(&self, alert: &Alert) -> Option<i64> {
        match self.phase {
            Phase::Pending { since } => Some(since.saturating_add(alert.hold)),
            Phase::Firing { clearing, .. } => {
                clearing.map(|since| since.saturating_add(alert.clear_hold))
            }
            Phase::Normal => None,
        }
    }

    /// When the clock brings the next reminder.
    pub(crate) fn reminder(&self, alert: &Alert) -> Option<i64> {
        let is_told = self.is_silent || matches!(self.phase, Phase::Firing { .. });
        is_told.then_some(self.told.saturating_add(alert.repeat?))
    }

    /// Whether there is something that must not be forgotten.
    pub(crate) fn is_active(&self) -> bool {
        self.is_silent || self.phase != Phase::Normal
    }

    /// Estimate of the memory it uses.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.held.iter().filter_map(|(_, text)| text.as_ref());
        Self::base_bytes(self.held.len()) + texts.map(|text| text.len()).sum::<usize>()
    }

    /// The same without texts.
    pub(crate) fn base_bytes(held: usize) -> usize {
        size_of::<Self>() + held * size_of::<(u64, Option<Box<str>>)>() + ALLOCATOR_BYTES
    }

    fn standing(&self, time: i64) -> Signal {
        match self.phase {
            Phase::Firing { since, .. } => Signal { kind: SignalKind::Firing, since },
            Phase::Normal | Phase::Pending { .. } => {
                Signal { kind: SignalKind::Resolved, since: time }
            }
        }
    }
}

/// Headers of its two allocations.
const ALLOCATOR_BYTES: usize = 32;
