//! Steps as JSON, one object a step.

use serde_json::{Map, Value, json};

use super::{Fate, Late, Outcome, Place, Step};
use crate::message::{Emission, Timestamp};
use crate::shown::text_or_digits;

impl Step {
    /// The step as a JSON object in one line. Times are RFC 3339; `verdict` is one word, and
    /// `text` says the same to people.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| {
            object.insert(name.to_owned(), value);
        };
        put("at", json!(self.at.to_string()));
        put("rule", json!(&*self.rule));
        put("topic", json!(self.topic));
        if let Some((word, number)) = self.part {
            put(word, json!(number));
        }
        put("key", json!(self.key));
        if let Some(time) = self.time {
            put("time", json!(time.to_string()));
        }
        put("verdict", json!(self.verdict()));
        put("text", json!(self.words()));
        match &self.fate {
            Fate::Error { code, .. } => put("code", json!(code)),
            Fate::Older { by_ms } => put("older", json!({ "by_ms": by_ms })),
            Fate::Late(late) | Fate::Taken { late: Some(late), .. } => put("late", late.json()),
            _ => {}
        }
        if let Fate::Taken { place: Place::Clock { first, last }, .. } = self.fate {
            put("window", window(first.0, first.1));
            put("last_window", window(last.0, last.1));
        }
        put("outcomes", self.outcomes.iter().map(Outcome::json).collect());
        Value::Object(object).to_string()
    }

    fn verdict(&self) -> &'static str {
        match &self.fate {
            Fate::Alert { .. } => "alert",
            Fate::Clock => "clock",
            Fate::Error { .. } => "error",
            Fate::Filtered(why) => why.name(),
            Fate::Held => "held",
            Fate::Joined => "joined",
            Fate::Late(_) => "late",
            Fate::Older { .. } => "older",
            Fate::Passed => "passed",
            Fate::Paused => "paused",
            Fate::PowerCut => "power-cut",
            Fate::Taken { .. } => "taken",
        }
    }
}

impl Late {
    fn json(self) -> Value {
        json!({ "by_ms": self.by_ms, "allowed_ms": self.allowed_ms })
    }
}

impl Outcome {
    fn json(&self) -> Value {
        let mut outcome = match &self.sent {
            Ok(emission) => sent(emission, self.payload_bytes),
            Err(why) => json!({ "withheld": why.name() }),
        };
        if let Some(told) = &self.window {
            let mut window = window(told.start, told.end);
            window["rev"] = json!(told.revision);
            window["early"] = json!(told.early);
            window["key"] = json!(told.key);
            outcome["window"] = window;
        }
        outcome
    }
}

fn sent(emission: &Emission, payload_bytes: usize) -> Value {
    let mut sent =
        json!({ "topic": emission.topic, "qos": emission.qos, "retain": emission.retain });
    match text_or_digits(&emission.payload, payload_bytes) {
        Ok(text) => sent["payload"] = json!(text),
        Err(digits) => sent["payload_hex"] = json!(digits),
    }
    if emission.payload.len() < payload_bytes {
        sent["payload_bytes"] = json!(payload_bytes);
    }
    if let Some(upstream) = &emission.upstream {
        sent["upstream"] = json!(&**upstream);
    }
    if let Some(error) = &emission.error {
        sent["error"] = json!({ "code": error.code, "message": error.message });
    }
    sent
}

fn window(start: i64, end: i64) -> Value {
    json!({ "start": Timestamp(start).to_string(), "end": Timestamp(end).to_string() })
}
