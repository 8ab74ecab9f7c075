//! Which boxes have got a retained message as a message too, as is said beside its value in the
//! bucket.
//!
//! The box that writes a value knows it, and nobody else can: what the others wanted as far as that
//! box knew is not what they want when the value reaches them. A box that is not among them hands
//! the value to those who subscribe there. Where nothing is said a box takes it that it has got the
//! message: a version before this did not say, and a list can be too long.

use std::sync::Arc;

/// Names of boxes, or that nothing is said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct CopiedTo(Option<Arc<str>>);

impl CopiedTo {
    /// Nothing is said.
    pub(super) const UNSAID: Self = Self(None);

    /// The box that has the message from its publisher, and those that it sends it to, if it can be
    /// said in so many bytes.
    pub(super) fn new<'a>(
        own: &str,
        others: impl IntoIterator<Item = &'a str>,
        bytes_max: usize,
    ) -> Self {
        let mut names = own.to_owned();
        for name in others {
            names.push(' ');
            names.push_str(name);
        }
        Self((names.len() <= bytes_max.min(BYTES_MAX)).then(|| names.into()))
    }

    /// What is written beside a value.
    pub(super) fn of_header(header: Option<&str>) -> Self {
        Self(header.filter(|names| !names.is_empty()).map(Arc::from))
    }

    /// What is to be written beside a value, if anything.
    pub(super) fn header(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether this box has got the message, or may have.
    pub(super) fn includes(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.split(' ').any(|one| one == name))
    }
}

/// Some hundred boxes. Beyond it nobody is handed the value.
const BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_among_those_that_are_named() {
        let copied = CopiedTo::new("a", ["b", "hall-3"], usize::MAX);
        assert_eq!(copied.header(), Some("a b hall-3"));
        assert_eq!(CopiedTo::of_header(copied.header()), copied);
        let among = ["a", "b", "hall-3", "hall", "3", ""].map(|name| copied.includes(name));
        assert_eq!(among, [true, true, true, false, false, false]);
    }

    #[test]
    fn where_nothing_is_said_every_box_may_have_got_it() {
        let long = "b".repeat(BYTES_MAX);
        for unsaid in [
            CopiedTo::new("a", [long.as_str()], usize::MAX),
            CopiedTo::new("a", ["b"], 2),
            CopiedTo::of_header(None),
            CopiedTo::of_header(Some("")),
        ] {
            assert_eq!(unsaid, CopiedTo::UNSAID);
            assert!(unsaid.header().is_none() && unsaid.includes("c"));
        }
    }
}
