//! The topic ids of one client.
//!
//! An id is given once and keeps its meaning for as long as the session of the client is kept, so
//! that a node may use it for ever. Invariant: no name has two ids.

use weir_node::mqtt_sn_1_2::TopicId;

/// Names with ids. A client has few of them, so they are searched one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicIds {
    /// The first one has id 1.
    topics: Vec<Topic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Topic {
    name: Box<str>,
    knowledge: Knowledge,
}

/// What the node has said about an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It may not know it: it is told with REGISTER before a message comes.
    Unknown,
    /// It knows it.
    Known,
    /// It does not want it.
    Rejected,
}

impl TopicIds {
    /// The id of a name, a new one if it has none; `None` if there are `max` already.
    pub(super) fn assign(&mut self, name: &str, max: usize) -> Option<TopicId> {
        if let Some((id, _)) = self.find(name) {
            return Some(id);
        }
        // 0 and 0xffff are reserved (5.3.11).
        if self.topics.len() >= max.min(usize::from(u16::MAX) - 1) {
            return None;
        }
        self.topics.push(Topic { name: name.into(), knowledge: Knowledge::Unknown });
        Some(TopicId(self.topics.len() as u16))
    }

    pub(super) fn find(&self, name: &str) -> Option<(TopicId, Knowledge)> {
        let place = self.topics.iter().position(|topic| *topic.name == *name)?;
        Some((TopicId(place as u16 + 1), self.topics[place].knowledge))
    }

    pub(super) fn name(&self, id: TopicId) -> Option<&str> {
        let place = usize::from(id.0).checked_sub(1)?;
        self.topics.get(place).map(|topic| &*topic.name)
    }

    /// An id that was never given is ignored.
    pub(super) fn set(&mut self, id: TopicId, knowledge: Knowledge) {
        let place = usize::from(id.0).checked_sub(1);
        if let Some(topic) = place.and_then(|place| self.topics.get_mut(place)) {
            topic.knowledge = knowledge;
        }
    }

    /// The node may have forgotten all of them.
    pub(super) fn forget_knowledge(&mut self) {
        for topic in &mut self.topics {
            topic.knowledge = Knowledge::Unknown;
        }
    }

    /// In the order of their ids.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.topics.iter().map(|topic| &*topic.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_name_has_the_same_id() {
        let mut ids = TopicIds::default();
        assert_eq!(ids.assign("a", 2), Some(TopicId(1)));
        assert_eq!(ids.assign("b", 2), Some(TopicId(2)));
        assert_eq!(ids.assign("a", 2), Some(TopicId(1)));
        assert_eq!(ids.assign("c", 2), None);
        assert_eq!(ids.name(TopicId(2)), Some("b"));
        assert_eq!(ids.name(TopicId(0)), None);
        assert_eq!(ids.name(TopicId(3)), None);
    }

    #[test]
    fn reserved_ids_are_never_given() {
        let topic = Topic { name: "".into(), knowledge: Knowledge::Known };
        let mut ids = TopicIds { topics: vec![topic; 0xfffe] };
        assert_eq!(ids.assign("one more", usize::MAX), None);
    }
}
