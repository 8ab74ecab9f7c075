//! Topic names and filters of MQTT (3.1.1, section 4.7), as far as the gateway decides on them.
//!
//! Responsible for what a broker would end a connection for, and for who may use which topic. Not
//! for routing: that is the broker's.

use thiserror::Error;

/// A topic filter that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Box<str>);

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// It is not a topic filter.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check_filter(text)?;
        Ok(Self(text.into()))
    }

    /// Whether a topic name matches.
    pub fn matches(&self, name: &str) -> bool {
        // A name is a filter that is made of no wildcards.
        self.covers(name)
    }

    /// Whether everything that the other filter matches is matched by this one.
    pub fn covers(&self, other: &str) -> bool {
        // Wildcards at the beginning do not match what begins with a dollar sign (4.7.2).
        if other.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut others = other.split('/');
        for level in self.0.split('/') {
            match (level, others.next()) {
                ("#", _) => return true,
                (_, None | Some("#")) => return false,
                ("+", Some(_)) => {}
                (level, Some(other)) if level == other => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }
}

/// Why a text is not a topic name or filter.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no characters.
    #[error("topic is empty")]
    Empty,
    /// It is longer than MQTT can say.
    #[error("topic is longer than 65535 bytes")]
    TooLong,
    /// A `#` that is not the whole last level, or a `+` that is not a whole level.
    #[error("wildcard is not a level of its own, or # is not the last one")]
    WildcardMisplaced,
    /// A wildcard in a name.
    #[error("topic name has a wildcard")]
    WildcardInName,
    /// U+0000.
    #[error("topic holds u+0000")]
    Nul,
}

/// Whether a message can be published to this topic.
pub(super) fn check_name(name: &str) -> Result<(), TopicError> {
    check_text(name)?;
    if has_wildcard(name) { Err(TopicError::WildcardInName) } else { Ok(()) }
}

/// Whether it can be subscribed to.
pub(super) fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let whole = level.len() == 1;
        let last = levels.peek().is_none();
        if level.contains('#') && !(whole && last) || level.contains('+') && !whole {
            return Err(TopicError::WildcardMisplaced);
        }
    }
    Ok(())
}

/// Whether a filter may match more than one name.
pub(super) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// One level of a topic that stands for any text: what would be a separator, a wildcard or not
/// printable is written as `%` and two hexadecimal digits, and so is `%`.
pub(super) fn level(text: &str) -> String {
    let mut level = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '/' | '+' | '#' | '%' | '\0'..='\x1f' | '\x7f' => {
                level.push_str(&format!("%{:02X}", u32::from(character)));
            }
            other => level.push(other),
        }
    }
    level
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    if text.contains('\0') { Err(TopicError::Nul) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(filter: &str, other: &str) -> bool {
        Filter::parse(filter).unwrap().covers(other)
    }

    #[test]
    fn filter_matches_as_the_standard_says() {
        for (filter, name, expected) in [
            ("sport/tennis/#", "sport/tennis", true),
            ("sport/tennis/#", "sport/tennis/player1/ranking", true),
            ("#", "a/b", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("a", "a/b", false),
        ] {
            assert_eq!(covers(filter, name), expected, "{filter} {name}");
        }
    }

    #[test]
    fn filter_covers_only_filters_that_match_less() {
        for (filter, other, expected) in [
            ("a/#", "a/+/c", true),
            ("a/#", "#", false),
            ("a/+", "a/#", false),
            ("a/+", "a/+", true),
            ("a/b", "a/+", false),
            ("#", "a/#", true),
            ("a/#", "a/#", true),
        ] {
            assert_eq!(covers(filter, other), expected, "{filter} {other}");
        }
    }

    #[test]
    fn what_a_broker_would_refuse_is_refused() {
        for wrong in ["a/#/b", "a#", "a/b+", "#a"] {
            assert_eq!(check_filter(wrong), Err(TopicError::WildcardMisplaced), "{wrong}");
        }
        assert_eq!(check_name(""), Err(TopicError::Empty));
        assert_eq!(check_name("a/+"), Err(TopicError::WildcardInName));
        assert_eq!(check_name("a\0"), Err(TopicError::Nul));
        assert_eq!(check_name(&"a".repeat(65_536)), Err(TopicError::TooLong));
    }

    #[test]
    fn any_client_id_is_one_level_of_its_own() {
        assert_eq!(level("node-1"), "node-1");
        assert_eq!(level("a/b+c#d%e"), "a%2Fb%2Bc%23d%25e");
    }
}
