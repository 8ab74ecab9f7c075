//! Writes down what becomes of messages, in rules that are traced. All others pay a few comparisons
//! with null for each message.

use super::Engine;
use super::count::counted;
use super::intake::capture_value;
use super::life::Turn;
use super::work::Message;
use crate::aggregate::span;
use crate::expression::{Fault, Op};
use crate::form::WindowLabel;
use crate::json::write_number;
use crate::key::{KeyState, take_part};
use crate::message::{Event, Timestamp};
use crate::rule::Rule;
use crate::running::Running;
use crate::trace::{Draft, Fate, Late, Mark, Members, Place, ResultWindow, Step, Tracer, Withheld};
use crate::value::{Texts, Value};
use crate::watermark::Time;
use crate::window::{SessionPlace, Window, waiting_id, waiting_time};

impl Engine {
    /// Lets a rule write down what it does with its messages: at most `steps_max` steps until they
    /// are taken, see [`Engine::take_steps`]; with 0 it ends. What it computes is the same. `false`
    /// if no rule that runs has this name.
    ///
    /// One message can make many steps: one for each row of its payload, and one for each group
    /// whose windows end before it comes.
    pub fn set_traced(&mut self, rule: &str, steps_max: usize) -> bool {
        let running = self.index_of(rule).and_then(|index| self.running.get_mut(index));
        let Some(running) = running else { return false };
        match steps_max {
            0 => running.tracer = None,
            _ => running.tracer.get_or_insert_default().steps_max = steps_max,
        }
        true
    }

    /// Gives the steps of all traced rules since the last call: a rule that reads another one
    /// follows it. Answers how many there was no room for; those are the last ones.
    pub fn take_steps(&mut self, steps: &mut Vec<Step>) -> u64 {
        let rules = self.plan.rules.iter().zip(&mut self.running);
        let mut traced: Vec<_> = rules
            .filter_map(|(rule, running)| Some((rule.rank, running.tracer.as_mut()?)))
            .collect();
        // The rank is the length of the chain that is still to come.
        traced.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        let mut missed = 0;
        for (_, tracer) in traced {
            let (taken, lost) = tracer.take();
            steps.extend(taken);
            missed += lost;
        }
        missed
    }
}

impl Running {
    /// Whether somebody wants to know what the rule does. All that writes it down is out of the way
    /// of a message, so whoever calls that asks this first.
    #[inline]
    pub(super) fn is_traced(&self) -> bool {
        self.tracer.is_some()
    }

    fn note_down(&mut self, note: impl FnOnce(&mut Draft)) {
        if let Some(tracer) = &mut self.tracer {
            note(&mut tracer.draft);
        }
    }

    #[cold]
    pub(super) fn trace_fate(&mut self, fate: Fate) {
        self.note_down(|draft| draft.fate = Some(fate));
    }

    /// Notes the group of a message.
    #[cold]
    pub(super) fn trace_key(&mut self, rule: &Rule, message: &Message<'_>) {
        self.note_down(|draft| draft.key = Some(key_text(rule, &message.scratch.key)));
    }

    /// Notes a fault; and if the group is not known yet and follows from the topic, that too.
    #[cold]
    pub(super) fn trace_fault(
        &mut self,
        rule: &Rule,
        message: &Message<'_>,
        (filter, fault): (u16, &Fault),
    ) {
        let key = message.key_of_topic(rule, filter);
        self.note_down(|draft| draft.key = draft.key.take().or(key));
        self.trace_error(fault);
    }

    #[cold]
    pub(super) fn trace_error(&mut self, Fault { code, message }: &Fault) {
        self.trace_fate(Fate::Error { code, message: message.clone() });
    }

    /// Notes the windows that a message has gone into; `watermark` is the one before it.
    #[cold]
    pub(super) fn trace_taken(
        &mut self,
        rule: &Rule,
        id: u32,
        (time, watermark): (i64, i64),
        during: bool,
    ) {
        let (Some(window), Some(key)) = (&rule.window, self.keys.get(id)) else { return };
        let Some(place) = place(rule, window, key, (time, watermark), during) else { return };
        let late = (time < watermark).then(|| lateness(rule, time, watermark));
        let Some(tracer) = &mut self.tracer else { return };
        let number = match window {
            Window::While => stand_in_line(tracer, rule, (id, key), time, watermark),
            _ => 0,
        };
        let draft = &mut tracer.draft;
        draft.time = matches!(rule.time, Time::Field(_)).then_some(time);
        draft.fate = Some(Fate::Taken { place, late });
        draft.mark = Some(Mark { place, time, life: key.birth, number });
    }

