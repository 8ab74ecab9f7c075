//! `weir rules replay`: runs a rule over the history of messages and prints what it would have
//! sent, or what another definition of it would have sent instead. It reads the files of the
//! history and asks no broker.

mod difference;
mod made;
mod output;
mod player;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use weir_config::nearest;
use weir_core::MessageParts;
use weir_mqtt::TopicFilter;
use weir_rules::{Plan, Source, compile};

use super::super::{Answer, CliError};
use super::read;
use super::trial::parse_duration;
use crate::clock::unix_ms;
use crate::config::{Config, Overrides, load};
use crate::history::{Reader, Wanted, directories};

use difference::Side;
use output::Output;
use player::Player;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The rule begins without state, as on the first day, and the clock stands at the \
                  end of the time: windows that are open then send nothing. Messages of topics \
                  that it joins come from the history too. The broker may run meanwhile.\n\n\
                  With --with, a line that begins with - is what only the rule of the configuration \
                  sends, and one with + what only the other one sends. FILE takes the place of \
                  files that have a rule of the same name.\n\n\
                  Exit code: 0 = ok, and with --with no difference; 1 = a difference, no such rule, \
                  or no history of its topics; 2 = a file cannot be read or has errors.\n\n\
                  Examples:\n  \
                  weir rules replay room-average --config weir.toml --since 1h\n  \
                  weir rules replay room-average --config weir.toml --with new.toml\n  \
                  weir rules replay room-average --config weir.toml --made 0af3..., 32 digits"
)]
pub(crate) struct Arguments {
    /// Name of the rule; rules that it reads run with it
    rule: String,
    /// How long ago to begin, such as 30m or 2d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    since: Duration,
    /// How long ago to end
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    until: Duration,
    /// Configuration file, with the histories and the rules
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Value that goes before the file, such as data_dir=/var/lib/weir
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Rule file with another definition to compare with
    #[arg(long, value_name = "FILE")]
    with: Option<PathBuf>,
    /// Print the messages that the result with this `id` was made of
    #[arg(long, value_name = "ID", value_parser = parse_id, conflicts_with_all = ["with", "json"])]
    made: Option<u128>,
    /// Print each line as a JSON object
    #[arg(long)]
    json: bool,
}

/// The time that is looked at, milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Range {
    since_ms: u64,
    until_ms: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let overrides = Overrides::of_process(arguments.set.clone());
    let loaded = load(arguments.config.as_deref(), &overrides)?;
    let Some(plan) = only(loaded.plan, &arguments.rule, "the configuration") else {
        return Ok(Answer::No);
    };
    let other = match &arguments.with {
        None => None,
        Some(path) => {
            let sources = replaced(&loaded.config.rules, path)?;
            let plan = compile(&sources).map_err(CliError::Rules)?;
            let Some(plan) = only(plan, &arguments.rule, "the other file") else {
                return Ok(Answer::No);
            };
            Some(plan)
        }
    };
    let plans: Vec<&Plan> = std::iter::once(&plan).chain(&other).collect();
    if !is_kept(&loaded.config, &plans) {
        return Ok(Answer::No);
    }
    let now_ms = unix_ms();
    let before =
        |time: Duration| now_ms.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let range = Range { since_ms: before(arguments.since), until_ms: before(arguments.until) };
    if range.since_ms >= range.until_ms {
        return Err(CliError::Argument {
            argument: "--until",
            reason: "the end is not after the beginning".to_owned(),
            help: "both say how long ago: --since 2h --until 1h is one hour".to_owned(),
        });
    }
    let histories = Histories(&loaded.config);
    if let Some(id) = arguments.made {
        return made::show(&histories, range, &plan, (&arguments.rule, id));
    }
    let player = |plan: &&Plan| Player::new((*plan).clone(), &arguments.rule);
    let mut players: Vec<Player> = plans.iter().map(player).collect();
    let mut out = Output::new(arguments.json, arguments.with.is_some());
    let read = play(&histories, range, &mut players, &mut out)?;
    out.end(read)
}

/// An identifier as it stands in the user property `id`.
fn parse_id(text: &str) -> Result<u128, String> {
    let id = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    id.ok_or_else(|| {
        "an id has 32 digits of 0 to 9 and a to f, as in the user property `id`".into()
    })
}

