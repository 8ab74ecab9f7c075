//! What a rule does, in words: what it reads, what it keeps and what that takes, and what it shares
//! with others.

mod blocks;

use std::fmt::Write as _;

use blocks::{alerting, changed, formed, joined, looked_up, promised, repeated};

use crate::expression::{FoldKind, Program};
use crate::message::Guarantee;
use crate::payload::Decode;
use crate::plan::{Plan, RuleSummary};
use crate::quantity::{format_bytes, format_duration};
use crate::rule::{Destination, Rule, TopicPart};
use crate::topic::overlap;
use crate::watermark::{EventTime, Time, Unit};
use crate::window::Window;

impl Plan {
    /// What a rule does, as lines for people; `None` if there is no such rule.
    ///
    /// ```
    /// use weir_rules::{Source, compile};
    ///
    /// let text = "[rule.mean]\nfrom = \"room/{room}\"\nby = [\"room\"]\n\
    ///             window = \"sliding 5m every 10s\"\n\
    ///             select = { t = \"avg(t)\" }\nto = \"agg/{room}\"\n";
    /// let plan = compile(&[Source::new("rooms.toml", text)]).expect("the rule is correct");
    /// let words = plan.explain("mean").expect("it is in the plan");
    /// assert!(words.contains("window     sliding 5m every 10s: 30 panes of 10s"));
    /// ```
    pub fn explain(&self, rule: &str) -> Option<String> {
        let summary = self.summaries.iter().find(|known| known.name == rule)?;
        let mut text = format!("rule {} ({}:{})\n", summary.name, summary.path, summary.line);
        let mut line = |name: &str, words: &str| {
            writeln!(text, "  {name:<10} {words}").expect("a String takes everything");
        };
        if !summary.about.is_empty() {
            line("about", &summary.about);
        }
        let Some(rule) = self.rules.iter().find(|known| *known.name == *rule) else {
            line("runs", "not: it has enabled = false");
            return Some(text);
        };
        line("reads", &self.reads(rule));
        line("shares", &self.shares(rule));
        line("time", &time(rule));
        for lookup in &rule.lookups {
            line("looks up", &looked_up(lookup));
        }
        if let Some(dedupe) = &rule.dedupe {
            line("dedupe", &repeated(dedupe));
        }
        if let Some(filter) = &rule.filter {
            line("where", &filter.source);
        }
        line("groups", &groups(rule));
        if let (Some(window), Some(written)) = (&rule.window, &summary.window) {
            line("window", &format!("{written}: {}", panes(rule, window)));
            for (at, words) in kept(rule).iter().enumerate() {
                line(if at == 0 { "keeps" } else { "" }, words);
            }
        }
        if rule.remembers() {
            line("remembers", &remembered(rule));
        }
        if let Some(every) = rule.early {
            let words = format!("what open windows hold, every {}", format_duration(every));
            line("early", &words);
        }
        if let Some(topic) = &rule.late_topic {
            line("late", &format!("messages whose windows are closed go to {topic}"));
        }
        if let Some(having) = &rule.having {
            line("having", &having.source);
        }
        for join in &rule.joins {
            line("joins", &joined(join));
        }
        if let Some(alert) = &rule.alert {
            line("alert", &alerting(alert));
        }
        if let Some(change) = &rule.change {
            line("change", &changed(change));
        }
        if rule.guarantee != Guarantee::ExactlyOnce {
            line("promises", promised(rule.guarantee));
        }
        line("memory", &memory(rule, summary));
        line("timers", &timers(rule));
        for (at, destination) in rule.to.iter().enumerate() {
            line(if at == 0 { "sends" } else { "" }, &sends(destination));
        }
        line("errors", &rule.errors);
        Some(text)
    }

    fn reads(&self, rule: &Rule) -> String {
        let filters: Vec<String> = rule.filters.iter().map(|filter| filter.mqtt()).collect();
        let decoded = format!("{:?}", rule.decode).to_lowercase();
        let decoded = decoded.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let results = rule.sources.iter().map(|name| format!("the results of rule {name}"));
        let filters: Vec<String> = filters.into_iter().chain(results).collect();
        let filters = list(filters.iter().map(String::as_str));
        format!("{filters}, decoded as {decoded}")
    }

