//! The check of lists of filters of which the first that matches a topic decides: filters of
//! topics, each once and in an order in which it counts.

use weir_config::{Origin, Problems, Refusal};
use weir_mqtt::TopicFilter;

use super::code;

/// What is wrong with a filter, and what to do if anybody knows.
pub(crate) type Wrong = (String, Option<String>);

/// What a list is for, in words.
pub(crate) struct Words {
    /// What is wrong with a filter that cannot be: `is not a filter of topics`.
    pub(crate) wrong: &'static str,
    /// What a filter has that is there already: `a level of durability`.
    pub(crate) what: &'static str,
    /// Says that what belongs to a filter is never asked for.
    pub(crate) never: fn(filter: &str) -> String,
}

impl Words {
    /// Says what is wrong with a filter.
    pub(crate) fn refuse(
        &self,
        filter: &str,
        (label, help): Wrong,
        at: &Origin,
        problems: &mut Problems,
    ) {
        let message = format!("`{filter}` {}", self.wrong);
        let refusal = Refusal::new(code::TOPIC, at.span.clone(), message, label);
        let refusal = match help {
            Some(help) => refusal.help(help),
            None => refusal,
        };
        problems.refuse(at.source, refusal);
    }

    /// Refuses a filter that is there already, and warns of one behind a wider one.
    pub(crate) fn check_place<'a>(
        &self,
        before: impl Iterator<Item = &'a str> + Clone,
        filter: &str,
        at: &Origin,
        problems: &mut Problems,
    ) {
        if before.clone().any(|other| other == filter) {
            let message = format!("`{filter}` has {} already", self.what);
            let refusal = Refusal::new(code::CONFLICT, at.span.clone(), message, "twice the same");
            return problems.refuse(at.source, refusal.help("keep one of them"));
        }
        let covers = |other: &&str| {
            let filters = TopicFilter::parse(other).ok().zip(TopicFilter::parse(filter).ok());
            filters.is_some_and(|(wide, narrow)| wide.covers(narrow))
        };
        if let Some(wide) = before.clone().find(covers) {
            let label = format!("`{wide}` stands before it and matches the same topics");
            let message = (self.never)(filter);
            let refusal = Refusal::new(code::CONFLICT, at.span.clone(), message, label);
            problems.warn(at.source, refusal.help("put the narrower filter first"));
        }
    }
}

/// Whether it is a filter of topics, and no more than that.
pub(crate) fn check_form(filter: &str) -> Result<(), Wrong> {
    match TopicFilter::parse(filter) {
        Err(reason) => Err((reason.to_string(), None)),
        Ok(parsed) if parsed.share_name().is_some() => {
            let label = "a shared subscription is one way to read topics".to_owned();
            Err((label, Some(format!("write \"{}\"", parsed.filter()))))
        }
        Ok(_) => Ok(()),
    }
}
