//! The tables that rules look values up in, while the broker runs: a file that has changed takes
//! the place of the one before, without a restart and without touching the state of the rules.
//!
//! All or nothing: if one of the files is wrong, the rules go on with the tables that they have.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use weir_rules::{Diagnostic, Source};

use crate::config::{Config, UpstreamConfig, compile_rules, read_tables};
use crate::pipeline::PipelineHandle;
use crate::stream::{FileStamp, stamp};

/// The files of tables, and the rules that use them.
pub(crate) struct LookupTables {
    /// All rules as they run.
    rules: Vec<Source>,
    upstreams: Vec<UpstreamConfig>,
    pipeline: PipelineHandle,
    /// What the files looked like when they were read last.
    stamps: Mutex<Vec<FileStamp>>,
}

impl LookupTables {
    /// The tables of rules that were read a moment ago; none if no rule names one.
    pub(crate) fn new(config: &Config, pipeline: PipelineHandle) -> Option<Self> {
        let rules = config.rules.clone();
        if rules.iter().all(|rules| rules.tables.is_empty()) {
            return None;
        }
        let stamps = Mutex::new(stamps(&rules));
        Some(Self { rules, upstreams: config.upstreams.clone(), pipeline, stamps })
    }

    /// Reads the files if one of them has changed; answers whether the rules have new tables.
    /// Files that are wrong are told once.
    pub(crate) fn refresh(&self) -> bool {
        let now = stamps(&self.rules);
        if now == *lock(&self.stamps) {
            return false;
        }
        match self.reload() {
            Ok(tables) => {
                tracing::info!(tables, "the tables of rules have changed and are in use");
                true
            }
            Err(problems) => {
                for problem in problems {
                    let (path, message) = (problem.path(), problem.message());
                    let line = problem.position().map(|(line, _)| line);
                    tracing::error!(path, line, message, "a table of rules is wrong");
                }
                tracing::error!("the rules go on with the tables that they have");
                false
            }
        }
    }

    /// Reads all files; answers how many there are.
    pub(crate) fn reload(&self) -> Result<usize, Vec<Diagnostic>> {
        // Before the files are read: what changes meanwhile is seen at the next look.
        let mut seen = lock(&self.stamps);
        *seen = stamps(&self.rules);
        let mut rules = self.rules.clone();
        rules.iter_mut().for_each(read_tables);
        let plan = compile_rules(&rules, &self.upstreams)?;
        self.pipeline.replace_tables(plan);
        Ok(rules.iter().map(|rules| rules.tables.len()).sum())
    }
}

fn stamps(rules: &[Source]) -> Vec<FileStamp> {
    let tables = rules.iter().flat_map(|rules| &rules.tables);
    tables.map(|table| stamp(Path::new(&table.path))).collect()
}

/// What a thread that panicked has left is whole: it is replaced in one step.
fn lock(mutex: &Mutex<Vec<FileStamp>>) -> MutexGuard<'_, Vec<FileStamp>> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
