//! What a client subscribes to, and what that entitles it to.

use weir_mqtt::{
    Packet, PacketId, QoS, Suback, Subscribe, SubscribeFilter, SubscribeProperties,
    SubscriptionOptions, TopicFilter, Unsubscribe, UserProperties,
};

use super::Client;
use crate::sim::surroundings::Surroundings;
use crate::sim::trace::About;
use crate::sim::workload::Role;

impl Client {
    /// The filter that a SUBACK with this identifier is about, unless there will be another one
    /// for the same filter.
    pub(crate) fn filter_of(&self, around: &Surroundings, packet_id: PacketId) -> Option<String> {
        let subscriptions = &around.model.sessions[self.session?].subscriptions;
        let subscription = *self.subscribing.get(&packet_id)?;
        let filter = &subscriptions[subscription].filter;
        let of_filter = self.subscribing.values().filter(|s| subscriptions[**s].filter == *filter);
        (of_filter.count() == 1).then(|| filter.clone())
    }

    /// Subscribes; the answer will be noted.
    pub(crate) fn subscribe(&mut self, around: &mut Surroundings, filter: &str, qos: QoS) {
        let Some(session) = self.session else { return };
        let packet_id = self.next_id();
        let subscription = around.model.subscribe(session, filter, qos);
        self.subscribing.insert(packet_id, subscription);
        around.note(
            About::client(self.number),
            format_args!("client {} subscribes to {filter} at {}", self.number, qos as u8),
        );
        let filter = TopicFilter::parse(filter).expect("a valid filter");
        let options = SubscriptionOptions::new(qos);
        let list = [SubscribeFilter { filter, options }];
        self.send(
            around,
            &Packet::Subscribe(Subscribe {
                packet_id,
                properties: SubscribeProperties::default(),
                filters: (&list[..]).into(),
            }),
        );
    }

    pub(super) fn unsubscribe(&mut self, around: &mut Surroundings) {
        let Some(session) = self.session else { return };
        let subscriptions = &around.model.sessions[session].subscriptions;
        let wanted: Vec<String> = subscriptions
            .iter()
            .filter(|subscription| subscription.drop_asked.is_none())
            .map(|subscription| subscription.filter.clone())
            .collect();
        if wanted.is_empty() {
            return;
        }
        let filter = wanted[around.random.below(wanted.len() as u64) as usize].clone();
        let packet_id = self.next_id();
        let asked = around.model.unsubscribe(session, &filter);
        around.note(
            About::client(self.number),
            format_args!("client {} unsubscribes from {filter}", self.number),
        );
        let list = [TopicFilter::parse(&filter).expect("a valid filter")];
        self.send(
            around,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user_properties: UserProperties::default(),
                filters: (&list[..]).into(),
            }),
        );
        self.unsubscribing.insert(packet_id, (filter, asked));
    }

    pub(super) fn receive_suback(&mut self, around: &mut Surroundings, suback: &Suback<'_>) {
        let subscription = self.subscribing.remove(&suback.packet_id);
        let (Some(subscription), Some(session)) = (subscription, self.session) else {
            return self.blame(around, "got a SUBACK for nothing".to_owned());
        };
        let wanted = around.model.sessions[session].subscriptions[subscription].qos;
        let granted: Vec<u8> = suback.reasons.iter().map(u8::from).collect();
        if granted != [wanted as u8] {
            return self.blame(around, format!("was granted {granted:?}, not {wanted:?}"));
        }
        around.model.granted(session, subscription);
        around.is_watched |= self.profile.role == Role::Watcher;
        if self.profile.role == Role::Mourner && !around.is_mourned {
            around.is_mourned = true;
            around.model.mourned_since = Some(around.model.moment());
        }
        around.note(
            About::client(self.number),
            format_args!("client {} has SUBACK {}", self.number, suback.packet_id.get()),
        );
    }
}
