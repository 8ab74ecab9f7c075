//! Which topics a client may write and read.
//!
//! An [`Acl`] is what the operator allows, in the sense of mosquitto's ACL files: rules of one
//! user, rules of clients without a name, and patterns for everybody. [`Permissions`] are what of
//! it holds for one client. What no rule allows is denied; a `deny` goes before every rule of its
//! list, and a list of the user's own before the patterns. Nothing here knows sessions or
//! packets.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use weir_mqtt::TopicFilter;

use crate::rare::Empty;

/// What a rule is about, and what a client wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Neither is allowed, whatever other rules of the list say.
    Deny,
    /// Messages are delivered.
    Read,
    /// Both.
    ReadWrite,
    /// Messages are taken.
    Write,
}

/// One line of an ACL: an access, and the topics that it is about.
///
/// ```
/// use weir_core::{Access, Rule};
/// use weir_mqtt::TopicFilter;
///
/// let filter = TopicFilter::parse("devices/%c/#")?;
/// assert!(Rule::pattern(Access::ReadWrite, filter).uses_client_id());
/// assert!(!Rule::topic(Access::ReadWrite, filter).uses_client_id());
/// # Ok::<(), weir_mqtt::TopicError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    access: Access,
    topic: Box<str>,
    has_wildcards: bool,
    uses_username: bool,
    uses_client_id: bool,
    /// Where it stands, from 1.
    line: Option<NonZeroU32>,
}

/// What is said to a wish of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ruling {
    /// Whether it may.
    pub is_allowed: bool,
    /// The line of the rule that decides, from 1; none when no rule has anything to say, which denies
    /// it, or one that came with the credentials of the client.
    pub line: Option<u32>,
}

/// What the operator allows.
///
/// ```
/// use weir_core::{Access, Acl, Rule};
/// use weir_mqtt::TopicFilter;
///
/// let rule = Rule::topic(Access::Read, TopicFilter::parse("sensors/#")?);
/// let acl = Acl::new([(Some("dashboard"), rule)], []);
/// assert_eq!(acl.users().collect::<Vec<_>>(), ["dashboard"]);
/// # Ok::<(), weir_mqtt::TopicError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Acl {
    users: BTreeMap<Box<str>, Rules>,
    /// Of clients without a name.
    anonymous: Rules,
    patterns: Rules,
}

/// Who a client is, as its credentials have shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// Its name; none for a client that is let in without one.
    pub username: Option<Arc<str>>,
    /// Rules that came with its credentials, which hold besides those that the ACL has for its
    /// name. With some, even an empty list, the client is restricted also without any ACL.
    pub rules: Option<Arc<[Rule]>>,
    /// By what it is revoked.
    pub credential: Credential,
    /// How long it holds.
    pub validity: Validity,
}

impl Empty for Identity {
    const EMPTY: &'static Self = &Self {
        username: None,
        rules: None,
        credential: Credential(0),
        validity: Validity::Always,
    };
}

/// What a client has shown, as a number that the shell chooses: clients with the same one lose
/// their connections together.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Credential(pub u64);

/// How long credentials hold, unless they are revoked. Times are in milliseconds of the calendar.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Validity {
    /// For as long as the connection.
    #[default]
    Always,
    /// The shell is asked again, also when it could not say anything the last time.
    Renewable {
        /// When it is asked.
        renew_at_ms: u64,
        /// When the connection ends if it has not let the client in again by then.
        ends_at_ms: u64,
    },
    /// The connection ends then.
    Until(u64),
}

/// What of an ACL holds for one client.
#[derive(Debug)]
pub(crate) struct Permissions {
    acl: Option<Arc<Acl>>,
    own: Rules,
    username: Option<Arc<str>>,
    client_id: Arc<str>,
    /// False for a client whose name would change the meaning of a pattern.
    patterns_apply: bool,
}

/// Rules in the order in which they are asked: those that deny come first.
type Rules = Arc<[Rule]>;

/// Characters that mean something in a topic, so that a name with one of them stands for more
/// than one level.
const NOT_IN_NAMES: [char; 3] = ['+', '#', '/'];

impl Rule {
    /// A rule about the topics that a filter matches.
    #[must_use]
    pub fn topic(access: Access, filter: TopicFilter<'_>) -> Self {
        Self {
            access,
            topic: filter.as_str().into(),
            has_wildcards: filter.has_wildcards(),
            uses_username: false,
            uses_client_id: false,
            line: None,
        }
    }

    /// The same, in which `%u` stands for the user name and `%c` for the client identifier.
    #[must_use]
    pub fn pattern(access: Access, filter: TopicFilter<'_>) -> Self {
        Self {
            uses_username: filter.as_str().contains("%u"),
            uses_client_id: filter.as_str().contains("%c"),
            ..Self::topic(access, filter)
        }
    }

