//! The store, handed out for a copy while the broker runs.
//!
//! A copy holds every message, so it is for whoever may do everything: who can read the data directory,
//! or has a token with the role `operate`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::ApiError;
use super::streamed::streamed;
use crate::store::Store;

/// How long whoever asks for a copy may take nothing. Meanwhile the file of the store grows.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many pieces are on their way.
const PIECES: usize = 2;

/// Hands out copies of a store, one at a time.
#[derive(Debug)]
pub(super) struct Copies {
    store: Arc<Store>,
    is_busy: AtomicBool,
}

impl Copies {
    /// Copies of a store.
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, is_busy: AtomicBool::new(false) }
    }

    /// The answer to a request for a copy.
    pub(super) fn answer(self: &Arc<Self>) -> Response {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return ApiError::busy("copies of the store").into_response();
        }
        let busy = Busy(self.clone());
        let (made, making) = mpsc::channel(1);
        let (sender, pieces) = mpsc::channel(PIECES);
        spawn_blocking(move || busy.hand_out(&made));
        tokio::spawn(pass_on(making, sender));
        streamed(pieces, |piece| piece).into_response()
    }
}

/// One copy being made; the next one can be made when it is gone.
struct Busy(Arc<Copies>);

impl Busy {
    fn hand_out(&self, made: &Sender<Bytes>) {
        // It fails when nobody wants more.
        let send = |piece: Vec<u8>| made.blocking_send(piece.into()).is_ok();
        if let Err(error) = self.0.store.hand_out(send) {
            tracing::error!(%error, "a copy of the store ended early");
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}

/// Ends the copy when whoever asked for it takes nothing any more.
async fn pass_on(mut making: Receiver<Bytes>, sender: Sender<Bytes>) {
    while let Some(piece) = making.recv().await {
        if !matches!(timeout(PATIENCE, sender.send(piece)).await, Ok(Ok(()))) {
            tracing::warn!("a copy of the store was given up: nobody took it");
            return;
        }
    }
}
