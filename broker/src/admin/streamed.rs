//! Answers that are written while what is in them comes about.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::stream::unfold;
use tokio::sync::mpsc::Receiver;

/// The body of an answer that ends when nothing more comes. Whoever sends learns from the channel
/// when nobody takes it any more.
pub(super) fn streamed<T: Send + 'static>(
    receiver: Receiver<T>,
    part: impl FnMut(T) -> Bytes + Send + 'static,
) -> Body {
    let parts = unfold((receiver, part), |(mut receiver, mut part)| async move {
        let next = part(receiver.recv().await?);
        Some((Ok::<_, Infallible>(next), (receiver, part)))
    });
    Body::from_stream(parts)
}
