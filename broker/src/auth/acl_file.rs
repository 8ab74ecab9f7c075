//! ACL files of mosquitto, read unchanged.
//!
//! | line | meaning |
//! |---|---|
//! | `user NAME` | the topics that follow are of this user |
//! | `topic [ACCESS] TOPIC` | of the user; before any user, of clients without a name |
//! | `pattern [ACCESS] TOPIC` | of everybody; `%u` is the user name, `%c` the client identifier |
//!
//! The access is `read`, `write`, `readwrite` (also without a word) or `deny`.
//! What the rules mean is for the core to say.

use std::ops::Range;
use std::path::Path;

use weir_config::{Diagnostic, nearest};
use weir_core::{Access, Acl, Rule};
use weir_mqtt::TopicFilter;

use super::line::{self, Line, code};

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Acl, Vec<Diagnostic>> {
    let text = line::read(path, "ACL file").map_err(|problem| vec![*problem])?;
    parse(&text, &path.display().to_string())
}

/// Reads the text of a file; all that is wrong with it is told at once.
pub(crate) fn parse(text: &str, name: &str) -> Result<Acl, Vec<Diagnostic>> {
    let mut user = None;
    let (mut topics, mut patterns, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for line in line::lines(text) {
        match statement(&line) {
            Ok(Statement::Pattern(rule)) => patterns.push(rule.at_line(line.number)),
            Ok(Statement::Topic(rule)) => topics.push((user, rule.at_line(line.number))),
            Ok(Statement::User(name)) => user = Some(name),
            Err(problem) => problems.push(problem.0.at(name, text, problem.1)),
        }
    }
    if problems.is_empty() { Ok(Acl::new(topics, patterns)) } else { Err(problems) }
}

/// Reads what stands behind `topic` in such a file; none when it is wrong.
pub(crate) fn topic_rule(text: &str) -> Option<Rule> {
    let line = Line::whole(text);
    rule(&line, line.text, Rule::topic).ok()
}

enum Statement<'a> {
    Pattern(Rule),
    Topic(Rule),
    User(&'a str),
}

/// What is wrong, and the place.
type Problem = Box<(Diagnostic, Range<usize>)>;

fn statement<'a>(line: &Line<'a>) -> Result<Statement<'a>, Problem> {
    let (word, rest) = first_word(line.text);
    match word {
        "pattern" => rule(line, rest, Rule::pattern).map(Statement::Pattern),
        "topic" => rule(line, rest, Rule::topic).map(Statement::Topic),
        "user" if !rest.is_empty() => Ok(Statement::User(rest)),
        "user" => {
            let problem = Diagnostic::error(code::LINE, "the name of the user is missing");
            Err(Box::new((problem, line.span())))
        }
        _ => {
            let problem = Diagnostic::error(code::LINE, format!("`{word}` begins no line"));
            Err(Box::new((problem.help(did_you_mean(word, WORDS)), line.span_of(word))))
        }
    }
}

fn rule(
    line: &Line<'_>,
    rest: &str,
    new: impl Fn(Access, TopicFilter<'_>) -> Rule,
) -> Result<Rule, Problem> {
    let (word, after) = first_word(rest);
    // A single word is the topic, whatever it is.
    let (access, topic) = if after.is_empty() {
        (Access::ReadWrite, word)
    } else {
        let Some(access) = access(word) else {
            let problem = Diagnostic::error(code::LINE, format!("`{word}` is not an access"));
            let problem = problem.help(did_you_mean(word, ACCESSES));
            return Err(Box::new((problem, line.span_of(word))));
        };
        (access, after)
    };
    if topic.is_empty() {
        let problem = Diagnostic::error(code::LINE, "the topic is missing");
        return Err(Box::new((problem, line.span())));
    }
    let filter = TopicFilter::parse(topic).map_err(|reason| {
        let problem = Diagnostic::error(code::TOPIC, format!("`{topic}` is not a topic filter"));
        Box::new((problem.label(reason.to_string()), line.span_of(topic)))
    })?;
    if filter.share_name().is_some() {
        let problem = Diagnostic::error(code::TOPIC, "a rule is about topics, not about a share");
        let problem = problem.help("leave out `$share/NAME/`");
        return Err(Box::new((problem, line.span_of(topic))));
    }
    Ok(new(access, filter))
}

fn access(word: &str) -> Option<Access> {
    Some(match word {
        "deny" => Access::Deny,
        "read" => Access::Read,
        "readwrite" => Access::ReadWrite,
        "write" => Access::Write,
        _ => return None,
    })
}

/// The first word and what follows it.
fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_start())
}

fn did_you_mean<const N: usize>(word: &str, known: [&str; N]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("possible here: {}", known.join(", ")),
    }
}

const WORDS: [&str; 3] = ["pattern", "topic", "user"];
const ACCESSES: [&str; 4] = ["deny", "read", "readwrite", "write"];

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(access: Access, filter: &str) -> Rule {
        Rule::topic(access, TopicFilter::parse(filter).unwrap())
    }

    fn pattern(access: Access, filter: &str) -> Rule {
        Rule::pattern(access, TopicFilter::parse(filter).unwrap())
    }

    #[test]
    fn every_form_of_line_is_read() {
        let text = "\
# clients without a name
topic read $SYS/#

user ann
topic readwrite ann's room/#
topic   deny\tann's room/safe
topic write
topic plain/topic
user  bob the builder
topic write a/+/b
user ann
topic read late
pattern read home/%u/#
pattern dev/%c/state
";
        let acl = parse(text, "acl").unwrap();
        let ann = [
            topic(Access::ReadWrite, "ann's room/#").at_line(5),
            topic(Access::Deny, "ann's room/safe").at_line(6),
            topic(Access::ReadWrite, "write").at_line(7),
            topic(Access::ReadWrite, "plain/topic").at_line(8),
            topic(Access::Read, "late").at_line(12),
        ];
        let mut topics = vec![(None, topic(Access::Read, "$SYS/#").at_line(2))];
        topics.extend(ann.map(|rule| (Some("ann"), rule)));
        topics.push((Some("bob the builder"), topic(Access::Write, "a/+/b").at_line(10)));
        let patterns = [
            pattern(Access::Read, "home/%u/#").at_line(13),
            pattern(Access::ReadWrite, "dev/%c/state").at_line(14),
        ];
        assert_eq!(acl, Acl::new(topics, patterns));
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let text = "topc read a\nuser\ntopic reed a/b\ntopic read a/#/b\npattern\n\
                    topic read $share/g/a\ntopic read ok\n";
        let problems = parse(text, "acl").unwrap_err();
        let told: String = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 6, "{told}");
        for part in [
            "acl:1:1",
            "did you mean `topic`?",
            "acl:2:1",
            "the name of the user is missing",
            "acl:3:7",
            "did you mean `read`?",
            "acl:4:12",
            "`a/#/b` is not a topic filter",
            "acl:5:1",
            "the topic is missing",
            "acl:6:12",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn an_empty_file_allows_nothing() {
        assert_eq!(parse("# nothing\n", "acl").unwrap(), Acl::default());
    }
}
