//! The codec against two others that know nothing of it: Scapy, in both directions, and the
//! dissector of Wireshark.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "not every test needs all of its support")]

mod codec {
    //! What is compared, and with whom.

    pub(crate) mod packets;

    mod scapy;
    mod tshark;
}
mod support;
