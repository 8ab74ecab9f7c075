//! One compiled rule.

use std::sync::Arc;

use crate::aggregate::Layout;
use crate::alert::Alert;
use crate::change::Change;
use crate::expression::{Fold, Prev, Program};
use crate::form::Form;
use crate::join::Join;
use crate::lookup::Lookup;
use crate::message::Guarantee;
use crate::payload::Decode;
use crate::topic::{Capture, Filter, Level, Route, levels_text};
use crate::watermark::Time;
use crate::window::Window;

/// Everything the engine needs to run a rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    /// Hash of what the rule does.
    pub(crate) definition: u128,
    /// Hash of what its state depends on.
    pub(crate) state: u128,
    /// Names of the rules whose results it reads.
    pub(crate) sources: Vec<String>,
    /// Whether other rules read its results.
    pub(crate) is_read: bool,
    /// How long the longest chain is that begins with it. Timers of one time fire by rank: what is
    /// due for a rule comes before the results that others send at that time.
    pub(crate) rank: u16,
    pub(crate) filters: Vec<Filter>,
    /// For each filter, where the captures are; the value of the first goes to local 0.
    pub(crate) captures: Vec<Vec<Capture>>,
    pub(crate) decode: Decode,
    pub(crate) joins: Vec<Join>,
    pub(crate) births: Births,
    /// The local of the payload, unless it is JSON.
    pub(crate) value: Option<u16>,
    pub(crate) time: Time,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) lets: Vec<Let>,
    /// Named `where` in files.
    pub(crate) filter: Option<Program>,
    pub(crate) by: Vec<Key>,
    /// Each topic is a group of its own, although results do not name it.
    pub(crate) by_topic: bool,
    pub(crate) prev: Vec<Prev>,
    pub(crate) folds: Vec<Fold>,
    pub(crate) window: Option<Window>,
    /// The condition of a `while` window.
    pub(crate) during: Option<Program>,
    pub(crate) layout: Layout,
    /// `None` sends the payload as it came.
    pub(crate) select: Option<Vec<Output>>,
    pub(crate) having: Option<Program>,
    pub(crate) alert: Option<Alert>,
    /// How long after its end a window is corrected by late messages; 0 is never.
    pub(crate) correct: i64,
    /// Where messages go whose windows are closed, if they are not dropped.
    pub(crate) late_topic: Option<String>,
    /// How often results of open windows are sent, in milliseconds.
    pub(crate) early: Option<i64>,
    /// Whether windows without messages give results.
    pub(crate) empty: bool,
    pub(crate) change: Option<Change>,
    pub(crate) dedupe: Option<Dedupe>,
    pub(crate) guarantee: Guarantee,
    pub(crate) to: Vec<Destination>,
    /// Topic of dead letters.
    pub(crate) errors: String,
    pub(crate) keys_max: usize,
    pub(crate) memory_max: usize,
    /// Silence after which a key is forgotten, in milliseconds.
    pub(crate) expire: i64,
    /// Number of locals.
    pub(crate) locals: usize,
}

/// Where a rule learns what Sparkplug metrics are called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Births {
    /// Filters of births that it reads in addition; their numbers follow those of its own.
    pub(crate) filters: Vec<Vec<Level>>,
    /// For each filter, those of births behind the others: the level of the kind of message.
    pub(crate) kind_levels: Vec<usize>,
}

/// The kinds of messages that have metrics: of nodes and of devices.
pub(crate) const METRIC_TOPICS: [&str; 8] =
    ["NBIRTH", "NCMD", "NDATA", "NDEATH", "DBIRTH", "DCMD", "DDATA", "DDEATH"];

/// A name for an expression.
#[derive(Clone, Debug)]
pub(crate) struct Let {
    pub(crate) slot: u16,
    pub(crate) program: Program,
    /// Whether it needs `prev`, which is known only once the key is.
    pub(crate) after_key: bool,
}

/// A value that messages are grouped by.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// As the beginning of a JSON entry, with quotes and colon.
    pub(crate) label: String,
    pub(crate) slot: u16,
    pub(crate) program: Program,
}

/// How messages that come again are recognised.
#[derive(Clone, Debug)]
pub(crate) struct Dedupe {
    pub(crate) key: Vec<Program>,
    /// How long after the first one, in milliseconds.
    pub(crate) within: i64,
    pub(crate) keep: Keep,
}

/// Which of several messages that are the same is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    First,
    Last,
}

/// A value that is sent.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// As the beginning of a JSON entry, with quotes and colon.
    pub(crate) label: String,
    pub(crate) slot: u16,
    pub(crate) program: Program,
}

/// Where results go.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) topic: Vec<TopicPart>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) upstream: Option<Arc<str>>,
    pub(crate) expire_s: Option<u32>,
    pub(crate) meta: bool,
    pub(crate) form: Form,
    /// Whether it stands for the rules that read this one.
    pub(crate) is_link: bool,
}

/// A part of a topic to write.
#[derive(Clone, Debug)]
pub(crate) enum TopicPart {
    Literal(String),
    Value {
        program: Program,
        /// Whether it may hold slashes: it was captured from several levels.
        rest: bool,
    },
}

impl Destination {
    /// Where a result goes that other rules read: there it is the JSON object, or the payload.
    pub(crate) fn link(rule: &str) -> Self {
        Self {
            topic: vec![TopicPart::Literal(format!("rule:{rule}"))],
            qos: 1,
            retain: false,
            upstream: None,
            expire_s: None,
            meta: false,
            form: Form::Body,
            is_link: true,
        }
    }
}

impl Rule {
    /// How the payload of a message that comes on a route is read.
    pub(crate) fn decode_of(&self, route: Route) -> &Decode {
        let join = route.joined().and_then(|join| self.joins.get(join));
        join.map_or(&self.decode, |join| &join.decode)
    }

    /// What there are many of, for messages: "groups of site, device".
    pub(crate) fn groups(&self) -> String {
        let names: Vec<&str> = self.by.iter().map(|key| key.program.source.trim()).collect();
        if names.is_empty() {
            "groups".to_owned()
        } else {
            format!("groups of {}", names.join(", "))
        }
    }

    /// The MQTT filters of everything that the rule reads.
    pub(crate) fn mqtt_filters(&self) -> impl Iterator<Item = String> {
        let births = self.births.filters.iter().map(|levels| levels_text(levels));
        self.filters.iter().map(|filter| filter.mqtt()).chain(births)
    }

    /// Whether the rule keeps anything per key.
    pub(crate) fn keeps_keys(&self) -> bool {
        let per_key = self.alert.is_some() || self.change.is_some();
        self.window.is_some() || self.remembers() || per_key
    }

    /// Whether the rule keeps anything of the messages before.
    pub(crate) fn remembers(&self) -> bool {
        !self.prev.is_empty() || !self.folds.is_empty()
    }

    /// Cells of all folds of a key.
    pub(crate) fn fold_cells(&self) -> usize {
        self.folds.iter().map(|fold| fold.kind.cells()).sum()
    }
}
