//! What happens, as server-sent events: figures once a second, and for those who may see them the
//! topics and what a rule sends.
//!
//! However many look on, everything is asked for and written down once. While nobody does, nothing is
//! asked at all; while nobody looks at topics, no shard keeps any.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use tokio::sync::{Notify, broadcast};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use weir_core::TopicNews;

use super::Asked;
use super::access::{Audience, Peer};
use super::answer::{ApiError, Query};
use super::rules::RULES_HELP;
use crate::clock::unix_ms;
use crate::mailbox::{Mail, Mailbox, Mailboxes};
use crate::pipeline::RULES_WATCHED_MAX;
use crate::probe::Probe;

mod event;
mod figures;
mod stream;
mod topics;

use figures::Figures;
use topics::Topics;

/// Where the events are.
pub(super) const EVENTS_PATH: &str = "/api/v1/events";

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Streams at a time.
const STREAMS_MAX: usize = 32;

/// Looks that a stream may be behind before it begins anew.
const BEHIND_MAX: usize = 4;

/// How long a shard may take to answer; it does so once per turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at the broker for all streams.
pub(super) struct Live {
    probe: Arc<Probe>,
    looks: broadcast::Sender<Arc<Look>>,
    wishes: Mutex<Wishes>,
    woken: Notify,
    figures: Mutex<Figures>,
    topics: Mutex<Topics>,
    /// The rules that were watched at the last look.
    watched: Mutex<Vec<String>>,
}

/// What was seen at one moment, each part an event as it is sent.
#[derive(Debug)]
pub(super) struct Look {
    status: Bytes,
    topics: Option<Bytes>,
    rules: BTreeMap<String, Bytes>,
}

/// What somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) topics: bool,
    pub(super) rule: Option<String>,
}

/// What all together want to see.
#[derive(Debug, Default)]
struct Wishes {
    streams: usize,
    topics: usize,
    rules: BTreeMap<String, usize>,
}

/// Somebody who looks on, until this is dropped.
struct Viewer {
    live: Arc<Live>,
    wish: Wish,
}

/// Why nobody more can look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    /// There are as many rules as can be watched.
    #[error("{RULES_WATCHED_MAX} rules are watched already")]
    Rules,
    /// There are as many streams as can be.
    #[error("{STREAMS_MAX} streams of events are open already")]
    Streams,
}

impl Live {
    pub(super) fn new(probe: Arc<Probe>) -> Self {
        Self {
            probe,
            looks: broadcast::channel(BEHIND_MAX).0,
            wishes: Mutex::default(),
            woken: Notify::new(),
            figures: Mutex::default(),
            topics: Mutex::default(),
            watched: Mutex::default(),
        }
    }

