//! The aggregates by name: what they take and what they give. How they are computed is not known
//! here.

use super::program::{Program, Type};

/// An aggregate that an expression names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// What it is computed from; `None` counts messages.
    pub(crate) argument: Option<Program>,
    /// A second value of each message.
    pub(crate) second: Option<Program>,
    /// The local its result goes to.
    pub(crate) slot: u16,
}

/// The aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ArgMax,
    ArgMin,
    Avg,
    /// At most this many values.
    Collect(u16),
    Count,
    Delta,
    Distinct,
    /// Half-life in milliseconds.
    Ewma(i64),
    /// Half-life in milliseconds.
    Ewsd(i64),
    First,
    /// Unit of time in milliseconds.
    Integral(u32),
    Last,
    Max,
    Min,
    Mode,
    /// In parts of ten thousand: the median is 5000.
    Quantile(u32),
    Range,
    Rate,
    /// Unit of time in milliseconds.
    Slope(u32),
    Stddev,
    Sum,
    TwAvg,
    Var,
}

/// What follows the first argument of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    /// A constant duration.
    HalfLife,
    Nothing,
    /// A constant number.
    Size,
    /// A constant unit of time, which may be left out.
    Unit,
    /// A second value of each message.
    Value,
}

impl Kind {
    /// Reads the name of an aggregate. What its constant argument says is not known yet.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "argmax" => Kind::ArgMax,
            "argmin" => Kind::ArgMin,
            "avg" => Kind::Avg,
            "collect" => Kind::Collect(0),
            "count" => Kind::Count,
            "delta" => Kind::Delta,
            "distinct" => Kind::Distinct,
            "ewma" => Kind::Ewma(0),
            "ewsd" => Kind::Ewsd(0),
            "first" => Kind::First,
            "integral" => Kind::Integral(SECOND_MS),
            "last" => Kind::Last,
            "max" => Kind::Max,
            "median" => Kind::Quantile(5000),
            "min" => Kind::Min,
            "mode" => Kind::Mode,
            "range" => Kind::Range,
            "rate" => Kind::Rate,
            "slope" => Kind::Slope(SECOND_MS),
            "stddev" => Kind::Stddev,
            "sum" => Kind::Sum,
            "twavg" => Kind::TwAvg,
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
            Kind::Collect(_)
            | Kind::Count
            | Kind::Distinct
            | Kind::First
            | Kind::Last
            | Kind::Mode => Type::Any,
            _ => Type::Number,
        }
    }

    /// What follows its argument.
    pub(crate) fn extra(self) -> Extra {
        match self {
            Kind::ArgMax | Kind::ArgMin => Extra::Value,
            Kind::Collect(_) => Extra::Size,
            Kind::Ewma(_) | Kind::Ewsd(_) => Extra::HalfLife,
            Kind::Integral(_) | Kind::Slope(_) => Extra::Unit,
            _ => Extra::Nothing,
        }
    }

    /// What it gives.
    pub(crate) fn result(self) -> Type {
        match self {
            Kind::ArgMax | Kind::ArgMin | Kind::First | Kind::Last | Kind::Mode => Type::Any,
            Kind::Collect(_) => Type::List,
            _ => Type::Number,
        }
    }

    /// How it is written, for help texts.
    pub(crate) fn usage(self, name: &str) -> String {
        match self.extra() {
            Extra::HalfLife => format!("{name}(x, '5m')"),
            Extra::Nothing => format!("{name}(x)"),
            Extra::Size => format!("{name}(x, 10)"),
            Extra::Unit => format!("{name}(x) or {name}(x, 'h')"),
            Extra::Value => format!("{name}(x, y)"),
        }
    }
}

/// Every aggregate, for suggestions.
pub(crate) const NAMES: [&str; 25] = [
    "argmax", "argmin", "avg", "collect", "count", "delta", "distinct", "ewma", "ewsd", "first",
    "integral", "last", "max", "median", "min", "mode", "p95", "p99", "range", "rate", "slope",
    "stddev", "sum", "twavg", "var",
];

const SECOND_MS: u32 = 1000;
