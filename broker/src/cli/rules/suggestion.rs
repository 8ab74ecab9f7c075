//! `weir rules suggest`: looks at the messages of a filter and prints a rule for them to begin with.

use std::time::Duration;

use weir_rules::Observer;

use super::super::{Answer, CliError, connect::ConnectArguments, say};
use super::look::{Look, Seen, look};
use super::trial::parse_duration;

#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "The rule goes to standard output. Retained messages are looked at for their \
                  form, not for their time.\n\n\
                  Exit code: 0 = ok, 1 = refused, or nothing came, 2 = not connected.\n\n\
                  Examples:\n  \
                  weir rules suggest 'site/+/+/climate'\n  \
                  weir rules suggest 'tank/+/level' --for 1m -h gateway.local > rules/tank.toml"
)]
pub(crate) struct Arguments {
    /// Filter of the topics
    #[arg(value_name = "FILTER")]
    filter: String,
    /// Look for so long, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    time: Duration,
    /// Or until so many messages have come
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    #[command(flatten)]
    connect: ConnectArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    super::super::runtime()?.block_on(suggest(arguments))
}

async fn suggest(arguments: &Arguments) -> Result<Answer, CliError> {
    let filters = [arguments.filter.clone()];
    let mut observer = Observer::new(&arguments.filter);
    let wanted = Look {
        connect: &arguments.connect,
        filters: &filters,
        time: arguments.time,
        count: Some(arguments.count),
    };
    let see = |seen: &Seen<'_>| observer.observe(seen.topic, seen.payload, seen.arrived);
    if look(&wanted, see).await? == Answer::No {
        return Ok(Answer::No);
    }
    if observer.messages() == 0 {
        eprintln!("nothing came on {}; try --for 1m, or another filter", arguments.filter);
        return Ok(Answer::No);
    }
    say(&observer.suggest())?;
    Ok(Answer::Yes)
}