    /// The same rule, with the line of the file where it stands, from 1.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use weir_core::{Access, Acl, Identity, Rule};
    /// use weir_mqtt::TopicFilter;
    ///
    /// let rule = Rule::topic(Access::Read, TopicFilter::parse("sensors/#")?).at_line(3);
    /// let acl = Arc::new(Acl::new([(None, rule)], []));
    /// let ruling = acl.rule_on(&Identity::default(), "c1", Access::Read, "sensors/1");
    /// assert_eq!((ruling.is_allowed, ruling.line), (true, Some(3)));
    /// # Ok::<(), weir_mqtt::TopicError>(())
    /// ```
    #[must_use]
    pub fn at_line(mut self, line: u32) -> Self {
        self.line = NonZeroU32::new(line);
        self
    }

    /// Whether the user name stands in it.
    #[must_use]
    pub fn uses_username(&self) -> bool {
        self.uses_username
    }

    /// Whether the client identifier stands in it.
    #[must_use]
    pub fn uses_client_id(&self) -> bool {
        self.uses_client_id
    }

    /// Whether every topic that `filter` matches is one of the rule's. A topic name is a filter
    /// that matches itself.
    fn covers(&self, filter: &str, client: &Permissions) -> bool {
        if !self.may_concern(filter, client) {
            return false;
        }
        if !self.has_wildcards && !self.is_template() {
            return *self.topic == *filter;
        }
        let mut names = filter.split('/');
        for level in self.topic.split('/') {
            if level == "#" {
                return true;
            }
            match names.next() {
                Some("#") | None => return false,
                Some(_) if level == "+" => {}
                Some(name) if name != "+" && self.is_level(level, name, client) => {}
                Some(_) => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether `filter` matches any of the rule's topics.
    fn overlaps(&self, filter: &str, client: &Permissions) -> bool {
        if !self.may_concern(filter, client) {
            return false;
        }
        let (mut levels, mut names) = (self.topic.split('/'), filter.split('/'));
        loop {
            match (levels.next(), names.next()) {
                (None, None) | (Some("#"), _) | (_, Some("#")) => return true,
                (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
                (Some(level), Some(name)) if self.is_level(level, name, client) => {}
                _ => return false,
            }
        }
    }

    /// Topics of the broker, which begin with `$`, are only reached by rules that do so too, and
    /// a rule about user names only by those who have one.
    fn may_concern(&self, filter: &str, client: &Permissions) -> bool {
        self.topic.starts_with('$') == filter.starts_with('$')
            && (!self.uses_username || client.username.is_some())
    }

    fn is_template(&self) -> bool {
        self.uses_username || self.uses_client_id
    }

    fn is_level(&self, level: &str, name: &str, client: &Permissions) -> bool {
        if self.is_template() { is_expansion(level, name, client) } else { level == name }
    }
}

impl Acl {
    /// Compiles rules of users, or of clients without a name where there is none, and rules for
    /// everybody, which are made by [`Rule::pattern`].
    #[must_use]
    pub fn new<'a>(
        topics: impl IntoIterator<Item = (Option<&'a str>, Rule)>,
        patterns: impl IntoIterator<Item = Rule>,
    ) -> Self {
        let mut lists: BTreeMap<Option<&str>, Vec<Rule>> = BTreeMap::new();
        for (username, rule) in topics {
            lists.entry(username).or_default().push(rule);
        }
        let anonymous = lists.remove(&None).unwrap_or_default();
        let users = lists.into_iter().filter_map(|(name, list)| Some((name?.into(), list)));
        let patterns: Vec<Rule> = patterns.into_iter().collect();
        Self {
            users: users.map(|(name, list)| (name, in_order(&list, &[]))).collect(),
            anonymous: in_order(&anonymous, &[]),
            patterns: in_order(&patterns, &[]),
        }
    }

    /// The users that have rules of their own.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(|name| &**name)
    }

    /// Whether a client may publish to a topic (`Access::Write`), or subscribe to a filter
    /// (`Access::Read`), and which rule says so.
    #[must_use]
    pub fn rule_on(
        self: &Arc<Self>,
        identity: &Identity,
        client_id: &str,
        wanted: Access,
        topic: &str,
    ) -> Ruling {
        let permissions = Permissions::of(identity, &client_id.into(), Some(self));
        let unrestricted = Ruling { is_allowed: true, line: None };
        permissions.map_or(unrestricted, |client| client.rule_on(wanted, topic))
    }

    /// Whether the patterns hold for a client: they hold for none whose name would be more than one
    /// level of a topic.
    #[must_use]
    pub fn patterns_apply(&self, username: Option<&str>, client_id: &str) -> bool {
        let is_odd = |name: &str| name.contains(NOT_IN_NAMES);
        !self.patterns.iter().any(|rule| {
            (rule.uses_username && username.is_some_and(is_odd))
                || (rule.uses_client_id && is_odd(client_id))
        })
    }
}

impl Permissions {
    /// What a client may do; none when nothing restricts it.
    pub(crate) fn of(
        identity: &Identity,
        client_id: &Arc<str>,
        acl: Option<&Arc<Acl>>,
    ) -> Option<Box<Self>> {
        if acl.is_none() && identity.rules.is_none() {
            return None;
        }
        let username = identity.username.as_deref();
        let of_file = acl.and_then(|acl| match username {
            None => Some(&acl.anonymous),
            Some(name) => acl.users.get(name),
        });
        let own = match (of_file, &identity.rules) {
            (file, Some(own)) => in_order(file.map_or(&[], |rules| rules), own),
            (Some(file), None) => file.clone(),
            (None, None) => Rules::default(),
        };
        let patterns_apply = acl.is_some_and(|acl| acl.patterns_apply(username, client_id));
        Some(Box::new(Self {
            acl: acl.cloned(),
            own,
            username: identity.username.clone(),
            client_id: client_id.clone(),
            patterns_apply,
        }))
    }

    /// Whether the client may read, or write, a topic.
    pub(crate) fn allow(&self, wanted: Access, topic: &str) -> bool {
        let matches = |rule: &Rule| rule.covers(topic, self);
        allows(self.decide(wanted, matches, matches))
    }

    /// Whether a subscription to `filter` can ever bring anything.
    pub(crate) fn allow_subscription(&self, filter: &str) -> bool {
        allows(self.decide_subscription(filter))
    }

    /// Whether everything that matches `filter` may be read, so that deliveries need no check.
    pub(crate) fn allow_whole(&self, filter: &str) -> bool {
        let overlaps = |rule: &Rule| rule.overlaps(filter, self);
        allows(self.decide(Access::Read, overlaps, |rule| rule.covers(filter, self)))
    }

    /// Whether the client may publish to a topic, or subscribe to a filter, and what rule says so.
    pub(crate) fn rule_on(&self, wanted: Access, topic: &str) -> Ruling {
        let decides = match wanted {
            Access::Read => self.decide_subscription(topic),
            _ => self.decide(
                wanted,
                |rule| rule.covers(topic, self),
                |rule| rule.covers(topic, self),
            ),
        };
        let line = decides.and_then(|rule| rule.line);
        Ruling { is_allowed: allows(decides), line: line.map(NonZeroU32::get) }
    }

    fn decide_subscription(&self, filter: &str) -> Option<&Rule> {
        let covers = |rule: &Rule| rule.covers(filter, self);
        self.decide(Access::Read, covers, |rule| rule.overlaps(filter, self))
    }

    /// The first rule that has something to say decides.
    fn decide(
        &self,
        wanted: Access,
        denies: impl Fn(&Rule) -> bool,
        allows: impl Fn(&Rule) -> bool,
    ) -> Option<&Rule> {
        let decides = |rule: &&Rule| match rule.access {
            Access::Deny => denies(rule),
            access => (access == wanted || access == Access::ReadWrite) && allows(rule),
        };
        let of_patterns = || {
            let acl = self.acl.as_ref().filter(|_| self.patterns_apply)?;
            acl.patterns.iter().find(decides)
        };
        self.own.iter().find(decides).or_else(of_patterns)
    }
}

/// What no rule allows is denied.
fn allows(decides: Option<&Rule>) -> bool {
    decides.is_some_and(|rule| rule.access != Access::Deny)
}

/// Whether a topic is the broker's own, whatever the ACL says. Other topics that begin with `$` are
/// only hidden from wildcards at the beginning.
#[must_use]
pub fn is_of_broker(topic: &str) -> bool {
    topic.starts_with('$') && {
        let first = topic.split('/').next().unwrap_or_default();
        // Rules say there what they cannot use.
        matches!(first, "$SYS" | "$rules")
    }
}

/// Both lists in one, the rules that deny first; otherwise in the order in which they are.
fn in_order(first: &[Rule], second: &[Rule]) -> Rules {
    let all = || first.iter().chain(second);
    let denies = |rule: &&Rule| rule.access == Access::Deny;
    all().filter(denies).chain(all().filter(|rule| !denies(rule))).cloned().collect()
}

/// Whether a level of a pattern is `name` once the names of the client stand in it. They are
/// put in once: a name that has `%c` in it stands for nothing but itself.
fn is_expansion(mut level: &str, mut name: &str, client: &Permissions) -> bool {
    while let Some(at) = level.find('%') {
        let (before, from) = level.split_at(at);
        let (value, rest) = if let Some(rest) = from.strip_prefix("%u") {
            (client.username.as_deref().unwrap_or_default(), rest)
        } else if let Some(rest) = from.strip_prefix("%c") {
            (&*client.client_id, rest)
        } else {
            from.split_at(1)
        };
        let after = name.strip_prefix(before).and_then(|name| name.strip_prefix(value));
        let Some(after) = after else { return false };
        (level, name) = (rest, after);
    }
    level == name
}

#[cfg(test)]
mod tests;
