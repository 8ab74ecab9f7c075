//! The rules of every run: one of each kind, over what sensors publish.
//!
//! Those of [`IN_ORDER`] give results that follow from the messages of a sensor alone, whenever
//! they arrive. Sensors are silent for longer than a group usually lives, and a group that begins
//! anew may send a window again: so groups live for an hour. What rules with a lower guarantee send
//! looks like nothing that others send, since it may be seen earlier.

use weir_rules::{Plan, Source};

use super::reduction::Reduction;

/// The files of the rules.
const RULES: &str = r#"
[rule.arrival]
from   = "in/{sensor}"
by     = ["sensor"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = "out/arrival/{sensor}"

[rule.sliding]
from   = "in/{sensor}"
by     = ["sensor"]
window = "sliding 3s every 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = { topic = "out/sliding/{sensor}", qos = 2 }

[rule.stamped]
from   = "in/{sensor}"
time   = { field = "ts", unit = "ms", late = "60s", idle = "1s" }
by     = ["sensor"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = "out/stamped/{sensor}"

[rule.direct]
from   = "in/{sensor}"
time   = { field = "ts", unit = "ms", late = "60s", idle = "1s" }
by     = ["sensor"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = { upstream = "cloud", topic = "out/direct/{sensor}" }

[rule.changed]
from   = "in/{sensor}"
by     = ["sensor"]
select = { changed = "v", level = "v % 100" }
change = { field = "level", by = 30 }
limits = { expire = "1h" }
to     = "out/changed/{sensor}"

[rule.chained]
from   = "rule:changed"
by     = ["sensor"]
window = "count 3"
select = { n = "count()", sum = "sum(changed)" }
limits = { expire = "1h" }
to     = { topic = "out/chained/{sensor}", qos = 2 }

[rule.counted]
from   = "in/{sensor}"
by     = ["sensor"]
window = "count 10 every 5"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = "out/counted/{sensor}"

[rule.deduped]
from   = "in/{sensor}"
by     = ["sensor"]
dedupe = { key = ["sensor", "v % 40"], within = "1h" }
select = { deduped = "v", was = "prev.v" }
limits = { expire = "1h" }
to     = "out/deduped/{sensor}"

[rule.joined]
from   = "in/{sensor}"
by     = ["sensor"]
select = { joined = "v", set = "set.v" }
limits = { expire = "1h" }
to     = { topic = "out/joined/{sensor}", qos = 2 }
[rule.joined.join.set]
topic  = "set/{sensor}"

[rule.sessions]
from   = "in/{sensor}"
time   = { field = "ts", unit = "ms", late = "60s", idle = "1s" }
by     = ["sensor"]
window = "session 200ms max 2s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = "out/sessions/{sensor}"

[rule.updated]
from   = "in/{sensor}"
time   = { field = "ts - v % 3 * 700", unit = "ms" }
by     = ["sensor"]
window = "tumbling 1s"
emit   = { late = "update" }
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = "out/updated/{sensor}"

[rule.alerted]
from   = "in/{sensor}"
by     = ["sensor"]
select = { v = "v" }
limits = { expire = "1h" }
to     = { topic = "out/alerted/{sensor}", retain = true }
[rule.alerted.alert]
when      = "ts % 2000 < 1000"
for       = "300ms"
clear     = "ts % 2000 >= 1200"
clear_for = "300ms"
silent    = "2s"
repeat    = "4s"

[rule.least]
from      = "in/{sensor}"
by        = ["sensor"]
select    = { least = "v", was = "prev.v" }
limits    = { expire = "1h" }
to        = "out/least/{sensor}"
guarantee = "at-least-once"

[rule.best]
from      = "in/{sensor}"
by        = ["sensor"]
select    = { best = "v", was = "prev.v" }
limits    = { expire = "1h" }
to        = "out/best/{sensor}"
guarantee = "best-effort"

[rule.lazy]
from      = "in/{sensor}"
time      = { field = "ts", unit = "ms", late = "60s", idle = "1s" }
by        = ["sensor"]
window    = "tumbling 1s"
select    = { n = "count()", sum = "sum(v)", lazy = "true" }
limits    = { expire = "1h" }
to        = { topic = "out/lazy/{sensor}", qos = 2 }
guarantee = "best-effort"
"#;

/// A rule that comes and goes while the broker runs. Its results have no model: what counts is that
/// no identifier stands for two of them, and that nothing else changes.
const EXTENSION: &str = r#"
[rule.extension]
from   = "in/{sensor}"
by     = ["sensor"]
window = "count 2"
select = { n = "count()", sum = "sum(v)" }
to     = "out/extension/{sensor}"
"#;

/// What the rules of a run do, with the rule that comes and goes or without it.
pub(crate) fn plan(reduction: &Reduction, is_extended: bool) -> Plan {
    let extension = if is_extended { EXTENSION } else { "" };
    let files = [("rules.toml", RULES), ("more.toml", extension)];
    let files = files.map(|(name, text)| Source::new(name, text));
    let plan = weir_rules::compile(&files).expect("valid rules");
    plan.only(|name| !reduction.has_no_rule(name))
}

/// The names of the rules that are always there.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let heads = RULES.lines().filter_map(|line| line.strip_prefix("[rule.")?.strip_suffix(']'));
    heads.filter(|name| !name.contains('.'))
}

/// What a rule sends to subscribers does not wait for the state it came from.
pub(crate) const EAGER: [&str; 3] = ["best", "lazy", "least"];
/// Its results follow from the order of the messages and from what is in them.
pub(crate) const IN_ORDER: [&str; 7] =
    ["chained", "changed", "counted", "deduped", "joined", "sessions", "updated"];

/// By then every window of the rules has closed.
pub(crate) const CLOSED_AFTER_MS: u64 = 75_000;
