//! What reads the log: the rules, the upstreams, the histories, and the numbers that the store knows
//! them by.

use std::sync::Arc;

use weir_core::{ReaderConfig, ReaderId, ReaderKind, Records, ShardId};
use weir_rules::{Engine, Plan};

use super::fleet::FleetReader;
use super::{StartError, seed};
use crate::config::{Config, UpstreamConfig};
use crate::fleet::FleetHandle;
use crate::history::{HistoryHandle, Recorder, System};
use crate::pipeline::{Pipeline, PipelineHandle, not_handled};
use crate::record_sink::RecordSink;
use crate::store::{RuleState, Store, StoreError};
use crate::upstream::{
    Around, Orders, Roster, UpstreamReaders, normal, reader_configs, with_readers,
};

/// The shard whose log is read.
pub(super) const SHARD: ShardId = ShardId::FIRST;
/// The name under which the rule engine reads the log.
const RULES: &str = "rules";
/// The name under which the histories read it.
const HISTORY: &str = "history";

/// The numbers of the readers.
pub(super) struct Readers {
    fleet: Option<FleetReader>,
    history: Option<ReaderId>,
    rules: ReaderId,
    upstreams: Vec<(UpstreamConfig, UpstreamReaders)>,
}

impl Readers {
    /// There is one for the rules also when there are none yet: they may come while the broker
    /// runs.
    pub(super) fn register(store: &Store, config: &Config) -> Result<Self, StoreError> {
        let history = (!config.history.is_empty()).then_some(HISTORY);
        let own: Vec<&str> = std::iter::once(RULES).chain(history).collect();
        let mut ids = store.register_readers(&own)?.into_iter();
        let rules = ids.next().expect("each name has a number");
        let history = history.and_then(|_| ids.next());
        let upstreams = with_readers(store, config.upstreams.clone())?;
        let fleet = FleetReader::register(store, config)?;
        Ok(Self { fleet, history, rules, upstreams })
    }

    /// What each of them reads.
    pub(super) fn configs(&self, config: &Config, plan: &Plan) -> Vec<ReaderConfig> {
        let upstreams = self.upstreams.iter();
        let mut configs: Vec<ReaderConfig> =
            upstreams.flat_map(|(upstream, readers)| reader_configs(upstream, readers)).collect();
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
        configs.extend(self.fleet.map(|fleet| fleet.config(config)));
        configs
    }

    /// The numbers of the fleet, if there is one.
    pub(super) fn fleet(&self) -> Option<FleetReader> {
        self.fleet
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
        let upstreams = self.upstreams.iter();
        let sent_to = upstreams
            .map(|(upstream, readers)| (Arc::from(upstream.name.as_str()), normal(readers)));
        Ok((Pipeline::new(engine, reader, sent_to.collect()), records))
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
    pub(super) fn upstreams(&self, around: Around, orders: Orders) -> Roster {
        Roster::new(self.upstreams.iter().cloned(), around, orders)
    }

    /// Where a shard hands messages over.
    pub(super) fn sinks(
        &self,
        pipeline: PipelineHandle,
        upstreams: &Roster,
        history: Option<&HistoryHandle>,
        fleet: Option<&FleetHandle>,
    ) -> Vec<(ReaderId, Box<dyn RecordSink>)> {
        let mut sinks: Vec<(ReaderId, Box<dyn RecordSink>)> = Vec::new();
        sinks.push((self.rules, Box::new(pipeline)));
        for (reader, handle) in upstreams.sinks() {
            sinks.push((reader, Box::new(handle)));
        }
        if let Some((reader, handle)) = self.history.zip(history) {
            sinks.push((reader, Box::new(handle.clone())));
        }
        if let Some((fleet, handle)) = self.fleet.zip(fleet) {
            sinks.push((fleet.reader, Box::new(handle.clone())));
        }
        sinks
    }
}
