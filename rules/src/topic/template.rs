//! Topics that rules write: text with `{name}` in it.

use std::ops::Range;

use super::{Level, TOPIC_BYTES_MAX, TopicProblem, is_name};

/// A checked template, as pieces in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(String),
    /// The name, and where it stands with its braces.
    Name(String, Range<usize>),
}

impl Template {
    /// Reads `agg/{site}/climate`.
    pub(crate) fn parse(text: &str) -> Result<Self, TopicProblem> {
        let all = 0..text.len();
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX {
            let message = "a topic has 1 to 65535 bytes";
            return Err(TopicProblem::new(message, all, "not a topic"));
        }
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let end = rest.find('{').unwrap_or(rest.len());
            let literal = rest.get(..end).unwrap_or_default();
            if let Some(bad) = literal.find(['+', '#', '\0', '}']) {
                let bad = at + bad;
                let message = "a topic to write has no wildcards and no single brace";
                return Err(TopicProblem::new(message, bad..bad + 1, "not allowed here"));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            at += end;
            let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) else { break };
            let Some(close) = rest.find('}') else {
                let label = "starts here";
                return Err(TopicProblem::new("the brace is not closed", at..at + 1, label));
            };
            let name = rest.get(1..close).unwrap_or_default();
            let span = at..at + close + 1;
            if !is_name(name) {
                let message = format!("`{name}` is not a name");
                return Err(TopicProblem::new(message, span, "expected the name of a value"));
            }
            pieces.push(Piece::Name(name.to_owned(), span));
            at += close + 1;
        }
        let of_broker = OF_BROKER.len();
        if text.starts_with(OF_BROKER)
            && matches!(text.as_bytes().get(of_broker), None | Some(b'/'))
        {
            let message = "only the broker itself writes to `$SYS`";
            return Err(TopicProblem::new(message, 0..of_broker, "choose another first level"));
        }
        Ok(Self { pieces })
    }

    /// The topics it can make, as levels of a filter; `rests` are the names that can hold more
    /// than one level.
    pub(crate) fn levels(&self, rests: &[&str]) -> Vec<Level> {
        let mut levels = vec![Level::Literal("".into())];
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => {
                    for (position, part) in text.split('/').enumerate() {
                        if position > 0 {
                            levels.push(Level::Literal("".into()));
                        }
                        if let Some(Level::Literal(known)) = levels.last_mut() {
                            *known = format!("{known}{part}").into();
                        }
                    }
                }
                Piece::Name(name, _) => {
                    levels.pop();
                    if rests.contains(&name.as_str()) {
                        levels.push(Level::Rest);
                        return levels;
                    }
                    levels.push(Level::Any);
                }
            }
        }
        levels
    }
}

const OF_BROKER: &str = "$SYS";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::filter::levels_text;

    #[test]
    fn names_make_wildcards() {
        let template = Template::parse("agg/{site}/x-{device}/climate").unwrap();
        assert_eq!(levels_text(&template.levels(&[])), "agg/+/+/climate");
        let template = Template::parse("copy/{rest}/x").unwrap();
        assert_eq!(levels_text(&template.levels(&["rest"])), "copy/#");
    }

    #[test]
    fn wrong_templates_say_where() {
        assert_eq!(Template::parse("a/+/b").unwrap_err().span, 2..3);
        assert_eq!(Template::parse("a/{b").unwrap_err().span, 2..3);
        assert_eq!(Template::parse("a/{}").unwrap_err().span, 2..4);
        assert_eq!(Template::parse("a}").unwrap_err().span, 1..2);
        for of_broker in ["$SYS", "$SYS/x", "$SYS/{site}"] {
            assert_eq!(Template::parse(of_broker).unwrap_err().span, 0..4);
        }
        assert!(Template::parse("$SYSTEM/x").is_ok() && Template::parse("a/$SYS").is_ok());
    }
}
