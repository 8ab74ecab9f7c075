//! The thread, between a store and a shard.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mio::{Poll, Token, Waker};
use weir_core::{
    Core, Effect, HistoryRequest, Input, Limits, Now, Publication, ReaderConfig, ReaderId,
    ReaderKind, Records as Handed, Recovered, Route, ShardId,
};

use super::*;
use crate::clock::ClockWatch;
use crate::history::{Around, HistoryThread, pages};
use crate::mailbox::{Mail, MailReceiver, Mailboxes, mailbox};
use crate::record_sink::RecordSink as _;
use crate::store::{Store, StoreOptions};

const PATIENCE: Duration = Duration::from_secs(20);
const NOW: Now = Now { monotonic: weir_core::Instant(0), unix_ms: 1_700_000_000_000 };

/// A shard that commits, and the thread that keeps what it publishes to `a`.
struct Bench {
    store: Arc<Store>,
    core: Core,
    mail: MailReceiver,
    thread: HistoryThread,
    _poll: Poll,
}

impl Bench {
    fn start(folder: &Folder, flush: fn(&fs::File) -> io::Result<()>, watch: ClockWatch) -> Self {
        let store = Arc::new(Store::in_memory(StoreOptions::default()).expect("in memory"));
        let reader = store.register_readers(&["history"]).expect("one reader")[0];
        let config = ReaderConfig {
            reader,
            filters: vec!["a".to_owned()],
            kind: ReaderKind::History,
            names_publishers: true,
        };
        let core = Core::new(Limits::default(), vec![config], Recovered::default(), 1, NOW);
        let poll = Poll::new().expect("the system gives a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("and a way to wake it");
        let (mailbox, mail) = mailbox(waker);
        let system = System { flush, salt: || Ok(77) };
        let configs = [HistoryConfig::new("a")];
        let waiting = Handed::default();
        let recorder = Recorder::open(&folder.0, &configs, Sequence(0), &waiting, system);
        let recorder = recorder.expect("it opens");
        let around = Around {
            store: store.clone(),
            shard: ShardId::FIRST,
            reader,
            mailboxes: Mailboxes::new(vec![mailbox]),
            clock_watch: Arc::new(watch),
        };
        let thread = HistoryThread::run(recorder, waiting, around);
        let thread = thread.expect("the system gives a thread");
        Self { store, core, mail, thread, _poll: poll }
    }

    fn publish(&mut self, payload: &[u8]) {
        let message = message("a", payload, NOW.unix_ms);
        let route = Route::Subscribers { origin: None };
        self.core.handle(NOW, Input::Publish(Publication { message, route }));
        let (mut handed, mut batches) = (Vec::new(), Vec::new());
        self.core.drain(|effect| match effect {
            Effect::ToReader { records, .. } => handed.push(records),
            Effect::Commit(batch) => batches.push(batch),
            _ => {}
        });
        let handle = self.thread.handle();
        handed.into_iter().for_each(|records| handle.give(records));
        self.store.commit(&batches).expect("a store in memory takes everything");
        handle.log_grew();
    }

    /// Waits until the log is told how far the history is.
    fn done(&self) -> (ReaderId, Sequence) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.mail.take().find_map(|mail| match mail {
                Mail::Turn(turn) => turn.done,
                _ => None,
            });
            if let Some(done) = done {
                return done;
            }
            assert!(Instant::now() < deadline, "the log is not told in time");
            std::thread::yield_now();
        }
    }
}

/// The cursor of the log moved although the flush had failed. It waits for another flush of what
/// was written again.
#[test]
fn the_log_goes_on_only_when_what_a_flush_has_lost_is_on_the_disk() {
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);
    let fails_once = |file: &fs::File| match HAS_FAILED.swap(true, Ordering::Relaxed) {
        false => Err(io::Error::other("the disk has lost it")),
        true => file.sync_data(),
    };
    let folder = Folder::new();
    let mut bench = Bench::start(&folder, fails_once, ClockWatch::new(None));
    for payload in ["1", "2", "3"] {
        bench.publish(payload.as_bytes());
    }
    let (_, done) = bench.done();
    assert!(HAS_FAILED.load(Ordering::Relaxed));
    assert_eq!(done, Sequence(3));
    assert_eq!(payloads(&folder.of("a")), (vec!["1".into(), "2".into(), "3".into()], 0));
    let status = bench.thread.handle().status();
    assert_eq!((status[0].messages, status[0].dropped.len()), (3, 0));
    drop(bench);
}

/// Before the network has set the clock everything may look as if it were of another year.
#[test]
fn nothing_is_too_old_by_a_clock_that_is_not_set() {
    let kept = |watch| {
        let folder = Folder::new();
        record_some(&folder, 1);
        let bench = Bench::start(&folder, flush, watch);
        let status = bench.thread.handle().status();
        drop(bench);
        status[0].messages
    };
    assert_eq!(kept(ClockWatch::new(Some("/nowhere/at/all".into()))), 1);
    assert_eq!(kept(ClockWatch::new(None)), 0);
}

/// Once the thread had ended a client was given nothing, as if nothing were there.
#[test]
fn a_history_that_nobody_writes_any_more_cannot_be_read() {
    let folder = Folder::new();
    let bench = Bench::start(&folder, flush, ClockWatch::new(None));
    let handle = bench.thread.handle();
    let request = HistoryRequest { filter: "a".into(), since_ms: 0, position: Vec::new() };
    let directories = [folder.of("a")];
    assert!(pages::read(&directories, &handle, &request).is_ok());
    drop(bench);
    assert!(pages::read(&directories, &handle, &request).is_err());
}
