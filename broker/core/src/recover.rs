//! A core takes up what the store has kept.
//!
//! Every session comes back as disconnected. One whose connection was open when the process
//! ended counts as disconnected now; one that was not to be kept ends now, and its will with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, Destination, InflightState, Target};
use crate::clock::Now;
use crate::core::Core;
use crate::identity::Sequence;
use crate::inflight::{Delivered, Inflight, Progress};
use crate::key::SessionKey;
use crate::recovered::{QueuedRecord, Recovered, RecoveredSession};
use crate::schedule::is_delayed;
use crate::session::{Received, Session};
use crate::subscriptions;
use crate::timer::Timer;
use weir_mqtt::QoS;

impl Core {
    pub(crate) fn recover(&mut self, recovered: Recovered, now: Now) {
        for message in recovered.retained {
            let is_expired = message.is_expired(now.unix_ms);
            // What comes after it will not be written, and it would come back instead of that.
            let is_written = self.level_of(message.topic()).is_written();
            if (is_expired || !is_written) && self.records_retained() {
                self.record(Change::RetainedRemoved { topic: message.topic().into() });
            }
            if !is_expired {
                self.retained.put(message);
            }
        }
        for (reader, done) in recovered.readers {
            let known = self.readers.iter_mut().find(|known| known.config.reader == reader);
            if let Some(known) = known {
                known.done = done;
                known.recorded = done;
                known.last = known.last.max(done);
            }
        }
        let (delayed, sessions): (Vec<_>, Vec<_>) =
            recovered.sessions.into_iter().partition(|session| is_delayed(&session.record));
        delayed.into_iter().for_each(|message| self.recover_delayed(now, message));
        let cursors: Vec<(SessionKey, RecoveredSession)> =
            sessions.into_iter().map(|session| (self.recover_session(&session), session)).collect();
        for record in recovered.log {
            self.recover_record(&record, &cursors);
        }
        for (key, recovered) in cursors {
            self.recover_released(key, &recovered);
            self.returned.push((key, recovered.record.disconnected_at_ms));
        }
    }

    /// Starts the clocks of the sessions that came back: from now on wills are published.
    pub(crate) fn go_on(&mut self, now: Now) {
        for (key, disconnected_at_ms) in std::mem::take(&mut self.returned) {
            self.go_on_with(now, key, disconnected_at_ms);
        }
    }

    fn recover_session(&mut self, recovered: &RecoveredSession) -> SessionKey {
        let record = &recovered.record;
        let client_id: Arc<str> = (*record.client_id).into();
        let id = recovered.session;
        self.next_session = self.next_session.max(id.0.checked_add(1).unwrap_or(1));
        let mut session = Session::new(id, client_id, record.version);
        session.stored = true;
        session.expiry_interval_s = record.expiry_interval_s;
        session.absence.since_ms = record.disconnected_at_ms;
        session.will = record.will.clone().map(Box::new);
        session.passed_over = Sequence(recovered.cursor.start.0.saturating_sub(1));
        let received = recovered.received.iter().map(|id| (*id, Received::Recorded));
        session.received = received.collect::<BTreeMap<_, _>>().into();
        session.subscriptions = recovered
            .subscriptions
            .iter()
            .map(|(filter, record)| (Arc::from(&**filter), *record))
            .collect();
        session.subscriptions.sort_by(|(one, _), (other, _)| one.cmp(other));
        session.subscription_bytes =
            session.subscriptions.iter().map(|(filter, _)| subscriptions::cost(filter)).sum();
        let subscriptions = session.subscriptions.clone();
        let key = SessionKey::try_from(self.sessions.insert(session))
            .expect("memory ends before the sessions do");
        self.clients.insert(key, &self.sessions);
        self.session_keys.insert(id, key);
        for (filter, record) in subscriptions {
            self.enter_subscription(key, &filter, &record);
        }
        key
    }

    fn recover_record(
        &mut self,
        record: &QueuedRecord,
        cursors: &[(SessionKey, RecoveredSession)],
    ) {
        for target in &record.targets {
            match target.destination {
                Destination::Reader(reader) => {
                    let known = self.readers.iter_mut().find(|r| r.config.reader == reader);
                    if let Some(known) = known {
                        known.last = known.last.max(record.sequence);
                    }
                }
                Destination::Session(session) => {
                    let place = cursors.binary_search_by_key(&session, |(_, r)| r.session);
                    if let Some((key, recovered)) = place.ok().and_then(|at| cursors.get(at)) {
                        self.recover_target(*key, recovered, record, target);
                    }
                }
            }
        }
    }

    fn recover_target(
        &mut self,
        key: SessionKey,
        recovered: &RecoveredSession,
        record: &QueuedRecord,
        target: &Target,
    ) {
        let sequence = record.sequence;
        let cursor = &recovered.cursor;
        if sequence < cursor.start && cursor.inflight.binary_search(&sequence).is_err() {
            return;
        }
        let delivery = Delivered {
            sequence,
            identifier: self.keep_identifiers(key, sequence, &target.subscription_identifiers),
            qos: target.qos,
            retain: target.retain,
            logged: true,
            replay: false,
        };
        match &record.message {
            Some(message) => self.log.hold(sequence, message, record.bytes),
            None => self.log.hold_absent(sequence, record.bytes, record.expires_at_ms),
        }
        if !record.targets.iter().any(Target::is_shared) {
            self.log.allow_absence(sequence);
        }
        let put_later = recovered.inflight.iter().find_map(|(packet_id, state)| {
            (*state == InflightState::Sent { sequence }).then_some(*packet_id)
        });
        let session = &mut self.sessions[key as usize];
        match put_later.or(target.packet_id) {
            Some(packet_id) => session.inflight.restore(Inflight {
                packet_id,
                progress: Progress::Waiting,
                delivery,
                sent_before: true,
                bytes: Inflight::bytes(record.bytes),
            }),
            None => {
                session.queue.push_back(delivery);
                session.queue_bytes += record.bytes;
            }
        }
    }

    /// Handshakes of which only PUBREL and PUBCOMP are left.
    fn recover_released(&mut self, key: SessionKey, recovered: &RecoveredSession) {
        for (packet_id, state) in &recovered.inflight {
            if *state == InflightState::Released {
                let delivery = Delivered {
                    sequence: Sequence(0),
                    identifier: 0,
                    qos: QoS::ExactlyOnce,
                    retain: false,
                    logged: true,
                    replay: false,
                };
                self.sessions[key as usize].inflight.restore(Inflight {
                    packet_id: *packet_id,
                    progress: Progress::Released,
                    delivery,
                    sent_before: true,
                    bytes: 0,
                });
            }
        }
    }

    fn go_on_with(&mut self, now: Now, key: SessionKey, disconnected_at_ms: Option<u64>) {
        let Some(since) = disconnected_at_ms else {
            // It was connected when the process ended.
            return self.end_connection(now, key, true);
        };
        let session = &mut self.sessions[key as usize];
        let id = session.id;
        let gone_ms = now.unix_ms.saturating_sub(since);
        let left = |seconds: u32| (u64::from(seconds) * 1000).saturating_sub(gone_ms);
        let expires_at = now.monotonic + left(session.expiry_interval_s);
        session.absence.ends_at = Some(expires_at);
        self.timers.arm(expires_at, Timer::SessionExpiry(id));
        if let Some(will) = &session.will {
            let at = now.monotonic + left(will.delay_interval_s);
            session.absence.will_at = Some(at);
            self.timers.arm(at, Timer::Will(id));
        }
        self.strand(now, key);
    }
}
