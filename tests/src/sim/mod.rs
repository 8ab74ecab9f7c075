//! A whole broker on virtual time, between a disk, a network and clients that all misbehave as
//! the real ones do, and a model that knows what must come of it.
//!
//! ```
//! use weir_tests::sim::{Setup, run};
//!
//! let summary = run(&Setup::of_seed(1)).unwrap_or_else(|failure| panic!("{failure}"));
//! assert!(summary.deliveries > 0);
//! ```

// A module uses modules listed below it, never above.
mod shrink;

mod world;

mod checker;
mod process;

mod client;
mod rules;
mod upstream;

mod surroundings;
mod workload;

mod far_end;
mod network;
mod outcome;
mod unsure;

mod outputs;

mod alerts;
mod recomputed;

mod arrivals;
mod model;
mod rule_set;

mod setup;

mod misbehaviour;
mod reduction;
mod trace;

pub mod disk;

pub mod random;

pub use misbehaviour::Misbehaviour;
pub use outcome::{Failure, Summary};
pub use reduction::Reduction;
pub use setup::{Kind, NotASetup, Setup};
pub use shrink::shrink;
pub use world::run;