    /// Notes that all windows of a message are closed.
    #[cold]
    pub(super) fn trace_late(&mut self, rule: &Rule, time: i64, watermark: i64) {
        self.note_down(|draft| {
            draft.time = matches!(rule.time, Time::Field(_)).then_some(time);
            draft.fate = Some(Fate::Late(lateness(rule, time, watermark)));
        });
    }

    /// Notes that an alert does not look at a message, because it has seen a newer one.
    #[cold]
    pub(super) fn trace_older(&mut self, rule: &Rule, time: i64, newest: i64) {
        self.note_down(|draft| {
            draft.time = matches!(rule.time, Time::Field(_)).then_some(time);
            draft.fate = Some(Fate::Older { by_ms: newest - time });
        });
    }

    /// Notes the result of a window, which begins at `start` in what is sent.
    #[cold]
    pub(super) fn trace_result(
        &mut self,
        turn: &mut Turn<'_>,
        id: u32,
        label: WindowLabel,
        start: usize,
    ) {
        let (Some(tracer), Some(key)) = (&mut self.tracer, self.keys.get(id)) else { return };
        let rule = turn.rule;
        let times = span(&rule.layout, turn.work.merged.parts().0);
        let members = Members {
            life: key.birth,
            last: times.map_or(label.end, |(_, last)| last),
            numbers: numbers(tracer, rule, (id, key), label),
        };
        let window = ResultWindow {
            key: key_text(rule, &key.bytes),
            start: label.start,
            end: label.end,
            revision: label.revision,
            early: label.early.is_some(),
            members,
        };
        let withheld = tracer.draft.withheld.take().unwrap_or(Withheld::Held);
        tracer.draft.windows.push((window, start..turn.out.len(), withheld));
    }

    #[cold]
    pub(super) fn trace_withheld(&mut self, why: Withheld) {
        self.note_down(|draft| draft.withheld = Some(why));
    }

    /// Ends the step of a message; what it has sent begins at `start`.
    #[cold]
    pub(super) fn trace_message(&mut self, turn: &Turn<'_>, message: &Message<'_>, start: usize) {
        let part = message.record;
        self.trace_step(turn, (Some(&message.event), part), start);
    }

    /// Writes down that a paused rule does not see a message.
    #[cold]
    pub(super) fn trace_paused(&mut self, rule: &Rule, event: &Event<'_>) {
        let Some(tracer) = &mut self.tracer else { return };
        tracer.push(Step {
            rule: rule.name.clone(),
            at: event.arrived,
            topic: Some(event.topic.to_owned()),
            part: None,
            key: None,
            time: None,
            fate: Fate::Paused,
            outcomes: Vec::new(),
            mark: None,
        });
    }

    /// Notes whom a timer is for.
    #[cold]
    pub(super) fn trace_timer(&mut self, rule: &Rule, id: u32) {
        let key = self.keys.get(id).map(|key| key_text(rule, &key.bytes));
        self.note_down(|draft| draft.key = key);
    }

    /// Ends the step of a timer, which is one only if it has brought something.
    #[cold]
    pub(super) fn trace_clock(&mut self, turn: &Turn<'_>, start: usize) {
        self.trace_fate(Fate::Clock);
        self.trace_step(turn, (None, None), start);
    }

    fn trace_step(
        &mut self,
        turn: &Turn<'_>,
        (event, part): (Option<&Event<'_>>, Option<(&'static str, u32)>),
        start: usize,
    ) {
        let Some(tracer) = &mut self.tracer else { return };
        let mut draft = std::mem::take(&mut tracer.draft);
        let outcomes = draft.outcomes(turn.out, start);
        if event.is_none() && outcomes.is_empty() {
            return;
        }
        tracer.push(Step {
            rule: turn.rule.name.clone(),
            at: event.map_or(Timestamp(turn.clock), |event| event.arrived),
            topic: event.map(|event| event.topic.to_owned()),
            part,
            key: draft.key,
            time: draft.time.map(Timestamp),
            fate: draft.fate.unwrap_or(Fate::Passed),
            outcomes,
            mark: draft.mark,
        });
    }
}