    /// The rules that read the same messages: one JSON payload is read once for all of them.
    fn shares(&self, rule: &Rule) -> String {
        let meets = |other: &&Rule| {
            let filters = other.filters.iter();
            *other.name != *rule.name
                && other.decode == Decode::Json
                && filters.clone().any(|theirs| {
                    rule.filters.iter().any(|ours| overlap(&ours.levels, &theirs.levels))
                })
        };
        let others: Vec<&str> = match rule.decode {
            Decode::Json => self.rules.iter().filter(meets).map(|other| &*other.name).collect(),
            _ => Vec::new(),
        };
        match others.len() {
            0 => "nothing".to_owned(),
            _ => format!("the reading of the payload with {}", list(others.into_iter())),
        }
    }
}

fn time(rule: &Rule) -> String {
    let time = match &rule.time {
        Time::Arrival => return "when the broker received the message".to_owned(),
        Time::Field(time) => time,
    };
    let EventTime { program, unit, late, idle, ahead, per_source } = time;
    let unit = match unit {
        Unit::Guess => "unit by the size of the number",
        Unit::Microseconds => "microseconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Nanoseconds => "nanoseconds",
        Unit::Rfc3339 => "RFC 3339",
        Unit::Seconds => "seconds",
    };
    let shared = if *per_source { "client" } else { "group" };
    let mut text = format!(
        "the stamp `{}` ({unit}); the watermark of a {shared} is {} behind its newest message",
        program.source,
        format_duration(*late),
    );
    match idle {
        Some(idle) => {
            write!(text, ", and goes on with the clock after {} of silence", format_duration(*idle))
        }
        None => write!(text, ", and stands still in silence"),
    }
    .expect("a String takes everything");
    write!(text, "; stamps up to {} ahead are taken", format_duration(*ahead))
        .expect("a String takes everything");
    text
}

fn groups(rule: &Rule) -> String {
    if rule.by.is_empty() {
        return "one for all messages".to_owned();
    }
    let by: Vec<&str> = rule.by.iter().map(|key| &*key.program.source).collect();
    format!("by {}", list(by.into_iter()))
}

fn panes(rule: &Rule, window: &Window) -> String {
    let correct = match rule.correct {
        0 => String::new(),
        time => format!("; corrected by late messages for {} more", format_duration(time)),
    };
    match window {
        Window::Calendar(_) => format!("a pane for each window{correct}"),
        Window::Count { size, width, .. } => match size / width {
            1 => format!("one pane of {width} messages"),
            panes => format!("{panes} panes of {width} messages"),
        },
        Window::Each { .. } => "a pane for each message".to_owned(),
        Window::Session(_) => "a pane for each session that is open".to_owned(),
        Window::Sliding { size, width, .. } => match size / width {
            1 => format!("one pane of {}{correct}", format_duration(*width)),
            panes => format!("{panes} panes of {}{correct}", format_duration(*width)),
        },
        Window::While => "a pane for the run that is open, and one for each message that waits \
                          for the watermark"
            .to_owned(),
    }
}

/// What a pane holds, an argument of aggregates a line.
fn kept(rule: &Rule) -> Vec<String> {
    let layout = &rule.layout;
    let bytes = format_bytes(layout.pane_bytes() as u64);
    let mut lines = vec![format!("the number of messages; a pane takes about {bytes}")];
    for (at, column) in layout.columns.iter().enumerate() {
        let parts = layout.parts.iter().filter(|part| usize::from(part.column) == at);
        let parts: Vec<String> =
            parts.map(|part| format!("{:?}", part.kind).to_lowercase()).collect();
        let for_this = |column: Option<u16>| column.map(usize::from) == Some(at);
        let count = layout.aggregates.iter().filter(|one| for_this(one.column)).count();
        let users =
            if count == 1 { String::new() } else { format!(", shared by {count} aggregates") };
        let parts = list(parts.iter().map(String::as_str));
        lines.push(format!("of `{}`: {parts}{users}", words(&column.argument)));
    }
    lines
}