/// The plan for one rule and those that it reads; none when there is no such rule, which is told.
fn only(plan: Plan, rule: &str, place: &str) -> Option<Plan> {
    let runs =
        |known: &str| plan.rules().any(|known_rule| known_rule.enabled && known_rule.name == known);
    if runs(rule) {
        return Some(plan.only(|name| name == rule));
    }
    let near = nearest(rule, plan.rules().map(|known| known.name.as_str()));
    let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    eprintln!("no rule `{rule}` that runs in {place}{hint}");
    None
}

/// The rule files with another one in the place of those that have a rule of the same name.
fn replaced(sources: &[Source], path: &PathBuf) -> Result<Vec<Source>, CliError> {
    let new = read(std::slice::from_ref(path))?;
    let names: BTreeSet<String> = new.iter().flat_map(names_of).collect();
    let stays = |source: &&Source| names_of(source).iter().all(|name| !names.contains(name));
    Ok(sources.iter().filter(stays).cloned().chain(new).collect())
}

/// The names of the rules of a file, as far as it can be read.
fn names_of(source: &Source) -> Vec<String> {
    let table: toml::Table = source.text.parse().unwrap_or_default();
    let rules = table.get("rule").and_then(toml::Value::as_table);
    rules.map(|rules| rules.keys().cloned().collect()).unwrap_or_default()
}

/// Whether the history has messages of every topic that the rules read; tells what is missing.
fn is_kept(config: &Config, plans: &[&Plan]) -> bool {
    let filters: BTreeSet<&str> = plans.iter().flat_map(|plan| plan.filters()).collect();
    let mut missing = Vec::new();
    for text in filters {
        let Ok(filter) = TopicFilter::parse(text) else { continue };
        let kept =
            || config.history.iter().filter_map(|kept| TopicFilter::parse(&kept.filter).ok());
        if kept().any(|kept| kept.covers(filter)) {
            continue;
        }
        if kept().any(|kept| kept.overlaps(filter)) {
            eprintln!("warning: the history has only some of the topics of {text}");
        } else {
            missing.push(text);
        }
    }
    for filter in &missing {
        eprintln!("no history has the topics of {filter}; add to the configuration:");
        eprintln!("\n[[history]]\nfilter = \"{filter}\"\n");
    }
    missing.is_empty()
}

/// The messages that the histories of a configuration hold.
struct Histories<'a>(&'a Config);

impl Histories<'_> {
    /// Gives the messages of a time that match one of the filters, in the order in which they came,
    /// until `visit` wants no more; answers how many it was given.
    fn read(
        &self,
        range: Range,
        filters: &[String],
        mut visit: impl FnMut(&MessageParts<'_>) -> Result<bool, CliError>,
    ) -> Result<usize, CliError> {
        let Self(config) = self;
        let filters: Vec<TopicFilter<'_>> =
            filters.iter().filter_map(|filter| TopicFilter::parse(filter).ok()).collect();
        let matches = |message: &MessageParts<'_>| {
            message.received_at_ms <= range.until_ms
                && filters.iter().any(|filter| filter.matches(message.topic))
        };
        let failed = |source| CliError::File { path: config.data_dir.join("history"), source };
        let directories = directories(&config.data_dir, &config.history);
        let since_ms = range.since_ms;
        let wanted = Wanted { directories: &directories, since_ms, matches: &matches };
        let mut reader = Reader::new(wanted, &[], u64::MAX).map_err(failed)?;
        let mut read = 0;
        while let Some(kept) = reader.next().map_err(failed)? {
            read += 1;
            if !visit(&kept.message().parts())? {
                break;
            }
        }
        Ok(read)
    }
}

/// Runs the players over what the histories have of the time.
fn play(
    histories: &Histories<'_>,
    range: Range,
    players: &mut [Player],
    out: &mut Output,
) -> Result<usize, CliError> {
    let filters: BTreeSet<String> = players.iter().flat_map(Player::filters).collect();
    let filters: Vec<String> = filters.into_iter().collect();
    let read = histories.read(range, &filters, |message| {
        for (side, player) in Side::BOTH.into_iter().zip(players.iter_mut()) {
            player.handle(message, &mut |sent| out.take(side, sent))?;
        }
        Ok(true)
    })?;
    for (side, player) in Side::BOTH.into_iter().zip(players.iter_mut()) {
        player.advance(range.until_ms, &mut |sent| out.take(side, sent))?;
    }
    Ok(read)
}