impl Message<'_> {
    /// The group of a message that cannot be read, if its topic tells it.
    fn key_of_topic(&self, rule: &Rule, filter: u16) -> Option<String> {
        let captures = rule.captures.get(usize::from(filter)).map_or(&[][..], Vec::as_slice);
        let topic = rule.by_topic.then(|| self.event.topic.to_owned());
        let parts = rule.by.iter().map(|part| {
            let [Op::Local(slot)] = part.program.ops[..] else { return None };
            let capture = captures.get(usize::from(slot))?;
            Some(text(capture_value(*capture, self.event.topic, self.levels), &self.texts))
        });
        let parts: Option<Vec<String>> = topic.map(Some).into_iter().chain(parts).collect();
        Some(parts?.join("/"))
    }
}

fn lateness(rule: &Rule, time: i64, watermark: i64) -> Late {
    let allowed_ms = match &rule.time {
        Time::Arrival => 0,
        Time::Field(field) => field.late,
    };
    Late { by_ms: watermark - time, allowed_ms }
}

/// The windows of a message that is in them.
fn place(
    rule: &Rule,
    window: &Window,
    key: &KeyState,
    (time, watermark): (i64, i64),
    during: bool,
) -> Option<Place> {
    let layout = &rule.layout;
    Some(match window {
        Window::Calendar(_) | Window::Sliding { .. } => {
            let pane = window.pane(time);
            let after = if time < watermark { watermark - rule.correct } else { watermark };
            let (first, last) = (window.next_end(pane, after), window.last_end(pane));
            Place::Clock { first: (window.start(first), first), last: (window.start(last), last) }
        }
        Window::Count { size, .. } => Place::Count { number: counted(Some(key)), size: *size },
        Window::Each { size } => Place::Each(time - size, time),
        Window::Session(session) => {
            let at = match session.place(layout, &key.panes, time) {
                SessionPlace::Bridge(at) | SessionPlace::Inside(at) => at,
                SessionPlace::New(_) => return None,
            };
            let times = span(layout, key.panes.row(layout, at).0)?;
            Place::Session(times.0, session.end(times))
        }
        Window::While => Place::While { holds: during },
    })
}

/// Gives a message of a `while` window, the last one of its time that waits, its number.
fn stand_in_line(
    tracer: &mut Tracer,
    rule: &Rule,
    (id, key): (u32, &KeyState),
    time: i64,
    watermark: i64,
) -> u64 {
    let layout = &rule.layout;
    // What is before the watermark has become a part of the open run, whose first message is the
    // first pane, or is gone.
    tracer.line.forget(id, key.panes.id(layout, 0), |pane| waiting_time(pane) > watermark);
    let next = key.panes.position(layout, waiting_id(time + 1, 0, false));
    tracer.line.add(id, key.panes.id(layout, next.saturating_sub(1)))
}

/// Which messages of a group are in a window whose result is at hand, see [`Members`].
fn numbers(
    tracer: &Tracer,
    rule: &Rule,
    (id, key): (u32, &KeyState),
    label: WindowLabel,
) -> (u64, u64) {
    let layout = &rule.layout;
    match &rule.window {
        Some(Window::Count { size, every, .. }) => {
            let last = match label.early {
                Some(_) => label.number.max(*size).next_multiple_of(*every),
                None => label.number,
            };
            ((last + 1).saturating_sub(*size), last + 1)
        }
        Some(Window::While) => {
            let first = tracer.line.number(id, key.panes.id(layout, 0));
            let next = (key.panes.len(layout) > 1).then(|| key.panes.id(layout, 1));
            let ended = next.filter(|next| waiting_time(*next) == label.end);
            let ended = ended.and_then(|next| tracer.line.number(id, next));
            (first.unwrap_or(0), ended.unwrap_or(u64::MAX))
        }
        _ => (0, u64::MAX),
    }
}

/// The values of a key as they are asked for.
fn key_text(rule: &Rule, key: &[u8]) -> String {
    let (mut rest, mut texts) = (key, Texts::default());
    let mut parts = Vec::with_capacity(rule.by.len());
    while let Some(value) = take_part(&mut rest, &mut texts) {
        parts.push(text(value, &texts));
    }
    parts.join("/")
}

/// A value of a key as it is asked for.
fn text(value: Value, texts: &Texts<'_>) -> String {
    let mut out = String::new();
    match value {
        Value::Bool(yes) => out.push_str(if yes { "true" } else { "false" }),
        Value::Number(number) => write_number(number, &mut out),
        Value::Text(text) => out.push_str(texts.resolve(text)),
        Value::Composite | Value::Json(_) | Value::Null => out.push_str("null"),
    }
    out
}
