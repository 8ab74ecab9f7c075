//! The store against a plain model, on a simulated disk and on a real one.
//!
//! A failing test prints the seed of its run; the same seed gives the same run.

#[path = "store/corruption.rs"]
mod corruption;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/determinism.rs"]
mod determinism;
#[path = "store/elision.rs"]
mod elision;
#[path = "store/first_client.rs"]
mod first_client;
#[path = "store/format.rs"]
mod format;
#[path = "store/held.rs"]
mod held;
#[path = "store/journal.rs"]
mod journal;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/older.rs"]
mod older;
#[path = "store/power_cut.rs"]
mod power_cut;
#[path = "store/recovery.rs"]
mod recovery;
#[path = "store/reopen.rs"]
mod reopen;
#[path = "store/salvage.rs"]
mod salvage;
#[path = "store/start.rs"]
mod start;
#[path = "store/trimming.rs"]
mod trimming;
#[path = "store/writer.rs"]
mod writer;

#[path = "store/broker.rs"]
mod broker;

#[path = "store/workload.rs"]
mod workload;

#[path = "store/model.rs"]
mod model;
