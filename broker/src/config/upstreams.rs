//! The check of `[upstream.NAME]`: addresses, routes and the password file.

use std::{fs, path::Path};

use hyper::http::uri::PathAndQuery;
use weir_config::{Origin, Placed, Problems, Refusal, Tree, Value, Values, did_you_mean};
use weir_mqtt::{TopicFilter, TopicName};

use super::{
    AmqpConfig, AmqpSasl, HttpBody, HttpConfig, KafkaConfig, NatsConfig, Priority, Route, Secret,
    StartType, TlsClientConfig, TlsError, TopicTemplate, UpstreamConfig, UpstreamKind, code,
    declared::UPSTREAM,
    listeners::tls,
    route::{TopicLine, TopicTemplateError},
};

/// Every upstream, in the order of their names.
pub(crate) fn check(tree: &Tree, problems: &mut Problems) -> Vec<UpstreamConfig> {
    let upstreams = tree.named(&UPSTREAM).iter();
    upstreams.map(|(name, values)| Check { values, problems }.upstream(name)).collect()
}

pub(super) struct Check<'a> {
    pub(super) values: &'a Values,
    pub(super) problems: &'a mut Problems,
}

impl<'a> Check<'a> {
    fn upstream(mut self, name: &str) -> UpstreamConfig {
        let mut upstream = UpstreamConfig::read(self.values, name.to_owned());
        upstream.forward = self.routes("forward", Self::route);
        upstream.receive = self.routes("receive", Self::route_in);
        for line in self.topic_lines() {
            upstream.forward.extend(line.forward());
            upstream.receive.extend(line.receive());
        }
        upstream.tls = self.values.table("tls").map(|values| self.tls(values));
        if let Some(password) = self.secret_from_file(self.values, "password") {
            upstream.password = Some(password);
        }
        if let Some(topic) = &upstream.notification_topic
            && TopicName::parse(topic).is_err()
        {
            let message = format!("`{topic}` is not a topic name");
            let help = "`+` and `#` cannot stand in the topic of a message";
            tls::conflict(self.values, "notification_topic", &message, help, self.problems);
        }
        if upstream.start_type == StartType::Lazy && !upstream.receive.is_empty() {
            let message = "a lazy upstream has no connection over which messages could come";
            let help = "take `receive` out, or give it an upstream of its own";
            tls::conflict(self.values, "start_type", message, help, self.problems);
        }
        self.kind(upstream.kind);
        if upstream.kind != UpstreamKind::Mqtt {
            self.refuse_mqtt_keys(&upstream);
        }
        if let Some(values) = self.table_of(UpstreamKind::Http, upstream.kind) {
            self.http(values, &mut upstream.http);
        }
        if let Some(values) = self.table_of(UpstreamKind::Nats, upstream.kind) {
            self.nats(values, &mut upstream.nats);
        }
        if let Some(values) = self.table_of(UpstreamKind::Amqp, upstream.kind) {
            self.amqp(values, &upstream.amqp, upstream.tls.as_ref());
        }
        if let Some(values) = self.table_of(UpstreamKind::Kafka, upstream.kind) {
            self.kafka(values, &upstream.kafka);
        }
        upstream
    }

    fn kind(&mut self, kind: UpstreamKind) {
        if !kind.is_built() {
            let name = kind.name();
            let message = format!("this weir was built without `{name}`");
            let help = format!("build it with `cargo build --release --features {name}`");
            tls::conflict(self.values, "kind", &message, &help, self.problems);
        }
    }

