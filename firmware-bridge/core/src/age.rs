//! How a node says how old a message is.
//!
//! A node has no clock of the day, but it knows how long a reading has waited. A topic whose name
//! begins with [`TOPIC_PREFIX`] carries messages with their age: four octets before the payload,
//! the age in milliseconds when the packet was sent, high octet first. The gateway takes both away:
//! it publishes the rest of the payload to the rest of the name, and the moment of the reading is
//! the moment of arrival minus the age. The rule is one of names, so it holds for predefined topic
//! ids too, whose names only the gateway knows.
//!
//! ```
//! use weir_node::age;
//!
//! assert_eq!(age::topic("$age/site/boiler/state"), Some("site/boiler/state"));
//! assert_eq!(age::topic("site/boiler/state"), None);
//! assert_eq!(age::split(b"\x00\x00\x0e\x1021.5"), Some((3_600, &b"21.5"[..])));
//! assert_eq!(age::split(b"21"), None);
//! ```

/// What the name of a topic begins with whose messages carry their age.
pub const TOPIC_PREFIX: &str = "$age/";

/// Octets before the payload.
pub const LENGTH: usize = 4;

/// Where messages of such a topic belong; `None` if messages of this topic carry no age.
pub fn topic(name: &str) -> Option<&str> {
    name.strip_prefix(TOPIC_PREFIX)
}

/// The age in milliseconds and the payload; `None` if there is not even an age.
pub fn split(message: &[u8]) -> Option<(u32, &[u8])> {
    let (age, payload) = message.split_first_chunk()?;
    Some((u32::from_be_bytes(*age), payload))
}
