//! Which of the readers of one upstream sends a message that several of them were given.
//!
//! Pure. The first route that matches says, as for the topic there. Routes may have changed since
//! the log was written; then it is the most urgent reader that was given the message, so that there
//! is always one and never two.

use weir_core::{Destination, LogRecord, ReaderId};

use super::outgoing::matching;
use crate::config::{Priority, Route};

/// The readers of an upstream and its routes.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    /// The most urgent first.
    readers: Vec<(Priority, ReaderId)>,
    routes: Vec<Route>,
}

impl Share {
    /// For readers with these priorities, the most urgent first.
    pub(crate) fn new(readers: Vec<(Priority, ReaderId)>, routes: Vec<Route>) -> Self {
        Self { readers, routes }
    }

    /// Whether `reader`, which was given the record, sends it.
    pub(crate) fn is_of(&self, reader: ReaderId, record: &LogRecord) -> bool {
        let is_given = |own: &ReaderId| {
            let own = Destination::Reader(*own);
            record.targets.iter().any(|target| target.destination == own)
        };
        let given = || self.readers.iter().filter(|(_, own)| is_given(own));
        if given().nth(1).is_none() {
            return true;
        }
        let route = matching(&self.routes, record.message.parts().topic);
        let wanted =
            given().find(|(priority, _)| route.is_some_and(|one| one.priority == *priority));
        wanted.or_else(|| given().next()).is_none_or(|(_, owner)| *owner == reader)
    }

    /// Whether the reader with this priority sends what is not in the log and has this topic.
    pub(crate) fn is_live_of(&self, priority: Priority, topic: &str) -> bool {
        matching(&self.routes, topic).is_none_or(|route| route.priority == priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TopicTemplate;
    use crate::upstream::sample;

    const HIGH: ReaderId = ReaderId(1);
    const NORMAL: ReaderId = ReaderId(2);
    const LOW: ReaderId = ReaderId(3);

    fn share(routes: &[(&str, Priority)]) -> Share {
        let route = |(from, priority): &(&str, Priority)| Route {
            from: (*from).to_owned(),
            to: TopicTemplate::parse("{topic}", from).expect("a template"),
            qos: 1,
            priority: *priority,
        };
        let readers = Priority::ALL.into_iter().zip([HIGH, NORMAL, LOW]);
        Share::new(readers.collect(), routes.iter().map(route).collect())
    }

    /// Who sends a message on `a` that these were given.
    fn senders(share: &Share, given: &[ReaderId]) -> Vec<ReaderId> {
        let targets = given.iter().flat_map(|one| sample::record(*one, 1, b"", 0).targets);
        let record = LogRecord { targets: targets.collect(), ..sample::record(HIGH, 1, b"", 0) };
        given.iter().copied().filter(|reader| share.is_of(*reader, &record)).collect()
    }

    #[test]
    fn the_first_route_says_who_sends() {
        let all = [HIGH, NORMAL, LOW];
        let first_low = [("a", Priority::Low), ("#", Priority::High), ("a", Priority::Normal)];
        assert_eq!(senders(&share(&first_low), &all), [LOW]);
        let later = [("b", Priority::Low), ("#", Priority::High)];
        assert_eq!(senders(&share(&later), &all), [HIGH]);
        assert!(share(&later).is_live_of(Priority::High, "a"));
        assert!(!share(&later).is_live_of(Priority::Low, "a"));
    }

    #[test]
    fn there_is_always_one_whatever_the_routes_are_now() {
        for routes in [&[][..], &[("a", Priority::Normal)]] {
            let share = share(routes);
            for one in [HIGH, NORMAL, LOW] {
                assert_eq!(senders(&share, &[one]), [one]);
            }
            assert_eq!(senders(&share, &[LOW, HIGH]), [HIGH], "{routes:?}");
        }
    }
}
