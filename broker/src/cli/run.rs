//! `weir run`: a broker until it is told to stop.

use std::{
    io::{IsTerminal as _, stdout},
    path::PathBuf,
};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::service::Service;
use super::stop::Stop;
use super::{Answer, CliError, dashboard, say};
use crate::{
    admin::{AdminKey, STATUS_PATH},
    broker::Broker,
    config::{Config, HostPort, ListenAddress, Overrides, load},
    logging,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Configuration file; without it Weir listens on 127.0.0.1:1883, for this machine only
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Value that goes before the file, such as limits.max_packet_size=1MB
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Directory of the store; goes before every other place that names one
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let overrides = Overrides::of_process(arguments.set.clone());
    let mut loaded = load(arguments.config.as_deref(), &overrides)?;
    loaded.warnings.iter().for_each(|warning| eprint!("{warning}"));
    if let Some(data_dir) = &arguments.data_dir {
        loaded.config.data_dir.clone_from(data_dir);
    }
    logging::start(loaded.config.log.level)?;
    let runtime = super::runtime()?;
    let told = welcome(arguments, &loaded.config);
    let listeners = loaded.config.listeners.iter();
    let sockets: Vec<ListenAddress> = listeners
        .map(|listener| listener.address.clone())
        .filter(|address| address.port().is_none())
        .collect();
    // Before anybody can know that it runs: until then SIGHUP would end it.
    let hung_up = hang_ups(&runtime)?;
    let mut service = Service::starting()?;
    let data_dir = loaded.config.data_dir.clone();
    let is_secure = loaded.config.admin.tls.is_some();
    let broker = Broker::start(loaded.config)?;
    // The same, but a start that takes long is ended by them at once.
    let stop = {
        let _context = runtime.enter();
        Stop::listen()?
    };
    for socket in sockets {
        say(&format!("weir {} listens on {socket}\n", env!("CARGO_PKG_VERSION")))?;
    }
    for address in broker.addresses() {
        say(&format!("weir {} listens on {address}\n", env!("CARGO_PKG_VERSION")))?;
    }
    if let Some(address) = broker.admin_address() {
        let scheme = if is_secure { "https" } else { "http" };
        say(&format!("  status at {scheme}://{address}{STATUS_PATH}\n"))?;
        // What is written to a log is read by more people than may do everything.
        let key = stdout().is_terminal().then(|| AdminKey::read(&data_dir).ok()).flatten();
        let place = HostPort::new(address.ip().to_string(), address.port());
        say(&format!("  dashboard at {}\n", dashboard::link(&place, is_secure, key.as_ref())))?;
    }
    say(&told)?;
    service.ready(&broker)?;
    let ended = runtime.block_on(wait(&broker, &service, stop, hung_up));
    service.stopping();
    broker.shutdown();
    ended.map(|()| Answer::Yes)
}

/// Waits until the process is told to end, or until the broker cannot go on: then a service
/// manager shall start the process again.
async fn wait(
    broker: &Broker,
    service: &Service,
    mut stop: Stop,
    mut hung_up: Signal,
) -> Result<(), CliError> {
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            Some(()) = hung_up.recv() => service.reloading(|| reload(broker)),
            reason = broker.failed() => return Err(CliError::Stopped(reason)),
        }
    }
}

/// From now on SIGHUP does not end the process, but waits to be heard.
fn hang_ups(runtime: &Runtime) -> Result<Signal, CliError> {
    let _context = runtime.enter();
    signal(SignalKind::hangup()).map_err(CliError::Runtime)
}

/// Reads the rules, passwords, permissions and certificates again; wrong files change nothing.
fn reload(broker: &Broker) {
    match broker.reload() {
        Ok(reloaded) => {
            eprint!("{reloaded}");
            tracing::info!(rules = reloaded.rules.len(), "the files were read again");
        }
        Err(error) => {
            eprint!("{}", error.report());
            tracing::error!("nothing was changed: a file is wrong");
        }
    }
}

/// What somebody who has no file yet wants to know; nothing for everybody else.
fn welcome(arguments: &Arguments, config: &Config) -> String {
    if arguments.config.is_some() {
        return String::new();
    }
    let data = match config.persistence {
        true => format!("data is kept in {}", config.data_dir.display()),
        false => "nothing is kept after the end".to_owned(),
    };
    format!(
        "  {data}\n\n\
         Next, in another terminal:\n  \
         weir sub -t '#' -v                   print every message\n  \
         weir pub -t hello -m world           publish one\n  \
         weir demo                            sensors, rules and an upstream to look at\n  \
         weir run --config weir.toml          with a file of your own\n\n\
         Ctrl-C ends it.\n"
    )
}
