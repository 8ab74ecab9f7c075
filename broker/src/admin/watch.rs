//! Messages as they come, as server-sent events: `subscribe`.
//!
//! A session from inside the process subscribes with QoS 0 and may read everything. Whoever reads the
//! events too slowly misses some and is told how many: no client waits for that, and nothing is kept
//! beyond a bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{MissedTickBehavior, interval, timeout};
use weir_core::MessageParts;
use weir_mqtt::{
    Connect, Packet, PacketId, Publish, QoS, RetainHandling, Subscribe, SubscribeFilter,
    SubscriptionOptions, TopicFilter, Version, frame_len,
};

use super::answer::{ApiError, Query};
use super::message::{MessageFacts, check_filter};
use super::streamed::streamed;
use super::{Api, Asked};
use crate::clock::unix_ms;

/// `GET subscribe`.
pub(super) async fn subscribe(State(api): Asked, uri: Uri) -> Result<Response, ApiError> {
    let mut query = Query::read(&uri, &["filter", "retained"])?;
    let filter = query.text("filter").ok_or_else(|| {
        ApiError::bad_request("`filter` is missing", "for example ?filter=sensors/%23")
    })?;
    check_filter(&filter)?;
    let retained = query.flag("retained")?.unwrap_or(true);
    let place = api.watches.clone().try_acquire_owned();
    let place = place.map_err(|_| ApiError::busy("subscriptions of the API"))?;
    let opened = timeout(PATIENCE, Watch::open(&api, &filter, retained)).await;
    let watch = opened.ok().flatten().ok_or_else(|| ApiError::unanswered("the broker"))?;
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    tokio::spawn(watch.follow(api, Events { sender, waiting: waiting.clone(), missed: 0 }, place));
    let body = streamed(receiver, move |event: Bytes| {
        waiting.fetch_sub(event.len(), Ordering::AcqRel);
        event
    });
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The session that subscribes.
struct Watch {
    client_id: String,
    stream: UnixStream,
    /// What was read and not looked at.
    read: Vec<u8>,
}

impl Watch {
    /// Connects and subscribes; none when that is refused.
    async fn open(api: &Api, filter: &str, retained: bool) -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let client_id = format!("$api-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut stream = UnixStream::from_std(api.probe.door.open(None).ok()?).ok()?;
        let options = SubscriptionOptions {
            qos: QoS::AtMostOnce,
            retain_as_published: true,
            retain_handling: match retained {
                true => RetainHandling::Send,
                false => RetainHandling::DoNotSend,
            },
            ..SubscriptionOptions::default()
        };
        let filters = [SubscribeFilter { filter: TopicFilter::parse(filter).ok()?, options }];
        let subscribe = Subscribe {
            packet_id: PacketId::new(1)?,
            properties: Default::default(),
            filters: filters[..].into(),
        };
        let mut bytes = Vec::new();
        for packet in
            [Packet::Connect(Connect::new(Version::V5, &client_id)), Packet::Subscribe(subscribe)]
        {
            packet.encode(Version::V5, &mut bytes).ok()?;
        }
        stream.write_all(&bytes).await.ok()?;
        let mut watch = Self { client_id, stream, read: Vec::new() };
        loop {
            let is_subscribed = watch.each(|packet| match packet {
                Packet::Suback(suback) => Some(suback.reasons.iter().all(|code| code as u8 <= 2)),
                _ => None,
            });
            match is_subscribed {
                Some(granted) => return granted.then_some(watch),
                None => watch.more().await?,
            }
        }
    }

    /// Turns messages into events until nobody wants any more, or the broker has ended it.
    async fn follow(mut self, api: Arc<Api>, mut events: Events, _place: OwnedSemaphorePermit) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut dropped = 0;
        while !events.sender.is_closed() {
            let _: Option<()> = self.each(|packet| {
                if let Packet::Publish(publish) = packet {
                    events.put(&publish);
                }
                None
            });
            tokio::select! {
                more = self.more() => if more.is_none() { return },
                _ = ticks.tick() => {
                    let client_id = self.client_id.clone();
                    let of = move |core: &weir_core::Core, _: crate::mailbox::PeerOf<'_>| {
                        Some(core.drops_of(&client_id).map_or(0, |drops| drops.total()))
                    };
                    let now = api.shards.ask_all(of).await.unwrap_or_default().iter().sum();
                    events.missed += u64::saturating_sub(now, dropped);
                    dropped = now;
                    events.tick();
                }
                () = events.sender.closed() => return,
            }
        }
    }

    /// Calls `look` with each packet that was read, until it answers something.
    fn each<T>(&mut self, mut look: impl FnMut(Packet<'_>) -> Option<T>) -> Option<T> {
        let mut at = 0;
        let mut found = None;
        while found.is_none()
            && let Ok(Some(length)) = frame_len(&self.read[at..])
            && let Some(frame) = self.read.get(at..at + length)
        {
            found = Packet::decode(frame, Version::V5).ok().and_then(&mut look);
            at += length;
        }
        self.read.drain(..at);
        found
    }

    /// Reads more; none at the end.
    async fn more(&mut self) -> Option<()> {
        self.read.reserve(READ_BYTES);
        let count = self.stream.read_buf(&mut self.read).await.ok()?;
        (count > 0).then_some(())
    }
}

