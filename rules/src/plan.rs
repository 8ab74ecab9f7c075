//! Rules that passed every check, ready to run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_config::Diagnostic;

use crate::payload::FieldTree;
use crate::rule::{Destination, Rule};
use crate::topic::{Route, Router, levels_text};
use crate::watermark::Time;

/// All rules of all files, checked and compiled.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Enabled rules, in the order of the files.
    pub(crate) rules: Vec<Rule>,
    pub(crate) router: Router,
    /// Rules that read the results of a rule, by its name.
    pub(crate) readers: BTreeMap<Arc<str>, Vec<Route>>,
    /// Payload fields that the rules name.
    pub(crate) fields: FieldTree,
    /// Texts in expressions.
    pub(crate) constants: String,
    pub(crate) filters: Vec<String>,
    pub(crate) joined: Vec<String>,
    pub(crate) upstreams: Vec<String>,
    pub(crate) summaries: Vec<RuleSummary>,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Plan {
    /// MQTT filters of all enabled rules, without duplicates; captures are `+` and `#`.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().map(String::as_str)
    }

    /// Those of them whose retained messages the rules want at the start: topics that are joined.
    pub fn joined_filters(&self) -> impl Iterator<Item = &str> {
        self.joined.iter().map(String::as_str)
    }

    /// Names of the upstreams that enabled rules send to, without duplicates.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.upstreams.iter().map(String::as_str)
    }

    /// Whether a rule needs to know which client has published a message.
    pub fn reads_client(&self) -> bool {
        let is_per_source = |rule: &Rule| match &rule.time {
            Time::Arrival => false,
            Time::Field(time) => time.per_source,
        };
        self.fields.names_client() || self.rules.iter().any(is_per_source)
    }

    /// What each rule does, in the order of the files; also of rules that are not enabled.
    pub fn rules(&self) -> impl Iterator<Item = &RuleSummary> {
        self.summaries.iter()
    }

    /// The same plan with those of its rules only whose names are wanted, and those whose results
    /// they read.
    #[must_use]
    pub fn only(mut self, mut is_wanted: impl FnMut(&str) -> bool) -> Self {
        let wanted = self.rules.iter().filter(|rule| is_wanted(&rule.name));
        let read = wanted.flat_map(|rule| self.chain_of(&rule.name));
        let read: BTreeSet<String> = read.map(str::to_owned).collect();
        self.rules.retain(|rule| read.contains(&*rule.name));
        self.summaries.retain(|rule| read.contains(&rule.name) || is_wanted(&rule.name));
        self.with_new_router()
    }

    /// The same plan with routes for the rules that it has now.
    #[must_use]
    pub(crate) fn with_new_router(mut self) -> Self {
        self.router = Router::default();
        self.filters.clear();
        self.joined.clear();
        for (index, rule) in self.rules.iter().enumerate() {
            for (position, filter) in rule.filters.iter().enumerate() {
                let route = Route { rule: index as u32, filter: position as u16 };
                self.router.insert(&filter.levels, route);
                push_new(&mut self.filters, &filter.mqtt());
            }
            for (position, levels) in rule.births.filters.iter().enumerate() {
                let filter = (rule.filters.len() + position) as u16;
                self.router.insert(levels, Route { rule: index as u32, filter });
                push_new(&mut self.filters, &levels_text(levels));
            }
            for (position, join) in rule.joins.iter().enumerate() {
                self.router.insert(&join.filter.levels, Route::to_join(index as u32, position));
                push_new(&mut self.filters, &join.filter.mqtt());
                push_new(&mut self.joined, &join.filter.mqtt());
            }
        }
        self.link_rules();
        self
    }

    /// A rule and all rules whose results it reads, also through others.
    pub(crate) fn chain_of<'p>(&'p self, name: &'p str) -> Vec<&'p str> {
        let mut chain = vec![name];
        let mut at = 0;
        while let Some(name) = chain.get(at).copied() {
            let rule = self.rules.iter().find(|rule| *rule.name == *name);
            for source in rule.map_or(&[][..], |rule| rule.sources.as_slice()) {
                if !chain.contains(&source.as_str()) {
                    chain.push(source);
                }
            }
            at += 1;
        }
        chain
    }

    /// Finds out which rules read which.
    fn link_rules(&mut self) {
        self.readers.clear();
        for (index, rule) in self.rules.iter().enumerate() {
            for name in &rule.sources {
                let route = Route { rule: index as u32, filter: NO_FILTER };
                self.readers.entry(Arc::from(name.as_str())).or_default().push(route);
            }
        }
        for rule in &mut self.rules {
            rule.is_read = self.readers.contains_key(&rule.name);
            rule.rank = 0;
            // It comes last: the numbers of the others stand in identifiers.
            rule.to.retain(|destination| !destination.is_link);
            rule.to.extend(rule.is_read.then(|| Destination::link(&rule.name)));
        }
        // Chains have no loops, so ranks settle after as many rounds as the longest has rules.
        for _ in 0..self.rules.len() {
            let ranks: Vec<u16> = self.rules.iter().map(|rule| rule.rank).collect();
            let rank_of = |route: &Route| ranks.get(route.rule as usize).map_or(0, |rank| rank + 1);
            let mut settled = true;
            for rule in self.rules.iter_mut().filter(|rule| rule.is_read) {
                let readers = self.readers.get(&rule.name).map_or(&[][..], Vec::as_slice);
                let rank = readers.iter().map(rank_of).max().unwrap_or(0);
                settled &= rank == rule.rank;
                rule.rank = rank;
            }
            if settled {
                break;
            }
        }
    }

    /// What works but should be looked at.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// Results of rules have no topic, and so no captures.
const NO_FILTER: u16 = 0x7fff;

/// Appends a text that is not in the list yet.
pub(crate) fn push_new(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|known| known == text) {
        list.push(text.to_owned());
    }
}

/// What a rule does, for lists and for `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSummary {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub path: String,
    /// The line of its table header.
    pub line: usize,
    /// Its `about` text.
    pub about: String,
    /// Whether it runs.
    pub enabled: bool,
    /// MQTT filters it reads.
    pub filters: Vec<String>,
    /// Rules whose results it reads.
    pub sources: Vec<String>,
    /// Topics it writes; each capture or field in braces.
    pub topics: Vec<String>,
    /// Its window as written, if it has one.
    pub window: Option<String>,
    /// Most keys it keeps.
    pub keys_max: usize,
    /// Most bytes of state it keeps.
    pub memory_bytes_max: usize,
    /// Forecast of the bytes that one key needs.
    pub key_bytes: usize,
}
