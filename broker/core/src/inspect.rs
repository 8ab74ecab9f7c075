//! What can be seen of a core from outside: its clients, their subscriptions, and what is retained.
//!
//! Looking changes nothing. A table may be long, so a search looks at a bounded part of it at a
//! time and clients are served in between; what comes and goes meanwhile may be in the answer or
//! not. A search keeps no more than the page that was asked for.

mod clients;
mod subscriptions;

use weir_mqtt::TopicFilter;

pub use self::clients::{ClientSearch, ClientView};
pub use self::subscriptions::{SubscriptionSearch, SubscriptionView};
use crate::core::Core;
use crate::message::Message;

/// Some of the retained messages that match a filter, in the order of their topics.
#[derive(Clone, Debug, Default)]
pub struct RetainedPage {
    /// The messages.
    pub messages: Vec<Message>,
    /// Where to go on, behind this topic; none when there is no more.
    pub next: Option<String>,
}

impl Core {
    /// Retained messages that `filter` matches, behind the topic `after` if there is one: `count` of
    /// them at most, and none any more once so many bytes of payload are in the page or a bounded
    /// number of topics was looked at, so that a page may have few or none and still not be the last.
    #[must_use]
    pub fn retained_page(
        &self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        count: usize,
    ) -> RetainedPage {
        let mut page = RetainedPage::default();
        let (mut looked_at, mut bytes) = (0, 0);
        self.retained
            .walk(filter, after, |message| {
                if page.messages.len() >= count || looked_at >= LOOKED_AT_MAX || bytes >= BYTES_MAX
                {
                    return false;
                }
                looked_at += 1;
                if filter.matches(message.topic()) {
                    bytes += message.len();
                    page.messages.push(message.clone());
                }
                page.next = Some(message.topic().to_owned());
                true
            })
            .then(|| page.next = None);
        page
    }

    /// The retained message of a topic.
    #[must_use]
    pub fn retained_message(&self, topic: &str) -> Option<Message> {
        self.retained.get(topic).cloned()
    }
}

/// Entries of a table that are looked at, or shown, at a time: a few hundredths of a millisecond.
const LOOKED_AT_MAX: usize = 256;
/// Messages are shared, not copied; whoever makes text of them has to hold it.
const BYTES_MAX: usize = 4 << 20;
