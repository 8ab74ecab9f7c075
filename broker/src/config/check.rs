//! From the tables of all sources to a [`Config`]: what can only be judged when several values
//! are known together. Never stops at the first problem; where one was found, the value that it
//! leaves behind is not used.

use std::path::PathBuf;

use weir_config::{Origin, Problems, Refusal, Tree, Values};
use weir_mqtt::TopicName;
use weir_rules::Source as RuleSource;

use super::{
    AuthConfig, Config, HttpUrl, LimitsConfig, ListenerConfig, LogConfig, StoreConfig, admin, code,
    declared::{AUTH, HTTP, JWT, LIMITS, LISTENER, LOG, STORE, TOP},
    durability, fleet, history,
    listeners::{self, Listeners},
    upstreams,
};

/// Longest topic for dead letters: with a client and its topic behind it, it is to be one still.
const DEAD_LETTER_BYTES_MAX: usize = 256;

/// Makes the configuration. `state_dir` takes the place of the declared data directory when the
/// sources name none.
pub(crate) fn check(
    tree: &Tree,
    rules: Vec<RuleSource>,
    state_dir: Option<PathBuf>,
    problems: &mut Problems,
) -> Config {
    let listeners = listeners::check(tree, Config::default().listeners, problems);
    let auth = auth(tree, &listeners, problems);
    let admin = admin::check(tree, &listeners, problems);
    check_dead_letter(tree.table(&LIMITS), problems);
    check_memory(tree.table(&LIMITS), tree.table(&STORE), problems);
    durability::check_pace(tree.table(&STORE), problems);
    let levels = durability::check(tree, problems);
    let upstreams = upstreams::check(tree, problems);
    durability::check_upstreams(tree, &levels, &upstreams, problems);
    let top = tree.table(&TOP);
    let data_dir = top.path("data_dir");
    Config {
        data_dir: match top.origin("data_dir") {
            None => state_dir.unwrap_or(data_dir),
            Some(_) => data_dir,
        },
        files: None,
        rules,
        persistence: top.flag("persistence"),
        sys_interval: Config::read_sys_interval(top),
        // It has a file of its own.
        bridge: None,
        clock_file: top.optional("clock_file", Values::path),
        shards: top.optional("shards", Values::whole),
        listeners: listeners.into_iter().map(|(listener, _)| listener).collect(),
        auth,
        store: StoreConfig::read(tree.table(&STORE)),
        durability: levels,
        history: history::check(tree, problems),
        limits: LimitsConfig::read(tree.table(&LIMITS)),
        log: LogConfig::read(tree.table(&LOG)),
        admin,
        upstreams,
        fleet: fleet::check(tree, problems),
    }
}

fn auth(tree: &Tree, listeners: &Listeners, problems: &mut Problems) -> AuthConfig {
    let (values, jwt, http) = (tree.table(&AUTH), tree.table(&JWT), tree.table(&HTTP));
    let checks_anybody = values.origin("password_file").is_some()
        || http.origin("url").is_some()
        || jwt.origin("key_file").is_some()
        || jwt.origin("secret_file").is_some()
        || listeners.iter().any(|(listener, _)| listener.knows_clients());
    let given = values.origin("allow_anonymous");
    let allow_anonymous = match given {
        None => tree.place_of_list(&LISTENER).is_none(),
        Some(_) => values.flag("allow_anonymous"),
    };
    let is_open = |listener: &ListenerConfig| {
        listener.allow_anonymous.unwrap_or(allow_anonymous) && !listener.knows_clients()
    };
    let is_exposed = |listener: &ListenerConfig| {
        is_open(listener) && !listener.address.is_loopback() && !listener.requires_certificate()
    };
    if let Some((listener, origin)) = listeners.iter().find(|(listener, _)| is_exposed(listener)) {
        // The key that opens it, or the listener itself.
        let opened = given.filter(|_| listener.allow_anonymous.is_none());
        warn_of_everybody(listener, opened.or(origin.as_ref()), problems);
    } else if !checks_anybody && !listeners.iter().any(|(listener, _)| is_open(listener)) {
        warn_of_nobody(given.or(first_origin(listeners)), problems);
    }
    if let (Some(at), false) = (values.origin("acl_file"), checks_anybody) {
        let message = "the ACL is for clients without a name: without passwords nobody has one";
        let refusal = Refusal::new(code::EXPOSED, at.span.clone(), message, "no `password_file`");
        problems.warn(at.source, refusal.help("`weir passwd FILE USER` makes a password file"));
    }
    check_jwt(jwt, problems);
    check_http(http, problems);
    AuthConfig::read(values, jwt, http, allow_anonymous)
}

/// A limit that the program itself reaches would let nobody in.
fn check_memory(limits: &Values, store: &Values, problems: &mut Problems) {
    let limit = limits.size("memory_limit");
    let least = LimitsConfig::memory_limit_min(store.size("cache_bytes"));
    let at = limits.origin("memory_limit").or_else(|| store.origin("cache_bytes"));
    let Some(at) = at.filter(|_| (1..least).contains(&limit)) else { return };
    let message = format!("a `memory_limit` of {limit} bytes leaves nothing for clients");
    let why = "the program and `cache_bytes` take their part first".to_owned();
    let refusal = Refusal::new(code::RANGE, at.span.clone(), message, why);
    let least = least.div_ceil(1024 * 1024);
    let help = format!("set memory_limit to \"{least}MB\" or more, or cache_bytes to less");
    problems.refuse(at.source, refusal.help(help));
}

