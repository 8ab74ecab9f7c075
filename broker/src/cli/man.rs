//! `weir man`: the manual pages of this program and of the bridge, made of what their commands declare.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use super::{Answer, CliError, programs, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir man | man -l -                       read the page of weir
  weir man rules try | man -l -             that of a command
  weir man weir-bridge run | man -l -       that of a command of the bridge
  weir man --output /usr/local/share/man/man1")]
pub(crate) struct Arguments {
    /// The command whose page is printed, after `weir-bridge` one of that; without it that of weir
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Vec<String>,
    /// Write the pages of all commands of both programs into this directory, which is made if need be
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let (weir, bridge) = (named_whole(programs::weir()), named_whole(programs::bridge()));
    if let Some(directory) = &arguments.output {
        fs::create_dir_all(directory)
            .map_err(|source| CliError::Folder { path: directory.clone(), source })?;
        write_all(&weir, directory)?;
        return write_all(&bridge, directory).map(|()| Answer::Yes);
    }
    let (mut found, names) = match arguments.command.split_first() {
        Some((program, names)) if program == bridge.get_name() => (&bridge, names),
        _ => (&weir, &arguments.command[..]),
    };
    for name in names {
        found = found.find_subcommand(name).ok_or_else(|| CliError::Argument {
            argument: "COMMAND",
            reason: format!("there is no `{name}` in `{}`", words(found)),
            help: format!("`{} --help` lists what there is", words(found)),
        })?;
    }
    say(&String::from_utf8_lossy(&page(found)?)).map(|()| Answer::Yes)
}

/// With all commands below it, each with the whole of its name: `weir-rules-try`.
fn named_whole(program: Command) -> Command {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    program
}

fn write_all(command: &Command, directory: &Path) -> Result<(), CliError> {
    let path = directory.join(format!("{}.1", name(command)));
    fs::write(&path, page(command)?).map_err(|source| CliError::Write { path, source })?;
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    commands.into_iter().try_for_each(|command| write_all(command, directory))
}

fn page(command: &Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    let source = concat!("weir ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name(command)).manual("Weir").source(source);
    man.render(&mut page).map_err(CliError::Output)?;
    Ok(page)
}

fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// As it is typed.
fn words(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}
