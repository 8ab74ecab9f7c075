//! Aggregates: what a pane keeps for them, how panes are merged, what comes out.
//!
//! The aggregates of a rule are broken into parts (`avg` and `sum` share their sum), and the
//! parts of one pane lie next to each other in one row of cells. What does not fit into cells
//! (values for quantiles, sets for `distinct`, points in order of time, texts) is a [`Side`].

mod decayed;
mod distinct;
mod extreme;
mod further;
mod latest;
mod layout;
mod line;
mod mode;
mod quantile;
mod row;
mod series;
mod side;
mod trail;

pub(crate) use decayed::Decayed;
pub(crate) use distinct::Distinct;
pub(crate) use layout::{Layout, PartKind};
pub(crate) use mode::Counted;
pub(crate) use row::{
    count_message, late_messages, merge_row, messages, result, span, start_row, update_row,
};
pub(crate) use side::Side;

#[cfg(test)]
mod tests;
