//! One run against one broker: it is started for this alone, and stopped afterwards.

use std::fmt;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::harness::ports::free_address;

use crate::peer::Peer;
use crate::runs::Run;

const START_WITHIN: Duration = Duration::from_secs(30);
const RUN_WITHIN: Duration = Duration::from_secs(300);
const STOP_WITHIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// There is no report, for a reason.
    Failed(String),
    /// The broker cannot be set so.
    NoSuchSetting,
    /// What `weir bench` says.
    Report(Value),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => write!(f, "failed: {reason}"),
            Self::NoSuchSetting => f.write_str("no such setting"),
            Self::Report(report) => f.write_str(if report["ok"] == true { "ok" } else { "wrong" }),
        }
    }
}

pub(crate) fn measure(weir: &Path, peer: &Peer, run: &Run, folder: &Path) -> Outcome {
    let folder = folder.join("broker");
    let outcome = fs::create_dir_all(&folder)
        .map_err(|error| error.to_string())
        .and_then(|()| in_folder(weir, peer, run, &folder));
    // The next broker makes it again.
    fs::remove_dir_all(&folder).ok();
    outcome.unwrap_or_else(Outcome::Failed)
}

fn in_folder(weir: &Path, peer: &Peer, run: &Run, folder: &Path) -> Result<Outcome, String> {
    let told = |error: std::io::Error| error.to_string();
    let address = free_address();
    let Some(mut command) = peer.command(run.setting, address, folder).map_err(told)? else {
        return Ok(Outcome::NoSuchSetting);
    };
    let log = File::create(folder.join("log")).map_err(told)?;
    let errors = log.try_clone().map_err(told)?;
    command.current_dir(folder).stdin(Stdio::null()).stdout(log).stderr(errors);
    let mut broker = Stopped(command.spawn().map_err(told)?);
    await_listener(&mut broker.0, address)?;
    let output = folder.join("report");
    let mut bench = Command::new(weir);
    bench
        .arg("bench")
        .args(run.arguments.split_whitespace())
        .args(["--json", "--host", &address.ip().to_string(), "--port"])
        .args([address.port().to_string(), "--pid".to_owned(), broker.0.id().to_string()])
        .stdin(Stdio::null())
        .stdout(File::create(&output).map_err(told)?)
        .stderr(File::create(folder.join("errors")).map_err(told)?);
    let mut bench = Stopped(bench.spawn().map_err(told)?);
    await_end(&mut bench.0, RUN_WITHIN).ok_or("it took too long")?;
    let report = fs::read_to_string(&output).map_err(told)?;
    serde_json::from_str(&report).map(Outcome::Report).map_err(|_| {
        let errors = fs::read_to_string(folder.join("errors")).unwrap_or_default();
        let line = errors.lines().next().unwrap_or("no report");
        line.trim_start_matches("error: ").to_owned()
    })
}

fn await_listener(broker: &mut Child, address: SocketAddr) -> Result<(), String> {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Ok(Some(status)) = broker.try_wait() {
            return Err(format!("the broker ended with {status}"));
        }
        if start.elapsed() > START_WITHIN {
            return Err("the broker does not listen".to_owned());
        }
        sleep(PAUSE);
    }
    Ok(())
}

/// None when it takes too long.
fn await_end(child: &mut Child, limit: Duration) -> Option<()> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return Some(());
        }
        sleep(PAUSE);
    }
    None
}

/// A process that is asked to end, and made to if it does not.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        let asked = Command::new("kill").arg(self.0.id().to_string()).status();
        if asked.is_err() || await_end(&mut self.0, STOP_WITHIN).is_none() {
            self.0.kill().ok();
        }
        self.0.wait().ok();
    }
}
