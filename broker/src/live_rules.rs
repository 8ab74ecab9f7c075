//! The rules as they run: which files they came from, and how others take their place without a
//! restart. Rule files are read again when somebody asks for it, the tables that rules look values
//! up in also when they have changed.
//!
//! All or nothing: if one of the files is wrong, the rules go on as they are.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use weir_rules::{Diagnostic, Plan, RuleChange, Source};

use crate::config::{Config, UpstreamConfig, compile_rules, read_tables};
use crate::pipeline::PipelineHandle;
use crate::stream::{FileStamp, stamp};

/// The files of the rules that run.
pub(crate) struct LiveRules {
    upstreams: Vec<UpstreamConfig>,
    pipeline: PipelineHandle,
    files: Mutex<Files>,
}

struct Files {
    rules: Vec<Source>,
    /// What the files of tables looked like when they were read last.
    stamps: Vec<FileStamp>,
}

/// Rules that have been checked, and can take the place of those that run.
pub(crate) struct NextRules {
    rules: Vec<Source>,
    stamps: Vec<FileStamp>,
    plan: Plan,
}

impl LiveRules {
    /// Those of a configuration that was read a moment ago.
    pub(crate) fn new(config: &Config, pipeline: PipelineHandle) -> Self {
        let rules = config.rules.clone();
        let files = Mutex::new(Files { stamps: stamps(&rules), rules });
        Self { upstreams: config.upstreams.clone(), pipeline, files }
    }

    /// Whether there are tables, which have to be looked at now and then.
    pub(crate) fn has_tables(&self) -> bool {
        !self.files().stamps.is_empty()
    }

    /// Reads the files of tables if one of them has changed; answers whether the rules have new
    /// ones. Files that are wrong are told once.
    pub(crate) fn refresh(&self) -> bool {
        let mut files = self.files();
        // Before they are read: what changes meanwhile is seen at the next look.
        let now = stamps(&files.rules);
        if now == files.stamps {
            return false;
        }
        files.stamps = now;
        let mut rules = files.rules.clone();
        rules.iter_mut().for_each(read_tables);
        match self.check(rules) {
            Ok(next) => {
                let tables = next.stamps.len();
                self.replace(&mut files, next);
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

    /// Whether rules can send to an upstream: those do not change while the broker runs.
    pub(crate) fn knows(&self, upstream: &str) -> bool {
        self.upstreams.iter().any(|known| known.name == upstream)
    }

    /// Whether rules can take the place of those that run.
    pub(crate) fn check(&self, rules: Vec<Source>) -> Result<NextRules, Vec<Diagnostic>> {
        let plan = compile_rules(&rules, &self.upstreams)?;
        Ok(NextRules { stamps: stamps(&rules), rules, plan })
    }

    /// Lets rules take the place of those that run; answers what has changed. None when the broker
    /// has ended.
    pub(crate) fn exchange(&self, next: NextRules) -> Option<Vec<RuleChange>> {
        self.replace(&mut self.files(), next)
    }

    fn replace(&self, files: &mut Files, next: NextRules) -> Option<Vec<RuleChange>> {
        *files = Files { rules: next.rules, stamps: next.stamps };
        self.pipeline.exchange(next.plan)
    }

    /// What a thread that panicked has left is whole: it is replaced in one step.
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(rules: &[Source]) -> Vec<FileStamp> {
    let tables = rules.iter().flat_map(|rules| &rules.tables);
    tables.map(|table| stamp(Path::new(&table.path))).collect()
}

#[cfg(test)]
mod tests;
