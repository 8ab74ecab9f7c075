//! Several boxes joined into a fleet through one NATS server; `docs/fleet.md` says what it
//! promises, `docs/decisions` why it is so.
//!
//! The fleet is one more reader of the store's log, as an upstream is, that wants what the other
//! boxes want. [`Boxes`](boxes::Boxes) knows who that is, [`Dispatch`](dispatch::Dispatch) sends
//! each box what it wants, [`Arrivals`](arrivals::Arrivals) takes what the others send, and
//! [`Bucket`](bucket::Bucket) keeps what is retained the same everywhere. They decide; [`Fleet`]
//! drives them with a connection, on the control thread. Nothing here ever makes local traffic
//! wait.

// A module uses modules listed below it, never above.
mod member;

mod handle;
mod setup;

mod jetstream;

mod arrivals;
mod dispatch;

mod bucket;
mod names;
mod recipients;
mod state_file;

mod answer;
mod boxes;
mod copied_to;
mod envelope;
mod filters;
mod topic_key;

pub(crate) use handle::FleetHandle;
pub(crate) use member::{Fleet, Place, wanted_before};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
