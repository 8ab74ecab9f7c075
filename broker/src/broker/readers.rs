//! What reads the log: the rules, the upstreams, the histories, and the numbers that the store knows
//! them by.

use std::sync::Arc;

use weir_core::{ReaderConfig, ReaderId, ReaderKind, Records, ShardId};
use weir_rules::{Engine, Plan};

use super::{StartError, seed};
use crate::config::Config;
use crate::history::{HistoryHandle, Recorder, System};
use crate::pipeline::{Pipeline, PipelineHandle, not_handled};
use crate::record_sink::RecordSink;
use crate::store::{RuleState, Store, StoreError};
use crate::upstream::{Around, Orders, Roster, reader_config, reader_name};

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
            config.upstreams.iter().map(|upstream| reader_name(&upstream.name)).collect();
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
        let mut configs: Vec<ReaderConfig> =
            upstreams.map(|(upstream, (_, reader))| reader_config(upstream, *reader)).collect();
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

    /// The upstreams of the configuration, which run with the supervisor that takes these orders.
    pub(super) fn upstreams(&self, config: &Config, around: Around, orders: Orders) -> Roster {
        let readers = self.upstreams.iter().map(|(_, reader)| *reader);
        Roster::new(config.upstreams.iter().cloned().zip(readers), around, orders)
    }

    /// Where a shard hands messages over.
    pub(super) fn sinks(
        &self,
        pipeline: PipelineHandle,
        upstreams: &Roster,
        history: Option<&HistoryHandle>,
    ) -> Vec<(ReaderId, Box<dyn RecordSink>)> {
        let mut sinks: Vec<(ReaderId, Box<dyn RecordSink>)> = Vec::new();
        sinks.push((self.rules, Box::new(pipeline)));
        for (reader, handle) in upstreams.sinks() {
            sinks.push((reader, Box::new(handle)));
        }
        if let Some((reader, handle)) = self.history.zip(history) {
            sinks.push((reader, Box::new(handle.clone())));
        }
        sinks
    }
}
