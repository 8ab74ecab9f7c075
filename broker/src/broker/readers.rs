//! What reads the log: the rules, the upstreams, the histories, and the numbers that the store knows
//! them by.

use std::sync::Arc;

use weir_core::{ReaderConfig, ReaderId, ReaderKind, Records, ShardId};
use weir_rules::{Engine, Plan};

use super::{StartError, seed};
use crate::clock::ClockWatch;
use crate::config::Config;
use crate::history::{HistoryHandle, Recorder, System};
use crate::mailbox::Mailbox;
use crate::pipeline::{Pipeline, PipelineHandle, not_handled};
use crate::shard::RecordSink;
use crate::store::{RuleState, Store, StoreError};
use crate::upstream::{Upstream, UpstreamHandle};

/// The shard whose log is read.
pub(super) const SHARD: ShardId = ShardId::FIRST;
/// The name under which the rule engine reads the log.
const RULES: &str = "rules";
/// The name under which the histories read it.
const HISTORY: &str = "history";

/// The numbers of the readers.
pub(super) struct Readers {
    history: Option<ReaderId>,
    rules: ReaderId,
    upstreams: Vec<(Arc<str>, ReaderId)>,
}

impl Readers {
    /// There is one for the rules also when there are none yet: they may come while the broker
    /// runs.
    pub(super) fn register(store: &Store, config: &Config) -> Result<Self, StoreError> {
        let names: Vec<String> =
            config.upstreams.iter().map(|upstream| format!("upstream/{}", upstream.name)).collect();
        let history = (!config.history.is_empty()).then_some(HISTORY);
        let own = std::iter::once(RULES).chain(history);
        let all: Vec<&str> = own.chain(names.iter().map(String::as_str)).collect();
        let mut ids = store.register_readers(&all)?.into_iter();
        let rules = ids.next().expect("each name has a number");
        let history = history.and_then(|_| ids.next());
        let upstreams =
            config.upstreams.iter().map(|upstream| Arc::from(upstream.name.as_str())).zip(ids);
        Ok(Self { history, rules, upstreams: upstreams.collect() })
    }

    /// What each of them reads.
    pub(super) fn configs(&self, config: &Config, plan: &Plan) -> Vec<ReaderConfig> {
        let upstreams = config.upstreams.iter().zip(&self.upstreams);
        let mut configs: Vec<ReaderConfig> = upstreams
            .map(|(upstream, (_, reader))| ReaderConfig {
                reader: *reader,
                filters: upstream.forward.iter().map(|route| route.from.clone()).collect(),
                kind: ReaderKind::Upstream,
                names_publishers: false,
            })
            .collect();
        configs.push(ReaderConfig {
            reader: self.rules,
            filters: plan.filters().map(str::to_owned).collect(),
            kind: ReaderKind::Rules,
            names_publishers: plan.reads_client(),
        });
        configs.extend(self.history.map(|reader| ReaderConfig {
            reader,
            filters: config.history.iter().map(|history| history.filter.clone()).collect(),
            kind: ReaderKind::History,
            // A rule that is run over it later may want to know.
            names_publishers: true,
        }));
        configs
    }

    /// The rules as they were, and what the log holds for them.
    pub(super) fn restore_pipeline(
        &self,
        store: &Store,
        config: &Config,
        plan: Plan,
    ) -> Result<(Pipeline, Records), StartError> {
        let reader = self.rules;
        let RuleState { snapshot, deltas } = store.rules()?;
        let engine = Engine::restore(plan, snapshot.iter(), deltas.iter())
            .map_err(|source| StartError::RuleState { path: config.data_dir.clone(), source })?;
        let done = store.reader_cursor(SHARD, reader)?;
        let records = not_handled(store, SHARD, reader, done)?;
        Ok((Pipeline::new(engine, reader, self.upstreams.clone()), records))
    }

    /// The histories, what the log holds for them, and their reader.
    pub(super) fn restore_history(
        &self,
        store: &Store,
        config: &Config,
    ) -> Result<Option<(Recorder, Records, ReaderId)>, StartError> {
        let Some(reader) = self.history else { return Ok(None) };
        let done = store.reader_cursor(SHARD, reader)?;
        let waiting = not_handled(store, SHARD, reader, done)?;
        let system = System::new(seed);
        let recorder = Recorder::open(&config.data_dir, &config.history, done, &waiting, system)
            .map_err(|source| StartError::History { path: config.data_dir.clone(), source })?;
        Ok(Some((recorder, waiting, reader)))
    }

    /// The upstreams of the configuration; none of them runs yet.
    pub(super) fn upstreams(
        &self,
        config: &Config,
        store: &Arc<Store>,
        mailbox: &Mailbox,
        clock: &Arc<ClockWatch>,
    ) -> Vec<Upstream> {
        let upstreams = config.upstreams.iter().zip(&self.upstreams);
        upstreams
            .map(|(upstream, (_, reader))| {
                let (store, mailbox, clock) = (store.clone(), mailbox.clone(), clock.clone());
                Upstream::new(upstream.clone(), *reader, SHARD, store, mailbox, clock)
            })
            .collect()
    }

    /// Where a shard hands messages over; `upstreams` are in the order of the configuration.
    pub(super) fn sinks(
        &self,
        pipeline: PipelineHandle,
        upstreams: &[UpstreamHandle],
        history: Option<&HistoryHandle>,
    ) -> Vec<(ReaderId, Box<dyn RecordSink>)> {
        let mut sinks: Vec<(ReaderId, Box<dyn RecordSink>)> = Vec::new();
        sinks.push((self.rules, Box::new(pipeline)));
        for ((_, reader), handle) in self.upstreams.iter().zip(upstreams) {
            sinks.push((*reader, Box::new(handle.clone())));
        }
        if let Some((reader, handle)) = self.history.zip(history) {
            sinks.push((reader, Box::new(handle.clone())));
        }
        sinks
    }
}
