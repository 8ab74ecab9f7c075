//! Clients inside the process: publish and subscribe without a socket of the network.
//!
//! A [`Client`] has a session like that of any client, opened by the door of the process, so
//! permissions, limits, queues, retained messages and takeover hold for it. What is public is here;
//! [`thread`] runs the sessions of all clients on one thread, and [`session`] knows what one of them
//! waits for. Nothing here needs or starts a runtime of the program: what waits can be awaited on
//! any, or waited for on a thread.

// A module uses modules listed below it, never above.
mod thread;

mod session;

mod answer;
mod message;

mod error;
mod options;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weir_mqtt::{Delivery, PacketId, QoS, TopicFilter, TopicName, Version};

use crate::handout::wait_for;

pub use self::answer::Answer;
pub use self::error::ClientError;
pub use self::message::Message;
pub use self::options::{ClientOptions, Publication};
pub(crate) use self::thread::Clients;

use self::session::{Asked, Order, Request, Shared};

/// A client of the [`Broker`](crate::Broker) in this process, from
/// [`Broker::client`](crate::Broker::client).
///
/// Clones are the same client. The session ends when the last one is dropped, after what was asked
/// of it has been done; [`close`](Self::close) waits for that.
///
/// ```
/// use std::time::Duration;
/// use weir_broker::{Broker, ClientOptions, Publication, QoS, config::Config};
///
/// let mut config = Config::default();
/// config.persistence = false;
/// config.listeners.clear();
/// let broker = Broker::start(config)?;
/// let client = broker.client(ClientOptions::new("thermostat"))?;
///
/// let second = Duration::from_secs(1);
/// client.subscribe("home/+/temperature", QoS::AtLeastOnce).wait(second)?;
/// // The answer comes when the message is safe: on the disk, with a configuration that has one.
/// client.publish(Publication::new("home/attic/temperature", "21.5")).wait(second)?;
///
/// let message = client.receive_timeout(second)?;
/// assert_eq!((message.topic(), &message.payload()[..]), ("home/attic/temperature", &b"21.5"[..]));
/// message.acknowledge();
/// client.close(second)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    _ends: Arc<Ends>,
}

/// Ends the session when the last client of it goes.
#[derive(Debug)]
struct Ends(Arc<Shared>);

impl Client {
    fn new(shared: Arc<Shared>) -> Self {
        Self { _ends: Arc::new(Ends(shared.clone())), shared }
    }

    /// Whether the broker had the session already, with its subscriptions and messages.
    #[must_use]
    pub fn session_present(&self) -> bool {
        self.shared.session_present.load(Ordering::Relaxed)
    }

    /// Publishes a message. The [`Answer`] comes when the broker has taken responsibility for it: at
    /// QoS 1 and 2 after the commit, unless the topic has another
    /// [level of durability](crate::config::DurabilityLevel); at QoS 0 as soon as it is on its way.
    /// It need not be awaited: the message is sent anyway, in the order of the calls.
    ///
    /// The answer is an error when the topic is not one, the message is too large, the user may not
    /// publish there, or [`REQUESTS_MAX`](ClientOptions::REQUESTS_MAX) answers are still to come.
    pub fn publish(&self, publication: Publication) -> Answer<()> {
        let (asked, answer) = Answer::asked(&self.shared);
        match self.check(&publication) {
            Ok(()) => self.ask(asked, |asked| Request::Publish(publication, asked)),
            Err(error) => asked.refuse(error),
        }
        answer
    }

    /// Asks for the messages of a topic filter, with at most this quality of service. The answer,
    /// the quality granted, comes when the subscription is in place; that of a kept session is on
    /// the disk then. What is retained there follows.
    pub fn subscribe(&self, filter: impl Into<String>, qos: QoS) -> Answer<QoS> {
        let (asked, answer) = Answer::asked(&self.shared);
        let filter = filter.into();
        match check_filter(&filter) {
            Ok(()) => self.ask(asked, |asked| Request::Subscribe(filter, qos, asked)),
            Err(error) => asked.refuse(error),
        }
        answer
    }

