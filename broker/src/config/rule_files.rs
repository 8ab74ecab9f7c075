//! The rule files that the configuration names: which they are, what they say, and whether they
//! compile together with the upstreams of the configuration.

use std::{
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use weir_config::{Origin, Placed, Problems, Refusal, Tree, did_you_mean};
use weir_rules::{Diagnostic, Plan, Source, TABLE_BYTES_MAX, TableFile};

use super::{UpstreamConfig, code, declared::TOP};

/// Reads every rule file once, in the order of the patterns and then of their names.
pub(crate) fn read(tree: &Tree, problems: &mut Problems) -> Vec<Source> {
    let top = tree.table(&TOP);
    let Some(&Origin { source, .. }) = top.origin("rules") else { return Vec::new() };
    let mut rules: Vec<Source> = Vec::new();
    for pattern in top.placed_paths("rules") {
        match matching_files(&pattern.value) {
            Ok(paths) => {
                for path in paths {
                    let name = path.display().to_string();
                    if rules.iter().any(|known| known.path == name) {
                        continue;
                    }
                    match weir_config::Source::read(&path) {
                        Ok(read) => {
                            let mut source = Source::new(name, read.text);
                            read_tables(&mut source);
                            rules.push(source);
                        }
                        Err(reason) => refuse(&pattern, &path, &reason, source, problems),
                    }
                }
            }
            Err(reason) => refuse(&pattern, &pattern.value, &reason, source, problems),
        }
    }
    rules
}

/// Reads the tables that the rules of a file look values up in; relative names start at the
/// directory of that file. What cannot be read is told when the rules are compiled.
pub(crate) fn read_tables(rules: &mut Source) {
    let folder = Path::new(&rules.path).parent().unwrap_or(Path::new("")).to_owned();
    let read = |name: String| {
        let path = folder.join(&name);
        let content = read_table(&path).map_err(|reason| reason.to_string());
        TableFile { name, path: path.display().to_string(), content }
    };
    rules.tables = rules.table_names().into_iter().map(read).collect();
}

fn read_table(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut text = String::new();
    // One byte more than is allowed, so that it is seen when there are more.
    file.take(TABLE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Compiles the rules and looks up the upstreams that they send to.
pub(crate) fn compile(
    rules: &[Source],
    upstreams: &[UpstreamConfig],
) -> Result<Plan, Vec<Diagnostic>> {
    let plan = weir_rules::compile(rules)?;
    let is_known = |name: &&str| upstreams.iter().any(|upstream| upstream.name == **name);
    let unknown: Vec<&str> = plan.upstreams().filter(|name| !is_known(name)).collect();
    if unknown.is_empty() {
        return Ok(plan);
    }
    Err(unknown.into_iter().map(|name| unknown_upstream(name, rules, upstreams)).collect())
}

fn refuse(
    pattern: &Placed<PathBuf>,
    path: &Path,
    reason: &io::Error,
    source: usize,
    problems: &mut Problems,
) {
    let message = format!("cannot read the rules `{}`", path.display());
    let refusal = Refusal::new(code::FILE, pattern.span.clone(), message, reason.to_string());
    let help = "relative names start at the directory of the configuration file";
    problems.refuse(source, refusal.help(help));
}

fn matching_files(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let folder = match pattern.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_match = entry.file_name().to_str().is_some_and(|entry| matches(name, entry));
        if is_match && !entry.path().is_dir() {
            paths.push(pattern.with_file_name(entry.file_name()));
        }
    }
    paths.sort();
    match paths.is_empty() {
        true => Err(io::Error::other("no file has such a name")),
        false => Ok(paths),
    }
}

/// Whether a file name fits a pattern with `*` and `?`. Hidden files fit only when named so.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Positions to return to when what follows the last `*` does not fit.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((star_p, star_n)) = star {
            star = Some((star_p, star_n + 1));
            (p, n) = (star_p + 1, star_n + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn unknown_upstream(name: &str, rules: &[Source], upstreams: &[UpstreamConfig]) -> Diagnostic {
    let problem = Diagnostic::error(code::UPSTREAM, format!("unknown upstream `{name}`"))
        .label("not in the configuration")
        .help(match upstreams.is_empty() {
            true => format!("add a section `[upstream.{name}]` to the configuration"),
            false => did_you_mean(name, upstreams.iter().map(|upstream| upstream.name.as_str())),
        });
    let place = rules.iter().find_map(|rule| Some((rule, place_of_upstream(&rule.text, name)?)));
    match place {
        Some((rule, span)) => problem.at(&rule.path, &rule.text, span),
        None => problem,
    }
}

/// Where a rule file says `upstream = "name"`: the plan keeps names only.
fn place_of_upstream(text: &str, name: &str) -> Option<Range<usize>> {
    text.match_indices("upstream").find_map(|(at, word)| {
        let after = &text[at + word.len()..];
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        let start = text.len() - value.len();
        let quoted = value.strip_prefix(['"', '\''])?.strip_prefix(name)?;
        quoted.starts_with(['"', '\'']).then(|| start..start + name.len() + 2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        assert!(matches("*.toml", "rooms.toml") && matches("*", "rooms.toml"));
        assert!(matches("r??ms.t*l", "rooms.toml") && matches("*o*m*", "rooms.toml"));
        assert!(!matches("*.toml", "rooms.toml~") && !matches("?", "ab") && !matches("a", ""));
        assert!(!matches("*.toml", ".hidden.toml"));
    }

    #[test]
    fn the_place_of_an_upstream_is_its_name() {
        let text = "to = { upstream='other' }\nto = { upstream = \"cloud\" }";
        assert_eq!(place_of_upstream(text, "cloud").map(|span| &text[span]), Some("\"cloud\""));
        assert_eq!(place_of_upstream(text, "clou"), None);
    }
}
