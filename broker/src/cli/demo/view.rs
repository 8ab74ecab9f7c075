//! What the demo shows: a table that is drawn over itself on a terminal, lines elsewhere. Pure:
//! it is told what happened and answers with text.

use std::{collections::BTreeMap, fmt::Write as _};

/// Width of the table; a narrower terminal would break its lines.
const COLUMNS: usize = 79;

/// Width of the column of topics.
const TOPIC_COLUMNS: usize = 30;

/// Width of the column of commands.
const COMMAND_COLUMNS: usize = 56;

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) broker: String,
    pub(crate) upstream: String,
    pub(crate) upstream_port: u16,
    pub(crate) port: u16,
    pub(crate) admin: String,
    /// The link to its page.
    pub(crate) dashboard: String,
}

/// The last message of each topic.
#[derive(Debug)]
pub(crate) struct View {
    places: Places,
    devices: BTreeMap<String, Row>,
    results: BTreeMap<String, Row>,
    /// Lines of the table that is on the screen.
    drawn: usize,
}

#[derive(Debug, Default)]
struct Row {
    payload: String,
    count: u64,
}

/// Where a message was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Device,
    Upstream,
}

impl View {
    pub(crate) fn new(places: Places) -> Self {
        Self { places, devices: BTreeMap::new(), results: BTreeMap::new(), drawn: 0 }
    }

    /// Notes a message.
    pub(crate) fn note(&mut self, side: Side, topic: &str, payload: &str) {
        let rows = match side {
            Side::Device => &mut self.devices,
            Side::Upstream => &mut self.results,
        };
        if rows.len() >= ROWS_MAX && !rows.contains_key(topic) {
            return;
        }
        let row = rows.entry(printable(topic)).or_default();
        row.payload = printable(payload);
        row.count += 1;
    }

    /// The text above everything: where things are and what to try.
    pub(crate) fn introduction(&self) -> String {
        let Places { broker, upstream, upstream_port, port, admin, dashboard } = &self.places;
        let to_broker = if *port == 1883 { String::new() } else { format!(" -p {port}") };
        let next = [
            (format!("weir sub{to_broker} -t 'agg/#' -v"), "results of the rules"),
            (format!("weir sub -p {upstream_port} -t '#' -v"), "the same, at the upstream"),
            (
                format!("weir pub{to_broker} -t home/kitchen/freezer -m '{{\"temperature\":-5}}'"),
                "a freezer that is too warm",
            ),
            (format!("weir status --admin {admin}"), "what the broker does"),
        ];
        let mut text = format!(
            "Weir demo: devices -> broker -> rules -> upstream\n\n  \
             broker     {broker}\n  \
             upstream   {upstream}\n  \
             dashboard  {dashboard}\n\n\
             Try next, in another terminal:\n"
        );
        for (command, meaning) in next {
            writeln!(text, "  {command:<COMMAND_COLUMNS$}  {meaning}")
                .expect("a String takes everything");
        }
        text.push_str("\nCtrl-C ends it and leaves nothing behind.\n\n");
        text
    }

    /// The table, drawn over the last one.
    pub(crate) fn table(&mut self) -> String {
        let mut text = String::new();
        if self.drawn > 0 {
            write!(text, "\x1b[{}A\x1b[J", self.drawn).expect("a String takes everything");
        }
        let start = text.len();
        push_rows(&mut text, "from the devices", &self.devices);
        text.push('\n');
        push_rows(&mut text, "results, as they arrive upstream", &self.results);
        self.drawn = text[start..].matches('\n').count();
        text
    }

    /// One message as a line.
    pub(crate) fn line(side: Side, topic: &str, payload: &str) -> String {
        let side = match side {
            Side::Device => "device  ",
            Side::Upstream => "upstream",
        };
        format!("{side}  {:<TOPIC_COLUMNS$}  {}\n", printable(topic), printable(payload))
    }
}

fn push_rows(text: &mut String, title: &str, rows: &BTreeMap<String, Row>) {
    let title_columns = COLUMNS - 10;
    writeln!(text, "{title:<title_columns$}{:>10}", "messages").expect("a String takes everything");
    if rows.is_empty() {
        text.push_str("  (the first ones are on their way)\n");
    }
    for (topic, row) in rows {
        let payload_columns = COLUMNS - TOPIC_COLUMNS - 12;
        writeln!(
            text,
            "  {:<TOPIC_COLUMNS$} {:<payload_columns$}{:>9}",
            cut(topic, TOPIC_COLUMNS),
            cut(&row.payload, payload_columns),
            row.count
        )
        .expect("a String takes everything");
    }
}

fn cut(text: &str, columns: usize) -> String {
    match text.chars().count() > columns {
        true => text.chars().take(columns - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// What another client publishes must not control the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// More topics than the table has room for.
const ROWS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View::new(Places {
            broker: "127.0.0.1:1885".into(),
            upstream: "127.0.0.1:1886".into(),
            upstream_port: 1886,
            port: 1885,
            admin: "127.0.0.1:8080".into(),
            dashboard: "http://127.0.0.1:8080/#token=1".into(),
        })
    }

    #[test]
    fn the_table_shows_the_last_message_and_draws_over_itself() {
        let mut view = view();
        view.note(Side::Device, "home/kitchen/climate", "{\"temperature\":21.4}");
        view.note(Side::Device, "home/kitchen/climate", "{\"temperature\":21.5}");
        let first = view.table();
        assert!(first.contains("{\"temperature\":21.5}") && !first.contains("21.4"), "{first}");
        assert!(first.lines().all(|line| line.chars().count() <= COLUMNS), "{first}");
        assert!(first.contains("on their way"), "{first}");
        assert!(view.table().starts_with("\x1b[5A\x1b[J"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_not_text_is_marked() {
        let mut view = view();
        view.note(Side::Upstream, &"x".repeat(100), &"\u{1b}[2J".repeat(20));
        let table = view.table();
        assert!(table.contains('…') && !table.contains('\u{1b}'), "{table}");
        assert!(View::line(Side::Device, "a", "b\n").ends_with("b\u{fffd}\n"));
    }

    #[test]
    fn topics_beyond_the_room_of_the_table_are_left_out() {
        let mut view = view();
        (0..100).for_each(|number| view.note(Side::Device, &number.to_string(), ""));
        assert_eq!(view.devices.len(), ROWS_MAX);
    }

    #[test]
    fn the_introduction_names_ports_that_differ() {
        let text = view().introduction();
        assert!(text.contains("weir sub -p 1885 -t 'agg/#'"), "{text}");
        assert!(text.contains("weir sub -p 1886 -t '#'"), "{text}");
    }
}
