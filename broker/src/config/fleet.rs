//! The check of `[fleet]`: its name, what it shares, and its login.

use std::time::Duration;

use weir_config::{Origin, Problems, Refusal, Tree, Values};
use weir_mqtt::TopicFilter;

use super::{
    HostPort, NatsConfig, RestartTimeout, Secret, TlsClientConfig, UpstreamKind, code,
    declared::{FLEET, TOP},
    listeners::tls::conflict,
    ordered::{Words, check_form},
    upstreams::Check,
};

/// `[fleet]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetConfig {
    /// At least one address of NATS servers.
    pub address: Vec<HostPort>,
    /// The name of this box; `None` = the host name.
    pub name: Option<String>,
    /// The name of the fleet.
    pub prefix: String,
    /// The topics that are shared.
    pub filters: Vec<String>,
    /// How long messages are kept for a box that is away.
    pub away_max: Duration,
    /// Bytes that wait on disk while the server is away.
    pub backlog_max_bytes: u64,
    /// What waits longer is dropped; `None` = it waits for ever.
    pub backlog_max_age: Option<Duration>,
    /// What messages may take at the server.
    pub messages_max_bytes: u64,
    /// What retained messages may take there.
    pub retained_max_bytes: u64,
    /// Copies of what is stored there.
    pub replicas: u8,
    /// Pauses between attempts to connect.
    pub restart_timeout: RestartTimeout,
    /// User name there.
    pub username: Option<String>,
    /// Password there, from the key or from its file.
    pub password: Option<Secret>,
    /// Other ways to log in; it has no stream.
    pub nats: NatsConfig,
    /// How TLS is spoken there; `None` = it is not.
    pub tls: Option<TlsClientConfig>,
}

impl FleetConfig {
    /// A fleet with the defaults.
    pub fn new(address: HostPort) -> Self {
        Self { address: vec![address], ..Self::read(&Values::new(&FLEET)) }
    }

    /// Without what is in files, which can fail.
    fn read(values: &Values) -> Self {
        Self {
            address: values.all_parsed("address"),
            name: values.optional("name", Values::text),
            prefix: values.text("prefix"),
            filters: values.texts("filters"),
            away_max: values.duration("away_max"),
            backlog_max_bytes: values.size("backlog_max_bytes"),
            backlog_max_age: values.optional("backlog_max_age", Values::duration),
            messages_max_bytes: values.size("messages_max_bytes"),
            retained_max_bytes: values.size("retained_max_bytes"),
            replicas: values.whole("replicas"),
            restart_timeout: RestartTimeout::read(values),
            username: values.optional("username", Values::text),
            password: values.optional("password", Values::text).map(Secret::new),
            nats: NatsConfig {
                stream: None,
                token: values.optional("token", Values::text).map(Secret::new),
                creds_file: values.optional("creds_file", Values::path),
                nkey_file: values.optional("nkey_file", Values::path),
                inbox_prefix: values.text("inbox_prefix"),
            },
            tls: None,
        }
    }
}

/// The fleet, if there is one.
pub(crate) fn check(tree: &Tree, problems: &mut Problems) -> Option<FleetConfig> {
    let values = tree.table(&FLEET);
    if values.is_missing("address") {
        refuse_without_address(values, problems);
        return None;
    }
    let mut fleet = FleetConfig::read(values);
    if !UpstreamKind::Nats.is_built() {
        let help = "build it with `cargo build --release --features nats`";
        conflict(values, "address", "this weir was built without `nats`", help, problems);
    }
    if !tree.table(&TOP).flag("persistence") {
        let message = "a fleet needs a store on disk: what the others are to have waits there";
        conflict(values, "address", message, "set persistence = true, or remove it", problems);
    }
    check_names(values, &fleet, problems);
    check_filters(values, problems);
    let mut check = Check { values, problems };
    if let Some(password) = check.secret_from_file(values, "password") {
        fleet.password = Some(password);
    }
    check.nats(values, &mut fleet.nats);
    fleet.tls = values.table("tls").map(|tls| check.tls(tls));
    Some(fleet)
}

/// Whatever else is said about a fleet means nothing.
fn refuse_without_address(values: &Values, problems: &mut Problems) {
    let keys = values.section().keys.iter();
    let mut given = keys.filter_map(|key| values.origin(key.name));
    let Some(at) = given.next() else { return };
    let message = "a fleet meets at a NATS server";
    let refusal = Refusal::new(code::MISSING, at.span.clone(), message, "needs `address`");
    let help = "for example address = [\"nats.example.org:4222\"] in [fleet]";
    problems.refuse(at.source, refusal.help(help));
}

/// Subjects, streams and consumers are named by them.
fn check_names(values: &Values, fleet: &FleetConfig, problems: &mut Problems) {
    let is_name = |text: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        text.len() <= NAME_BYTES_MAX && text.chars().all(is_part)
    };
    let names = [("name", fleet.name.as_deref()), ("prefix", Some(fleet.prefix.as_str()))];
    for (key, name) in names {
        if name.is_some_and(|name| !is_name(name)) {
            let message = format!("`{key}` has what a subject cannot be named by");
            let help = format!("letters, digits, `-` and `_` can, at most {NAME_BYTES_MAX}");
            conflict(values, key, &message, &help, problems);
        }
    }
}

fn check_filters(values: &Values, problems: &mut Problems) {
    let Some(&Origin { source, .. }) = values.origin("filters") else { return };
    let filters = values.placed_texts("filters");
    for filter in &filters {
        let at = Origin { source, span: filter.span.clone() };
        let form =
            check_form(&filter.value).and_then(|()| match TopicFilter::parse(&filter.value) {
                Ok(parsed) if parsed.as_str().starts_with('$') => {
                    let label = "topics below `$` are the box's own".to_owned();
                    Err((label, Some("write the topics of clients, for example \"#\"".to_owned())))
                }
                _ => Ok(()),
            });
        if let Err(wrong) = form {
            WORDS.refuse(&filter.value, wrong, &at, problems);
        }
    }
    if filters.len() > FILTERS_MAX {
        let message = format!("more than {FILTERS_MAX} filters are shared");
        conflict(values, "filters", &message, "write fewer, with wildcards", problems);
    }
}

const WORDS: Words = Words {
    wrong: "cannot be shared",
    what: "a place in the fleet",
    never: |filter| format!("`{filter}` adds nothing"),
};
/// Of the name of a box or a fleet: it is a part of subjects.
const NAME_BYTES_MAX: usize = 64;
/// What is wanted is compared with each of them.
const FILTERS_MAX: usize = 64;
