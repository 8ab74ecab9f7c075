//! The rules as they run: which files they came from, and how others take their place without a
//! restart. Rule files are read again when somebody asks for it, the tables that rules look values
//! up in also when they have changed.
//!
//! All or nothing: if one of the files is wrong, the rules go on as they are.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_config::FileStamp;
use weir_core::ReaderId;
use weir_rules::{Diagnostic, Plan, RuleChange, Source};

use crate::config::{Config, UpstreamConfig, compile_rules, read_tables};
use crate::pipeline::PipelineHandle;

/// The files of the rules that run.
pub(crate) struct LiveRules {
    pipeline: PipelineHandle,
    files: Mutex<Files>,
}

struct Files {
    upstreams: Vec<UpstreamConfig>,
    rules: Vec<Source>,
    /// What the files of tables looked like before they were read last; nothing if nobody has looked
    /// yet.
    stamps: Vec<FileStamp>,
}

/// Rules that have been checked, and can take the place of those that run.
pub(crate) struct NextRules {
    upstreams: Vec<UpstreamConfig>,
    rules: Vec<Source>,
    plan: Plan,
}

impl NextRules {
    /// Those of a configuration, which has been read as a whole.
    pub(crate) fn new(config: Config, plan: Plan) -> Self {
        Self { upstreams: config.upstreams, rules: config.rules, plan }
    }
}

impl LiveRules {
    /// Those of a configuration that was read a moment ago.
    pub(crate) fn new(config: &Config, pipeline: PipelineHandle) -> Self {
        let (upstreams, rules) = (config.upstreams.clone(), config.rules.clone());
        let files = Mutex::new(Files { upstreams, rules, stamps: Vec::new() });
        Self { pipeline, files }
    }

    /// Whether there are tables, which have to be looked at now and then. Never waits: while the
    /// rules are exchanged there are none to look at.
    pub(crate) fn has_tables(&self) -> bool {
        let files = self.files.try_lock();
        files.is_ok_and(|files| files.rules.iter().any(|rules| !rules.tables.is_empty()))
    }

    /// Reads the files of tables if one of them may have changed; answers whether the rules have new
    /// ones. Files that are wrong are told once.
    pub(crate) fn refresh(&self) -> bool {
        let mut files = self.files();
        // Before they are read: what changes meanwhile is seen at the next look.
        let now = stamps(&files.rules);
        if now == files.stamps {
            return false;
        }
        files.stamps.clone_from(&now);
        let mut rules = files.rules.clone();
        rules.iter_mut().for_each(read_tables);
        if rules == files.rules {
            return false;
        }
        match files.check(rules) {
            Ok(NextRules { upstreams, rules, plan }) => {
                let tables = now.len();
                *files = Files { upstreams, rules, stamps: now };
                self.pipeline.exchange(plan);
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

    /// Whether rules can take the place of those that run.
    pub(crate) fn check(&self, rules: Vec<Source>) -> Result<NextRules, Vec<Diagnostic>> {
        self.files().check(rules)
    }

    /// Rules that come from now on can send to these upstreams too.
    pub(crate) fn add_upstreams(&self, readers: Vec<(Arc<str>, ReaderId)>) {
        self.pipeline.add_upstreams(readers);
    }

    /// Lets rules take the place of those that run; answers what has changed. None when the broker
    /// has ended.
    pub(crate) fn exchange(&self, next: NextRules) -> Option<Vec<RuleChange>> {
        let mut files = self.files();
        // Nobody knows what the files were like when they were read: the next look does.
        let NextRules { upstreams, rules, plan } = next;
        *files = Files { upstreams, rules, stamps: Vec::new() };
        self.pipeline.exchange(plan)
    }

    /// What [`LiveRules::exchange`] would answer; nothing changes.
    pub(crate) fn compare(&self, next: NextRules) -> Option<Vec<RuleChange>> {
        self.pipeline.compare(next.plan)
    }

    /// What a thread that panicked has left is whole: it is replaced in one step.
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn check(&self, rules: Vec<Source>) -> Result<NextRules, Vec<Diagnostic>> {
        let plan = compile_rules(&rules, &self.upstreams)?;
        Ok(NextRules { upstreams: self.upstreams.clone(), rules, plan })
    }
}

fn stamps(rules: &[Source]) -> Vec<FileStamp> {
    let tables = rules.iter().flat_map(|rules| &rules.tables);
    tables.map(|table| FileStamp::of(Path::new(&table.path))).collect()
}

#[cfg(test)]
mod tests;
