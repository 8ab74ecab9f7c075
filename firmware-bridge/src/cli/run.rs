//! `weir-bridge run`: the bridge until it is told to stop.

use std::env;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::print::PrintBroker;
use super::{Answer, CliError, count, say};
use crate::agent::Hardware;
use crate::config::{Config, ConfigError, changes, load, parse};
use crate::log;
use crate::serve::{ServeError, Serving};
use crate::session::Broker;
use crate::systemd::{Manager, Notice};
use crate::tcp::TcpBroker;
use crate::tls::TlsClient;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Configuration file; docs/devices-configuration.md has every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Simulate all buses and pins; without a file, those of a small plant
    ///
    /// Chips are register models that the real drivers read. What they measure depends on the seed
    /// and on the time of day only.
    #[arg(long)]
    simulate: bool,
    /// Decides what simulated devices measure
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "simulate")]
    seed: u64,
    /// Broker, in the place of the one that the file names
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Print what would be published, without a broker; commands cannot be given then
    #[arg(long, conflicts_with = "broker")]
    print: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let mut config = configuration(arguments)?;
    start_log()?;
    let hardware = match arguments.simulate {
        true => Hardware::simulated(arguments.seed),
        false => Hardware::of_this_machine(),
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CliError::Runtime)?;
    runtime.block_on(async {
        let mut outside = Outside::new().map_err(CliError::Runtime)?;
        // What to go back to while the next one is not open.
        let mut before: Option<Config> = None;
        loop {
            let next = match arguments.print {
                true => {
                    let config = Config { links: Vec::new(), ..config.clone() };
                    let serving = Serving::open(&config, &hardware, PrintBroker::default);
                    serve(serving, &mut before, &config, arguments, &mut outside).await
                }
                false => {
                    let serving = open(&config, &hardware, arguments);
                    serve(serving, &mut before, &config, arguments, &mut outside).await
                }
            };
            match (next, before.take()) {
                (Ok(Next::End), _) => return Ok(Answer::Yes),
                (Ok(Next::Changed(changed)), _) => {
                    before = Some(std::mem::replace(&mut config, *changed));
                }
                (Err(error), Some(last)) => {
                    eprintln!(
                        "{}the bridge goes on as it was before",
                        CliError::from(error).report()
                    );
                    config = last;
                }
                (Err(error), None) => return Err(error.into()),
            }
        }
    })
}

/// Why a bridge has ended.
enum Next {
    Changed(Box<Config>),
    End,
}

fn open(
    config: &Config,
    hardware: &Hardware,
    arguments: &Arguments,
) -> Result<Serving<TcpBroker>, ServeError> {
    let address = broker(config, arguments);
    let (host, port) = host_and_port(address)?;
    let tls = config.tls.clone().map(TlsClient::open).transpose()?.map(Arc::new);
    let open = || TcpBroker::new(Handle::current(), host, port, tls.clone(), SESSIONS_MAX);
    let serving = Serving::open(config, hardware, open)?;
    // Whoever closed the output does not want to know.
    say(&welcome(config, address)).ok();
    Ok(serving)
}

/// Runs a bridge until it is told to end, or its file says something else. `before` is let go of
/// once it is open.
async fn serve<B: Broker>(
    serving: Result<Serving<B>, ServeError>,
    before: &mut Option<Config>,
    config: &Config,
    arguments: &Arguments,
    outside: &mut Outside,
) -> Result<Next, ServeError> {
    let serving = serving?;
    *before = None;
    let status = match arguments.print {
        true => devices(config),
        false => welcome(config, broker(config, arguments)),
    };
    outside.tell(&[Notice::Ready, Notice::Status(status.trim_end())]);
    let (end, ended) = watch::channel(false);
    let mut running = pin!(serving.run(ended));
    let mut next = Next::End;
    loop {
        let is_ending = *end.borrow();
        tokio::select! {
            result = &mut running => return result.map(|()| next),
            told = outside.next(), if !is_ending => match told {
                Told::End => {
                    outside.tell(&[Notice::Stopping]);
                    end.send_replace(true);
                }
                Told::ReadAgain => {
                    outside.tell(&[Notice::Reloading]);
                    match read_again(arguments.config.as_deref(), config) {
                        // It is ready when the next bridge is open.
                        Some(changed) => {
                            next = Next::Changed(changed);
                            end.send_replace(true);
                        }
                        None => outside.tell(&[Notice::Ready]),
                    }
                }
            }
        }
    }
}

