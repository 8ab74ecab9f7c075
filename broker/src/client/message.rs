//! A message that a client has been given.

use std::sync::Arc;

use bytes::Bytes;
use weir_firmware_bridge::session::{Delivery, QoS as SessionQoS};
use weir_mqtt::QoS;

use super::session::{Order, Request, Shared};
use crate::handout::Held;

/// A message that a [`Client`](super::Client) has been given.
///
/// [`acknowledge`](Self::acknowledge) it when it is dealt with. One of QoS 1 or 2 that is dropped
/// without that is given again at once, before those behind it; and a kept session that ends has it
/// again with the next client of its name.
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct Message {
    /// None once it is acknowledged.
    held: Option<Held<Delivery>>,
    shared: Arc<Shared>,
}

impl Message {
    pub(super) fn new(held: Held<Delivery>, shared: Arc<Shared>) -> Self {
        Self { held: Some(held), shared }
    }

    /// Where it was published.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.delivery().topic
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.delivery().payload
    }

    /// The quality of service with which it has come.
    #[must_use]
    pub fn qos(&self) -> QoS {
        match self.delivery().qos {
            SessionQoS::AtMostOnce => QoS::AtMostOnce,
            SessionQoS::AtLeastOnce => QoS::AtLeastOnce,
            SessionQoS::ExactlyOnce => QoS::ExactlyOnce,
        }
    }

    /// Whether the broker had it retained when the subscription was made.
    #[must_use]
    pub fn retained(&self) -> bool {
        self.delivery().retain
    }

    /// Tells the broker that it has been dealt with: at QoS 1 and 2 it does not come again, and
    /// there is room for another one.
    pub fn acknowledge(mut self) {
        let Some(held) = self.held.take() else { return };
        let delivery = held.keep();
        if delivery.qos != SessionQoS::AtMostOnce {
            // A session that has ended has it again, if it is kept.
            let request = Request::Acknowledge(delivery.id);
            let _ = self.shared.orders.send(Order::Do(self.shared.id, request));
        }
    }

    fn delivery(&self) -> &Delivery {
        self.held.as_ref().expect("it goes only with its holder").get()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // Nobody promises that a message of QoS 0 comes twice.
        if let Some(held) = self.held.take_if(|held| held.get().qos == SessionQoS::AtMostOnce) {
            held.keep();
        }
    }
}
