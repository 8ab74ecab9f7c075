//! `weir explain publish` and `weir explain subscribe`: what the files say, without a broker.

use std::path::PathBuf;

use serde_json::{Value, json};
use weir_mqtt::{TopicFilter, TopicName};

use super::findings::{Explanation, Files, Finding, Who};
use crate::{
    cli::{Answer, CliError, say, say_json},
    config::{ConfigError, Overrides, load},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The files are read as they are now; `weir reload --dry-run` tells what of them a \
                  running broker has not read yet. A topic has to have the mount point of its \
                  listener.\n\n\
                  Exit code: 0 = allowed, 1 = denied, 2 = a file cannot be used.\n\n\
                  Examples:\n  \
                  weir explain publish room/1/temperature --config weir.toml -u ann\n  \
                  weir explain publish room/1/temperature --config weir.toml -u ann -i meter-7 --json"
)]
pub(crate) struct PublishArguments {
    /// Topic of the message
    topic: String,
    #[command(flatten)]
    about: About,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What a subscription brings is checked message by message: a line that denies part of \
                  it hides that part.\n\n\
                  Exit code: 0 = allowed, 1 = denied, 2 = a file cannot be used."
)]
pub(crate) struct SubscribeArguments {
    /// Topic filter, also of a shared subscription
    filter: String,
    #[command(flatten)]
    about: About,
}

/// Who, and by which files.
#[derive(Debug, clap::Args)]
struct About {
    /// Configuration file; without it the defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Value that goes before the file, such as auth.acl_file=acl
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// User name; without it a client that has none
    #[arg(short, long)]
    username: Option<String>,
    /// Client identifier, which patterns of an ACL may name
    #[arg(short, long, default_value = "")]
    id: String,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Tells about a publish.
pub(super) fn publish(arguments: &PublishArguments) -> Result<Answer, CliError> {
    let topic = meant(&arguments.topic);
    TopicName::parse(topic)
        .map_err(|reason| wrong("TOPIC", &reason, "a topic has no + and no #"))?;
    arguments.about.tell(&arguments.topic, |files, who| files.publish(who, topic))
}

/// Tells about a subscription.
pub(super) fn subscribe(arguments: &SubscribeArguments) -> Result<Answer, CliError> {
    let filter = TopicFilter::parse(&arguments.filter)
        .map_err(|reason| wrong("FILTER", &reason, "+ is a whole level, # the last one"))?;
    let name = &arguments.filter;
    arguments.about.tell(name, |files, who| files.subscribe(who, filter.filter()))
}

fn wrong(argument: &'static str, reason: &impl ToString, help: &str) -> CliError {
    CliError::Argument { argument, reason: reason.to_string(), help: help.to_owned() }
}

/// The topic that a message with a delay is for.
fn meant(topic: &str) -> &str {
    let delayed = topic.strip_prefix("$delayed/").and_then(|rest| rest.split_once('/'));
    delayed.map_or(topic, |(_, topic)| topic)
}

impl About {
    fn tell(
        &self,
        name: &str,
        explain: impl FnOnce(&Files<'_>, Who<'_>) -> Explanation,
    ) -> Result<Answer, CliError> {
        let loaded = load(self.config.as_deref(), &Overrides::of_process(self.set.clone()))?;
        let rights = loaded.config.sources().read();
        // They were read a moment ago, but may have changed since: without them everybody may do everything.
        let rights = rights.map_err(|problems| ConfigError::Invalid { problems })?;
        let who = Who { username: self.username.as_deref(), client_id: &self.id };
        let explanation = explain(&Files::new(&loaded, &rights), who);
        match self.json {
            true => say_json(&to_json(name, &explanation))?,
            false => say(&to_text(&explanation.findings))?,
        }
        Ok(if explanation.is_allowed { Answer::Yes } else { Answer::No })
    }
}

fn to_json(name: &str, explanation: &Explanation) -> Value {
    let finding = |finding: &Finding| {
        let place = finding.place.as_ref();
        json!({
            "about": finding.about,
            "file": place.map(|place| &place.file),
            "line": place.and_then(|place| place.line),
            "what": finding.what,
        })
    };
    let findings: Vec<Value> = explanation.findings.iter().map(finding).collect();
    json!({ "topic": name, "allowed": explanation.is_allowed, "findings": findings })
}

fn to_text(findings: &[Finding]) -> String {
    let place = |finding: &Finding| match &finding.place {
        Some(place) => place.to_string(),
        None => "-".to_owned(),
    };
    let width = |of: &dyn Fn(&Finding) -> usize| findings.iter().map(of).max().unwrap_or(0);
    let about_width = width(&|finding| finding.about.len());
    let place_width = width(&|finding| place(finding).chars().count());
    let line = |finding: &Finding| {
        let (about, what) = (finding.about, &finding.what);
        format!("{about:<about_width$}  {:<place_width$}  {what}\n", place(finding))
    };
    findings.iter().map(line).collect()
}
