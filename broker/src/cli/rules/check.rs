//! `weir rules check`: every problem of rule files, and with live messages also the fields that none
//! of them has.

use std::path::PathBuf;
use std::time::Duration;

use weir_mqtt::TopicFilter;
use weir_rules::{Observer, Plan, Source, compile, unseen_fields};

use super::super::{Answer, CliError, check::count, connect::ConnectArguments, say};
use super::look::{Look, Seen, look};
use super::trial::parse_duration;
use super::{read, show};

#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "With --live it looks at messages of a broker, any broker, and warns of fields \
                  that rules name and no message had. The other options say how to connect.\n\n\
                  Exit code: 0 = ok, perhaps with warnings, 1 = errors, or refused, \
                  2 = not connected.\n\n\
                  Examples:\n  \
                  weir rules check rules/*.toml\n  \
                  weir rules check rules/climate.toml --live 30s -h gateway.local"
)]
pub(crate) struct Arguments {
    /// Rule files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Look at messages for so long, such as 5s or 1m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    live: Option<Duration>,
    #[command(flatten)]
    connect: ConnectArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let sources = read(&arguments.files)?;
    let plan = match compile(&sources) {
        Ok(plan) => plan,
        Err(problems) => {
            show(&problems);
            return Ok(Answer::No);
        }
    };
    plan.warnings().iter().for_each(|warning| eprint!("{warning}"));
    if let Some(time) = arguments.live
        && let Answer::No = check_fields(arguments, time, &plan, &sources)?
    {
        return Ok(Answer::No);
    }
    let files = count(sources.len(), "file");
    say(&format!("ok ({} in {files})\n", count(plan.rules().count(), "rule")))?;
    Ok(Answer::Yes)
}

/// Warns of fields that no message has; `No` if there are none to be had.
fn check_fields(
    arguments: &Arguments,
    time: Duration,
    plan: &Plan,
    sources: &[Source],
) -> Result<Answer, CliError> {
    let filters: Vec<String> = plan.filters().map(str::to_owned).collect();
    if filters.is_empty() {
        return Ok(Answer::Yes);
    }
    let mut observers: Vec<Observer> = filters.iter().map(|one| Observer::new(one)).collect();
    let see = |seen: &Seen<'_>| {
        for (filter, observer) in filters.iter().zip(&mut observers) {
            if TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(seen.topic)) {
                observer.observe(seen.topic, seen.payload, seen.arrived);
            }
        }
    };
    let wanted = Look { connect: &arguments.connect, filters: &filters, time, count: None };
    let answer = super::super::runtime()?.block_on(look(&wanted, see))?;
    for (filter, _) in filters.iter().zip(&observers).filter(|(_, one)| one.messages() == 0) {
        eprintln!("nothing came on {filter}: fields of its messages are not checked");
    }
    let unseen = unseen_fields(sources, &observers).map_err(CliError::Rules)?;
    unseen.iter().for_each(|warning| eprint!("{warning}"));
    Ok(answer)
}
