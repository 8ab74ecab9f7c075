//! `weir token`: who may use the admin server, besides whoever can read the data directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Answer, CliError, passwd::replace, say, say_json};
use crate::auth::{ApiTokens, Role, api_tokens};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it, once
    Create(CreateArguments),
    /// Show who has a token
    List(ListArguments),
    /// Delete a token
    Remove(RemoveArguments),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token goes to the standard output and nowhere else; the file has its hash. A broker with \
tokens_file = \"FILE\" under [admin] takes it at its start, by `weir reload` and on SIGHUP.

Exit code: 0 = done, 1 = the name is taken, 2 = it could not be done.

Examples:
  weir token create grafana --role view --file /etc/weir/tokens
  weir token create ann --role operate > ann.token && weir reload --token-file ann.token")]
pub(crate) struct CreateArguments {
    /// Who is to have it
    #[arg(value_name = "NAME")]
    name: String,
    /// view sees everything; operate may also disconnect clients, publish, delete and reload
    #[arg(long, value_parser = Role::NAMES)]
    role: String,
    #[command(flatten)]
    file: TokensFile,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    file: TokensFile,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "A broker that runs forgets it by `weir reload` and on SIGHUP.\n\n\
                        Exit code: 0 = done, 1 = there is no such token, 2 = it could not be done.")]
pub(crate) struct RemoveArguments {
    /// Who has it
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    file: TokensFile,
}

#[derive(Debug, clap::Args)]
struct TokensFile {
    /// File of the tokens, made when it is not there
    #[arg(long, value_name = "FILE", default_value = "tokens")]
    file: PathBuf,
}

pub(crate) fn run(command: &Command) -> Result<Answer, CliError> {
    match command {
        Command::Create(arguments) => create(arguments),
        Command::List(arguments) => list(&arguments.file.file, arguments.json),
        Command::Remove(arguments) => remove(arguments),
    }
}

fn create(arguments: &CreateArguments) -> Result<Answer, CliError> {
    let CreateArguments { name, role, file: TokensFile { file } } = arguments;
    if let Some(reason) = api_tokens::name_problem(name) {
        let (reason, help) = (reason.to_owned(), "choose another name".to_owned());
        return Err(CliError::Argument { argument: "NAME", reason, help });
    }
    let (text, tokens) = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (String::new(), ApiTokens::default())
        }
        _ => read(file)?,
    };
    if tokens.iter().any(|token| *token.name == **name) {
        eprintln!("`{name}` has a token already; `weir token remove {name}` deletes it");
        return Ok(Answer::No);
    }
    let role = Role::parse(role).expect("the argument is one of their names");
    let (token, line) = api_tokens::make(name, role).map_err(CliError::Runtime)?;
    let (text, _) = api_tokens::edit(&text, name, Some(line));
    write(file, &text)?;
    say(&format!("{token}\n"))?;
    eprintln!("`{name}` may {} with it; it is not shown again", role.name());
    Ok(Answer::Yes)
}

fn list(file: &Path, as_json: bool) -> Result<Answer, CliError> {
    let (_, tokens) = read(file)?;
    if as_json {
        let one = |token: &api_tokens::ApiToken| json!({ "name": &*token.name, "role": token.role.name() });
        let tokens: Value = tokens.iter().map(one).collect();
        return say_json(&json!({ "file": file, "tokens": tokens })).map(|()| Answer::Yes);
    }
    let width = tokens.iter().map(|token| token.name.len()).max().unwrap_or(0);
    let line =
        |token: &api_tokens::ApiToken| format!("{:width$}  {}\n", token.name, token.role.name());
    say(&tokens.iter().map(line).collect::<String>())?;
    Ok(Answer::Yes)
}

fn remove(arguments: &RemoveArguments) -> Result<Answer, CliError> {
    let RemoveArguments { name, file: TokensFile { file } } = arguments;
    let (text, _) = read(file)?;
    let (text, existed) = api_tokens::edit(&text, name, None);
    if !existed {
        eprintln!("there is no token `{name}` in {}", file.display());
        return Ok(Answer::No);
    }
    write(file, &text)?;
    say(&format!("the token `{name}` was deleted in {}\n", file.display()))?;
    Ok(Answer::Yes)
}

fn read(file: &Path) -> Result<(String, ApiTokens), CliError> {
    let wrong = |source| CliError::File { path: file.to_owned(), source };
    let text = fs::read_to_string(file).map_err(wrong)?;
    let tokens = ApiTokens::parse(&text, &file.display().to_string());
    let tokens = tokens.map_err(|problems| CliError::Tokens { problems })?;
    Ok((text, tokens))
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    replace(file, text).map_err(|source| CliError::Write { path: file.to_owned(), source })
}