    /// The table that only upstreams of the kind `of` have.
    fn table_of(&mut self, of: UpstreamKind, kind: UpstreamKind) -> Option<&'a Values> {
        let (name, values) = (of.name(), self.values);
        let table = values.table(name)?;
        if kind != of {
            let message = format!("`{name}` is for an upstream of kind `{name}`");
            let help = format!("set `kind = \"{name}\"`, or take the table out");
            tls::conflict(values, name, &message, &help, self.problems);
            return None;
        }
        Some(table)
    }

    /// What only MQTT has.
    fn refuse_mqtt_keys(&mut self, upstream: &UpstreamConfig) {
        for name in
            ["bridge_protocol_version", "keepalive_interval", "notification_topic", "window"]
        {
            let message = format!("`{name}` is for an upstream of kind `mqtt`");
            tls::conflict(self.values, name, &message, "take it out", self.problems);
        }
        if !upstream.receive.is_empty() {
            let kind = upstream.kind.name();
            let message = format!("nothing can be fetched from an upstream of kind `{kind}`");
            let help = "take `receive` out, and write `out` in the lines of `topics`";
            tls::conflict(self.values, "receive", &message, help, self.problems);
            tls::conflict(self.values, "topics", &message, help, self.problems);
        }
    }

    fn amqp(&mut self, values: &Values, amqp: &AmqpConfig, tls: Option<&TlsClientConfig>) {
        for (name, text) in [("exchange", &amqp.exchange), ("vhost", &amqp.vhost)] {
            if text.len() > AMQP_NAME_BYTES_MAX {
                let message = format!("`{name}` is too long");
                let help = format!("a name of AMQP has {AMQP_NAME_BYTES_MAX} bytes at most");
                tls::conflict(values, name, &message, &help, self.problems);
            }
        }
        if amqp.sasl == AmqpSasl::External {
            self.amqp_external(values, tls);
        }
    }

    /// The certificate says who this is, and nothing else does.
    fn amqp_external(&mut self, values: &Values, tls: Option<&TlsClientConfig>) {
        if tls.is_none_or(|tls| tls.certificate.is_none()) {
            let message = "without a certificate nobody knows who this is";
            let help = "set `certfile` and `keyfile` in `tls` of the upstream";
            tls::conflict(values, "sasl", message, help, self.problems);
        }
        for name in ["username", "password", "password_file"] {
            if self.values.origin(name).is_some() {
                let message = format!("`{name}` is not told: the certificate says who this is");
                let help = "take it out, or take `sasl = \"external\"` out";
                tls::conflict(self.values, name, &message, help, self.problems);
            }
        }
    }

    fn http(&mut self, values: &Values, http: &mut HttpConfig) {
        let is_path = PathAndQuery::try_from(http.path.as_str()).is_ok();
        if !is_path || !http.path.starts_with('/') || http.path.contains('#') {
            let message = format!("`{}` is not the path of a request", http.path);
            let help = "it begins with `/`; write what cannot stand there as %XX";
            tls::conflict(values, "path", &message, help, self.problems);
        }
        if http.body == HttpBody::Raw && http.batch > 1 {
            let message = "a body of `raw` holds one message";
            tls::conflict(values, "batch", message, "take `batch` out", self.problems);
        }
        if let Some(authorization) = self.secret_from_file(values, "authorization") {
            http.authorization = Some(authorization);
        }
        let is_header = |text: &str| text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if http.authorization.as_ref().is_some_and(|secret| !is_header(secret.reveal())) {
            let message = "`authorization` cannot stand in a header";
            let help = "it has letters, digits, signs and spaces only";
            tls::conflict(values, "authorization", message, help, self.problems);
            tls::conflict(values, "authorization_file", message, help, self.problems);
        }
    }

    fn kafka(&mut self, values: &Values, kafka: &KafkaConfig) {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_name = |text: &str| {
            text.chars().all(is_allowed)
                && (1..=KAFKA_NAME_BYTES_MAX).contains(&text.len())
                && !matches!(text, "." | "..")
        };
        if kafka.topic.as_ref().is_some_and(|topic| !is_name(topic)) {
            let message = "this is not the name of a topic of Kafka";
            let help = "it has letters, digits and . _ - only, and 249 of them at most";
            tls::conflict(values, "topic", message, help, self.problems);
        }
        if self.values.origin("username").is_none() {
            let message = "nobody logs in without `username`";
            let help = "set `username` and `password_file` of the upstream, or take `sasl` out";
            tls::conflict(values, "sasl", message, help, self.problems);
        }
    }

    pub(super) fn nats(&mut self, values: &Values, nats: &mut NatsConfig) {
        let is_name = |text: &str| !text.is_empty() && !text.contains(NO_NAME_OF_NATS);
        if nats.stream.as_ref().is_some_and(|name| !is_name(name)) {
            let message = "this is not the name of a stream";
            let help = "it has no spaces, and none of . * > / \\";
            tls::conflict(values, "stream", message, help, self.problems);
        }
        if !nats.inbox_prefix.split('.').all(is_name) {
            let message = "no subject can begin like this";
            let help = "for example \"_INBOX\" or \"_INBOX_gateway.7\"";
            tls::conflict(values, "inbox_prefix", message, help, self.problems);
        }
        if let Some(token) = self.secret_from_file(values, "token") {
            nats.token = Some(token);
        }
        self.one_login(values);
        for name in ["creds_file", "nkey_file"] {
            self.check_readable(values, name);
        }
    }

    /// The server takes one login and would ignore the others.
    fn one_login(&mut self, values: &Values) {
        let user = self.values.origin("username").map(|_| "username");
        let keys = ["token", "token_file", "creds_file", "nkey_file"];
        let given = keys.into_iter().filter(|name| values.origin(name).is_some());
        let logins: Vec<&str> = user.into_iter().chain(given).collect();
        // A token that is given twice is told of already.
        if let [first, second, ..] = logins[..]
            && !second.starts_with(first)
        {
            let message = format!("`{first}` and `{second}` are two ways to log in");
            tls::conflict(values, second, &message, "keep one of them", self.problems);
        }
    }

    /// A file that is read for each connection has to be there now.
    fn check_readable(&mut self, values: &Values, name: &str) {
        let Some((Value::Path(path), Origin { source, span })) = values.given(name) else { return };
        if let Err(reason) = fs::File::open(path) {
            let message = format!("cannot read `{}`", path.display());
            let refusal = Refusal::new(code::FILE, span.clone(), message, reason.to_string());
            self.problems.refuse(*source, refusal.help(HELP_FILE));
        }
    }

    pub(super) fn tls(&mut self, values: &Values) -> TlsClientConfig {
        let (certfile, keyfile) =
            (values.optional("certfile", Values::path), values.optional("keyfile", Values::path));
        for (name, other) in [("certfile", &keyfile), ("keyfile", &certfile)] {
            if other.is_none() && values.optional(name, Values::path).is_some() {
                let message = "`certfile` and `keyfile` need each other";
                tls::conflict(values, name, message, "name both, or neither", self.problems);
            }
        }
        let config = TlsClientConfig {
            cafile: values.optional("cafile", Values::path),
            certificate: certfile.zip(keyfile),
            insecure: values.flag("insecure"),
            alpn: values.optional("alpn", Values::text),
            tls_version: tls::version(values),
        };
        // Where the system has no authorities now it may have some when the upstream is needed.
        match config.load() {
            Ok(_) | Err(TlsError::NoAuthorities) => {}
            Err(error) => tls::refuse(values, &error, self.problems),
        }
        config
    }

    fn routes(
        &mut self,
        name: &str,
        read: impl Fn(&mut Self, &Values) -> Option<Route>,
    ) -> Vec<Route> {
        let routes = self.values.tables(name).iter();
        routes.filter_map(|route| read(self, route)).collect()
    }

    /// A route to here, where nobody but the broker itself writes some topics.
    fn route_in(&mut self, values: &Values) -> Option<Route> {
        if let Some(Origin { source, span }) = values.origin("priority").cloned() {
            let message = "`priority` is for what is sent";
            let refusal = Refusal::new(code::CONFLICT, span, message, "this is received");
            self.problems
                .refuse(source, refusal.help("take it out, or write the route in `forward`"));
        }
        let route = self.route(values)?;
        self.check_incoming(&route, values.place("to"));
        Some(route)
    }

    fn route(&mut self, values: &Values) -> Option<Route> {
        let (from, to) = (values.optional("from", Values::text)?, values.text("to"));
        self.check_filter(&from, values.place("from"))?;
        match TopicTemplate::parse(&to, &from) {
            Ok(to) => {
                let priority = Priority::from_name(values.choice("priority"));
                Some(Route { from, to, qos: values.whole("qos"), priority })
            }
            Err(reason) => {
                let Origin { source, span } = values.place("to");
                let message = format!("`{to}` is not a topic");
                let refusal = Refusal::new(code::TOPIC, span, message, reason.to_string());
                self.problems.refuse(
                    source,
                    match reason {
                        TopicTemplateError::Placeholder(name) => {
                            refusal.help(did_you_mean(&name, TopicTemplate::PLACEHOLDERS))
                        }
                        _ => refusal,
                    },
                );
                None
            }
        }
    }

    fn topic_lines(&mut self) -> Vec<TopicLine> {
        let Some(Origin { source, .. }) = self.values.origin("topics").cloned() else {
            return Vec::new();
        };
        let mut parsed = Vec::new();
        for Placed { value: line, span } in self.values.placed_texts("topics") {
            match TopicLine::parse(&line) {
                Ok(topic_line) => {
                    let at = Origin { source, span };
                    let filters = topic_line.filters();
                    if filters.iter().all(|f| self.check_filter(f, at.clone()).is_some()) {
                        if let Some(route) = topic_line.receive() {
                            self.check_incoming(&route, at);
                        }
                        parsed.push(topic_line);
                    }
                }
                Err(reason) => {
                    let message = format!("`{line}` is not a topic line");
                    let refusal = Refusal::new(code::TOPIC, span, message, reason.to_string());
                    let help = "pattern [[in|out|both] [qos] [local/ [remote/]]], \
                                for example \"sensors/# out 1 local/ remote/\"";
                    self.problems.refuse(source, refusal.help(help));
                }
            }
        }
        parsed
    }

    fn check_incoming(&mut self, route: &Route, Origin { source, span }: Origin) {
        if route.is_of_broker() {
            let message = format!("`{}` cannot be received as `{}`", route.from, route.to);
            let label = "only the broker itself writes to `$SYS`";
            let refusal = Refusal::new(code::TOPIC, span, message, label);
            self.problems.refuse(source, refusal.help("choose another first level for `to`"));
        }
    }

    fn check_filter(&mut self, filter: &str, at: Origin) -> Option<()> {
        let Err(reason) = TopicFilter::parse(filter) else { return Some(()) };
        let message = format!("`{filter}` is not a topic filter");
        let refusal = Refusal::new(code::TOPIC, at.span, message, reason.to_string());
        self.problems.refuse(at.source, refusal);
        None
    }

    /// What stands in the file of a key like `password`, if there is one.
    pub(super) fn secret_from_file(&mut self, values: &Values, name: &str) -> Option<Secret> {
        let file = format!("{name}_file");
        let (Value::Path(path), at) = values.given(&file)? else { return None };
        let Origin { source, span } = at.clone();
        if values.origin(name).is_some() {
            let message = format!("both `{name}` and `{file}` are given");
            let refusal = Refusal::new(code::CONFLICT, span, message, "one of them too many");
            self.problems.refuse(source, refusal.help(format!("keep `{file}`")));
            return None;
        }
        match first_line(path) {
            Ok(secret) => Some(Secret::new(secret)),
            Err(reason) => {
                let message = format!("cannot read the {name} from `{}`", path.display());
                let refusal = Refusal::new(code::FILE, span, message, reason.to_string());
                self.problems.refuse(source, refusal.help(HELP_FILE));
                None
            }
        }
    }
}

fn first_line(path: &Path) -> std::io::Result<String> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().next().unwrap_or_default();
    match line.is_empty() {
        true => Err(std::io::Error::other("its first line is empty")),
        false => Ok(line.to_owned()),
    }
}

/// The longest name of an exchange or a virtual host.
const AMQP_NAME_BYTES_MAX: usize = 255;
/// The longest name of a topic of Kafka.
const KAFKA_NAME_BYTES_MAX: usize = 249;
const HELP_FILE: &str = "the user that runs weir must be able to read the file";
/// What cannot stand in the name of a stream, nor in a part of a subject.
const NO_NAME_OF_NATS: [char; 10] = [' ', '\t', '\r', '\n', '\0', '.', '*', '>', '/', '\\'];
