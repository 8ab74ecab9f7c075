//! Alerts against a plain state machine that looks at the whole history, second by second.

mod common;

use common::{START, body, plan};
use proptest::prelude::*;
use weir_rules::{Emission, Engine, Event, Timestamp};

/// How an alert is set; seconds.
#[derive(Clone, Debug)]
struct Settings {
    hold: i64,
    clear: bool,
    clear_hold: i64,
    repeat: Option<i64>,
    silent: Option<i64>,
    /// Whether the time of the message counts.
    stamped: bool,
    /// Whether `where` holds messages of one value back; it names `prev`, so they are remembered.
    held_back: bool,
}

/// A message; seconds since the start.
#[derive(Clone, Debug)]
struct Seen {
    arrived: i64,
    time: i64,
    value: Option<i64>,
}

/// What was sent in which second: state, since, value, number of the reminder.
type Sent = (i64, String, i64, Option<i64>, u64);

impl Settings {
    fn rule(&self) -> String {
        let mut lines = vec![
            "[rule.r]".to_owned(),
            "from = \"in/{key}\"".to_owned(),
            "by = [\"key\"]".to_owned(),
            "to = { topic = \"out/{key}\", retain = true }".to_owned(),
        ];
        if self.stamped {
            lines.push("time = { field = \"ts\", unit = \"ms\" }".to_owned());
        }
        if self.held_back {
            lines.push("where = \"v != 7 || prev.v == 1000\"".to_owned());
        }
        lines.push("[rule.r.alert]".to_owned());
        lines.push("when = \"v > 10\"".to_owned());
        lines.push(format!("for = \"{}s\"", self.hold));
        lines.push(format!("clear_for = \"{}s\"", self.clear_hold));
        if self.clear {
            lines.push("clear = \"v < 5\"".to_owned());
        }
        lines.extend(self.repeat.map(|repeat| format!("repeat = \"{repeat}s\"")));
        lines.extend(self.silent.map(|silent| format!("silent = \"{silent}s\"")));
        lines.join("\n")
    }

    fn when(seen: &Seen) -> Option<bool> {
        seen.value.map(|value| value > 10)
    }

    fn cleared(&self, seen: &Seen) -> Option<bool> {
        seen.value.map(|value| if self.clear { value < 5 } else { value <= 10 })
    }
}

/// What an alert is, told in the plainest way: it keeps all messages.
struct Model<'s> {
    settings: &'s Settings,
    history: Vec<Seen>,
    /// The first message that counts for what comes next.
    begin: usize,
    firing: Option<i64>,
    is_silent: bool,
    told: Option<i64>,
    repeats: u64,
    sent: Vec<Sent>,
}

impl<'s> Model<'s> {
    fn new(settings: &'s Settings) -> Self {
        Model {
            settings,
            history: Vec::new(),
            begin: 0,
            firing: None,
            is_silent: false,
            told: None,
            repeats: 0,
            sent: Vec::new(),
        }
    }

    /// Since when a condition holds: the first message for it after the last one against it.
    fn since(&self, condition: impl Fn(&Seen) -> Option<bool>) -> Option<i64> {
        let list = &self.history[self.begin.min(self.history.len())..];
        let after = list.iter().rposition(|seen| condition(seen) == Some(false));
        let rest = &list[after.map_or(0, |at| at + 1)..];
        rest.iter().find(|seen| condition(seen) == Some(true)).map(|seen| seen.time)
    }

    fn send(&mut self, clock: i64, state: &str, since: i64) {
        let value = self.history.iter().rev().find_map(|seen| seen.value);
        self.sent.push((clock, state.to_owned(), since, value, self.repeats));
        self.told = (state != "resolved").then_some(clock);
    }

    /// What has held long enough at `time`; `next` is the first message that counts after it.
    fn elapse(&mut self, clock: i64, time: i64, next: usize) -> bool {
        let settings = self.settings;
        let (since, hold) = match self.firing {
            None => (self.since(Settings::when), settings.hold),
            Some(_) => (self.since(|seen| settings.cleared(seen)), settings.clear_hold),
        };
        let Some(since) = since.filter(|since| since + hold <= time) else { return false };
        self.begin = next;
        self.repeats = 0;
        self.firing = if self.firing.is_none() { Some(since) } else { None };
        self.send(clock, if self.firing.is_some() { "firing" } else { "resolved" }, since);
        true
    }

