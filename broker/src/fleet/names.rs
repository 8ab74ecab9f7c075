//! What everything of a fleet is called at the server.

use super::topic_key;

/// The names of one fleet, as one of its boxes uses them.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
    /// The name of this box.
    pub(super) own: String,
}

/// What a box says in its two entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Said {
    /// That it is there.
    Alive,
    /// What it wants.
    Wants,
}

impl Names {
    pub(super) fn new(prefix: String, own: String) -> Self {
        Self { prefix, own }
    }

    /// The stream of the messages for boxes.
    pub(super) fn messages_stream(&self) -> String {
        format!("{}_messages", self.prefix)
    }

    /// The stream of the bucket of the boxes.
    pub(super) fn boxes_stream(&self) -> String {
        format!("KV_{}_boxes", self.prefix)
    }

    /// The stream of the bucket of retained messages.
    pub(super) fn retained_stream(&self) -> String {
        format!("KV_{}_retained", self.prefix)
    }

    /// The subjects of a stream.
    pub(super) fn messages_subjects(&self) -> String {
        format!("{}.to.*", self.prefix)
    }

    pub(super) fn boxes_subjects(&self) -> String {
        format!("$KV.{}_boxes.>", self.prefix)
    }

    pub(super) fn retained_subjects(&self) -> String {
        format!("$KV.{}_retained.>", self.prefix)
    }

    /// Where messages for a box wait.
    pub(super) fn to(&self, box_name: &str) -> String {
        format!("{}.to.{box_name}", self.prefix)
    }

    /// Where messages for a box go that do not wait.
    pub(super) fn live(&self, box_name: &str) -> String {
        format!("{}.live.{box_name}", self.prefix)
    }

    /// Where this box says something.
    pub(super) fn own_entry(&self, said: Said) -> String {
        format!("$KV.{}_boxes.{}.{}", self.prefix, self.own, said.name())
    }

    /// Which box says what with an entry of this subject.
    pub(super) fn entry<'s>(&self, subject: &'s str) -> Option<(&'s str, Said)> {
        let rest = subject.strip_prefix("$KV.")?.strip_prefix(&self.prefix)?;
        let (box_name, said) = rest.strip_prefix("_boxes.")?.split_once('.')?;
        let said = [Said::Alive, Said::Wants].into_iter().find(|known| known.name() == said)?;
        Some((box_name, said))
    }

    /// Where the retained message of a topic is.
    pub(super) fn retained_entry(&self, topic: &str) -> String {
        format!("$KV.{}_retained.{}", self.prefix, topic_key::of(topic))
    }
}

impl Said {
    fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Wants => "wants",
        }
    }
}

/// A host name as the name of a box: what cannot be part of a subject becomes `-`.
pub(super) fn of_host(host: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    host.chars().take(64).map(|c| if is_part(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_whose_it_is() {
        let names = Names::new("plant".into(), "hall-3".into());
        for said in [Said::Alive, Said::Wants] {
            assert_eq!(names.entry(&names.own_entry(said)), Some(("hall-3", said)));
        }
        for foreign in ["$KV.plant_boxes.a", "$KV.plant_boxes.a.b", "$KV.plants_boxes.a.alive", "a"]
        {
            assert_eq!(names.entry(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_host_name_becomes_a_part_of_a_subject() {
        assert_eq!(of_host("gate.example.org"), "gate-example-org");
        assert_eq!(of_host("ä_7"), "-_7");
    }
}
