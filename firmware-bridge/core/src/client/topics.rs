//! The topics of a client: which ids the gateway has given them, and which it subscribes to.
//!
//! An id that was agreed on before a connection was lost still names messages of a kept session,
//! but is not published to: a gateway that has forgotten it may have given it to another topic.

use super::config::{Topic, TopicIndex};
use super::event::IncomingTopic;
use crate::mqtt_sn_1_2::{QoS, SubscribeTopic, TopicId, TopicRef};

/// The declared topics and what is known of them.
#[derive(Debug)]
pub(super) struct Topics<'a, const TOPICS: usize> {
    declared: &'a [Topic<'a>; TOPICS],
    states: [TopicState; TOPICS],
    /// Ids of topics that are not declared; zero is none.
    assigned: [TopicId; ASSIGNED_MAX],
}

#[derive(Clone, Copy, Debug)]
struct TopicState {
    /// Of a topic with a name; zero is none.
    id: TopicId,
    /// Whether the id was given in this connection.
    is_current: bool,
    subscription: Subscription,
}

/// How it stands with a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subscription {
    /// The gateway has it.
    Held(QoS),
    None,
    /// The gateway is to remove it.
    Unwanted,
    /// The gateway is to have it.
    Wanted(QoS),
}

impl<'a, const TOPICS: usize> Topics<'a, TOPICS> {
    pub(super) const fn new(declared: &'a [Topic<'a>; TOPICS]) -> Self {
        let state = TopicState { id: NO_ID, is_current: false, subscription: Subscription::None };
        Self { declared, states: [state; TOPICS], assigned: [NO_ID; ASSIGNED_MAX] }
    }

    pub(super) fn declared(&self, index: TopicIndex) -> Option<&'a Topic<'a>> {
        self.declared.get(usize::from(index.0))
    }

    /// How a PUBLISH names the topic; `None` if it has to be registered first.
    pub(super) fn publish_ref(&self, index: TopicIndex) -> Option<TopicRef> {
        let fixed = self.declared(index)?.fixed();
        fixed.or_else(|| {
            let state = self.states.get(usize::from(index.0))?;
            (state.is_current && state.id != NO_ID).then_some(TopicRef::Normal(state.id))
        })
    }

    /// How a SUBSCRIBE or UNSUBSCRIBE names the topic.
    pub(super) fn subscribe_topic(&self, index: TopicIndex) -> Option<SubscribeTopic<'a>> {
        Some(match self.declared(index)? {
            Topic::Name(name) => SubscribeTopic::Name(name),
            Topic::Predefined(id) | Topic::PredefinedAged(id) => SubscribeTopic::Predefined(*id),
            Topic::Short(name) => SubscribeTopic::Short(*name),
        })
    }

    pub(super) fn name(&self, index: TopicIndex) -> Option<&'a str> {
        match self.declared(index)? {
            Topic::Name(name) => Some(name),
            _ => None,
        }
    }

    /// The gateway has given an id, or zero for a filter with wildcards.
    pub(super) fn register(&mut self, index: TopicIndex, id: TopicId) {
        if id == NO_ID || self.name(index).is_none() {
            return;
        }
        self.forget(id);
        if let Some(state) = self.state(index) {
            state.id = id;
            state.is_current = true;
        }
    }

    /// The gateway has given an id to a name. `false` if it is not declared and there is no room.
    pub(super) fn assign(&mut self, name: &str, id: TopicId) -> Assigned {
        if id == NO_ID {
            return Assigned::NoRoom;
        }
        let is_it = |topic: &Topic<'_>| matches!(topic, Topic::Name(declared) if *declared == name);
        if let Some(index) = self.declared.iter().position(is_it) {
            self.register(TopicIndex(index as u8), id);
            return Assigned::Declared;
        }
        self.forget(id);
        match self.assigned.iter_mut().find(|assigned| **assigned == NO_ID) {
            Some(place) => *place = id,
            None => return Assigned::NoRoom,
        }
        Assigned::Other
    }

    /// The gateway does not know an id, or it stands for another topic from now on.
    pub(super) fn forget(&mut self, id: TopicId) {
        for state in self.states.iter_mut().filter(|state| state.id == id) {
            state.id = NO_ID;
        }
        for assigned in self.assigned.iter_mut().filter(|assigned| **assigned == id) {
            *assigned = NO_ID;
        }
    }

    /// Which topic a message has; `None` if the id says nothing.
    pub(super) fn incoming(&self, topic: TopicRef) -> Option<IncomingTopic> {
        let listed = |index: usize| IncomingTopic::Listed(TopicIndex(index as u8));
        if let TopicRef::Normal(id) = topic {
            if id == NO_ID {
                return None;
            }
            let index = self.states.iter().position(|state| state.id == id).map(listed);
            let assigned = self.assigned.contains(&id).then_some(IncomingTopic::Assigned(id));
            return index.or(assigned);
        }
        let index = self.declared.iter().position(|declared| declared.fixed() == Some(topic));
        match (index, topic) {
            (None, TopicRef::Short(name)) => Some(IncomingTopic::Short(name)),
            (index, _) => index.map(listed),
        }
    }

    pub(super) fn subscription(&mut self, index: TopicIndex) -> Option<&mut Subscription> {
        self.state(index).map(|state| &mut state.subscription)
    }

    /// The first subscription that the gateway is to have or to remove.
    pub(super) fn subscription_due(&self) -> Option<(TopicIndex, Option<QoS>)> {
        (0u8..).map(TopicIndex).zip(&self.states).find_map(|(index, state)| {
            match state.subscription {
                Subscription::Held(_) | Subscription::None => None,
                Subscription::Unwanted => Some((index, None)),
                Subscription::Wanted(qos) => Some((index, Some(qos))),
            }
        })
    }

    /// There is a new connection. The answer to a CONNECT does not say whether the gateway still
    /// has the session, so it is asked for everything again.
    pub(super) fn begin_connection(&mut self, is_clean: bool) {
        for state in &mut self.states {
            state.is_current = false;
            if is_clean {
                state.id = NO_ID;
            }
            state.subscription = match state.subscription {
                Subscription::Held(qos) => Subscription::Wanted(qos),
                Subscription::Unwanted if is_clean => Subscription::None,
                other => other,
            };
        }
        if is_clean {
            self.assigned = [NO_ID; ASSIGNED_MAX];
        }
    }

    fn state(&mut self, index: TopicIndex) -> Option<&mut TopicState> {
        self.states.get_mut(usize::from(index.0))
    }
}

/// What became of a name that the gateway has given an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assigned {
    /// It is in the list.
    Declared,
    /// There is no room for one more.
    NoRoom,
    /// It is not in the list, and the id is kept.
    Other,
}

/// Most ids that a gateway may give to topics that are not in the list. More are refused.
pub const ASSIGNED_MAX: usize = 8;
const NO_ID: TopicId = TopicId(0);
