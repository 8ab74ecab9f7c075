//! Topic names and topic filters.
//!
//! Responsible for their syntax, including shared subscriptions, and for matching one against
//! the other. A [`TopicName`] or [`TopicFilter`] cannot be wrong once parsed. Finding all the
//! filters that match a name is the business of a router.

use core::str;

use crate::error::{DecodeError, TopicError};
use crate::text;

/// The topic that a message is published to.
///
/// ```
/// use weir_mqtt::{TopicError, TopicName};
///
/// assert_eq!(TopicName::parse("plant/boiler/temperature")?.as_str(), "plant/boiler/temperature");
/// assert_eq!(TopicName::parse("plant/+"), Err(TopicError::HasWildcard));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks the rules for names: 1 to 65,535 bytes, no U+0000, no wildcard.
    #[inline]
    pub fn parse(name: &'a str) -> Result<Self, TopicError> {
        check_len(name)?;
        if text::contains_any(name.as_bytes(), FORBIDDEN_IN_NAMES) {
            return Err(forbidden_in_name(name));
        }
        Ok(Self(name))
    }

    /// Checks the bytes of a topic name field.
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let name = str::from_utf8(bytes).map_err(|_| DecodeError::TextNotUtf8)?;
        Self::parse(name).map_err(|error| match error {
            TopicError::HasNul => DecodeError::TextHasNul,
            other => DecodeError::TopicName(other),
        })
    }

    /// The name as text.
    #[inline]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The parts between the slashes.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        self.0.split('/')
    }
}

/// What a client subscribes to: a topic name with wildcards, possibly shared.
///
/// ```
/// use weir_mqtt::{TopicError, TopicFilter};
///
/// let filter = TopicFilter::parse("$share/workers/plant/+/temperature")?;
/// assert_eq!(filter.share_name(), Some("workers"));
/// assert_eq!(filter.filter(), "plant/+/temperature");
/// assert!(filter.matches("plant/boiler/temperature"));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a> {
    text: &'a str,
    share_name: Option<&'a str>,
    filter: &'a str,
    has_wildcards: bool,
}