    /// Ends a subscription, by the filter that it was made with.
    pub fn unsubscribe(&self, filter: impl Into<String>) -> Answer<()> {
        let (asked, answer) = Answer::asked(&self.shared);
        let filter = filter.into();
        match check_filter(&filter) {
            Ok(()) => self.ask(asked, |asked| Request::Unsubscribe(filter, asked)),
            Err(error) => asked.refuse(error),
        }
        answer
    }

    /// The next message of the subscriptions. Can be dropped at any time without losing one.
    ///
    /// At most [`UNACKNOWLEDGED_MAX`](ClientOptions::UNACKNOWLEDGED_MAX) messages of QoS 1 and 2 are
    /// here without acknowledgement, waiting or taken; others stay with the broker. Of QoS 0 as many
    /// wait as come to 1 MiB; what comes then is dropped and [counted](Self::dropped).
    ///
    /// # Errors
    /// Why the session is over.
    pub async fn receive(&self) -> Result<Message, ClientError> {
        let held = self.shared.handout.take().await;
        let held = held.ok_or_else(|| self.shared.why_ended())?;
        Ok(Message::new(held, self.shared.clone()))
    }

    /// The next message, waiting for it on this thread.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] when none has come in time, or why the session is over.
    pub fn receive_timeout(&self, patience: Duration) -> Result<Message, ClientError> {
        wait_for(self.receive(), patience).unwrap_or(Err(ClientError::TimedOut))
    }

    /// Messages of QoS 0 that were dropped because nobody has taken them in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Ends the session after what was asked of it has been done, and waits for that on this thread.
    /// A kept one stays at the broker, with what it has not acknowledged.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] when that takes longer, or why the session was over before.
    pub fn close(self, patience: Duration) -> Result<(), ClientError> {
        let (asked, answer) = Answer::new();
        let order = Order::Close(self.shared.id, Some(asked));
        self.shared.orders.send(order).map_err(|_| self.shared.why_ended())?;
        answer.wait(patience)
    }

    fn ask<T>(&self, asked: Asked<T>, request: impl FnOnce(Asked<T>) -> Request) {
        if !asked.has_room() {
            return asked.refuse(ClientError::Full);
        }
        if let Err(refused) = self.shared.orders.send(Order::Do(self.shared.id, request(asked)))
            && let Order::Do(_, request) = refused.0
        {
            request.refuse(self.shared.why_ended());
        }
    }

    fn check(&self, publication: &Publication) -> Result<(), ClientError> {
        let Publication { topic, payload, qos, retain } = publication;
        let bad_topic = |reason| ClientError::Topic { topic: topic.clone(), reason };
        TopicName::parse(topic).map_err(bad_topic)?;
        let limits = &self.shared.limits;
        if *qos > limits.qos_max {
            return Err(ClientError::QoS { qos_max: limits.qos_max });
        }
        if *retain && !limits.retain_available {
            return Err(ClientError::Retain);
        }
        let packet_id = PacketId::new(1).filter(|_| *qos > QoS::AtMostOnce);
        let packet = Delivery { qos: *qos, packet_id, ..Delivery::new(topic, payload) };
        match packet.encoded_len(Version::V5) <= limits.packet_bytes_max {
            true => Ok(()),
            false => Err(ClientError::TooLarge { bytes_max: limits.packet_bytes_max }),
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // When the broker has ended, so has the session.
        let _ = self.0.orders.send(Order::Close(self.0.id, None));
    }
}

fn check_filter(filter: &str) -> Result<(), ClientError> {
    let bad = |reason| ClientError::Filter { filter: filter.to_owned(), reason };
    TopicFilter::parse(filter).map(drop).map_err(bad)
}

#[cfg(test)]
mod tests;
