//! Which version of MQTT is spoken next to a far end that is to be spoken to in MQTT 5.
//!
//! Pure. A broker of 3.1.1 says that it does not speak MQTT 5, or ends the connection without a
//! word. So does whatever lets connections in for a broker that is down. Over 3.1.1 a message has
//! no `id`, so silence is not enough: 3.1.1 is asked whether anybody is there, which is not used for
//! messages, and MQTT 5 once more. One that answers the first and again not the second does not
//! speak it.

use crate::config::MqttVersion;
use crate::upstream::error::LinkError;

/// What is known, from one connection to the next.
#[derive(Debug)]
pub(super) struct Versions {
    state: State,
    /// MQTT 5 was answered since this process began.
    has_answered: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// It is asked in 3.1.1 whether anybody is there, when so many rounds have shown the same.
    Asks { rounds: u8 },
    /// Somebody is there, and is asked for MQTT 5 once more.
    Checks { rounds: u8 },
    /// 3.1.1 is used, for one connection.
    FallsBack,
    /// Nothing was answered once.
    Silent,
    /// Nothing is wrong.
    Usual,
}

impl Versions {
    pub(super) fn new() -> Self {
        Self { state: State::Usual, has_answered: false }
    }

    /// What the next connection speaks.
    pub(super) fn next(&self) -> MqttVersion {
        match self.state {
            State::Asks { .. } | State::FallsBack => MqttVersion::V311,
            State::Checks { .. } | State::Silent | State::Usual => MqttVersion::V50,
        }
    }

    /// Whether 3.1.1 is used for messages.
    pub(super) fn falls_back(&self) -> bool {
        self.state == State::FallsBack
    }

    /// It has let this connection in. Answers whether the connection is for messages.
    pub(super) fn handle_connected(&mut self) -> bool {
        match self.state {
            State::Asks { rounds } => {
                self.state = State::Checks { rounds };
                return false;
            }
            State::FallsBack => {}
            State::Checks { .. } | State::Silent | State::Usual => {
                self.has_answered = true;
                self.state = State::Usual;
            }
        }
        true
    }

    /// A connection is over. Answers whether the same address is to be asked at once in another
    /// way.
    pub(super) fn handle_ended(&mut self, error: Option<&LinkError>) -> bool {
        let is_silent = matches!(error, Some(LinkError::Unanswered));
        let is_refused = matches!(error, Some(LinkError::OtherVersion(_)));
        let rounds_max = if self.has_answered { ROUNDS_AFTER_ANSWER } else { ROUNDS };
        let before = self.state;
        self.state = match before {
            State::Checks { .. } if matches!(error, Some(LinkError::OnlyAsked)) => before,
            State::Checks { .. } | State::Silent | State::Usual if is_refused => State::FallsBack,
            State::Checks { rounds } if is_silent && rounds + 1 >= rounds_max => State::FallsBack,
            State::Checks { rounds } if is_silent => State::Asks { rounds: rounds + 1 },
            State::Silent if is_silent => State::Asks { rounds: 0 },
            State::Usual if is_silent => State::Silent,
            // By the next time it may speak MQTT 5.
            State::Asks { .. }
            | State::Checks { .. }
            | State::FallsBack
            | State::Silent
            | State::Usual => State::Usual,
        };
        matches!(self.state, State::Asks { .. } | State::Checks { .. } | State::FallsBack)
    }
}

/// How often somebody has to be there and not to answer MQTT 5.
const ROUNDS: u8 = 1;
/// The same of a far end that has answered it before.
const ROUNDS_AFTER_ANSWER: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// A far end in one attempt: silent in MQTT 5 or not, there in 3.1.1 or not.
    #[derive(Clone, Copy)]
    struct FarEnd {
        speaks_5: bool,
        is_there: bool,
    }

    const AWAY: FarEnd = FarEnd { speaks_5: false, is_there: false };
    const OLD: FarEnd = FarEnd { speaks_5: false, is_there: true };
    const NEW: FarEnd = FarEnd { speaks_5: true, is_there: true };

    /// One connection, which ends; says what was spoken if messages went over it.
    fn connect(versions: &mut Versions, far_end: FarEnd) -> Option<MqttVersion> {
        let version = versions.next();
        let answers = far_end.is_there && (version == MqttVersion::V311 || far_end.speaks_5);
        if !answers {
            versions.handle_ended(Some(&LinkError::Unanswered));
            return None;
        }
        if !versions.handle_connected() {
            assert!(versions.handle_ended(Some(&LinkError::OnlyAsked)));
            return None;
        }
        versions.handle_ended(Some(&LinkError::Lost(String::new())));
        Some(version)
    }

    #[test]
    fn one_that_does_not_speak_mqtt_5_is_spoken_to_in_3_1_1_each_time() {
        let mut versions = Versions::new();
        for _ in 0..2 {
            let mut attempts = 1;
            while connect(&mut versions, OLD).is_none() {
                attempts += 1;
            }
            assert_eq!(attempts, 5, "twice silent, is it there, once more, and 3.1.1");
        }
        let says_no = LinkError::OtherVersion("84".to_owned());
        assert!(versions.handle_ended(Some(&says_no)) && versions.falls_back());
        assert_eq!(connect(&mut versions, OLD), Some(MqttVersion::V311));
        assert_eq!(versions.next(), MqttVersion::V50);
    }

    /// Something lets connections in for a broker that is down, and it is up again at any moment.
    #[test]
    fn one_that_was_away_is_spoken_to_in_mqtt_5_again() {
        for has_answered in [false, true] {
            for away in 0..30 {
                let mut versions = Versions::new();
                if has_answered {
                    assert_eq!(connect(&mut versions, NEW), Some(MqttVersion::V50));
                }
                for _ in 0..away {
                    assert_eq!(connect(&mut versions, AWAY), None);
                }
                let used = std::iter::repeat_with(|| connect(&mut versions, NEW)).flatten().next();
                assert_eq!(used, Some(MqttVersion::V50), "{away} attempts");
            }
        }
    }

    /// It may be away a moment after it was there.
    #[test]
    fn one_that_has_answered_mqtt_5_has_to_be_silent_three_times_more() {
        let mut versions = Versions::new();
        connect(&mut versions, NEW);
        let mut attempts = 0;
        while connect(&mut versions, OLD).is_none() {
            attempts += 1;
        }
        assert_eq!(attempts, 8, "twice silent, and three times two more");
    }

    #[test]
    fn what_has_nothing_to_do_with_versions_changes_none() {
        let mut versions = Versions::new();
        connect(&mut versions, AWAY);
        assert!(!versions.handle_ended(Some(&LinkError::Timeout)));
        connect(&mut versions, AWAY);
        assert_eq!(versions.next(), MqttVersion::V50);
        assert!(!versions.handle_ended(None));
    }
}
