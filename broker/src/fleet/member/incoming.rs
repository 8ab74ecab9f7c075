//! What comes from the server: what boxes say, messages, values and answers.

use futures_util::FutureExt as _;
use weir_core::{Instant, Message, Sequence};

use super::session::{Session, Stage};
use super::{Durable, Fleet};
use crate::fleet::arrivals::Verdict;
use crate::fleet::boxes::Standing;
use crate::fleet::envelope;
use crate::fleet::jetstream::{Delivered, Fetched, Incoming};
use crate::fleet::names::Said;
use crate::inner_turn::{InnerTurn, OwnedPublication};
use crate::mailbox::Mail;
use crate::upstream::LinkError;

/// What has come in one go.
#[derive(Default)]
struct Arrived {
    at: Instant,
    live: Vec<OwnedPublication>,
    retained: Vec<Message>,
    /// Of the values those that are handed to subscribers.
    handed: Vec<OwnedPublication>,
    /// Messages that are durable here already.
    again: Vec<String>,
    has_heard: bool,
    /// What is not there any more.
    gone: Option<String>,
    /// Messages that were there and do not come.
    missing: u64,
}

impl Fleet {
    pub(super) async fn handle_events(
        &mut self,
        session: &mut Session,
        first: Incoming,
    ) -> Result<(), LinkError> {
        let mut arrived = Arrived { at: self.clock.now().monotonic, ..Arrived::default() };
        let mut next = Some(first);
        let mut result = Ok(());
        for _ in 0..EVENTS_MAX {
            let Some(event) = next.take() else { break };
            self.handle_event(session, event, &mut arrived);
            match session.server.next(session.live < LIVE_MAX).now_or_never() {
                None => break,
                Some(Ok(event)) => next = Some(event),
                Some(Err(error)) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if let Some(event) = next {
            self.handle_event(session, event, &mut arrived);
        }
        self.hand_over(session, &mut arrived);
        for reply in arrived.again {
            session.server.acknowledge(reply).await?;
        }
        if arrived.has_heard && session.is_joined() {
            self.look_at_boxes();
        }
        if let Some(reason) = arrived.gone {
            // The next connection makes what is missing.
            return Err(LinkError::Gone(reason));
        }
        if arrived.missing > 0 {
            let reason = format!("{} messages of a stream do not come", arrived.missing);
            return Err(LinkError::Lost(reason));
        }
        if self.boxes.standing() == Standing::Taken {
            let reason = format!("another box of the fleet has the name `{}`", self.names.own);
            return Err(LinkError::Refused { reason, help: HELP_NAME });
        }
        result
    }

    fn handle_event(&mut self, session: &mut Session, event: Incoming, arrived: &mut Arrived) {
        match event {
            Incoming::Answer { number, answer } => self.handle_answer(session, number, answer),
            Incoming::Idle { of, is_over } => {
                let reading = session.reading.get_mut(&of);
                arrived.missing += reading.map_or(0, |it| it.handle_idle(is_over, arrived.at));
            }
            Incoming::Gone { reason } => arrived.gone = Some(reason),
            Incoming::Delivered(delivered) => {
                if let Some(reading) = session.reading.get_mut(&delivered.of) {
                    reading.handle_delivered(delivered.pending, arrived.at);
                }
                match delivered.of {
                    Fetched::Boxes => self.handle_box(&delivered, arrived),
                    Fetched::Messages => self.handle_message(delivered, arrived),
                    Fetched::Retained => self.handle_entry(&delivered, arrived),
                }
            }
            Incoming::Live(bytes) => match self.arrivals.live(&bytes) {
                Ok(Some(publication)) => {
                    self.dispatch.figures().received += 1;
                    arrived.live.push(publication);
                }
                Ok(None) => self.dispatch.figures().drop("received_unshared", 1),
                Err(malformed) => self.refuse_malformed(&malformed),
            },
            Incoming::TooSlow => self.dispatch.figures().drop("received_too_fast", 1),
        }
    }

    fn handle_box(&mut self, delivered: &Delivered, arrived: &mut Arrived) {
        let Some((name, said)) = self.names.entry(&delivered.subject) else { return };
        let name = name.to_owned();
        if delivered.is_marker {
            let notice = self.boxes.handle_removed(&name);
            notice.iter().for_each(|notice| self.tell(notice));
            return;
        }
        arrived.has_heard = true;
        let at_ns = delivered.at_ns;
        let is_read = match said {
            Said::Alive => serde_json::from_slice(&delivered.payload)
                .map(|alive| drop(self.boxes.handle_alive(&name, at_ns, alive))),
            Said::Wants => serde_json::from_slice(&delivered.payload)
                .map(|wants| self.boxes.handle_wants(&name, at_ns, wants)),
        };
        if let Err(error) = is_read {
            tracing::warn!(
                name,
                %error,
                help = "give it the same version of weir as this one",
                "a box of the fleet says something that is not understood"
            );
        }
    }

    fn handle_message(&mut self, delivered: Delivered, arrived: &mut Arrived) {
        let Delivered { id, payload, sequence, reply, .. } = delivered;
        let (at, to) = (Sequence(sequence), reply.clone());
        match self.arrivals.handle_message(at, &id, &payload, to, &self.bucket) {
            Verdict::Kept { removal } => {
                self.dispatch.figures().received += 1;
                arrived.retained.extend(removal);
            }
            Verdict::Repeated { is_durable } => {
                self.handle.change_status(|status| status.repeated += 1);
                if is_durable {
                    arrived.again.push(reply);
                }
            }
            Verdict::Malformed(malformed) => self.refuse_malformed(&malformed),
            Verdict::Unshared => self.dispatch.figures().drop("received_unshared", 1),
        }
    }

    fn handle_entry(&mut self, delivered: &Delivered, arrived: &mut Arrived) {
        if !delivered.is_marker {
            match envelope::open(&delivered.payload) {
                Ok(message) => {
                    let is_shared = self.arrivals.is_shared(message.topic());
                    let is_handed = is_shared && !delivered.copied_to.includes(&self.names.own);
                    let is_news = self.bucket.handle_entry(delivered.sequence, &message);
                    if is_news && is_handed {
                        arrived.handed.push(self.arrivals.handed(&message));
                    } else if is_news && is_shared {
                        arrived.retained.push(message);
                    }
                }
                Err(malformed) => self.refuse_malformed(&malformed),
            }
        }
    }

    fn refuse_malformed(&mut self, error: &dyn std::fmt::Display) {
        let figures = self.dispatch.figures();
        if !figures.dropped.contains_key("received_malformed") {
            tracing::warn!(
                %error,
                help = "see who else writes to the subjects of the fleet, and whether all boxes have \
                        the same version of weir",
                "something came through the fleet that is no message"
            );
        }
        figures.drop("received_malformed", 1);
    }

    /// Hands over what has arrived.
    fn hand_over(&mut self, session: &mut Session, arrived: &mut Arrived) {
        let mailbox = self.place.mailboxes.first();
        if let Some((mut turn, receipt)) = self.arrivals.take_turn() {
            let durable = self.durable.clone();
            // Without a fleet nobody wants to know any more.
            turn.committed = Some(Box::new(move || drop(durable.send(Durable::Messages(receipt)))));
            mailbox.send(Mail::Turn(turn));
        }
        let live = std::mem::take(&mut arrived.live);
        if !live.is_empty() {
            let (durable, count) = (self.durable.clone(), live.len());
            session.live += count;
            let committed = move || drop(durable.send(Durable::Live(count)));
            mailbox.send(Mail::Turn(InnerTurn {
                publications: live,
                committed: Some(Box::new(committed)),
                ..InnerTurn::default()
            }));
        }
        let retained = std::mem::take(&mut arrived.retained);
        let handed = std::mem::take(&mut arrived.handed);
        let count = retained.len() + handed.len();
        if count > 0 {
            session.retaining += 1;
            self.handle.change_status(|status| status.retained_received += count as u64);
            self.retain_here(retained, handed);
        }
    }

    pub(super) async fn settle_durable(
        &mut self,
        session: &mut Session,
        durable: Durable,
    ) -> Result<(), LinkError> {
        match self.handle_durable(durable) {
            Some(Durable::Messages(receipt)) => {
                for reply in receipt.replies {
                    session.server.acknowledge(reply).await?;
                }
            }
            Some(Durable::Live(count)) => session.live = session.live.saturating_sub(count),
            Some(Durable::Retained) => session.retaining = session.retaining.saturating_sub(1),
            Some(Durable::RetainedHere(records)) => {
                if session.stage == Stage::Comparing {
                    self.compare(session, &records);
                }
            }
            Some(Durable::NewStream(_)) | None => {}
        }
        Ok(())
    }

    /// The other boxes have said something.
    pub(super) fn look_at_boxes(&mut self) {
        for notice in self.boxes.look() {
            self.tell(&notice);
        }
        self.tell_wish();
        self.show();
    }
}

/// Events that are handled before something is sent again.
const EVENTS_MAX: usize = 256;
/// Messages that do not wait and are on their way to the shard.
pub(super) const LIVE_MAX: usize = 4096;
const HELP_NAME: &str = "give each box a `name` of its own in [fleet]; nothing is lost meanwhile";
