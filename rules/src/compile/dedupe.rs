//! `dedupe`: what makes two messages the same.

use super::names::{Names, Part};
use crate::code;
use crate::expression::Type;
use crate::hash::StableHash;
use crate::rule::{Dedupe, Keep};
use crate::spec::{DedupeSpec, Report, RuleSpec};

/// Checks and compiles `dedupe`.
pub(super) fn compile_dedupe(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Option<Dedupe> {
    let dedupe = spec.dedupe.as_ref()?;
    let parts = dedupe.key.iter();
    let key = parts.filter_map(|part| names.compile(part, Type::Any, Part::Key, report)).collect();
    if let Some(place) = &dedupe.last {
        for (other, is_there) in [
            ("window", spec.window.is_some()),
            ("change", spec.change.is_some()),
            ("alert", spec.alert.is_some()),
        ] {
            if is_there {
                let message = format!("`keep = \"last\"` and `{other}` do not go together");
                let label = "the last message is known only when its time is over";
                let help = "use keep = \"first\"";
                report.error_with_help(code::WINDOW, message, place, label, help);
            }
        }
    }
    let keep = if dedupe.last.is_some() { Keep::Last } else { Keep::First };
    Some(Dedupe { key, within: dedupe.within, keep })
}

/// Adds all that `dedupe` says.
pub(super) fn dedupe_hash(hash: StableHash, dedupe: &DedupeSpec) -> StableHash {
    let hash = key_hash(hash, dedupe).number(dedupe.within as u64);
    hash.number(u64::from(dedupe.last.is_some()))
}

/// Adds what the rows of `dedupe` depend on.
pub(super) fn key_hash(hash: StableHash, dedupe: &DedupeSpec) -> StableHash {
    let parts = dedupe.key.iter();
    parts.fold(hash.text("dedupe"), |hash, part| hash.text(part.value.trim()))
}