/// Dead letters need a topic that the broker can publish to and a client can subscribe to.
fn check_dead_letter(limits: &Values, problems: &mut Problems) {
    let (Some(topic), Some(at)) =
        (limits.optional("dead_letter", Values::text), limits.origin("dead_letter"))
    else {
        return;
    };
    let first = topic.split('/').next().unwrap_or_default();
    let why = match TopicName::parse(&topic) {
        Err(error) => error.to_string(),
        Ok(_) if ["$SYS", "$delayed", "$history", "$rules", "$share"].contains(&first) => {
            format!("topics below {first} have another meaning")
        }
        Ok(_) if topic.ends_with('/') => "the client follows after a `/` of its own".to_owned(),
        Ok(_) if topic.len() > DEAD_LETTER_BYTES_MAX => {
            format!("longer than {DEAD_LETTER_BYTES_MAX} bytes")
        }
        Ok(_) => return,
    };
    let message = format!("dead letters cannot be published below `{topic}`");
    let refusal = Refusal::new(code::TOPIC, at.span.clone(), message, why);
    problems.refuse(at.source, refusal.help("for example dead_letter = \"$dead\""));
}

fn warn_of_everybody(listener: &ListenerConfig, at: Option<&Origin>, problems: &mut Problems) {
    let Some(Origin { source, span }) = at else { return };
    let message = format!("everybody who reaches {} may connect", listener.address);
    let refusal = Refusal::new(code::EXPOSED, span.clone(), message, "no password");
    let help = "listen on 127.0.0.1, or keep the port behind a firewall";
    problems.warn(*source, refusal.help(help));
}

fn first_origin(listeners: &Listeners) -> Option<&Origin> {
    listeners.first().and_then(|(_, origin)| origin.as_ref())
}

/// Tokens need one key, not two: which one holds must not depend on the token.
fn check_jwt(jwt: &Values, problems: &mut Problems) {
    let (key, secret) = (jwt.origin("key_file"), jwt.origin("secret_file"));
    if let (Some(_), Some(at)) = (key, secret) {
        let message = "both `key_file` and `secret_file` are given";
        let refusal =
            Refusal::new(code::CONFLICT, at.span.clone(), message, "one of them too many");
        problems.refuse(at.source, refusal.help("keep `key_file`"));
    }
    let has_key = !(jwt.is_missing("key_file") && jwt.is_missing("secret_file"));
    let others = ["username_claim", "acl_claim", "issuer", "audience"];
    let other = others.iter().find_map(|name| jwt.origin(name)).filter(|_| !has_key);
    if let Some(at) = other {
        let message = "tokens need a key that checks them";
        let refusal = Refusal::new(code::MISSING, at.span.clone(), message, "needs `key_file`");
        problems.refuse(at.source, refusal.help("for example key_file = \"jwt.pem\""));
    }
}

/// A service with https needs somebody who signs; one without should be near.
fn check_http(http: &Values, problems: &mut Problems) {
    let urls = http.all_parsed("url");
    let Some(at) = http.origin("url") else {
        let others = ["ca_file", "timeout", "ttl", "grace", "cache_size"];
        let other = others.iter().find_map(|name| http.origin(name));
        if let Some(at) = other.filter(|_| http.is_missing("url")) {
            let message = "nobody is asked without an address";
            let refusal = Refusal::new(code::MISSING, at.span.clone(), message, "needs `url`");
            let help = "for example url = \"http://127.0.0.1:8080/mqtt\"";
            problems.refuse(at.source, refusal.help(help));
        }
        return;
    };
    if urls.iter().any(HttpUrl::is_secure) && http.is_missing("ca_file") {
        let message = "no certificate of the service would be believed";
        let refusal = Refusal::new(code::MISSING, at.span.clone(), message, "needs `ca_file`");
        let help = "for example ca_file = \"/etc/ssl/certs/ca-certificates.crt\"";
        problems.refuse(at.source, refusal.help(help));
    }
    let exposed = urls.iter().find(|url| !url.is_secure() && !url.address().is_loopback());
    if let Some(url) = exposed {
        let message = format!("passwords go to {url} as they are");
        let refusal = Refusal::new(code::EXPOSED, at.span.clone(), message, "not encrypted");
        problems.warn(at.source, refusal.help("use https, or a service on this machine"));
    }
}

/// Without passwords anonymous clients are all there are.
fn warn_of_nobody(at: Option<&Origin>, problems: &mut Problems) {
    let Some(Origin { source, span }) = at else { return };
    let refusal = Refusal::new(
        code::EXPOSED,
        span.clone(),
        "no client can connect: anonymous clients are not allowed",
        "`allow_anonymous` is false",
    );
    let help = "set password_file or allow_anonymous = true in [auth]";
    problems.warn(*source, refusal.help(help));
}
