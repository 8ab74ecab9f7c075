//! Messages that wait for their confirmation, in the order in which they were published.
//!
//! A message that no queue takes comes back before it is confirmed. The library hands what came back
//! to whichever confirmation it looks at next, of another message too when one frame confirms
//! several. But by the time that a message and all before it are confirmed, what came back of them
//! has been handed to some confirmation that is there: that holds since messages come back in the
//! order in which they were published. So messages are told of in that order, and only after all
//! confirmations behind them were looked at. Which one came back says its identifier.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use lapin::message::BasicReturnMessage;
use lapin::{Confirmation, Error};

use super::message::Envelope;
use crate::upstream::desk::Numbered;
use crate::upstream::error::one_line;

/// What the server, or the end of the channel, made of a message.
pub(super) type Outcome = Result<Confirmation, Error>;

/// A message of which it is known what became of it.
pub(super) struct Settled {
    pub(super) message: Numbered,
    pub(super) envelope: Envelope,
    /// Why no queue has taken it, if none has.
    pub(super) returned: Option<String>,
    pub(super) outcome: Outcome,
}

type Confirmed = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A message on its way.
pub(super) struct Publishing {
    message: Numbered,
    envelope: Envelope,
    confirmed: Confirmed,
    /// Why it came back.
    returned: Option<String>,
    outcome: Option<Outcome>,
}

#[derive(Default)]
pub(super) struct UnderWay {
    messages: VecDeque<Publishing>,
    /// Whether one of them may come back.
    may_return: bool,
}

impl Publishing {
    /// `confirmed` publishes the message when it is polled first.
    pub(super) fn new(message: Numbered, envelope: Envelope, confirmed: Confirmed) -> Self {
        Self { message, envelope, confirmed, returned: None, outcome: None }
    }

    /// Looks whether it is confirmed; with what came back, once.
    fn poll(&mut self, context: &mut Context<'_>) -> Option<BasicReturnMessage> {
        if self.outcome.is_some() {
            return None;
        }
        let Poll::Ready(mut outcome) = self.confirmed.as_mut().poll(context) else { return None };
        let came_back = match &mut outcome {
            Ok(Confirmation::Ack(came_back) | Confirmation::Nack(came_back)) => came_back.take(),
            _ => None,
        };
        self.outcome = Some(outcome);
        came_back
    }

    /// Whether this is the message that came back.
    fn is(&self, came_back: &BasicReturnMessage) -> bool {
        let id = self.envelope.properties.message_id();
        self.returned.is_none()
            // The others are not asked back for.
            && self.message.number.is_some()
            && came_back.delivery.properties.message_id() == id
            && came_back.delivery.routing_key == self.envelope.routing_key
    }
}

impl UnderWay {
    /// Begins to publish a message behind the others.
    pub(super) fn push(&mut self, mut publishing: Publishing, may_return: bool) {
        self.may_return |= may_return;
        // The order of the first look is the order of publishing. Whoever awaits the next outcome
        // looks again.
        let came_back = publishing.poll(&mut Context::from_waker(std::task::Waker::noop()));
        self.messages.push_back(publishing);
        came_back.iter().for_each(|came_back| self.mark(came_back));
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The oldest messages of which it is known what became of them, at least one. Can be dropped
    /// at any time without losing any.
    pub(super) async fn next(&mut self) -> Vec<Settled> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// All of them, in their order.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Numbered, Envelope)> + use<> {
        let messages = std::mem::take(&mut self.messages);
        messages.into_iter().map(|publishing| (publishing.message, publishing.envelope))
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Vec<Settled>> {
        let mut known = 0;
        for place in 0..self.messages.len() {
            let publishing = &mut self.messages[place];
            let came_back = publishing.poll(context);
            if publishing.outcome.is_some() && known == place {
                known += 1;
            }
            came_back.iter().for_each(|came_back| self.mark(came_back));
            // Behind one that is not known yet, others matter only for what came back.
            if known <= place && (known == 0 || !self.may_return) {
                break;
            }
        }
        if known == 0 {
            return Poll::Pending;
        }
        let settled = |publishing: Publishing| {
            let Publishing { message, envelope, returned, outcome, .. } = publishing;
            Settled { message, envelope, returned, outcome: outcome.expect("they were counted") }
        };
        Poll::Ready(self.messages.drain(..known).map(settled).collect())
    }

    fn mark(&mut self, came_back: &BasicReturnMessage) {
        if let Some(publishing) = self.messages.iter_mut().find(|one| one.is(came_back)) {
            let text = one_line(came_back.reply_text.as_str());
            publishing.returned =
                Some(format!("no queue takes it: {} {text}", came_back.reply_code));
        }
    }
}