    /// Looks once a second while somebody wants to see. Never ends.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            self.woken.notified().await;
            let mut every = interval(EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                let Some((topics, rules)) = self.wanted() else { break };
                let live = self.clone();
                // A panic there has been reported, and the next look comes.
                if let Ok(look) = spawn_blocking(move || live.look(topics, rules)).await {
                    // Whoever wanted to see it may be gone.
                    let _ = self.looks.send(Arc::new(look));
                }
            }
            let live = self.clone();
            // A panic there has been reported.
            let _ = spawn_blocking(move || live.rest()).await;
        }
    }

    /// What is wanted by anybody; none when nobody is there.
    fn wanted(&self) -> Option<(bool, Vec<String>)> {
        let wishes = lock(&self.wishes);
        let rules = wishes.rules.keys().cloned().collect();
        (wishes.streams > 0).then_some((wishes.topics > 0, rules))
    }

    /// Asks everybody; waits for them.
    fn look(&self, topics: bool, rules: Vec<String>) -> Look {
        let status = lock(&self.figures).event(self.probe.status(), Instant::now(), unix_ms());
        Look { status, topics: self.look_at_topics(topics), rules: self.look_at_rules(rules) }
    }

    fn look_at_topics(&self, wanted: bool) -> Option<Bytes> {
        if !wanted {
            if lock(&self.topics).clear() {
                self.probe.mailboxes.send_all(|| Mail::Topics(None));
            }
            return None;
        }
        let news = topics_of(&self.probe.mailboxes);
        Some(lock(&self.topics).event(news, Instant::now()))
    }

    fn look_at_rules(&self, rules: Vec<String>) -> BTreeMap<String, Bytes> {
        let were_watched = std::mem::replace(&mut *lock(&self.watched), rules.clone());
        if rules.is_empty() && were_watched.is_empty() {
            return BTreeMap::new();
        }
        let told = self.probe.pipeline.recently_sent(rules);
        told.into_iter().map(|sent| (sent.rule.clone(), event::rule(&sent))).collect()
    }

    /// Nobody looks on: what was kept for that is let go.
    fn rest(&self) {
        lock(&self.figures).clear();
        self.look_at_topics(false);
        self.look_at_rules(Vec::new());
    }

    /// Lets somebody look on.
    fn join(self: &Arc<Self>, wish: Wish) -> Result<Viewer, Refusal> {
        let mut wishes = lock(&self.wishes);
        if wishes.streams >= STREAMS_MAX {
            return Err(Refusal::Streams);
        }
        if let Some(rule) = &wish.rule {
            if wishes.rules.len() >= RULES_WATCHED_MAX && !wishes.rules.contains_key(rule) {
                return Err(Refusal::Rules);
            }
            *wishes.rules.entry(rule.clone()).or_default() += 1;
        }
        wishes.streams += 1;
        wishes.topics += usize::from(wish.topics);
        self.woken.notify_one();
        Ok(Viewer { live: self.clone(), wish })
    }
}

/// `GET events`: figures are for everybody who gets here, topics and what a rule sends are not.
pub(super) async fn events(State(api): Asked, parts: Parts) -> Result<Response, ApiError> {
    let mut query = Query::read(&parts.uri, &["rule", "topics"])?;
    let wish = Wish { topics: query.flag("topics")?.unwrap_or(false), rule: query.text("rule") };
    if wish != Wish::default() {
        let peer = parts.extensions.get().map(|Peer(peer)| peer.ip());
        let peer = peer.ok_or_else(|| ApiError::unanswered("the socket"))?;
        api.access.admit(&parts, peer, Audience::Viewers, Instant::now())?;
    }
    if let Some(rule) = &wish.rule {
        let rules = api.status().await?.rules;
        if !rules.iter().any(|known| known.name == *rule) {
            return Err(ApiError::not_found(format!("there is no rule `{rule}`"), RULES_HELP));
        }
    }
    let viewer = api.live.join(wish)?;
    Ok(viewer.answer())
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let help = "close a page of the dashboard, or whatever else reads the events";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", refusal.to_string(), help)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut wishes = lock(&self.live.wishes);
        wishes.streams -= 1;
        wishes.topics -= usize::from(self.wish.topics);
        if let Some(rule) = &self.wish.rule
            && let Some(count) = wishes.rules.get_mut(rule)
        {
            *count -= 1;
            if *count == 0 {
                wishes.rules.remove(rule);
            }
        }
    }
}

/// What the shards have seen; one that does not answer in time tells it with the next look.
fn topics_of(mailboxes: &Mailboxes) -> Vec<TopicNews> {
    let ask = |mailbox: &Mailbox| {
        let (reply, answer) = mpsc::sync_channel(1);
        mailbox.send(Mail::Topics(Some(reply)));
        answer
    };
    let answers: Vec<_> = mailboxes.all().iter().map(ask).collect();
    let until = Instant::now() + PATIENCE;
    let wait = |answer: mpsc::Receiver<TopicNews>| {
        answer.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    };
    answers.into_iter().filter_map(wait).collect()
}

/// What is held there is whole after a panic too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
