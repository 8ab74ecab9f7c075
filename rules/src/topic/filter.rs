//! Topic filters of rules: MQTT filters in which `{name}` captures a level.

use super::{TOPIC_BYTES_MAX, TopicProblem, is_name};
use crate::limits::TOPIC_LEVELS_MAX;

/// A checked filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) levels: Vec<Level>,
    /// Each name once, in the order of the levels.
    pub(crate) captures: Vec<(String, Capture)>,
}

/// What a level of a filter matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Any,
    Literal(Box<str>),
    /// All levels from here on, also none.
    Rest,
}

/// What a capture takes from a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Level(u16),
    /// From this level to the end.
    Rest(u16),
}

impl Filter {
    /// Reads `site/{site}/+/{rest...}`.
    pub(crate) fn parse(text: &str) -> Result<Self, TopicProblem> {
        let all = 0..text.len();
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX {
            let message = "a filter has 1 to 65535 bytes";
            return Err(TopicProblem::new(message, all, "not a filter"));
        }
        if text.starts_with("$share/") {
            let message = "rules do not take part in shared subscriptions";
            return Err(TopicProblem::new(message, 0..6, "leave out $share and the group"));
        }
        let count = text.split('/').count();
        if count > TOPIC_LEVELS_MAX {
            let message = format!("a filter has at most {TOPIC_LEVELS_MAX} levels");
            return Err(TopicProblem::new(message, all, "too many levels"));
        }
        let mut filter = Filter { levels: Vec::with_capacity(count), captures: Vec::new() };
        let mut at = 0;
        for (position, level) in text.split('/').enumerate() {
            filter.add(level, at, position, position + 1 == count)?;
            at += level.len() + 1;
        }
        Ok(filter)
    }

    fn add(
        &mut self,
        level: &str,
        at: usize,
        position: usize,
        last: bool,
    ) -> Result<(), TopicProblem> {
        let span = at..at + level.len();
        let inner = level.strip_prefix('{').and_then(|level| level.strip_suffix('}'));
        if let Some(inner) = inner {
            let (name, rest) = match inner.strip_suffix("...") {
                Some(name) => (name, true),
                None => (inner, false),
            };
            if !is_name(name) || name.contains(['.', '-']) {
                let message = format!("`{name}` is not a name");
                let label = "a name has letters, digits and _";
                return Err(TopicProblem::new(message, span, label));
            }
            if rest && !last {
                let message = format!("`{{{name}...}}` must be the last level");
                return Err(TopicProblem::new(message, span, "takes the rest of the topic"));
            }
            if self.captures.iter().any(|(known, _)| known == name) {
                let message = format!("`{{{name}}}` is captured twice");
                return Err(TopicProblem::new(message, span, "second time"));
            }
            let capture =
                if rest { Capture::Rest(position as u16) } else { Capture::Level(position as u16) };
            self.captures.push((name.to_owned(), capture));
            self.levels.push(if rest { Level::Rest } else { Level::Any });
            return Ok(());
        }
        self.levels.push(match level {
            "+" => Level::Any,
            "#" if last => Level::Rest,
            "#" => {
                let message = "`#` must be the last level";
                return Err(TopicProblem::new(message, span, "matches the rest of the topic"));
            }
            _ if level.contains(['{', '}']) => {
                let label = "write the whole level as {name}";
                return Err(TopicProblem::new("a capture takes a whole level", span, label));
            }
            _ if level.contains(['+', '#', '\0']) => {
                let label = "use + or # alone between slashes";
                return Err(TopicProblem::new("a wildcard takes a whole level", span, label));
            }
            _ => Level::Literal(level.into()),
        });
        Ok(())
    }

    /// The same filter as MQTT knows it: captures are `+` and `#`.
    pub(crate) fn mqtt(&self) -> String {
        levels_text(&self.levels)
    }
}

/// Levels as an MQTT filter.
pub(crate) fn levels_text(levels: &[Level]) -> String {
    let words = levels.iter().map(|level| match level {
        Level::Any => "+",
        Level::Literal(text) => text,
        Level::Rest => "#",
    });
    words.collect::<Vec<_>>().join("/")
}

/// Whether some topic matches both filters.
pub(crate) fn overlap(left: &[Level], right: &[Level]) -> bool {
    let dollar = |levels: &[Level]| match levels.first() {
        Some(Level::Literal(text)) => Some(text.starts_with('$')),
        _ => None,
    };
    // Wildcards at the beginning do not match topics that start with `$`.
    match (dollar(left), dollar(right)) {
        (Some(true), None) | (None, Some(true)) => return false,
        _ => {}
    }
    let mut at = 0;
    loop {
        match (left.get(at), right.get(at)) {
            (None, None) | (Some(Level::Rest), _) | (_, Some(Level::Rest)) => return true,
            (Some(Level::Literal(a)), Some(Level::Literal(b))) if a != b => return false,
            (Some(_), Some(_)) => at += 1,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_become_wildcards() {
        let filter = Filter::parse("site/{site}/+/{rest...}").unwrap();
        assert_eq!(filter.mqtt(), "site/+/+/#");
        let expected =
            [("site".to_owned(), Capture::Level(1)), ("rest".to_owned(), Capture::Rest(3))];
        assert_eq!(filter.captures, expected);
    }

    #[test]
    fn wrong_filters_say_where() {
        let problem = |text| Filter::parse(text).unwrap_err();
        assert_eq!(problem("a/{b").span, 2..4);
        assert_eq!(problem("a/#/b").message, "`#` must be the last level");
        assert_eq!(problem("a/{x}/{x}").span, 6..9);
        assert_eq!(problem("a/{x...}/b").span, 2..8);
        assert_eq!(problem("a/b+").label, "use + or # alone between slashes");
        assert_eq!(problem("").message, "a filter has 1 to 65535 bytes");
    }

    #[test]
    fn overlap_knows_wildcards_and_dollar_topics() {
        let levels = |text| Filter::parse(text).unwrap().levels;
        let meet = |left, right| overlap(&levels(left), &levels(right));
        assert!(meet("a/+/c", "a/b/+"));
        assert!(meet("a/#", "a"));
        assert!(!meet("a/+", "a"));
        assert!(!meet("#", "$rules/x"));
        assert!(meet("$rules/#", "$rules/x"));
    }
}
