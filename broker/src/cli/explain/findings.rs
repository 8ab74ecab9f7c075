//! What the files say about a topic, each with its place.

use std::{fs, path::Path, sync::Arc};

use weir_config::{Place, Places, format_duration};
use weir_core::{Access, Identity};
use weir_mqtt::TopicFilter;

use crate::{
    auth::Rights,
    config::{Config, DurabilityLevel, Loaded, Route},
};

/// One thing that is decided.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Finding {
    /// What it is about.
    pub(super) about: &'static str,
    /// Where it stands; none where the default decides, or nothing stands anywhere.
    pub(super) place: Option<Place>,
    /// What is decided.
    pub(super) what: String,
}

/// Whether somebody may do it, and what else is decided.
#[derive(Debug)]
pub(super) struct Explanation {
    pub(super) is_allowed: bool,
    pub(super) findings: Vec<Finding>,
}

/// Who would do it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub(super) username: Option<&'a str>,
    pub(super) client_id: &'a str,
}

/// The files, read.
pub(super) struct Files<'a> {
    loaded: &'a Loaded,
    rights: &'a Rights,
    places: Arc<Places>,
}

impl<'a> Files<'a> {
    pub(super) fn new(loaded: &'a Loaded, rights: &'a Rights) -> Self {
        let places = loaded.config.files.as_ref().map(|files| files.places().clone());
        Self { loaded, rights, places: places.unwrap_or_default() }
    }

    /// About a publish.
    pub(super) fn publish(&self, who: Who<'_>, topic: &str) -> Explanation {
        let (is_allowed, mut findings) = self.permission(who, Access::Write, topic);
        if is_allowed {
            findings.push(self.durability(topic));
            findings.extend(self.history(topic));
            findings.extend(self.rules(topic));
            findings.extend(self.upstreams(topic));
            findings.extend(self.fleet(topic));
        }
        Explanation { is_allowed, findings }
    }

    /// About a subscription.
    pub(super) fn subscribe(&self, who: Who<'_>, filter: &str) -> Explanation {
        let (is_allowed, findings) = self.permission(who, Access::Read, filter);
        Explanation { is_allowed, findings }
    }

    fn permission(&self, who: Who<'_>, access: Access, topic: &str) -> (bool, Vec<Finding>) {
        let auth = &self.config().auth;
        let mut findings = Vec::new();
        if who.username.is_none() && !auth.allow_anonymous {
            let what = "nobody is let in without a name".to_owned();
            findings.push(self.finding("denied", "auth.allow_anonymous", what));
            return (false, findings);
        }
        if access == Access::Write && weir_core::is_of_broker(topic) {
            let what = "only the broker itself writes this topic".to_owned();
            return (false, vec![Finding { about: "denied", place: None, what }]);
        }
        let (is_allowed, finding) = self.ruling(who, access, topic);
        findings.push(finding);
        if auth.jwt.is_some() || auth.http.is_some() {
            let key = if auth.jwt.is_some() { "auth.jwt" } else { "auth.http" };
            let what = "may let somebody in with other permissions, which are not known here";
            findings.push(self.finding("besides", key, what.to_owned()));
        }
        (is_allowed, findings)
    }

    fn ruling(&self, who: Who<'_>, access: Access, topic: &str) -> (bool, Finding) {
        let file = self.config().auth.acl_file.as_deref();
        let Some((acl, file)) = self.rights.acl.as_ref().zip(file) else {
            let what = "there is no acl_file: everybody may do everything".to_owned();
            return (true, Finding { about: "allowed", place: None, what });
        };
        let identity = Identity { username: who.username.map(Arc::from), ..Identity::default() };
        let ruling = acl.rule_on(&identity, who.client_id, access, topic);
        let about = if ruling.is_allowed { "allowed" } else { "denied" };
        let place = |line: Option<usize>| Place { file: file.display().to_string(), line };
        match ruling.line {
            Some(line) => {
                let line = line as usize;
                let what = line_of(file, line).unwrap_or_default();
                (ruling.is_allowed, Finding { about, place: Some(place(Some(line))), what })
            }
            None => {
                let apart = !acl.patterns_apply(who.username, who.client_id);
                let why = match apart {
                    false => "no line allows it",
                    true => {
                        "no line allows it; patterns do not hold for a name with `/`, `+` or `#`"
                    }
                };
                let finding = Finding { about, place: Some(place(None)), what: why.to_owned() };
                (ruling.is_allowed, finding)
            }
        }
    }

