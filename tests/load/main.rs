//! Weir beside other brokers, on the same scenarios and the same machine, in turns.
//!
//! `weir bench` makes the load and keeps account; this program starts and stops the brokers, takes
//! medians, and writes the page. A run in which something was lost or came twice is no figure: its
//! cell says what was wrong.
#![allow(clippy::print_stderr, reason = "this is how it tells how far it is")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use clap::Parser;
use weir_tests::harness::weir::workspace;

// A module uses modules listed below it, never above.
mod page;

mod sections;

mod results;

mod measure;

mod runs;

mod machine;
mod peer;

use peer::Peer;
use results::Results;
use runs::Size;

#[derive(Debug, Parser)]
#[command(name = "tests/load/run", about = "Measure weir beside the other brokers installed")]
struct Arguments {
    /// How often everything is measured; the medians count
    #[arg(long, default_value_t = 3, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Seconds of each run
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    seconds: f64,
    /// One short round with little of everything: for a test, not for figures
    #[arg(long)]
    quick: bool,
    /// Write benchmarks.md and readme.md here, instead of docs/benchmarks.md and into README.md
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let weir = weir()?;
    let peers: Vec<Peer> = peer::all(&weir).into_iter().filter_map(Peer::found_or_named).collect();
    let folder = weir.with_file_name(format!("load-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let size = if arguments.quick { Size::QUICK } else { Size::full(arguments.seconds) };
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let runs = runs::all(&size);
    let mut results = Results::default();
    for round in 0..usize::from(rounds) {
        for run in &runs {
            // Each has its turn to be first.
            for place in 0..peers.len() {
                let peer = &peers[(place + round) % peers.len()];
                let outcome = measure::measure(&weir, peer, run, &folder);
                eprintln!("round {} of {rounds}: {} {}: {outcome}", round + 1, run.name, peer.name);
                results.add(run.name, peer.name, outcome);
            }
        }
    }
    let machine = machine::describe(&folder);
    fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let how = page::How { rounds, runs: &runs, machine, is_quick: arguments.quick };
    write(arguments.output.as_deref(), &how, &peers, &results)
}

/// The binary that is measured, and measures.
fn weir() -> Result<PathBuf, String> {
    let beside = || env::current_exe().map(|path| path.with_file_name("weir"));
    let path = env::var_os("WEIR_BIN").map_or_else(beside, |path| Ok(PathBuf::from(path)));
    let path = path.map_err(|error| error.to_string())?;
    let path = path
        .canonicalize()
        .map_err(|error| format!("{}: {error}; tests/load/run builds it", path.display()))?;
    Ok(path)
}

fn write(
    output: Option<&Path>,
    how: &page::How<'_>,
    peers: &[Peer],
    results: &Results,
) -> Result<(), String> {
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("wrote {}", path.display());
        Ok::<(), String>(())
    };
    let page = page::page(how, peers, results);
    let short = page::short_table(peers, results);
    if let Some(directory) = output {
        fs::create_dir_all(directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        write(directory.join("benchmarks.md"), &page)?;
        return write(directory.join("readme.md"), &short);
    }
    let readme = workspace().join("README.md");
    let text = fs::read_to_string(&readme).map_err(|error| format!("README.md: {error}"))?;
    write(workspace().join("docs/benchmarks.md"), &page)?;
    write(readme, &page::with_table(&text, &short)?)
}
