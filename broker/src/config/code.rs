//! Stable names of the kinds of problems of a configuration.

use weir_config::Codes;

pub(crate) const NOT_TOML: &str = "C001";
pub(crate) const UNKNOWN: &str = "C002";
pub(crate) const VALUE: &str = "C003";
pub(crate) const RANGE: &str = "C004";
pub(crate) const MISSING: &str = "C005";
pub(crate) const CONFLICT: &str = "C006";
pub(crate) const FILE: &str = "C007";
pub(crate) const TOPIC: &str = "C008";
pub(crate) const UPSTREAM: &str = "C009";
pub(crate) const EXPOSED: &str = "C010";
pub(crate) const LATER: &str = "C011";

/// Those that reading finds.
pub(crate) const CODES: Codes = Codes {
    not_toml: NOT_TOML,
    unknown: UNKNOWN,
    value: VALUE,
    range: RANGE,
    missing: MISSING,
    limit: RANGE,
    later: LATER,
};
