//! The gateway between nodes and a broker that are both played, on virtual time. Numbers are those
//! of the behaviours of the gateway.

mod connecting;
mod delivering;
mod discovering;
mod faults;
mod model;
mod our_node;
mod publishing;
mod restarting;
mod sleeping;
mod subscribing;
mod world;
