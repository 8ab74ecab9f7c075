//! REGISTER from nodes, SUBSCRIBE and UNSUBSCRIBE.

use weir_node::mqtt_sn_1_2::{
    MessageId, Packet, QoS, Regack, Register, ReturnCode, Suback, Subscribe, SubscribeTopic,
    TopicId, Unsubscribe,
};

use super::Gateway;
use super::age;
use super::client::{ClientKey, Request, RequestKind, Subscription};
use super::counters::Counter;
use super::outbox::RefusalReason;
use super::publish::short_name;
use super::topic::{check_filter, check_name, has_wildcard};
use super::topic_ids::Knowledge;
use crate::session::{Command, REQUESTS_MAX, Ticket};

impl Gateway {
    pub(super) fn handle_register(&mut self, key: ClientKey, register: &Register<'_>) {
        let client = &mut self.clients[key];
        let (topic_id, return_code) = if check_name(age::target(register.topic)).is_err() {
            self.refuse(key, RefusalReason::Publish, Some(register.topic));
            (None, ReturnCode::NotSupported)
        } else if let Some(id) = client.topics.assign(register.topic, self.options.topic_ids_max) {
            client.topics.set(id, Knowledge::Known);
            self.save(key);
            (Some(id), ReturnCode::Accepted)
        } else {
            self.out.count(Counter::Congested);
            (None, ReturnCode::Congestion)
        };
        let topic_id = topic_id.unwrap_or(TopicId(0));
        let regack = Regack { topic_id, message_id: register.message_id, return_code };
        self.out.send(&self.clients[key].address, Packet::Regack(regack));
    }

    pub(super) fn handle_subscribe(&mut self, key: ClientKey, subscribe: &Subscribe<'_>) {
        let message_id = subscribe.message_id;
        let filter = self.filter(key, subscribe.topic);
        let decided = filter.and_then(|filter| {
            if !self.may_subscribe(key, &filter) {
                self.refuse(key, RefusalReason::Subscribe, Some(&filter));
                return Err(ReturnCode::NotSupported);
            }
            let topic_id = self.topic_id_for(key, subscribe.topic, &filter)?;
            self.has_room_for_request(key, &filter)?;
            Ok((filter, topic_id))
        });
        let (filter, topic_id) = match decided {
            Ok(decided) => decided,
            Err(return_code) => {
                if return_code == ReturnCode::Congestion {
                    self.out.count(Counter::Congested);
                }
                let suback = refused(message_id, return_code);
                return self.out.send(&self.clients[key].address, suback);
            }
        };
        if self.is_asked(key, |kind| {
            matches!(kind, RequestKind::Subscribe { message_id: asked, .. } if *asked == message_id.0)
        }) {
            return self.out.count(Counter::Duplicates);
        }
        let client = &mut self.clients[key];
        let ticket = client.ticket();
        let kind = RequestKind::Subscribe { message_id: message_id.0, topic_id };
        client.requests.push(Request { ticket, filter: filter.clone(), kind });
        let (session, qos) = (client.session.id, subscribe.qos);
        self.remember(key, &filter, qos);
        self.out.command(session, Command::Subscribe { ticket, filter, qos });
    }

    pub(super) fn handle_unsubscribe(&mut self, key: ClientKey, unsubscribe: &Unsubscribe<'_>) {
        let message_id = unsubscribe.message_id.0;
        if self.is_asked(key, |kind| {
            matches!(kind, RequestKind::Unsubscribe { message_id: asked } if *asked == message_id)
        }) {
            return self.out.count(Counter::Duplicates);
        }
        // UNSUBACK has no return code: what is none is not subscribed to.
        let Ok(filter) = self.filter(key, unsubscribe.topic) else {
            let unsuback = Packet::Unsuback(unsubscribe.message_id);
            return self.out.send(&self.clients[key].address, unsuback);
        };
        let client = &mut self.clients[key];
        // Without an answer, the node asks again.
        if !client.is_open() || client.requests.len() >= REQUESTS_MAX {
            return self.out.count(Counter::Congested);
        }
        let ticket = client.ticket();
        let kind = RequestKind::Unsubscribe { message_id };
        client.requests.push(Request { ticket, filter: filter.clone(), kind });
        self.out.command(client.session.id, Command::Unsubscribe { ticket, filter });
    }

    pub(super) fn handle_subscribed(
        &mut self,
        now: u64,
        key: ClientKey,
        ticket: Ticket,
        granted: Option<QoS>,
    ) {
        let Some(request) = self.take_request(key, ticket) else { return };
        let client = &mut self.clients[key];
        match request.kind {
            RequestKind::Subscribe { message_id, topic_id } => {
                let message_id = MessageId(message_id);
                let suback = match granted {
                    Some(qos) => {
                        // Not if it is a predefined id, which only looks like one of these.
                        if client.topics.name(topic_id) == Some(&request.filter) {
                            client.topics.set(topic_id, Knowledge::Known);
                        }
                        let return_code = ReturnCode::Accepted;
                        Packet::Suback(Suback { qos, topic_id, message_id, return_code })
                    }
                    None => {
                        // One that was lost with the broker is made again with the others.
                        let refused_it = client.is_open();
                        if refused_it {
                            client.subscriptions.retain(|kept| kept.filter != request.filter);
                        }
                        let code = match refused_it {
                            true => ReturnCode::NotSupported,
                            false => ReturnCode::Congestion,
                        };
                        refused(message_id, code)
                    }
                };
                self.out.send(&client.address, suback);
                self.save(key);
            }
            RequestKind::Resubscribe => self.resubscribe(key),
            // It was refused for want of room; the node asks again.
            RequestKind::Unsubscribe { .. } => {}
        }
        self.pump(now, key);
    }

