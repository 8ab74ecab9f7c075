//! The readers of the log inside the broker, as a core knows them: how far each is.
//!
//! What is given to them stands where messages are routed.

use weir_mqtt::QoS;

use crate::change::Change;
use crate::clock::Now;
use crate::core::Core;
use crate::effect::Records;
use crate::identity::{ReaderId, Sequence};

/// Something inside the broker that reads the log.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// Its number, as the store knows it.
    pub reader: ReaderId,
    /// The topic filters of what it reads.
    pub filters: Vec<String>,
    /// Whether QoS 1 and 2 messages are handed to it as they come; otherwise it reads them from
    /// the store and only QoS 0 is handed to it.
    pub takes_logged: bool,
    /// Whether it wants to know the client identifiers of the publishers.
    pub names_publishers: bool,
}

#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) config: ReaderConfig,
    /// The last position it is done with.
    pub(crate) done: Sequence,
    /// What of that the store knows, or is about to.
    pub(crate) recorded: Sequence,
    /// The last position that is written and waits for it.
    pub(crate) last: Sequence,
    pub(crate) records: Records,
}

impl Reader {
    /// Whether the log holds something that it is not done with.
    pub(crate) fn is_behind(&self) -> bool {
        self.last > self.done
    }
}

impl Core {
    /// The QoS that a reader gets: everything as it was published.
    pub(crate) const READER_QOS: QoS = QoS::ExactlyOnce;

    /// The first position of the log that anybody still needs.
    pub(crate) fn log_start(&self) -> Sequence {
        let lagging = self.readers.iter().filter(|reader| reader.is_behind());
        let needed = lagging.map(|reader| reader.done.next());
        needed.fold(self.log.start(), Sequence::min)
    }

    pub(crate) fn handle_reader_done(&mut self, now: Now, reader: ReaderId, sequence: Sequence) {
        let Some(known) = self.readers.iter_mut().find(|known| known.config.reader == reader)
        else {
            return;
        };
        if sequence > known.done {
            self.log.read(known.done, sequence);
            known.done = sequence;
            // What was not written it need not find again.
            if known.last > known.recorded {
                known.recorded = sequence;
                self.record_unawaited(Change::ReaderMoved { reader, done: sequence });
            }
            self.release_held(now, reader, sequence);
        }
    }
}
