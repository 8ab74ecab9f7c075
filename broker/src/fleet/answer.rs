//! What JetStream answers to something that is to be stored.

use crate::upstream::{Fault, PubAck};

/// What became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// Not now: something has to be put right first, or passes.
    NotNow(String),
    /// Another revision is there than the one that it was to take the place of.
    Other(Option<u64>),
    /// It will never be stored.
    Refused(String),
    /// It is stored, at this position of the stream.
    Stored(u64),
}

impl Answer {
    /// What these bytes say; none when JetStream has not said them.
    pub(super) fn of(payload: &[u8]) -> Option<Self> {
        match PubAck::of(payload) {
            PubAck { error: Some(fault), .. } => Some(meaning(fault)),
            PubAck { stream: Some(_), seq, .. } => Some(Self::Stored(seq)),
            PubAck { .. } => None,
        }
    }
}

fn meaning(fault: Fault) -> Answer {
    if matches!(fault.err_code, WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_CONSTANT) {
        let number = fault.description.rsplit(' ').next();
        return Answer::Other(number.and_then(|number| number.parse().ok()));
    }
    match fault.code {
        400..500 => Answer::Refused(fault.description),
        _ => Answer::NotNow(fault.description),
    }
}

const WRONG_LAST_SEQUENCE: u32 = 10_071;
const WRONG_LAST_SEQUENCE_CONSTANT: u32 = 10_164;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_it_is_or_why_it_is_nowhere() {
        let answer = |text: &str| Answer::of(text.as_bytes());
        assert_eq!(answer(r#"{"stream":"KV_a","seq":7}"#), Some(Answer::Stored(7)));
        let other =
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 0"}}"#;
        assert_eq!(answer(other), Some(Answer::Other(Some(0))));
        let large = r#"{"error":{"code":400,"err_code":10054,"description":"too large"}}"#;
        assert_eq!(answer(large), Some(Answer::Refused("too large".into())));
        let full =
            r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#;
        assert_eq!(answer(full), Some(Answer::NotNow("maximum bytes exceeded".into())));
        for foreign in ["", "ok", "{}", "[1]"] {
            assert_eq!(answer(foreign), None, "{foreign}");
        }
    }
}