/// What a group keeps of the messages before.
fn remembered(rule: &Rule) -> String {
    let before = rule.prev.iter().map(|prev| words(&prev.program).to_owned());
    let folds = rule.folds.iter().map(|fold| match fold.kind {
        FoldKind::Decayed(half_life) => format!(
            "mean and deviation of `{}` with a half-life of {}",
            words(&fold.program),
            format_duration(half_life)
        ),
        FoldKind::Since => format!("since when `{}`", words(&fold.program)),
    });
    before.chain(folds).collect::<Vec<_>>().join(", ")
}

fn memory(rule: &Rule, summary: &RuleSummary) -> String {
    if !rule.keeps_keys() && !rule.joins.is_empty() {
        return format!("the values of its joins, at most {} each (limits.keys)", rule.keys_max);
    }
    if !rule.keeps_keys() {
        return "nothing: each message is computed by itself".to_owned();
    }
    let key = summary.key_bytes as u64;
    let limit = format_bytes(rule.memory_max as u64);
    if rule.by.is_empty() {
        return format!("about {}; limits.memory is {limit}", format_bytes(key));
    }
    let keys = rule.keys_max as u64;
    let total = format_bytes(keys.saturating_mul(key));
    format!(
        "about {} a group; {keys} groups (limits.keys) need {total}, limits.memory is {limit}",
        format_bytes(key)
    )
}

fn timers(rule: &Rule) -> String {
    if !rule.keeps_keys() {
        return "none".to_owned();
    }
    let expire = format_duration(rule.expire);
    match rule.window {
        Some(_) => format!(
            "one for each group: the end of its next window, or its end after {expire} of silence"
        ),
        None => format!("one for each group: its end after {expire} of silence"),
    }
}

fn sends(destination: &Destination) -> String {
    if destination.is_link {
        return "to the rules that read it".to_owned();
    }
    let mut text = String::new();
    for part in &destination.topic {
        match part {
            TopicPart::Literal(literal) => text.push_str(literal),
            TopicPart::Value { program, .. } => {
                write!(text, "{{{}}}", program.source).expect("a String takes everything");
            }
        }
    }
    let mut add = |words: String| text.push_str(&words);
    if let Some(form) = formed(&destination.form) {
        add(format!(", {form}"));
    }
    add(format!(", QoS {}", destination.qos));
    if destination.retain {
        add(", retained".to_owned());
    }
    if let Some(upstream) = &destination.upstream {
        add(format!(", to the upstream {upstream}"));
    }
    if let Some(seconds) = destination.expire_s {
        add(format!(", expires after {}", format_duration(i64::from(seconds) * 1000)));
    }
    text
}

