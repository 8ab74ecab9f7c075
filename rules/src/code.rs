//! Stable names of everything that can be wrong. `docs/rules.md` explains each.

/// The file is not TOML.
pub(crate) const TOML: &str = "R001";
/// A key that no rule has.
pub(crate) const UNKNOWN_KEY: &str = "R002";
/// A key that a rule must have.
pub(crate) const MISSING_KEY: &str = "R003";
/// A value of the wrong kind, or outside the allowed choices.
pub(crate) const WRONG_VALUE: &str = "R004";
/// A name that is used twice.
pub(crate) const DUPLICATE: &str = "R006";
/// A topic name or filter that MQTT does not allow.
pub(crate) const TOPIC: &str = "R007";
/// `{name}` without a value.
pub(crate) const UNBOUND: &str = "R008";
/// A duration or size that cannot be read.
pub(crate) const QUANTITY: &str = "R009";
/// A window that cannot be computed.
pub(crate) const WINDOW: &str = "R010";
/// The text of an expression cannot be read.
pub(crate) const SYNTAX: &str = "R011";
/// A name that means nothing here.
pub(crate) const UNKNOWN_NAME: &str = "R012";
/// Kinds of values that do not fit.
pub(crate) const TYPE: &str = "R013";
/// An unknown function, or one with the wrong number of arguments.
pub(crate) const FUNCTION: &str = "R014";
/// An aggregate where none can be.
pub(crate) const AGGREGATE: &str = "R015";
/// A bound of the engine.
pub(crate) const LIMIT: &str = "R016";
/// More memory than allowed is to be expected.
pub(crate) const FORECAST: &str = "R017";
/// Two rules write one retained topic.
pub(crate) const OVERLAP: &str = "R018";
/// Rules that feed themselves.
pub(crate) const LOOP: &str = "R019";
/// The unit of a time field is guessed.
pub(crate) const UNIT: &str = "R020";
/// A table to look values up in cannot be read.
pub(crate) const LOOKUP: &str = "R040";
/// A test of a rule that failed.
pub(crate) const CASE: &str = "R030";

/// A payload that cannot be decoded.
pub(crate) const DECODE_FAULT: &str = "R101";
/// A value of the wrong kind in an expression.
pub(crate) const TYPE_FAULT: &str = "R102";
/// The time of a message is missing or cannot be read.
pub(crate) const TIME_FAULT: &str = "R103";
/// The time of a message is ahead of the clock.
pub(crate) const AHEAD_FAULT: &str = "R104";
/// `limits.keys` is reached.
pub(crate) const KEYS_FAULT: &str = "R105";
/// `limits.memory` is reached.
pub(crate) const MEMORY_FAULT: &str = "R106";
/// A value cannot be part of a topic.
pub(crate) const TOPIC_FAULT: &str = "R107";
/// A text, a key or a window is larger than the engine allows.
pub(crate) const SIZE_FAULT: &str = "R108";
/// All windows of a message were closed when it came.
pub(crate) const LATE: &str = "R109";
/// The name or kind of a Sparkplug metric is not known: its birth was not seen.
pub(crate) const BIRTH_FAULT: &str = "R115";
/// A message that `dedupe` had seen was forgotten before its time: a limit is reached. Only counted.
pub(crate) const SEEN_FAULT: &str = "R121";
/// There is no row for a message in a table.
pub(crate) const MISS_FAULT: &str = "R122";
/// A value cannot be sent in the form that a destination asks for.
pub(crate) const FORM_FAULT: &str = "R120";
