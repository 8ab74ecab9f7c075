//! Which topics go to or come from an upstream, and what they are called on the other side.

use std::fmt;

use thiserror::Error;

use super::Priority;

/// One line of `forward` or `receive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Topic filter of the messages that take this route.
    pub from: String,
    /// Their topic on the other side.
    pub to: TopicTemplate,
    /// The highest QoS they travel with.
    pub qos: u8,
    /// Before what else they are sent; of no meaning for what is received.
    pub priority: Priority,
}

/// A topic name with `{topic}` (the topic of the message) and `{rest}` (what `#` matched).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate {
    parts: Vec<Part>,
}

/// A line of mosquitto's bridge option `topic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicLine {
    pattern: String,
    direction: Direction,
    qos: u8,
    local: String,
    remote: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Both,
    In,
    Out,
}

/// Why a text is not such a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TopicLineError {
    #[error("`{0}` is not a direction: in, out or both")]
    Direction(String),
    #[error("`\"\"` needs a local and a remote topic")]
    NoTopics,
    #[error("`{0}` is not a QoS: 0, 1 or 2")]
    Qos(String),
    #[error("`{0}` is one word too many")]
    TooLong(String),
}

/// Why a text is not a topic template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicTemplateError {
    /// Nothing at all.
    #[error("a topic cannot be empty")]
    Empty,
    /// `{rest}` where the filter has no `#`.
    #[error("`{{rest}}` is what `#` matched, and the filter `{0}` has no `#`")]
    NoRest(String),
    /// An opening brace without its end.
    #[error("`{{` without `}}`")]
    Open,
    /// A placeholder that does not exist.
    #[error("unknown placeholder `{{{0}}}`")]
    Placeholder(String),
    /// A wildcard in a topic name.
    #[error("`{0}` cannot stand in the topic of a message")]
    Wildcard(char),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// What `#` matched.
    Rest,
    Text(String),
    Topic,
    /// The topic without its first bytes: the local prefix of mosquitto's line form.
    TopicAfter(usize),
}

impl Route {
    /// Whether all messages that take it would get a topic that only the broker itself writes.
    pub(crate) fn is_of_broker(&self) -> bool {
        let (start, ends) = match self.to.parts.as_slice() {
            [Part::Text(text), rest @ ..] => (text, rest.is_empty()),
            [Part::Topic, rest @ ..] => (&self.from, rest.is_empty()),
            _ => return false,
        };
        let Some(rest) = start.strip_prefix(OF_BROKER) else { return false };
        rest.starts_with('/') || (rest.is_empty() && ends)
    }
}

impl TopicTemplate {
    /// Names that may stand in braces.
    pub(crate) const PLACEHOLDERS: [&str; 2] = ["rest", "topic"];

    /// Reads a template that is used for messages that match `filter`.
    pub fn parse(text: &str, filter: &str) -> Result<Self, TopicTemplateError> {
        use TopicTemplateError as E;
        let mut parts = Vec::new();
        let mut left = text;
        while let Some(open) = left.find('{') {
            push_text(&mut parts, &left[..open]);
            let (name, after) = left[open + 1..].split_once('}').ok_or(E::Open)?;
            parts.push(match name {
                "rest" if !filter.ends_with('#') => return Err(E::NoRest(filter.to_owned())),
                "rest" => Part::Rest,
                "topic" => Part::Topic,
                other => return Err(E::Placeholder(other.to_owned())),
            });
            left = after;
        }
        push_text(&mut parts, left);
        if parts.is_empty() {
            return Err(E::Empty);
        }
        match text.chars().find(|c| matches!(c, '+' | '#')) {
            Some(wildcard) => Err(E::Wildcard(wildcard)),
            None => Ok(Self { parts }),
        }
    }

    /// The topic with `prefix` put in the place of its first `cut` bytes.
    pub(crate) fn swap_prefix(cut: usize, prefix: &str) -> Self {
        let mut parts = Vec::new();
        push_text(&mut parts, prefix);
        parts.push(if cut == 0 { Part::Topic } else { Part::TopicAfter(cut) });
        Self { parts }
    }

    /// A topic that never changes.
    pub(crate) fn fixed(topic: &str) -> Self {
        Self { parts: vec![Part::Text(topic.to_owned())] }
    }

    /// The topic on the other side for a message on `topic`, which matches `filter`.
    ///
    /// ```
    /// use weir_broker::config::TopicTemplate;
    ///
    /// let template = TopicTemplate::parse("cmd/{rest}", "site/berlin/cmd/#").unwrap();
    /// assert_eq!(template.render("site/berlin/cmd/lamp/1", "site/berlin/cmd/#"), "cmd/lamp/1");
    /// ```
    pub fn render(&self, topic: &str, filter: &str) -> String {
        let mut name = String::new();
        for part in &self.parts {
            name.push_str(match part {
                Part::Rest => matched_by_hash(topic, filter),
                Part::Text(text) => text,
                Part::Topic => topic,
                Part::TopicAfter(cut) => topic.get(*cut..).unwrap_or_default(),
            });
        }
        name
    }
}

