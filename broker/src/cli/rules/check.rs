//! `weir rules check`: every problem of rule files, and with live messages also the fields that none
//! of them has.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use weir_mqtt::TopicFilter;
use weir_rules::{Diagnostic, Observer, Plan, Source, compile, unseen_fields};

use super::super::{Answer, CliError, check::count, connect::ConnectArguments, say, say_json};
use super::look::{Look, Seen, look};
use super::trial::parse_duration;
use super::{read, show};
use crate::diagnostic_json;

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
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let sources = read(&arguments.files)?;
    let plan = match compile(&sources) {
        Ok(plan) => plan,
        Err(problems) if arguments.json => {
            say_json(&json!({ "ok": false, "problems": diagnostic_json::all(&problems) }))?;
            return Ok(Answer::No);
        }
        Err(problems) => {
            show(&problems);
            return Ok(Answer::No);
        }
    };
    let mut warnings = plan.warnings().to_vec();
    if let Some(time) = arguments.live {
        let Some(unseen) = check_fields(arguments, time, &plan, &sources)? else {
            return Ok(Answer::No);
        };
        warnings.extend(unseen);
    }
    let (rules, files) = (plan.rules().count(), sources.len());
    if arguments.json {
        let problems = diagnostic_json::all(&warnings);
        let answer = json!({ "ok": true, "rules": rules, "files": files, "problems": problems });
        return say_json(&answer).map(|()| Answer::Yes);
    }
    warnings.iter().for_each(|warning| eprint!("{warning}"));
    say(&format!("ok ({} in {})\n", count(rules, "rule"), count(files, "file")))?;
    Ok(Answer::Yes)
}

/// Warnings of fields that no message has; none if no messages are to be had.
fn check_fields(
    arguments: &Arguments,
    time: Duration,
    plan: &Plan,
    sources: &[Source],
) -> Result<Option<Vec<Diagnostic>>, CliError> {
    let filters: Vec<String> = plan.filters().map(str::to_owned).collect();
    if filters.is_empty() {
        return Ok(Some(Vec::new()));
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
    Ok((answer == Answer::Yes).then_some(unseen))
}
