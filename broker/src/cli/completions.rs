//! `weir completions`: what a shell needs to complete the commands and options of this program, or of
//! the bridge.

use clap_complete::{Shell, generate};

use super::{Answer, CliError, programs, say};

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
    /// The program
    #[arg(value_name = "PROGRAM", default_value = "weir")]
    program: Program,
}

/// The programs that are shipped.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Program {
    Weir,
    WeirBridge,
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
    let mut command = match arguments.program {
        Program::Weir => programs::weir(),
        Program::WeirBridge => programs::bridge(),
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, &name, &mut script);
    // For bash a name with a hyphen becomes one in two ways, and no command is found by the other.
    let (wrong, right) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    say(&String::from_utf8_lossy(&script).replace(&wrong, &right)).map(|()| Answer::Yes)
}
