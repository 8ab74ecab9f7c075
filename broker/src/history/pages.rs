//! The thread that reads the histories for the clients of a shard, page by page.
//!
//! A shard never waits for the disk. It has one read under way at a time, so nothing gathers here.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use weir_core::{HistoryRequest, Message, MessageParts};
use weir_mqtt::TopicFilter;

use super::read::{Reader, Wanted};
use super::thread::HistoryHandle;

/// Bytes of a page; one message may be larger.
const PAGE_BYTES: usize = 64 * 1024;
/// Messages of a page, fewer than may wait for a session besides its queue.
const PAGE_MESSAGES: usize = 256;
/// Bytes of messages that are not wanted at which a page looks. It may then be empty, and others get
/// theirs meanwhile.
const LOOK_BYTES: u64 = 4 << 20;

/// A page: its messages, and where the next one begins, if there is one.
pub(crate) type Page = (Vec<Message>, Option<Vec<u64>>);

/// The thread; dropping it stops it.
pub(crate) struct Pages {
    requests: Option<mpsc::Sender<Box<HistoryRequest>>>,
    thread: Option<JoinHandle<()>>,
}

impl Pages {
    /// Starts the thread. It calls `answer` with what it has found.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        directories: Vec<PathBuf>,
        history: HistoryHandle,
        answer: impl Fn(Page) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, requests) = mpsc::channel::<Box<HistoryRequest>>();
        let run = move || {
            for request in requests {
                let page = read(&directories, &history, &request);
                answer(page.unwrap_or_else(|error| {
                    tracing::error!(%error, "a history cannot be read: a subscription to it ends early");
                    (Vec::new(), None)
                }));
            }
        };
        let thread = thread::Builder::new().name("weir-pages".to_owned()).spawn(run)?;
        Ok(Self { requests: Some(sender), thread: Some(thread) })
    }

    /// Asks for a page.
    pub(crate) fn read(&self, request: Box<HistoryRequest>) {
        if let Some(requests) = &self.requests {
            // The thread ends only when this is dropped, or by a panic, which the log tells.
            let _ = requests.send(request);
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.requests = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads the histories panicked");
        }
    }
}

/// The position of a request is the number at which all pages end, and that of the reader.
pub(super) fn read(
    directories: &[PathBuf],
    history: &HistoryHandle,
    request: &HistoryRequest,
) -> io::Result<Page> {
    let (end, position) = match request.position.split_first() {
        Some((end, position)) => (*end, position),
        None => (history.write().ok_or_else(has_ended)?, [].as_slice()),
    };
    let Ok(filter) = TopicFilter::parse(&request.filter) else { return Ok((Vec::new(), None)) };
    let matches = |message: &MessageParts<'_>| filter.matches(message.topic);
    let wanted = Wanted { directories, since_ms: request.since_ms, matches: &matches };
    let mut reader = Reader::new(wanted, position, LOOK_BYTES)?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while messages.len() < PAGE_MESSAGES && bytes < PAGE_BYTES {
        let Some(kept) = reader.next()? else {
            if reader.is_at_end() {
                return Ok((messages, None));
            }
            break;
        };
        if kept.number >= end {
            return Ok((messages, None));
        }
        bytes += kept.bytes();
        messages.push(kept.message());
    }
    let mut next = vec![end];
    next.extend(reader.position());
    Ok((messages, Some(next)))
}

fn has_ended() -> io::Error {
    io::Error::other("the thread that writes it has ended")
}
