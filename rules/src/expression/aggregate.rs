//! The aggregates by name: what they take and what they give. How they are computed is not known
//! here.

use super::program::{Program, Type};

/// An aggregate that an expression names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// What it is computed from; `None` counts messages.
    pub(crate) argument: Option<Program>,
    /// The local its result goes to.
    pub(crate) slot: u16,
}

/// The aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Avg,
    Count,
    Distinct,
    First,
    Last,
    Max,
    Min,
    /// In parts of ten thousand: the median is 5000.
    Quantile(u32),
    Range,
    Stddev,
    Sum,
    Var,
}

impl Kind {
    /// Reads the name of an aggregate.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "avg" => Kind::Avg,
            "count" => Kind::Count,
            "distinct" => Kind::Distinct,
            "first" => Kind::First,
            "last" => Kind::Last,
            "max" => Kind::Max,
            "median" => Kind::Quantile(5000),
            "min" => Kind::Min,
            "range" => Kind::Range,
            "stddev" => Kind::Stddev,
            "sum" => Kind::Sum,
            "var" => Kind::Var,
            _ => return Self::parse_quantile(name),
        })
    }

    /// `p5` to `p99`, and `p999` for 99.9, `p9999` for 99.99.
    fn parse_quantile(name: &str) -> Option<Self> {
        let digits = name.strip_prefix('p')?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: u32 = digits.parse().ok()?;
        match digits.len() {
            1 | 2 if number > 0 => Some(Kind::Quantile(number * 100)),
            3 if digits.starts_with("99") => Some(Kind::Quantile(number * 10)),
            4 if digits.starts_with("99") => Some(Kind::Quantile(number)),
            _ => None,
        }
    }

    /// What its argument must be.
    pub(crate) fn argument(self) -> Type {
        match self {
            Kind::Count | Kind::Distinct | Kind::First | Kind::Last => Type::Any,
            _ => Type::Number,
        }
    }

    /// What it gives.
    pub(crate) fn result(self) -> Type {
        match self {
            Kind::First | Kind::Last => Type::Any,
            _ => Type::Number,
        }
    }
}

/// Every aggregate, for suggestions.
pub(crate) const NAMES: [&str; 14] = [
    "avg", "count", "distinct", "first", "last", "max", "median", "min", "p95", "p99", "range",
    "stddev", "sum", "var",
];

/// Known names that this version does not compute.
pub(crate) const NOT_YET: [&str; 11] = [
    "argmax", "argmin", "collect", "delta", "ewma", "ewsd", "integral", "mode", "rate", "slope",
    "twavg",
];