    fn durability(&self, topic: &str) -> Finding {
        let of_topic = self.config().durability.iter().position(|one| matches(&one.filter, topic));
        let (key, level) = match of_topic {
            Some(index) => (format!("durability[{index}]"), self.config().durability[index].level),
            None => ("store.durability".to_owned(), self.config().store.durability),
        };
        if !self.config().persistence {
            let what = "nothing is on disk: persistence is off".to_owned();
            return self.finding("durability", "persistence", what);
        }
        let what = match level {
            DurabilityLevel::Commit => "commit: acknowledged when it is on disk".to_owned(),
            DurabilityLevel::None => "none: never written".to_owned(),
            DurabilityLevel::Relaxed => format!(
                "relaxed: acknowledged at once, on disk {} later",
                format_duration(self.config().store.flush_interval)
            ),
            DurabilityLevel::Upstream => {
                "upstream: acknowledged when the upstream has it".to_owned()
            }
        };
        self.finding("durability", &key, what)
    }

    fn history(&self, topic: &str) -> Option<Finding> {
        let history = &self.config().history;
        let index = history.iter().position(|one| matches(&one.filter, topic))?;
        let what = format!("kept for {} if there is room", format_duration(history[index].max_age));
        Some(self.finding("history", &format!("history[{index}]"), what))
    }

    fn rules(&self, topic: &str) -> impl Iterator<Item = Finding> {
        self.loaded.plan.rules().filter_map(move |rule| {
            let filter = rule.filters.iter().find(|filter| matches(filter, topic))?;
            let what = match rule.enabled {
                true => format!("{} reads {filter}", rule.name),
                false => format!("{} would read {filter}, but is not enabled", rule.name),
            };
            Some(self.finding("rule", &format!("rule.{}", rule.name), what))
        })
    }

    fn upstreams(&self, topic: &str) -> impl Iterator<Item = Finding> {
        self.config().upstreams.iter().filter_map(move |upstream| {
            // The first that matches counts.
            let index = upstream.forward.iter().position(|route| matches(&route.from, topic))?;
            let route: &Route = &upstream.forward[index];
            let to = route.to.render(topic, &route.from);
            let key = format!("upstream.{}.forward", upstream.name);
            // Lines in the form of mosquitto come behind them.
            let key = match index < self.places.count(&key) {
                true => format!("{key}[{index}]"),
                false => format!("upstream.{}.topics", upstream.name),
            };
            Some(self.finding("upstream", &key, format!("{} gets it as {to}", upstream.name)))
        })
    }

    fn fleet(&self, topic: &str) -> Option<Finding> {
        let fleet = self.config().fleet.as_ref()?;
        let index = fleet.filters.iter().position(|filter| matches(filter, topic));
        let (key, what) = match index {
            Some(index) => (format!("fleet.filters[{index}]"), "goes to the boxes that want it"),
            None => ("fleet.filters".to_owned(), "stays on this box"),
        };
        let place = self.places.get(&key).or_else(|| self.places.get("fleet"));
        Some(Finding { about: "fleet", place: place.cloned(), what: what.to_owned() })
    }

    fn finding(&self, about: &'static str, key: &str, what: String) -> Finding {
        Finding { about, place: self.places.get(key).cloned(), what }
    }

    fn config(&self) -> &Config {
        &self.loaded.config
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(topic))
}

/// A line of a file, from 1; none if it has been changed since it was read.
fn line_of(file: &Path, line: usize) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.lines().nth(line.checked_sub(1)?)?.trim().to_owned())
}