/// The part of an expression that a program was made from.
fn words(program: &Program) -> &str {
    program.source.get(program.whole()).unwrap_or(&program.source)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::{Plan, Source, TableFile, compile};

    const TEXT: &str = r#"
[rule.cycle]
about  = "how long machines take"
from   = "line/{line}/{machine}/cycle"
time   = { field = "ts", unit = "ms", late = "2s", idle = "30s" }
where  = "cycle_ms > 0"
by     = ["machine"]
window = "sliding 5m every 10s"
select = { mean = "avg(cycle_ms)", all = "sum(cycle_ms)", worst = "max(cycle_ms)", parts = "distinct(part)" }
having = "mean > 5"
emit   = { late = "update" }
to     = [{ topic = "agg/{machine}", retain = true }, { topic = "cloud/{machine}", upstream = "cloud", expire = "7d" }]
limits = { keys = 100 }

[rule.copy]
from   = "line/#"
select = { machine = "machine" }
to     = "copies"

[rule.level]
from   = "tank/{id}/level"
decode = "number"
by     = ["id"]
where  = "value != prev.value"
to     = "tank/{id}/changed"

[rule.odd]
from   = "motor/{id}/rms"
decode = "number"
by     = ["id"]
where  = "value > 2 * ewma(value, '1h')"
to     = "odd/{id}"

[rule.hot]
from = ["rule:level", "oven/+"]
by   = ["id"]
to   = "hot/{id}"
[rule.hot.alert]
when   = "t > set.max"
for    = "5m"
silent = "1h"
repeat = "8h"
[rule.hot.join.set]
topic   = "set/{id}"
max_age = "1d"

[rule.tagged]
from      = "plc/{tag}"
dedupe    = { key = ["tag", "seq"], within = "5m" }
select    = { bar = "value * meter.gain" }
change    = { field = "bar", by = 0.5, or_percent = 2, at_least_every = "10m" }
guarantee = "best-effort"
to        = { topic = "plant/{tag}", format = "number" }
[rule.tagged.lookup.meter]
file = "meters.csv"
key  = "tag"
miss = "drop"

[rule.off]
from    = "a"
to      = "b"
enabled = false
"#;

    fn plan() -> Plan {
        let mut source = Source::new("rules.toml", TEXT);
        let content = Ok("tag,gain\nPT1,6.25\n".to_owned());
        let (name, path) = ("meters.csv".to_owned(), "meters.csv".to_owned());
        source.tables = vec![TableFile { name, path, content }];
        compile(&[source]).expect("correct rules")
    }

    fn explain(rule: &str) -> String {
        plan().explain(rule).expect("a rule")
    }

    #[test]
    fn a_rule_with_a_window_is_explained_line_by_line() {
        let expected = "\
rule cycle (rules.toml:2)
  about      how long machines take
  reads      line/+/+/cycle, decoded as json
  shares     the reading of the payload with copy
  time       the stamp `ts` (milliseconds); the watermark of a group is 2s behind its newest message, and goes on with the clock after 30s of silence; stamps up to 10m ahead are taken
  where      cycle_ms > 0
  groups     by machine
  window     sliding 5m every 10s: 30 panes of 10s; corrected by late messages for 5m more
";
        let text = explain("cycle");
        assert!(text.starts_with(expected), "{text}");
        for line in [
            "  keeps      the number of messages; a pane takes about ",
            "             of `cycle_ms`: count, sum, max, shared by 3 aggregates\n",
            "             of `part`: distinct\n",
            "  having     mean > 5\n",
            " a group; 100 groups (limits.keys) need ",
            "  timers     one for each group: the end of its next window, or its end after 10m of silence\n",
            "  sends      agg/{machine}, QoS 1, retained\n",
            "             cloud/{machine}, QoS 1, to the upstream cloud, expires after 7d\n",
            "  errors     $rules/cycle/errors\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn alerts_joins_and_rules_that_read_rules_are_explained() {
        let text = explain("hot");
        for line in [
            "  reads      oven/+, the results of rule level, decoded as json\n",
            "  joins      the last value of set/+: max, if it is not older than 1d\n",
            "  alert      fires when t > set.max for 5m; ends when it is not so; tells silence of 1h; reminds every 8h\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(explain("level").contains("             to the rules that read it\n"));
    }

    #[test]
    fn tables_repeats_changes_promises_and_forms_are_explained() {
        let text = explain("tagged");
        for line in [
            "  looks up   the row of `tag` in meters.csv: tag, gain; a message without a row is passed over\n",
            "  dedupe     the first of messages with the same tag, seq within 5m\n",
            "  change     results that differ in bar by more than 0.5 or 2 %, at least every 10m\n",
            "  promises   best-effort: results do not wait for their state, which is written a second later\n",
            "  sends      plant/{tag}, `bar` as a number, QoS 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn rules_without_windows_and_rules_that_do_not_run_are_explained_too() {
        let text = explain("level");
        assert!(text.contains("  remembers  prev.value\n"), "{text}");
        assert!(text.contains("  shares     nothing\n"), "{text}");
        let text = explain("odd");
        let words = "  remembers  mean and deviation of `value` with a half-life of 1h\n";
        assert!(text.contains(words), "{text}");
        let text = explain("copy");
        assert!(
            text.contains("  memory     nothing: each message is computed by itself\n"),
            "{text}"
        );
        assert!(text.contains("  timers     none\n"), "{text}");
        assert!(explain("off").contains("  runs       not: it has enabled = false\n"));
        assert_eq!(plan().explain("other"), None);
    }
}