/// The file as it is now, if it is right and says something else. Everything is said on stderr.
fn read_again(path: Option<&Path>, config: &Config) -> Option<Box<Config>> {
    let Some(path) = path else {
        eprintln!("there is no file to read again");
        return None;
    };
    let read = load(path).map_err(CliError::from).and_then(|read| {
        let tls = read.tls.clone().map(TlsClient::open).transpose();
        tls.map_err(|error| ServeError::from(error).into()).map(|_| read)
    });
    match read {
        Err(error) => {
            eprintln!("{}nothing was changed", error.report());
            None
        }
        Ok(read) => {
            let changes = changes(config, &read);
            changes.iter().for_each(|change| eprintln!("{change}"));
            if changes.is_empty() {
                eprintln!("{} says the same as before", path.display());
            }
            (!changes.is_empty()).then(|| Box::new(read))
        }
    }
}

fn configuration(arguments: &Arguments) -> Result<Config, CliError> {
    match &arguments.config {
        Some(path) => Ok(load(path)?),
        None if arguments.simulate => parse("simulated.toml", SIMULATED, Path::new(""))
            .map_err(|problems| ConfigError::Invalid { problems }.into()),
        None => Err(CliError::NoConfig),
    }
}

fn broker<'a>(config: &'a Config, arguments: &'a Arguments) -> &'a str {
    arguments.broker.as_deref().unwrap_or(&config.bridge.broker)
}

fn host_and_port(address: &str) -> Result<(&str, u16), ServeError> {
    let parsed = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parsed.ok_or_else(|| ServeError::Address {
        address: address.to_owned(),
        reason: "it has no port".to_owned(),
    })?;
    Ok((host.trim_start_matches('[').trim_end_matches(']'), port))
}

/// What the process is told.
enum Told {
    End,
    ReadAgain,
}

/// What tells the process something, and what it tells how it is.
struct Outside {
    end: [Signal; 2],
    hang_up: Signal,
    manager: Option<Manager>,
}

impl Outside {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            end: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?],
            hang_up: signal(SignalKind::hangup())?,
            manager: Manager::of_process(),
        })
    }

    async fn next(&mut self) -> Told {
        let [terminate, interrupt] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => Told::End,
            _ = interrupt.recv() => Told::End,
            _ = self.hang_up.recv() => Told::ReadAgain,
        }
    }

    fn tell(&self, notices: &[Notice<'_>]) {
        self.manager.iter().for_each(|manager| manager.tell(notices));
    }
}

fn devices(config: &Config) -> String {
    let devices = config.sensors.len()
        + config.onewire.len()
        + config.system.len()
        + config.gpio.len()
        + config.pwm.len()
        + config.modbus.len();
    count(devices, "device")
}

fn welcome(config: &Config, broker: &str) -> String {
    let bridge = &config.bridge;
    format!(
        "weir-bridge {} brings {} to {broker}, below {}/{}\n",
        env!("CARGO_PKG_VERSION"),
        devices(config),
        bridge.root,
        bridge.id,
    )
}

/// `WEIR_BRIDGE_LOG` says which events are written.
fn start_log() -> Result<(), CliError> {
    match env::var(LOG_VARIABLE) {
        Ok(text) if !text.is_empty() => log::start(&text).map_err(|_| CliError::Log(text)),
        _ => log::start("warn,weir_firmware_bridge=info")
            .map_err(|error| CliError::Log(error.to_string())),
    }
}

const SIMULATED: &str = include_str!("simulated.toml");
const LOG_VARIABLE: &str = "WEIR_BRIDGE_LOG";
/// Sessions of the agent, or of the nodes of a gateway.
const SESSIONS_MAX: usize = 10_001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_plant_is_right() {
        let config = parse("simulated.toml", SIMULATED, Path::new("")).unwrap();
        assert!(config.sensors.len() >= 6);
    }
}
