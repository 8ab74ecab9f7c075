//! `weir explain`: which line of which file decides about a message, a subscription, or what was
//! dropped.

use super::{Answer, CliError};

mod drops;
mod findings;
mod topic;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Say what was dropped since the start of a running broker, and what decided it
    Drops(drops::Arguments),
    /// Say whether somebody may publish to a topic, and what becomes of the message
    Publish(topic::PublishArguments),
    /// Say whether somebody may subscribe to a topic filter
    Subscribe(topic::SubscribeArguments),
}

pub(crate) fn run(command: &Command) -> Result<Answer, CliError> {
    match command {
        Command::Drops(arguments) => drops::run(arguments),
        Command::Publish(arguments) => topic::publish(arguments),
        Command::Subscribe(arguments) => topic::subscribe(arguments),
    }
}
