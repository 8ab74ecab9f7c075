//! SUBSCRIBE and UNSUBSCRIBE, and the retained messages that a new subscription gets.
//!
//! A subscription of a kept session is acknowledged once it is durable. The retained messages go
//! through the session's queue, so a slow client gets all of them, at the pace that it reads.

use std::sync::Arc;

use smallvec::SmallVec;
use weir_mqtt::{
    Packet, QoS, ReasonCode, RetainHandling, Suback, Subscribe, SubscribeFilter,
    SubscriptionOptions, TopicFilter, Unsuback, Unsubscribe,
};

use crate::authorize::Access;
use crate::change::{Change, Destination, SubscriptionRecord, Target};
use crate::clock::Now;
use crate::connection::State;
use crate::core::Core;
use crate::durability::Durability;
use crate::explanation::{self, Refusal};
use crate::gate::Gated;
use crate::history;
use crate::identity::{ConnectionId, SessionId};
use crate::inflight::Delivered;
use crate::key::SessionKey;
use crate::message::Message;
use crate::metrics::DropReason;
use crate::mount;
use crate::pressure::MemoryPressure;
use crate::room::NO_ROOM;
use crate::subscriptions;

impl Core {
    pub(crate) fn handle_subscribe(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        subscribe: &Subscribe<'_>,
    ) {
        self.charge_filters(now, id, subscribe.filters.iter().count());
        let changes_before = self.durable_changes();
        let identifier = subscribe.properties.subscription_identifier;
        let whole = self.whole_filters(key, subscribe);
        let mut reasons: SmallVec<[ReasonCode; 8]> = SmallVec::new();
        let mut replays: SmallVec<[(TopicFilter<'_>, SubscriptionRecord); 8]> = SmallVec::new();
        let qos_max = self.qos_max(id);
        let retain_available = self.retain_available(id);
        let mut why: Option<Refusal> = None;
        for (wanted, whole) in subscribe.filters.iter().zip(&whole) {
            if let Some(history) = history::parse(wanted.filter) {
                let record = granted_record(&wanted, qos_max, identifier);
                let begin = |range| self.subscribe_to_history(now, key, &wanted, range, record);
                let outcome = history.and_then(begin);
                let refusal = outcome.err();
                why = why.or(refusal.filter(|(_, text)| !text.is_empty()));
                reasons.push(outcome.map_or_else(|(reason, _)| reason, granted));
                if matches!(refusal, Some((ReasonCode::NotAuthorized, _))) {
                    self.tell_denied(id, key, Access::Read, wanted.filter.as_str());
                }
                continue;
            }
            let filter = match whole {
                None => Ok(wanted.filter),
                Some(whole) => TopicFilter::parse(whole),
            };
            let Ok(filter) = filter else {
                // The mount point has made it too long.
                reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            let wanted = SubscribeFilter { filter, ..wanted };
            let needs_room = self.needs_subscription_room(key, wanted.filter);
            let reason = match self.check_filter(key, &wanted) {
                Ok(()) if needs_room => {
                    why = why.or(Some(NO_ROOM));
                    ReasonCode::QuotaExceeded
                }
                Err(reason) => {
                    if reason == ReasonCode::NotAuthorized {
                        self.tell_denied(id, key, Access::Read, wanted.filter.as_str());
                    }
                    reason
                }
                Ok(()) => {
                    let record = granted_record(&wanted, qos_max, identifier);
                    let is_new = self.add_subscription(key, wanted.filter, record);
                    let replay = match wanted.options.retain_handling {
                        // A group has no first message of its own.
                        _ if wanted.filter.share_name().is_some() => false,
                        RetainHandling::Send => true,
                        RetainHandling::SendIfNew => is_new,
                        RetainHandling::DoNotSend => false,
                    };
                    if replay && retain_available {
                        replays.push((wanted.filter, record));
                    }
                    granted(record.options.qos)
                }
            };
            reasons.push(reason);
        }
        let durable = self.durable_changes() > changes_before;
        let suback = Packet::Suback(Suback::new(subscribe.packet_id, &reasons));
        let told_after = self.reply_packet(now, id, key, &suback, why, durable);
        // An answer too long for the client ends the connection, and may end the session.
        let is_open = |core: &Self| {
            core.connections.get(id).is_some_and(|open| open.state == State::Open(key))
        };
        for (filter, record) in replays {
            if !is_open(self) {
                break;
            }
            match told_after.filter(|_| self.peers.any()) {
                // What others have published until then is here by then.
                Some(batch) => {
                    let session = self.sessions[key as usize].id;
                    let filter = filter.as_str().into();
                    self.wait_for(batch, Gated::Replay { connection: id, session, filter });
                }
                None => self.replay_retained(now, key, filter, record),
            }
        }
        // Messages of a group may wait for somebody who is not there.
        let shared = |wanted: SubscribeFilter<'_>| wanted.filter.share_name().is_some();
        if is_open(self) && subscribe.filters.iter().any(shared) {
            self.pump(now, key);
        }
    }

    pub(crate) fn handle_unsubscribe(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        unsubscribe: &Unsubscribe<'_>,
    ) {
        self.charge_filters(now, id, unsubscribe.filters.iter().count());
        let changes_before = self.durable_changes();
        let mut reasons: SmallVec<[ReasonCode; 8]> = SmallVec::new();
        for filter in unsubscribe.filters.iter() {
            if self.unsubscribe_from_history(key, filter.as_str()) {
                reasons.push(ReasonCode::Success);
                continue;
            }
            let mount_point = self.sessions[key as usize].mount_point.as_ref();
            let whole = mount_point.map(|mount| mount::filter(mount, filter));
            let filter = whole.as_deref().unwrap_or(filter.as_str());
            let existed = self.remove_subscription(now, key, filter);
            reasons.push(if existed {
                ReasonCode::Success
            } else {
                ReasonCode::NoSubscriptionExisted
            });
        }
        let durable = self.durable_changes() > changes_before;
        let unsuback = Packet::Unsuback(Unsuback::new(unsubscribe.packet_id, &reasons));
        self.reply_packet(now, id, key, &unsuback, None, durable);
    }

    /// The filters with the mount point of the session; none where it has no mount point.
    fn whole_filters(
        &self,
        key: SessionKey,
        subscribe: &Subscribe<'_>,
    ) -> SmallVec<[Option<String>; 1]> {
        let mount_point = self.sessions[key as usize].mount_point.as_ref();
        let whole = |filter| mount_point.map(|mount| mount::filter(mount, filter));
        subscribe.filters.iter().map(|wanted| whole(wanted.filter)).collect()
    }

    pub(crate) fn check_filter(
        &self,
        key: SessionKey,
        wanted: &SubscribeFilter<'_>,
    ) -> Result<(), ReasonCode> {
        let filter = wanted.filter;
        let levels = filter.levels().count();
        if filter.as_str().len() > self.limits.topic_bytes_max
            || levels > self.limits.topic_levels_max
        {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        let session = &self.sessions[key as usize];
        let permissions = session.permissions.as_ref();
        if !permissions.is_none_or(|allowed| allowed.allow_subscription(filter.filter())) {
            return Err(ReasonCode::NotAuthorized);
        }
        let bytes = session.subscription_bytes + subscriptions::cost(filter.as_str());
        let is_full = session.subscriptions.len() >= self.limits.subscriptions_max
            || (bytes > self.limits.subscription_bytes_max() && !session.subscriptions.is_empty())
            || self.pressure >= MemoryPressure::LeavesOnDisk;
        if is_full && session.subscription(filter.as_str()).is_err() {
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    /// Whether a subscription would have to be kept and the store has no room for it.
    fn needs_subscription_room(&self, key: SessionKey, filter: TopicFilter<'_>) -> bool {
        let session = &self.sessions[key as usize];
        self.is_store_full() && session.stored && session.subscription(filter.as_str()).is_err()
    }

    /// True when the session had no subscription to this filter.
    fn add_subscription(
        &mut self,
        key: SessionKey,
        filter: TopicFilter<'_>,
        record: SubscriptionRecord,
    ) -> bool {
        let session = &mut self.sessions[key as usize];
        let (filter, is_new) = match session.subscription(filter.as_str()) {
            Ok(index) => {
                let known = &mut session.subscriptions[index];
                known.1 = record;
                (known.0.clone(), false)
            }
            Err(index) => {
                let filter: Arc<str> = filter.as_str().into();
                if session.subscriptions.is_empty() {
                    // Most sessions have one, and would else take room for four.
                    session.subscriptions.reserve_exact(1);
                }
                session.subscriptions.insert(index, (filter.clone(), record));
                session.subscription_bytes += subscriptions::cost(&filter);
                (filter, true)
            }
        };
        let (session, stored) = (session.id, session.stored);
        self.enter_subscription(key, &filter, &record);
        if stored {
            let filter = (*filter).into();
            self.record(Change::SubscriptionPut { session, filter, options: record });
        }
        is_new
    }

    fn remove_subscription(&mut self, now: Now, key: SessionKey, filter: &str) -> bool {
        let session = &mut self.sessions[key as usize];
        let Ok(index) = session.subscription(filter) else { return false };
        session.subscriptions.remove(index);
        session.subscription_bytes -= subscriptions::cost(filter);
        let (session, stored) = (session.id, session.stored);
        if stored {
            self.record(Change::SubscriptionRemoved { session, filter: filter.into() });
        }
        self.leave_share(now, key, filter);
        true
    }

    /// Replays what is retained, now that all shards know of a subscription.
    pub(crate) fn replay_later(
        &mut self,
        now: Now,
        connection: ConnectionId,
        session: SessionId,
        filter: &str,
    ) {
        let Some(&key) = self.session_keys.get(&session) else { return };
        let session = &self.sessions[key as usize];
        let (Ok(place), Ok(parsed)) = (session.subscription(filter), TopicFilter::parse(filter))
        else {
            return;
        };
        if session.connection == Some(connection) {
            let record = session.subscriptions[place].1;
            self.replay_retained(now, key, parsed, record);
        }
    }

    fn replay_retained(
        &mut self,
        now: Now,
        key: SessionKey,
        filter: TopicFilter<'_>,
        record: SubscriptionRecord,
    ) {
        let mut found: Vec<Message> = Vec::new();
        let session = &self.sessions[key as usize];
        if !self.has_room_for_replays(session) {
            // To look for what is to be dropped would cost more than to send it, each time that a
            // client asks again.
            return self.count_drop(now, key, DropReason::QueueFull);
        }
        let checked = session.checks(filter.filter());
        let mut take = |message: &Message| {
            let may_read = !checked || session.may(Access::Read, message.topic());
            if may_read && !message.is_expired(now.unix_ms) {
                found.push(message.clone());
            }
        };
        self.retained.matching(filter, &mut take);
        self.sys.matching(filter, &mut take);
        for message in found {
            // Without room it waits in memory: it is retained, and so not lost with that.
            let level = match self.is_store_full() {
                true => Durability::None,
                false => self.level_of(message.topic()),
            };
            self.replay(now, key, &message, record, level, true);
        }
        self.pump(now, key);
    }

    /// Lets a message that was published before wait for a session.
    pub(crate) fn replay(
        &mut self,
        now: Now,
        key: SessionKey,
        message: &Message,
        record: SubscriptionRecord,
        level: Durability,
        retain: bool,
    ) {
        let qos = self.outgoing_qos(key, record.options.qos, message.parts().qos);
        let qos = self.qos_at(level, key, qos);
        let identifiers: SmallVec<[u32; 1]> = record.identifier.into_iter().collect();
        let sequence = self.log.reserve();
        if let Some((batch, _)) = self.provisional.back() {
            // It may be one of those that rest on that batch.
            self.provisional.push_back((*batch, sequence));
        }
        let session_id = self.sessions[key as usize].id;
        let logged = self.is_logged(level, key, qos);
        let delivered = Delivered {
            sequence,
            identifier: self.keep_identifiers(key, sequence, &identifiers),
            qos,
            retain,
            logged,
            replay: true,
        };
        if self.enqueue_held(now, key, delivered, message) && logged {
            let target = Target {
                destination: Destination::Session(session_id),
                qos,
                retain,
                packet_id: None,
                subscription_identifiers: identifiers,
            };
            let targets = SmallVec::from_iter([target]);
            self.record_logged(level, sequence, message.clone(), targets);
        }
    }

    /// Answers SUBSCRIBE or UNSUBSCRIBE. For a kept session also an answer that changes nothing
    /// waits behind the earlier ones: what it rests on may not be durable yet. With several shards
    /// it waits until all of them know. Answers the batch that it waits for.
    fn reply_packet(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        packet: &Packet<'_>,
        why: Option<Refusal>,
        durable: bool,
    ) -> Option<u64> {
        let open = self.connections.get(id)?;
        let mut frame = Vec::new();
        explanation::encode_because(packet, why, open, &mut frame)
            .expect("an answer to a valid packet can be encoded");
        if frame.len() > open.packet_bytes_max {
            self.disconnect(now, id, ReasonCode::PacketTooLarge);
            return None;
        }
        let last = self.gate.last_batch();
        let earlier = match self.interest_batch().filter(|_| self.peers.any()) {
            Some(known) => Some(last.map_or(known, |last| last.max(known))),
            None => last.filter(|_| self.sessions[key as usize].stored),
        };
        let behind = if durable { Some(self.turn.batch) } else { earlier };
        match behind {
            Some(batch) => self.gate_reply(batch, id, SmallVec::from_vec(frame), false),
            None => self.write(id, &frame),
        }
        behind
    }
}

/// A subscription as it is granted.
fn granted_record(
    wanted: &SubscribeFilter<'_>,
    qos_max: QoS,
    identifier: Option<u32>,
) -> SubscriptionRecord {
    let qos = wanted.options.qos.min(qos_max);
    SubscriptionRecord { options: SubscriptionOptions { qos, ..wanted.options }, identifier }
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}
