//! The check of `[upstream.NAME]`: addresses, routes and the password file.

use std::{fs, ops::Range, path::Path};

use weir_mqtt::TopicFilter;

use super::{
    Route, Secret, TlsClientConfig, TlsError, TopicTemplate, UpstreamConfig,
    check::missing,
    key::{Placed, Refusal, RouteText, Value, code},
    listeners::tls,
    problem::{Problems, did_you_mean},
    route::{TopicLine, TopicTemplateError},
    tree::Tree,
    values::{Origin, Values},
};

/// Every upstream, in the order of their names.
pub(crate) fn check(tree: &Tree, problems: &mut Problems) -> Vec<UpstreamConfig> {
    let upstreams = tree.upstreams.iter();
    upstreams.map(|(name, values)| Check { values, problems }.upstream(name)).collect()
}

struct Check<'a> {
    values: &'a Values,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn upstream(mut self, name: &str) -> UpstreamConfig {
        let mut upstream = UpstreamConfig::read(self.values, name.to_owned());
        if self.values.is_missing("address") {
            missing(self.values, "address", self.problems);
        }
        upstream.forward = self.routes("forward", Self::route);
        upstream.receive = self.routes("receive", Self::route_in);
        for line in self.topic_lines() {
            upstream.forward.extend(line.forward());
            upstream.receive.extend(line.receive());
        }
        upstream.tls = self.values.table("tls").map(|values| self.tls(values));
        if let Some(password) = self.password_from_file() {
            upstream.password = Some(password);
        }
        upstream
    }

    fn tls(&mut self, values: &Values) -> TlsClientConfig {
        let (certfile, keyfile) = (values.path("certfile"), values.path("keyfile"));
        for (name, other) in [("certfile", &keyfile), ("keyfile", &certfile)] {
            if other.is_none() && values.path(name).is_some() {
                let message = "`certfile` and `keyfile` need each other";
                tls::conflict(values, name, message, "name both, or neither", self.problems);
            }
        }
        let config = TlsClientConfig {
            cafile: values.path("cafile"),
            certificate: certfile.zip(keyfile),
            insecure: values.flag("insecure"),
            alpn: values.text("alpn"),
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
        read: impl Fn(&mut Self, RouteText, usize) -> Option<Route>,
    ) -> Vec<Route> {
        let Some((Value::Routes(texts), Origin { source, .. })) = self.values.given(name) else {
            return Vec::new();
        };
        texts.into_iter().filter_map(|text| read(self, text.value, source)).collect()
    }

    /// A route to here, where nobody but the broker itself writes some topics.
    fn route_in(&mut self, text: RouteText, source: usize) -> Option<Route> {
        let span = text.to.span.clone();
        let route = self.route(text, source)?;
        self.check_incoming(&route, span, source);
        Some(route)
    }

    fn route(&mut self, text: RouteText, source: usize) -> Option<Route> {
        let RouteText { from, to, qos } = text;
        self.check_filter(&from.value, &from, source)?;
        match TopicTemplate::parse(&to.value, &from.value) {
            Ok(template) => Some(Route { from: from.value, to: template, qos }),
            Err(reason) => {
                let message = format!("`{}` is not a topic", to.value);
                let refusal = Refusal::new(code::TOPIC, to.span, message, reason.to_string());
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
        let Some((Value::TopicLines(lines), Origin { source, .. })) = self.values.given("topics")
        else {
            return Vec::new();
        };
        let mut parsed = Vec::new();
        for line in lines {
            match TopicLine::parse(&line.value) {
                Ok(topic_line) => {
                    let filters = topic_line.filters();
                    if filters.iter().all(|f| self.check_filter(f, &line, source).is_some()) {
                        if let Some(route) = topic_line.receive() {
                            self.check_incoming(&route, line.span.clone(), source);
                        }
                        parsed.push(topic_line);
                    }
                }
                Err(reason) => {
                    let message = format!("`{}` is not a topic line", line.value);
                    let refusal = Refusal::new(code::TOPIC, line.span, message, reason.to_string());
                    let help = "pattern [[in|out|both] [qos] [local/ [remote/]]], \
                                for example \"sensors/# out 1 local/ remote/\"";
                    self.problems.refuse(source, refusal.help(help));
                }
            }
        }
        parsed
    }

    fn check_incoming(&mut self, route: &Route, span: Range<usize>, source: usize) {
        if route.is_of_broker() {
            let message = format!("`{}` cannot be received as `{}`", route.from, route.to);
            let label = "only the broker itself writes to `$SYS`";
            let refusal = Refusal::new(code::TOPIC, span, message, label);
            self.problems.refuse(source, refusal.help("choose another first level for `to`"));
        }
    }

    fn check_filter(&mut self, filter: &str, at: &Placed<String>, source: usize) -> Option<()> {
        let Err(reason) = TopicFilter::parse(filter) else { return Some(()) };
        let message = format!("`{filter}` is not a topic filter");
        let refusal = Refusal::new(code::TOPIC, at.span.clone(), message, reason.to_string());
        self.problems.refuse(source, refusal);
        None
    }

    fn password_from_file(&mut self) -> Option<Secret> {
        let (Value::Path(path), Origin { source, span }) = self.values.given("password_file")?
        else {
            return None;
        };
        if self.values.origin("password").is_some() {
            let message = "both `password` and `password_file` are given";
            let refusal = Refusal::new(code::CONFLICT, span, message, "one of them too many");
            self.problems.refuse(source, refusal.help("keep `password_file`"));
            return None;
        }
        match first_line(&path) {
            Ok(password) => Some(Secret::new(password)),
            Err(reason) => {
                let message = format!("cannot read the password from `{}`", path.display());
                let refusal = Refusal::new(code::FILE, span, message, reason.to_string());
                let help = "the user that runs weir must be able to read the file";
                self.problems.refuse(source, refusal.help(help));
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
