//! Modbus devices: registers that are read at intervals and written on command.
//!
//! What is asked when, what an answer means and when a device counts as offline is decided without
//! IO, in [`Poller`]; a [`Line`] is a connection that one request after the other goes over. Devices
//! on a serial line share it, as do those behind one TCP address.
//!
//! Invariants: a value comes only from an answer to a request of this poll; both registers of a
//! value of 32 bits come from one answer; no late answer is taken for that to a later request. On a
//! serial line, where answers have no numbers, that holds for answers up to one more timeout late,
//! half a second at most.

mod line;

mod poller;

mod group;
mod simulated;

mod fault;
mod register;

pub use fault::Fault;
pub use group::Request;
pub use line::Line;
pub use poller::{Poller, PollerReport};
pub use register::{Answer, decimals, decode, encode};
pub use simulated::SimulatedDevices;