impl TopicLine {
    pub(crate) fn parse(line: &str) -> Result<Self, TopicLineError> {
        use TopicLineError as E;
        let mut words = line.split_whitespace();
        let mut topic = || match words.next() {
            None | Some("\"\"") => String::new(),
            Some(topic) => topic.to_owned(),
        };
        let pattern = topic();
        let direction = match topic().as_str() {
            "both" => Direction::Both,
            "in" => Direction::In,
            "" | "out" => Direction::Out,
            other => return Err(E::Direction(other.to_owned())),
        };
        let qos = match topic().as_str() {
            "" | "0" => 0,
            "1" => 1,
            "2" => 2,
            other => return Err(E::Qos(other.to_owned())),
        };
        let (local, remote) = (topic(), topic());
        if let Some(word) = words.next() {
            return Err(E::TooLong(word.to_owned()));
        }
        if pattern.is_empty() && (local.is_empty() || remote.is_empty()) {
            return Err(E::NoTopics);
        }
        Ok(Self { pattern, direction, qos, local, remote })
    }

    /// The topic filters that the line stands for.
    pub(crate) fn filters(&self) -> Vec<String> {
        self.forward().into_iter().chain(self.receive()).map(|route| route.from).collect()
    }

    pub(crate) fn forward(&self) -> Option<Route> {
        let route = || self.route(&self.local, &self.remote);
        (self.direction != Direction::In).then(route)
    }

    pub(crate) fn receive(&self) -> Option<Route> {
        let route = || self.route(&self.remote, &self.local);
        (self.direction != Direction::Out).then(route)
    }

    fn route(&self, from: &str, to: &str) -> Route {
        let template = match self.pattern.is_empty() {
            true => TopicTemplate::fixed(to),
            false => TopicTemplate::swap_prefix(from.len(), to),
        };
        let from = format!("{from}{}", self.pattern);
        Route { from, to: template, qos: self.qos, priority: Priority::Normal }
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Rest => f.write_str("{rest}")?,
                Part::Text(text) => f.write_str(text)?,
                Part::Topic => f.write_str("{topic}")?,
                Part::TopicAfter(cut) => write!(f, "{{topic from byte {cut}}}")?,
            }
        }
        Ok(())
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// `a/b/#` matches `a/b` too; nothing is left then.
fn matched_by_hash<'a>(topic: &'a str, filter: &str) -> &'a str {
    let levels_before = filter.matches('/').count();
    topic.splitn(levels_before + 1, '/').nth(levels_before).unwrap_or_default()
}

/// The first level of the topics that only the broker writes.
const OF_BROKER: &str = "$SYS";

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, filter: &str, topic: &str) -> String {
        TopicTemplate::parse(template, filter).unwrap().render(topic, filter)
    }

    #[test]
    fn topic_and_rest_are_filled_in() {
        assert_eq!(render("{topic}", "agg/#", "agg/a/b"), "agg/a/b");
        assert_eq!(render("site/{topic}", "agg/+", "agg/a"), "site/agg/a");
        assert_eq!(render("x/{rest}/y", "agg/+/#", "agg/a/b/c"), "x/b/c/y");
        assert_eq!(render("x{rest}", "agg/#", "agg"), "x");
        assert_eq!(render("{rest}", "#", "a/b"), "a/b");
    }

    #[test]
    fn prefixes_are_swapped() {
        assert_eq!(TopicTemplate::swap_prefix(6, "remote/").render("local/a", ""), "remote/a");
        assert_eq!(TopicTemplate::swap_prefix(0, "remote/").render("a", ""), "remote/a");
    }

    #[test]
    fn lines_of_mosquitto_become_routes() {
        let line = TopicLine::parse("sensors/# both 1 local/ remote/").unwrap();
        let (out, back) = (line.forward().unwrap(), line.receive().unwrap());
        assert_eq!((out.from.as_str(), out.qos), ("local/sensors/#", 1));
        assert_eq!(out.to.render("local/sensors/a", &out.from), "remote/sensors/a");
        assert_eq!(back.from, "remote/sensors/#");
        assert_eq!(back.to.render("remote/sensors/a", &back.from), "local/sensors/a");
        let line = TopicLine::parse("\"\" in 0 here there").unwrap();
        assert_eq!(line.receive().unwrap().to.render("there", "there"), "here");
        assert_eq!(line.forward(), None);
        assert_eq!(TopicLine::parse("a/#").unwrap().forward().unwrap().qos, 0);
    }

    #[test]
    fn each_mistake_of_a_line_has_its_own_reason() {
        use TopicLineError as E;
        let reason = |line: &str| TopicLine::parse(line).unwrap_err();
        assert_eq!(reason("a/# up"), E::Direction("up".into()));
        assert_eq!(reason("a/# in 3"), E::Qos("3".into()));
        assert_eq!(reason("a/# in 1 x/ y/ z"), E::TooLong("z".into()));
        assert_eq!(reason("\"\" in"), E::NoTopics);
    }

    #[test]
    fn what_cannot_be_a_topic_is_refused() {
        use TopicTemplateError as E;
        let reason = |text: &str| TopicTemplate::parse(text, "a/+").unwrap_err();
        assert_eq!(reason(""), E::Empty);
        assert_eq!(reason("x/{topic"), E::Open);
        assert_eq!(reason("x/{device}"), E::Placeholder("device".into()));
        assert_eq!(reason("x/{rest}"), E::NoRest("a/+".into()));
        assert_eq!(reason("x/#"), E::Wildcard('#'));
    }
}
