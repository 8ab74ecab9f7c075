//! Rules that passed every check, ready to run.

use crate::diagnostic::Diagnostic;
use crate::payload::FieldTree;
use crate::rule::Rule;
use crate::topic::{Route, Router, levels_text};
use crate::watermark::Time;

/// All rules of all files, checked and compiled.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Enabled rules, in the order of the files.
    pub(crate) rules: Vec<Rule>,
    pub(crate) router: Router,
    /// Payload fields that the rules name.
    pub(crate) fields: FieldTree,
    /// Texts in expressions.
    pub(crate) constants: String,
    pub(crate) filters: Vec<String>,
    pub(crate) upstreams: Vec<String>,
    pub(crate) summaries: Vec<RuleSummary>,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Plan {
    /// MQTT filters of all enabled rules, without duplicates; captures are `+` and `#`.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().map(String::as_str)
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

    /// The same plan with those of its rules only whose names are wanted.
    #[must_use]
    pub fn only(mut self, mut is_wanted: impl FnMut(&str) -> bool) -> Self {
        self.rules.retain(|rule| is_wanted(&rule.name));
        self.summaries.retain(|rule| is_wanted(&rule.name));
        self.with_new_router()
    }

    /// The same plan with routes for the rules that it has now.
    #[must_use]
    pub(crate) fn with_new_router(mut self) -> Self {
        self.router = Router::default();
        self.filters.clear();
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
        }
        self
    }

    /// What works but should be looked at.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

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