    fn tick(&mut self, clock: i64) {
        let Some(last) = self.history.last().cloned() else { return };
        let now = last.time + clock - last.arrived;
        while !self.is_silent && self.elapse(clock, now, self.history.len()) {}
        if !self.is_silent && self.settings.silent.is_some_and(|s| last.arrived + s <= clock) {
            self.is_silent = true;
            self.begin = self.history.len();
            self.repeats = 0;
            self.send(clock, "silent", last.time);
        }
        if let (Some(repeat), Some(told)) = (self.settings.repeat, self.told)
            && told + repeat <= clock
        {
            self.repeats += 1;
            match (self.is_silent, self.firing) {
                (true, _) => self.send(clock, "silent", last.time),
                (false, Some(since)) => self.send(clock, "firing", since),
                (false, None) => {}
            }
        }
    }

    fn message(&mut self, seen: Seen) {
        let is_late = self.history.last().is_some_and(|last| seen.time < last.time);
        if is_late || (self.settings.held_back && seen.value == Some(7)) {
            return;
        }
        let (clock, time) = (seen.arrived, seen.time);
        if !self.is_silent {
            self.elapse(clock, time, self.history.len());
        }
        self.history.push(seen);
        let woke = std::mem::take(&mut self.is_silent);
        if self.elapse(clock, time, self.history.len()) || !woke {
            return;
        }
        self.repeats = 0;
        match self.firing {
            Some(since) => self.send(clock, "firing", since),
            None => self.send(clock, "resolved", time),
        }
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let maybe = |from: i64, to: i64| proptest::option::of(from..to);
    (0i64..12, any::<bool>(), 0i64..8, maybe(1, 30), maybe(1, 30), any::<(bool, bool)>()).prop_map(
        |(hold, clear, clear_hold, repeat, silent, (stamped, held_back))| Settings {
            hold,
            clear,
            clear_hold,
            repeat,
            silent,
            stamped,
            held_back,
        },
    )
}

fn history() -> impl Strategy<Value = Vec<Seen>> {
    let step = prop_oneof![4 => 0i64..6, 1 => 0i64..40];
    let value = prop_oneof![6 => (0i64..16).prop_map(Some), 1 => Just(None)];
    let back = prop_oneof![3 => Just(0i64), 1 => 0i64..10];
    proptest::collection::vec((step, value, back), 1..40).prop_map(|list| {
        let mut arrived = 0;
        let make = |(step, value, back): (i64, Option<i64>, i64)| {
            arrived += step;
            Seen { arrived, time: arrived - back, value }
        };
        list.into_iter().map(make).collect()
    })
}

fn expected(settings: &Settings, history: &[Seen], end: i64) -> Vec<Sent> {
    let mut model = Model::new(settings);
    for clock in 0..=end {
        model.tick(clock);
        for seen in history.iter().filter(|seen| seen.arrived == clock) {
            let time = if settings.stamped { seen.time } else { seen.arrived };
            model.message(Seen { time, ..seen.clone() });
        }
    }
    model.sent
}

fn stamp(second: i64) -> Timestamp {
    Timestamp(START + second * 1000)
}

fn found(clock: i64, out: &mut Vec<Emission>, sent: &mut Vec<Sent>) {
    for emission in out.drain(..) {
        assert_eq!((emission.error.as_ref(), emission.topic.as_str()), (None, "out/a"));
        let body = body(&emission);
        let state = body["state"].as_str().unwrap_or_default().to_owned();
        let since = seconds(body["since"].as_str().expect("it has a time"));
        let repeat = body["repeat"].as_u64().unwrap_or(0);
        sent.push((clock, state, since, body["value"].as_i64(), repeat));
    }
}

/// Seconds since the start, which is a midnight.
fn seconds(text: &str) -> i64 {
    let part = |from: usize| text[from..from + 2].parse::<i64>().expect("a time has digits");
    (part(8) - 10) * 86_400 + part(11) * 3600 + part(14) * 60 + part(17)
}

/// Plays the history; wherever `cuts` says so the engine is made anew from what it has stored.
fn played(settings: &Settings, history: &[Seen], end: i64, cuts: &[u8]) -> Vec<Sent> {
    let text = settings.rule();
    let mut engine = Engine::new(plan(&text));
    let (mut out, mut sent, mut deltas) = (Vec::new(), Vec::new(), Vec::new());
    for clock in 0..=end {
        engine.advance(stamp(clock), &mut out);
        found(clock, &mut out, &mut sent);
        for seen in history.iter().filter(|seen| seen.arrived == clock) {
            let value = seen.value.map_or("null".to_owned(), |value| value.to_string());
            let payload = format!("{{\"v\":{value},\"ts\":{}}}", stamp(seen.time).0);
            let event = Event {
                topic: "in/a",
                payload: payload.as_bytes(),
                qos: 1,
                retain: false,
                client: "c",
                arrived: stamp(clock),
            };
            engine.handle(stamp(clock), &event, &mut out);
            found(clock, &mut out, &mut sent);
        }
        if !cuts.is_empty() && cuts[clock as usize % cuts.len()] == 0 {
            let mut delta = Vec::new();
            if engine.take_delta(&mut delta) {
                deltas.push(delta);
            }
            let before = engine.status();
            let none = std::iter::empty::<Vec<u8>>();
            engine = Engine::restore(plan(&text), none, deltas.iter())
                .expect("what was stored can be read");
            let after = engine.status();
            assert_eq!(before[0].state_bytes, after[0].state_bytes);
            assert_eq!(before[0].keys, after[0].keys);
        }
    }
    sent
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn alerts_are_those_of_a_plain_state_machine(settings in settings(), history in history()) {
        let end = history.last().unwrap().arrived + 60;
        prop_assert_eq!(played(&settings, &history, end, &[]), expected(&settings, &history, end));
    }

    #[test]
    fn alerts_go_on_after_restarts_at_any_second(
        settings in settings(), history in history(), cuts in proptest::collection::vec(0u8..3, 1..9),
    ) {
        let end = history.last().unwrap().arrived + 60;
        let whole = played(&settings, &history, end, &[]);
        prop_assert_eq!(played(&settings, &history, end, &cuts), whole);
    }
}

/// What a rule sends for messages and clock readings, in order: state, since and value.
fn told(text: &str, steps: &[(i64, Option<&str>)]) -> Vec<String> {
    let mut engine = Engine::new(plan(text));
    let (mut out, mut told) = (Vec::new(), Vec::new());
    for (clock, payload) in steps {
        match payload {
            None => engine.advance(stamp(*clock), &mut out),
            Some(payload) => {
                let (topic, payload) = ("in/a", payload.as_bytes());
                let (qos, retain, client) = (1, false, "c");
                let event = Event { topic, payload, qos, retain, client, arrived: stamp(*clock) };
                engine.handle(stamp(*clock), &event, &mut out);
            }
        }
        for emission in out.drain(..) {
            let body = body(&emission);
            let since = seconds(body["since"].as_str().expect("it has a time"));
            told.push(format!("{clock}: {} {since} {}", body["state"], body["value"]));
        }
    }
    told
}

#[test]
fn results_of_windows_fire_and_silence_ends_with_the_first_result_of_new_messages() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out\"\ndecode = \"number\"\n\
        window = \"tumbling 10s\"\n[rule.r.alert]\nwhen = \"avg(value) > 5\"\nfor = \"20s\"\n\
        silent = \"35s\"\n";
    let message = |clock, payload| (clock, Some(payload));
    let wait = |clock| (clock, None);
    let steps = [
        message(1, "8"),
        message(11, "6"),
        message(21, "7"),
        message(25, "9"),
        // The third result: too warm since the end of the first one.
        wait(30),
        wait(59),
        wait(60),
        message(75, "1"),
        wait(79),
        wait(80),
    ];
    let expected = ["30: \"firing\" 10 8", "60: \"silent\" 25 8", "80: \"resolved\" 80 1"];
    assert_eq!(told(text, &steps), expected);
}

#[test]
fn silence_alone_can_be_watched() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out\"\ndecode = \"number\"\n\
        [rule.r.alert]\nsilent = \"10s\"\nvalue = \"value\"\n";
    let steps =
        [(0, Some("3")), (9, Some("4")), (18, None), (19, None), (99, None), (100, Some("5"))];
    assert_eq!(told(text, &steps), ["19: \"silent\" 9 4", "100: \"resolved\" 100 5"]);
}

#[test]
fn an_alert_is_not_forgotten_while_it_fires() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out\"\ndecode = \"number\"\n\
        limits = { expire = \"1m\" }\n[rule.r.alert]\nwhen = \"value > 5\"\n";
    let steps = [(0, Some("9")), (3600, None), (3601, Some("2"))];
    assert_eq!(told(text, &steps), ["0: \"firing\" 0 9", "3601: \"resolved\" 3601 2"]);
}
