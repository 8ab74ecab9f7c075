//! Stable names of the kinds of problems, with the numbers that they have in the configuration of
//! the broker where the kind is the same.

use weir_config::Codes;

pub(crate) const VALUE: &str = "D003";
pub(crate) const CONFLICT: &str = "D006";

/// Those that reading finds.
pub(crate) const CODES: Codes = Codes {
    not_toml: "D001",
    unknown: "D002",
    value: VALUE,
    range: "D004",
    missing: "D005",
    limit: "D007",
    later: "D002",
};
