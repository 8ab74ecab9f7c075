//! What JetStream answers to a message.

use async_nats::{Message, StatusCode};

use super::pub_ack::{Fault, PubAck};
use crate::upstream::error::LinkError;

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing that JetStream says: somebody else listens to the subject and has answered.
    Foreign,
    /// It is not stored because of something that has to be put right first, or passes.
    NotNow(LinkError),
    Stored,
    /// It will never be stored.
    Wrong(String),
}

impl Answer {
    /// What the answer to a message for `subject` means.
    pub(super) fn of(message: &Message, subject: &str) -> Self {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            let reason = format!("no stream takes the subject `{subject}`");
            return Self::NotNow(LinkError::Refused { reason, help: HELP_NO_STREAM });
        }
        match PubAck::of(&message.payload) {
            PubAck { error: Some(fault), .. } => meaning(fault),
            PubAck { stream: Some(_), .. } => Self::Stored,
            PubAck { .. } => Self::Foreign,
        }
    }
}

fn meaning(fault: Fault) -> Answer {
    let reason = fault.description;
    let help = match fault.err_code {
        STREAM_NOT_MATCH => HELP_STREAM,
        JETSTREAM_NOT_ENABLED | JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => HELP_NO_JETSTREAM,
        // A stream that keeps what it has; others of its faults pass.
        STREAM_STORE_FAILED if reason.contains("per subject") => return Answer::Wrong(reason),
        _ if (400..500).contains(&fault.code) => return Answer::Wrong(reason),
        _ => return Answer::NotNow(LinkError::RefusedMessage(reason)),
    };
    Answer::NotNow(LinkError::Refused { reason, help })
}

const JETSTREAM_NOT_ENABLED_FOR_ACCOUNT: u32 = 10_039;
const STREAM_NOT_MATCH: u32 = 10_060;
const JETSTREAM_NOT_ENABLED: u32 = 10_076;
const STREAM_STORE_FAILED: u32 = 10_077;

const HELP_NO_STREAM: &str =
    "make a stream that takes it (`nats stream add`), or add the subject to one";
const HELP_STREAM: &str =
    "another stream takes these subjects than `stream` of this upstream: put one of them right";
const HELP_NO_JETSTREAM: &str = "switch JetStream on at the server, for the account of this user";

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(payload: &'static str) -> Answer {
        let message = Message {
            subject: "_INBOX.a.1".into(),
            reply: None,
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        };
        Answer::of(&message, "agg.a")
    }

    #[test]
    fn only_jetstream_can_store_a_message() {
        assert!(matches!(answer(r#"{"stream":"PLANT","seq":7}"#), Answer::Stored));
        let again = answer(r#"{"stream":"PLANT","seq":7,"duplicate":true}"#);
        assert!(matches!(again, Answer::Stored));
        for foreign in ["", "ok", "{}", "[1]"] {
            assert!(matches!(answer(foreign), Answer::Foreign), "{foreign}");
        }
    }

    #[test]
    fn a_fault_is_of_the_message_or_of_the_stream() {
        let large = r#"{"error":{"code":400,"err_code":10054,"description":"too large"}}"#;
        assert!(matches!(answer(large), Answer::Wrong(reason) if reason == "too large"));
        let kept = r#"{"error":{"code":503,"err_code":10077,
            "description":"maximum messages per subject exceeded"}}"#;
        assert!(matches!(answer(kept), Answer::Wrong(_)));
        let full = r#"{"error":{"code":503,"err_code":10077,
            "description":"maximum bytes exceeded"}}"#;
        let full = answer(full);
        assert!(matches!(full, Answer::NotNow(LinkError::RefusedMessage(_))), "{full:?}");
        let other = r#"{"error":{"code":400,"err_code":10060,"description":"no match"}}"#;
        let other = answer(other);
        assert!(matches!(other, Answer::NotNow(LinkError::Refused { .. })), "{other:?}");
    }
}
