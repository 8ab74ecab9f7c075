//! Every bound of the engine that is not a key of a rule file.

/// Rules of a plan.
pub(crate) const RULES_MAX: usize = 1024;
/// Bytes of one rule file.
pub(crate) const SOURCE_BYTES_MAX: usize = 4 << 20;
/// Bytes of an expression.
pub(crate) const EXPRESSION_BYTES_MAX: usize = 4096;
/// Names, numbers and operators of an expression; a tree is at most this deep.
pub(crate) const EXPRESSION_TOKENS_MAX: usize = 1024;
/// Nesting of an expression.
pub(crate) const EXPRESSION_DEPTH_MAX: usize = 48;
/// Different payload fields that all rules of a plan name together.
pub(crate) const FIELDS_MAX: usize = 2048;
/// Steps of a field path, such as `a.b[0]`.
pub(crate) const PATH_STEPS_MAX: usize = 16;
/// Entries of each list and table of a rule: outputs, keys, filters, destinations.
pub(crate) const ENTRIES_MAX: usize = 64;
/// Panes of a window, and messages of a window that is computed per message.
pub(crate) const PANES_MAX: usize = 4096;
/// Messages of a count window.
pub(crate) const COUNT_MAX: u64 = 1_000_000_000;
/// Bytes of a text that an expression makes.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of a pattern for `matches`.
pub(crate) const PATTERN_BYTES_MAX: usize = 128;
/// Bytes of the encoded key of a group.
pub(crate) const KEY_BYTES_MAX: usize = 1024;
/// Levels of a topic that captures can look at; a topic with more matches no rule.
pub(crate) const TOPIC_LEVELS_MAX: usize = 128;
/// Windows without messages that are sent in one go when the time of a key jumps.
pub(crate) const EMPTY_WINDOWS_MAX: i64 = 1000;
/// Values of a window up to which quantiles are exact.
pub(crate) const EXACT_VALUES_MAX: usize = 4096;
/// Different values up to which `distinct` is exact.
pub(crate) const EXACT_DISTINCT_MAX: usize = 64;
/// Different values that `mode` counts exactly.
pub(crate) const MODE_VALUES_MAX: usize = 256;
/// Points of a pane that may still get others between them; the older half is then joined.
pub(crate) const TRAIL_POINTS_MAX: usize = 4096;
/// Values that `collect` gives at most.
pub(crate) const COLLECT_MAX: usize = 1000;
/// What `limits.keys` can be at most.
pub(crate) const KEYS_MAX: usize = 1 << 24;
/// What `limits.memory` can be at most.
pub(crate) const MEMORY_BYTES_MAX: u64 = 64 << 30;
/// Fields that an observer remembers.
pub(crate) const OBSERVED_FIELDS_MAX: usize = 256;
/// Topics that an observer remembers.
pub(crate) const OBSERVED_TOPICS_MAX: usize = 4096;
/// Different texts of a field that an observer remembers.
pub(crate) const OBSERVED_TEXTS_MAX: usize = 4;
/// Nesting of a binary payload. JSON has a bound of its own.
pub(crate) const PAYLOAD_DEPTH_MAX: usize = 64;
/// The last byte that `decode = "bytes:..."` can read.
pub(crate) const OFFSET_MAX: usize = 65_535;
/// Steps of a test that are told.
pub(crate) const CASE_STEPS_MAX: usize = 10_000;
/// Bytes of a payload that a step keeps of what was sent in it.
pub(crate) const OUTCOME_BYTES_MAX: usize = 4096;
/// Bytes of a payload that a step has as text.
pub(crate) const SHOWN_BYTES_MAX: usize = 512;
/// Columns of a payload of rows.
pub(crate) const COLUMNS_MAX: usize = 1024;
/// Rows, lines or metrics of one payload that are used.
pub(crate) const RECORDS_MAX: usize = 16_384;
