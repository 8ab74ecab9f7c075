//! Subscriptions by filter and client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::{iter, mem};

use weir_mqtt::{SubscriptionOptions, TopicFilter};

use super::LOOKED_AT_MAX;
use crate::core::Core;
use crate::session::Session;

/// A subscription of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubscriptionView {
    /// The filter as the broker has it: with the mount point of the listener, and with the share.
    pub filter: Arc<str>,
    /// Whose it is.
    pub client_id: Arc<str>,
    /// QoS, no local, retain as published, retain handling.
    pub options: SubscriptionOptions,
    /// The subscription identifier.
    pub identifier: Option<u32>,
}

/// Looks for subscriptions in the order of their filters, those of one filter in the order of the
/// clients.
#[derive(Clone, Debug)]
pub struct SubscriptionSearch {
    client_id: Option<String>,
    prefix: String,
    topic: Option<String>,
    after: Option<(String, String)>,
    count_max: usize,
    /// The session that is looked at next, and its first subscription to be looked at.
    place: (usize, usize),
    found: BTreeSet<(Arc<str>, Arc<str>)>,
    views: Vec<SubscriptionView>,
}

impl SubscriptionSearch {
    /// The first `count_max` subscriptions whose filters begin with `prefix` and match `topic`, if
    /// there is one, behind the filter and the client of `after`.
    #[must_use]
    pub fn new(
        prefix: String,
        topic: Option<String>,
        after: Option<(String, String)>,
        count_max: usize,
    ) -> Self {
        let (place, found, views) = ((0, 0), BTreeSet::new(), Vec::new());
        Self { client_id: None, prefix, topic, after, count_max, place, found, views }
    }

    /// Only those of one client.
    #[must_use]
    pub fn of_client(mut self, client_id: String) -> Self {
        self.client_id = Some(client_id);
        self
    }

    /// Looks at some more of the subscriptions, and once all were looked at, at some of those that were
    /// found; answers when there is no more.
    #[must_use]
    pub fn step(&mut self, core: &Core) -> Option<Vec<SubscriptionView>> {
        let end = match &self.client_id {
            None => core.sessions.capacity(),
            Some(client_id) => {
                let Some(key) = core.session_of(client_id) else { return Some(Vec::new()) };
                self.place.0 = self.place.0.max(key as usize);
                key as usize + 1
            }
        };
        let mut left = LOOKED_AT_MAX;
        while self.place.0 < end {
            if left == 0 {
                return None;
            }
            left = match core.sessions.get(self.place.0) {
                Some(session) => self.look_at(session, left),
                None => left - 1,
            };
            if left > 0 {
                self.place = (self.place.0 + 1, 0);
            }
        }
        let some = iter::from_fn(|| self.found.pop_first()).take(left);
        self.views.extend(some.filter_map(|(filter, id)| view(core, &filter, &id)));
        self.found.is_empty().then(|| mem::take(&mut self.views))
    }

    /// Looks at the subscriptions of a session, `left` of them at most. Answers how many more may be
    /// looked at: none if there are more, or if it was just so many.
    fn look_at(&mut self, session: &Session, left: usize) -> usize {
        let from = self.place.1;
        let all = session.subscriptions.iter().map(|(filter, _)| filter);
        let looked_at = all.skip(from).take(left);
        let mut count = 0;
        for filter in looked_at {
            count += 1;
            if self.wants(filter, &session.client_id) {
                self.keep(filter, &session.client_id);
            }
        }
        self.place.1 = from + count;
        // The session itself counts as well.
        left.saturating_sub(count.max(1))
    }

    fn wants(&self, filter: &str, client_id: &str) -> bool {
        let matches =
            |topic: &String| TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(topic));
        let is_behind =
            |(known, id): &(String, String)| (filter, client_id) > (known.as_str(), id.as_str());
        filter.starts_with(&self.prefix)
            && self.after.as_ref().is_none_or(is_behind)
            && self.topic.as_ref().is_none_or(matches)
    }

    fn keep(&mut self, filter: &Arc<str>, client_id: &Arc<str>) {
        let is_full = self.found.len() >= self.count_max;
        let is_behind = |(known, id): &(Arc<str>, Arc<str>)| (known, id) <= (filter, client_id);
        if is_full && self.found.last().is_none_or(is_behind) {
            return;
        }
        self.found.insert((filter.clone(), client_id.clone()));
        if is_full {
            self.found.pop_last();
        }
    }
}

/// It may be gone since it was found.
fn view(core: &Core, filter: &Arc<str>, client_id: &Arc<str>) -> Option<SubscriptionView> {
    let session = &core.sessions[core.session_of(client_id)? as usize];
    let (_, record) = &session.subscriptions[session.subscription(filter).ok()?];
    Some(SubscriptionView {
        filter: filter.clone(),
        client_id: client_id.clone(),
        options: record.options,
        identifier: record.identifier,
    })
}