/// Events on their way to whoever reads them.
struct Events {
    sender: Sender<Bytes>,
    /// Bytes of those that wait.
    waiting: Arc<AtomicUsize>,
    missed: u64,
}

impl Events {
    fn put(&mut self, publish: &Publish<'_>) {
        let mut properties = Vec::new();
        if publish.properties.encode_end_to_end(&mut properties).is_err() {
            properties.clear();
        }
        let now_ms = unix_ms();
        let expiry_s = publish.properties.message_expiry_interval_s;
        let parts = MessageParts {
            qos: publish.qos,
            retain: publish.retain,
            expires_at_ms: expiry_s.map(|expiry_s| now_ms + u64::from(expiry_s) * 1000),
            received_at_ms: now_ms,
            publisher: "",
            topic: publish.topic,
            properties: &properties,
            payload: publish.payload,
        };
        let facts = MessageFacts::of(&parts, PAYLOAD_BYTES_MAX);
        let Ok(text) = serde_json::to_string(&facts) else { return };
        self.tell_missed();
        if !self.send(format!("event: message\ndata: {text}\n\n")) {
            self.missed += 1;
        }
    }

    /// Says that the connection is still there, if nothing else does.
    fn tick(&mut self) {
        self.tell_missed();
        if self.sender.capacity() == EVENTS_MAX {
            self.send(":\n\n".to_owned());
        }
    }

    fn tell_missed(&mut self) {
        let missed = json!({ "missed": self.missed });
        if self.missed > 0 && self.send(format!("event: missed\ndata: {missed}\n\n")) {
            self.missed = 0;
        }
    }

    fn send(&self, text: String) -> bool {
        let bytes = text.len();
        // Counted first, so that it is not taken off before.
        let before = self.waiting.fetch_add(bytes, Ordering::AcqRel);
        let is_sent = before + bytes <= BYTES_MAX && self.sender.try_send(text.into()).is_ok();
        if !is_sent {
            self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        }
        is_sent
    }
}

/// How long it may take until it is subscribed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether anything was missed, and said that the connection is still there.
const TICK: Duration = Duration::from_secs(5);
/// Events that wait for whoever reads them.
const EVENTS_MAX: usize = 1024;
/// Their bytes.
const BYTES_MAX: usize = 2 << 20;
/// Longer payloads are not shown.
const PAYLOAD_BYTES_MAX: usize = 64 << 10;
const READ_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn events(waiting: &Arc<AtomicUsize>) -> (Events, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        (Events { sender, waiting: waiting.clone(), missed: 0 }, receiver)
    }

    #[test]
    fn whoever_reads_too_slowly_is_told_how_many_were_missed() {
        let waiting = Arc::default();
        let (mut events, mut receiver) = events(&waiting);
        for _ in 0..EVENTS_MAX + 5 {
            events.put(&Publish::new("hall/climate", b"21.5"));
        }
        events.tick();
        for _ in 0..EVENTS_MAX {
            let event = receiver.try_recv().unwrap();
            assert!(event.starts_with(b"event: message\n"), "{event:?}");
        }
        assert!(receiver.try_recv().is_err(), "nothing is kept beyond the queue");
        events.tick();
        assert_eq!(receiver.try_recv().unwrap(), "event: missed\ndata: {\"missed\":5}\n\n");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let waiting = Arc::default();
        let (mut events, mut receiver) = events(&waiting);
        let payload = vec![b'x'; PAYLOAD_BYTES_MAX];
        let fit = BYTES_MAX / PAYLOAD_BYTES_MAX;
        for _ in 0..fit + 5 {
            events.put(&Publish::new("hall/camera", &payload));
        }
        assert!(waiting.load(Ordering::Acquire) <= BYTES_MAX);
        let mut messages = 0;
        let mut told = events.missed;
        while let Ok(event) = receiver.try_recv() {
            match event.strip_prefix(b"event: missed\ndata: {\"missed\":1}\n\n") {
                Some(_) => told += 1,
                None => messages += 1,
            }
        }
        assert!(messages < fit && messages > 0, "{messages} of {fit}");
        assert_eq!(messages + told as usize, fit + 5);
    }
}
