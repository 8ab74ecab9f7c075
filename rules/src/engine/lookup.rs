//! Looks rows of tables up.

use super::work::Message;
use crate::boxed;
use crate::code;
use crate::expression::Fault;
use crate::json::write_number;
use crate::lookup::{Lookup, Miss};
use crate::rule::Rule;
use crate::value::Value;

impl Message<'_> {
    /// Sets the locals of all columns; `false` if the message is to be dropped.
    pub(super) fn look_up(&mut self, rule: &Rule) -> Result<bool, Fault> {
        for lookup in &rule.lookups {
            let key = self.evaluate(&lookup.key)?;
            let Some(row) = lookup.table.find(key, &self.texts) else {
                match lookup.miss {
                    Miss::Drop => return Ok(false),
                    Miss::Error => return Err(self.miss(lookup, key)),
                    // All locals begin as null.
                    Miss::Null => continue,
                }
            };
            for (slot, (bits, text)) in (usize::from(lookup.slot)..).zip(row) {
                let text = text.as_deref().unwrap_or_default();
                self.scratch.locals[slot] = boxed::value(*bits, text, &mut self.texts);
            }
        }
        Ok(true)
    }

    fn miss(&self, lookup: &Lookup, key: Value) -> Fault {
        let file = &lookup.file;
        let mut shown = String::new();
        match key {
            Value::Text(text) => shown.extend(self.texts.resolve(text).chars().take(SHOWN_MAX)),
            Value::Number(number) => write_number(number, &mut shown),
            other => shown.push_str(other.kind()),
        }
        Fault { code: code::MISS_FAULT, message: format!("no row for `{shown}` in {file}") }
    }
}

/// Characters of a key that a message shows.
const SHOWN_MAX: usize = 100;
