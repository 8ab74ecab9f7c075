//! Sessions that are opened from inside the process: those of the devices of the bridge.
//!
//! A session is a real one: a connection to a shard, over a pair of sockets that has no address,
//! over which MQTT 5 is spoken. So everything holds for it that holds for others: queues, retained
//! messages, wills, rights, limits, takeover. What is different is only that the bridge vouches for
//! its users, who have no password. [`Dialogue`] is what is said on one connection;
//! [`InsideBroker`] moves the bytes.

// A module uses modules listed below it, never above.
mod broker;

mod dialogue;

mod door;

pub(crate) use broker::InsideBroker;
pub(crate) use door::Door;

#[cfg(test)]
mod tests;