impl<'a> TopicFilter<'a> {
    /// Checks the rules for filters: 1 to 65,535 bytes, no U+0000, `+` alone in its level, `#`
    /// alone in the last level, and `$share/name/filter` whole where it is begun.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_len(text)?;
        if text::contains_any(text.as_bytes(), [0]) {
            return Err(TopicError::HasNul);
        }
        let (share_name, filter) = split_share(text)?;
        let has_wildcards = text::contains_any(filter.as_bytes(), WILDCARDS);
        if has_wildcards {
            check_wildcards(filter)?;
        }
        Ok(Self { text, share_name, filter, has_wildcards })
    }

    /// Checks the bytes of a topic filter field.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let text = text::decode(bytes)?;
        Self::parse(text).map_err(DecodeError::TopicFilter)
    }

    /// The whole text, with `$share/name/` if it is shared.
    pub const fn as_str(self) -> &'a str {
        self.text
    }

    /// The name of the group that shares the subscription.
    pub const fn share_name(self) -> Option<&'a str> {
        self.share_name
    }

    /// The filter itself, without `$share/name/`.
    pub const fn filter(self) -> &'a str {
        self.filter
    }

    /// Whether the filter holds `+` or `#`.
    pub const fn has_wildcards(self) -> bool {
        self.has_wildcards
    }

    /// The parts of the filter between the slashes, without `$share/name/`.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        self.filter.split('/')
    }

    /// Whether the topic name matches. A filter that begins with a wildcard does not match
    /// topics that begin with `$` [MQTT-4.7.2-1]; nothing is normalised [MQTT-4.7.3-4].
    pub fn matches(self, topic: &str) -> bool {
        if !self.has_wildcards {
            return self.filter == topic;
        }
        if topic.starts_with('$') && self.filter.starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.split('/');
        for level in self.levels() {
            if level == "#" {
                return true;
            }
            match names.next() {
                Some(name) if level == "+" || level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether every topic name that `other` matches is matched too; share names do not count.
    ///
    /// ```
    /// use weir_mqtt::TopicFilter;
    ///
    /// let all = TopicFilter::parse("plant/#")?;
    /// assert!(all.covers(TopicFilter::parse("plant/+/temperature")?));
    /// assert!(!TopicFilter::parse("plant/+")?.covers(all));
    /// # Ok::<(), weir_mqtt::TopicError>(())
    /// ```
    pub fn covers(self, other: TopicFilter<'_>) -> bool {
        if self.hides_broker_topics() && other.filter.starts_with('$') {
            return false;
        }
        // Every topic has a first level.
        let others = if other.filter == "#" { "+/#" } else { other.filter };
        let mut others = others.split('/');
        for level in self.levels() {
            match (level, others.next()) {
                ("#", _) => return true,
                (_, None | Some("#")) => return false,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }

    /// Whether there is a topic name that both filters match; share names do not count.
    ///
    /// ```
    /// use weir_mqtt::TopicFilter;
    ///
    /// let one = TopicFilter::parse("plant/+/temperature")?;
    /// assert!(one.overlaps(TopicFilter::parse("+/boiler/#")?));
    /// assert!(!one.overlaps(TopicFilter::parse("plant/boiler/pressure")?));
    /// # Ok::<(), weir_mqtt::TopicError>(())
    /// ```
    pub fn overlaps(self, other: TopicFilter<'_>) -> bool {
        if (self.hides_broker_topics() && other.filter.starts_with('$'))
            || (other.hides_broker_topics() && self.filter.starts_with('$'))
        {
            return false;
        }
        let (mut levels, mut others) = (self.levels(), other.levels());
        loop {
            match (levels.next(), others.next()) {
                (None, None) | (Some("#"), _) | (_, Some("#")) => return true,
                (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
                (Some(level), Some(name)) if level == name => {}
                _ => return false,
            }
        }
    }

    /// Topics that begin with `$` are not for filters that begin with a wildcard.
    fn hides_broker_topics(self) -> bool {
        self.filter.starts_with(['+', '#'])
    }
}

#[inline]
fn check_len(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        1..=LEN_MAX => Ok(()),
        _ => Err(TopicError::TooLong),
    }
}

#[cold]
fn forbidden_in_name(name: &str) -> TopicError {
    if name.contains('\0') { TopicError::HasNul } else { TopicError::HasWildcard }
}

/// The share name and the filter proper [MQTT-4.8.2-1, MQTT-4.8.2-2].
fn split_share(text: &str) -> Result<(Option<&str>, &str), TopicError> {
    let Some(shared) = text.strip_prefix("$share/") else {
        return Ok((None, text));
    };
    let (name, filter) = match shared.split_once('/') {
        Some((name, filter)) => (name, filter),
        None => (shared, ""),
    };
    if name.is_empty() || text::contains_any(name.as_bytes(), WILDCARDS) {
        return Err(TopicError::ShareNameInvalid);
    }
    if filter.is_empty() {
        return Err(TopicError::ShareFilterMissing);
    }
    Ok((Some(name), filter))
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut before = b'/';
    let mut rest = filter.as_bytes();
    while let &[byte, ref after @ ..] = rest {
        let begins_level = before == b'/';
        match byte {
            b'#' if !begins_level || !after.is_empty() => {
                return Err(TopicError::MultiLevelWildcardMisplaced);
            }
            b'+' if !begins_level || !matches!(after, [] | [b'/', ..]) => {
                return Err(TopicError::SingleLevelWildcardMisplaced);
            }
            _ => {}
        }
        before = byte;
        rest = after;
    }
    Ok(())
}

const LEN_MAX: usize = u16::MAX as usize;
const WILDCARDS: [u8; 2] = [b'+', b'#'];
const FORBIDDEN_IN_NAMES: [u8; 3] = [0, b'+', b'#'];

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    /// Everything of one to three levels that can be made of `levels`.
    fn made_of(levels: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut last: Vec<String> = levels.iter().map(|level| String::from(*level)).collect();
        for _ in 0..3 {
            let longer =
                last.iter().flat_map(|text| levels.iter().map(move |l| [text, "/", l].concat()));
            let longer = longer.collect();
            all.extend(core::mem::replace(&mut last, longer));
        }
        all
    }

    /// Against the definition: every filter with every other one over every topic.
    #[test]
    fn a_filter_covers_and_overlaps_what_its_topics_say() {
        let mut topics = made_of(&["a", "b", "$s", "other"]);
        topics.extend(["a/b/a/b", "$s/a/b/a"].map(String::from));
        let texts = made_of(&["a", "$s", "+", "#"]);
        let filters: Vec<(TopicFilter<'_>, Vec<bool>)> = texts
            .iter()
            .filter_map(|text| TopicFilter::parse(text).ok())
            .map(|filter| (filter, topics.iter().map(|topic| filter.matches(topic)).collect()))
            .collect();
        assert!(filters.len() > 40);
        for (one, of_one) in &filters {
            for (other, of_other) in &filters {
                let pairs = || of_one.iter().zip(of_other);
                let (one_text, other_text) = (one.as_str(), other.as_str());
                let covers = pairs().all(|(one, other)| *one || !*other);
                assert_eq!(one.covers(*other), covers, "{one_text} covers {other_text}");
                let overlaps = pairs().any(|(one, other)| *one && *other);
                assert_eq!(one.overlaps(*other), overlaps, "{one_text} overlaps {other_text}");
            }
        }
    }
}
