//! The readers of the log inside the broker, as a core knows them: how far each is.
//!
//! What is given to them stands where messages are routed.

use weir_mqtt::{QoS, TopicFilter};

use crate::admission::Admission;
use crate::change::Change;
use crate::clock::Now;
use crate::core::Core;
use crate::effect::Records;
use crate::identity::{ReaderId, Sequence};
use crate::reader_config::{ReaderConfig, ReaderKind};
use crate::subscriptions::{Holder, Subscriber};

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
    /// Whether it takes anything at all.
    pub(crate) is_here: bool,
    /// What it takes of the messages that it would read from the store; none = all.
    admission: Option<Admission>,
    /// Those that did not reach it since the last turn.
    pub(crate) missed: u64,
}

impl Reader {
    /// Whether it takes the next message of a topic; if not, that is counted.
    pub(crate) fn takes(&mut self, topic: &str) -> bool {
        let takes = self.admission.as_mut().is_none_or(|admission| admission.takes(topic));
        self.missed += u64::from(!takes);
        takes
    }

    /// Whether the log holds something that it is not done with.
    pub(crate) fn is_behind(&self) -> bool {
        self.last > self.done
    }
}

impl Core {
    /// The QoS that a reader gets: everything as it was published.
    pub(crate) const READER_QOS: QoS = QoS::ExactlyOnce;

    pub(crate) fn add_readers(&mut self, readers: Vec<ReaderConfig>) {
        self.tells_interest = readers.iter().any(|reader| reader.kind == ReaderKind::Fleet);
        readers.into_iter().for_each(|config| self.add_reader(config, Sequence(0)));
    }

    fn add_reader(&mut self, config: ReaderConfig, done: Sequence) {
        self.readers.push(Reader {
            config,
            done,
            recorded: done,
            last: done,
            records: Records::default(),
            is_here: true,
            admission: None,
            missed: 0,
        });
        self.subscribe_reader(self.readers.len() - 1);
    }

    /// What was routed before stays as it is. A reader that is new begins at the end of the log,
    /// also if the store has known it long ago.
    pub(crate) fn handle_reader_wants(&mut self, config: ReaderConfig) {
        let Some(index) = self.reader_index(config.reader) else {
            let (reader, done) = (config.reader, self.log_end());
            self.add_reader(config, done);
            if self.has_readers() {
                self.record_unawaited(Change::ReaderMoved { reader, done });
            }
            return;
        };
        let before = std::mem::replace(&mut self.readers[index].config, config);
        self.readers[index].is_here = true;
        self.unsubscribe_reader(index, &before.filters);
        self.subscribe_reader(index);
    }

    pub(crate) fn handle_reader_takes(&mut self, reader: ReaderId, one_of: u32) {
        let Some(index) = self.reader_index(reader) else { return };
        let admission = &mut self.readers[index].admission;
        match admission {
            Some(admission) => admission.set(one_of),
            None if one_of == 1 => {}
            None => *admission = Some(Admission::new(one_of)),
        }
    }

    /// What waits for it is passed over. Its place stays: others stand behind it.
    pub(crate) fn handle_reader_leaves(&mut self, now: Now, reader: ReaderId) {
        let Some(index) = self.reader_index(reader) else { return };
        let before = std::mem::take(&mut self.readers[index].config.filters);
        (self.readers[index].is_here, self.readers[index].admission) = (false, None);
        self.unsubscribe_reader(index, &before);
        self.handle_reader_done(now, reader, self.log_end());
    }

    /// The position up to which a reader is done with the log; none without such a reader.
    #[must_use]
    pub fn reader_done(&self, reader: ReaderId) -> Option<Sequence> {
        self.reader_index(reader).map(|index| self.readers[index].done)
    }

    pub(crate) fn reader_index(&self, reader: ReaderId) -> Option<usize> {
        self.readers.iter().position(|known| known.config.reader == reader)
    }

    /// The last position that was given.
    fn log_end(&self) -> Sequence {
        Sequence(self.log.next().0 - 1)
    }

    fn unsubscribe_reader(&mut self, index: usize, filters: &[String]) {
        for filter in filters {
            self.subscriptions.remove(filter, reader_holder(index));
        }
        self.note_interest_of_reader(index, filters, false);
    }

    fn subscribe_reader(&mut self, index: usize) {
        for filter in &self.readers[index].config.filters {
            let subscriber = Subscriber {
                holder: reader_holder(index),
                qos: Self::READER_QOS,
                no_local: false,
                retain_as_published: true,
                checked: false,
                identifier: 0,
            };
            self.subscriptions.insert(&filter.as_str().into(), subscriber);
        }
        let filters = self.readers[index].config.filters.clone();
        self.note_interest_of_reader(index, &filters, true);
        let mut readers = self.readers.iter();
        self.names_publishers = readers.any(|reader| reader.config.names_publishers);
    }

    /// What a fleet brings is wanted by all readers but the fleet.
    fn note_interest_of_reader(&mut self, index: usize, filters: &[String], is_wanted: bool) {
        let is_fleet = self.readers[index].config.kind == ReaderKind::Fleet;
        if is_fleet || !self.tells_interest || !self.has_readers() {
            return;
        }
        for filter in filters {
            self.note_own_interest(&filter.as_str().into(), is_wanted);
        }
    }

    /// The retained messages that match one of the filters, in the order of the filters.
    #[must_use]
    pub fn retained(&self, filters: &[String]) -> Records {
        let mut records = Records::default();
        for filter in filters.iter().filter_map(|filter| TopicFilter::parse(filter).ok()) {
            self.retained.matching(filter, |message| records.push(None, &message.parts()));
        }
        records
    }

    /// The place of the rules among the readers, if there are any.
    pub(crate) fn rules(&self) -> Option<usize> {
        self.readers.iter().position(|reader| reader.config.kind == ReaderKind::Rules)
    }

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

fn reader_holder(index: usize) -> Holder {
    Holder::Reader(u16::try_from(index).expect("readers are few"))
}
