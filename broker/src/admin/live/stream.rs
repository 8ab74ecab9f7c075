//! One stream of events, as long as somebody takes them.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::timeout;

use super::{Viewer, lock};
use crate::admin::streamed::streamed;

/// Events on their way to one who looks on.
const WAITING_MAX: usize = 4;

/// How long one may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

impl Viewer {
    /// The events, for as long as somebody takes them.
    pub(super) fn answer(self) -> Response {
        let (sender, events) = mpsc::channel(WAITING_MAX);
        tokio::spawn(self.send(sender));
        let content_type = [(header::CONTENT_TYPE, "text/event-stream")];
        (content_type, streamed(events, |event| event)).into_response()
    }

    /// Sends until nobody takes it any more.
    async fn send(self, sender: Sender<Bytes>) {
        // Before the table is read: what comes to it meanwhile is told by a look.
        let mut looks = self.live.looks.subscribe();
        let past = lock(&self.live.figures).past();
        if !send(&sender, past).await || !self.send_topics(&sender).await {
            return;
        }
        loop {
            let look = tokio::select! {
                () = sender.closed() => return,
                look = looks.recv() => look,
            };
            let is_there = match look {
                Ok(look) => {
                    let topics = look.topics.as_ref().filter(|_| self.wish.topics);
                    let rule = self.wish.rule.as_ref().and_then(|rule| look.rules.get(rule));
                    let events = [Some(&look.status), topics, rule];
                    self.send_all(&sender, events.into_iter().flatten()).await
                }
                Err(RecvError::Lagged(_)) => self.send_topics(&sender).await,
                Err(RecvError::Closed) => return,
            };
            if !is_there {
                return;
            }
        }
    }

    async fn send_all<'a>(
        &self,
        sender: &Sender<Bytes>,
        events: impl Iterator<Item = &'a Bytes>,
    ) -> bool {
        for event in events {
            if !send(sender, event.clone()).await {
                return false;
            }
        }
        true
    }

    /// All topics, if they are wanted.
    async fn send_topics(&self, sender: &Sender<Bytes>) -> bool {
        if !self.wish.topics {
            return true;
        }
        let mut last = None;
        loop {
            let part = lock(&self.live.topics).part(last.as_ref());
            let Some((event, topic)) = part else { return true };
            if !send(sender, event).await {
                return false;
            }
            last = Some(topic);
        }
    }
}

/// False when nobody takes it.
async fn send(sender: &Sender<Bytes>, event: Bytes) -> bool {
    matches!(timeout(PATIENCE, sender.send(event)).await, Ok(Ok(())))
}