    pub(super) fn handle_unsubscribed(&mut self, now: u64, key: ClientKey, ticket: Ticket) {
        let Some(request) = self.take_request(key, ticket) else { return };
        if let RequestKind::Unsubscribe { message_id } = request.kind {
            let client = &mut self.clients[key];
            client.subscriptions.retain(|kept| kept.filter != request.filter);
            self.out.send(&client.address, Packet::Unsuback(MessageId(message_id)));
            self.save(key);
        }
        self.pump(now, key);
    }

    /// Asks for what the broker has lost, as much of it at a time as it takes.
    pub(super) fn resubscribe(&mut self, key: ClientKey) {
        let client = &mut self.clients[key];
        while client.requests.len() < REQUESTS_MAX
            && let Some(kept) = client.subscriptions.get(client.resubscribe_from).cloned()
        {
            client.resubscribe_from += 1;
            let ticket = client.ticket();
            let Subscription { filter, qos } = kept;
            let kind = RequestKind::Resubscribe;
            client.requests.push(Request { ticket, filter: filter.clone(), kind });
            self.out.command(client.session.id, Command::Subscribe { ticket, filter, qos });
        }
    }

    fn filter(&self, key: ClientKey, topic: SubscribeTopic<'_>) -> Result<Box<str>, ReturnCode> {
        match topic {
            SubscribeTopic::Name(name) if age::has_age(name) || check_filter(name).is_err() => {
                Err(ReturnCode::NotSupported)
            }
            SubscribeTopic::Name(name) => Ok(name.into()),
            SubscribeTopic::Predefined(id) => {
                let name = self.options.predefined.name(Some(&self.clients[key].id), id);
                name.map(Box::from).ok_or(ReturnCode::InvalidTopicId)
            }
            SubscribeTopic::Short(octets) => short_name(octets).ok_or(ReturnCode::InvalidTopicId),
        }
    }

    /// The id that SUBACK gives: 0 for what has wildcards or is named without a topic id.
    fn topic_id_for(
        &mut self,
        key: ClientKey,
        topic: SubscribeTopic<'_>,
        filter: &str,
    ) -> Result<TopicId, ReturnCode> {
        match topic {
            SubscribeTopic::Name(_) if has_wildcard(filter) => Ok(TopicId(0)),
            SubscribeTopic::Name(_) => {
                let topics = &mut self.clients[key].topics;
                topics.assign(filter, self.options.topic_ids_max).ok_or(ReturnCode::Congestion)
            }
            SubscribeTopic::Predefined(id) => Ok(id),
            SubscribeTopic::Short(_) => Ok(TopicId(0)),
        }
    }

    fn may_subscribe(&self, key: ClientKey, filter: &str) -> bool {
        let node = self.options.nodes.get(&*self.clients[key].id);
        let filters = node.and_then(|node| node.subscribe.as_ref());
        filters.is_none_or(|filters| filters.iter().any(|allowed| allowed.covers(filter)))
    }

    fn has_room_for_request(&self, key: ClientKey, filter: &str) -> Result<(), ReturnCode> {
        let client = &self.clients[key];
        let is_new = !client.subscriptions.iter().any(|kept| *kept.filter == *filter);
        let is_full = is_new && client.subscriptions.len() >= self.options.subscriptions_max;
        if !client.is_open() || client.requests.len() >= REQUESTS_MAX || is_full {
            return Err(ReturnCode::Congestion);
        }
        Ok(())
    }

    /// Remembers a subscription from when it is asked for, so that it is not lost with the broker.
    fn remember(&mut self, key: ClientKey, filter: &str, qos: QoS) {
        let client = &mut self.clients[key];
        match client.subscriptions.iter_mut().find(|kept| *kept.filter == *filter) {
            Some(kept) => kept.qos = qos,
            None => {
                // It is asked for already.
                if client.resubscribe_from == client.subscriptions.len() {
                    client.resubscribe_from += 1;
                }
                client.subscriptions.push(Subscription { filter: filter.into(), qos });
            }
        }
    }

    fn is_asked(&self, key: ClientKey, is_it: impl Fn(&RequestKind) -> bool) -> bool {
        self.clients[key].requests.iter().any(|request| is_it(&request.kind))
    }

    fn take_request(&mut self, key: ClientKey, ticket: Ticket) -> Option<Request> {
        let requests = &mut self.clients[key].requests;
        let place = requests.iter().position(|request| request.ticket == ticket)?;
        Some(requests.remove(place))
    }
}

fn refused(message_id: MessageId, return_code: ReturnCode) -> Packet<'static> {
    let (qos, topic_id) = (QoS::AtMostOnce, TopicId(0));
    Packet::Suback(Suback { qos, topic_id, message_id, return_code })
}
