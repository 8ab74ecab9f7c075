//! `weir completions`: what a shell needs to complete the commands and options of this program.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::{Answer, CliError, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
For one user:
  weir completions bash > ~/.local/share/bash-completion/completions/weir
  weir completions zsh > ~/.zfunc/_weir          with fpath+=~/.zfunc before compinit
  weir completions fish > ~/.config/fish/completions/weir.fish")]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Known,
}

/// The shells that are written for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Known {
    Bash,
    Fish,
    Zsh,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let shell = match arguments.shell {
        Known::Bash => Shell::Bash,
        Known::Fish => Shell::Fish,
        Known::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    generate(shell, &mut super::Arguments::command(), "weir", &mut script);
    say(&String::from_utf8_lossy(&script)).map(|()| Answer::Yes)
}
