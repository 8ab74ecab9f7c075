//! Everything that a configuration asks for, over one kind of way to a broker: the host agent, and
//! the gateway if there are links, side by side in one task.

mod gateway;

use std::fs;
use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tokio::sync::watch;

use crate::agent::{Bridge, BridgeError, Hardware, QueueError};
use crate::config::Config;
use crate::questions::Asker;
use crate::run::{RunError, Runner};
use crate::session::{Broker, Credentials, SessionId};
use crate::tls::TlsError;

/// A bridge that is ready to run.
#[derive(Debug)]
pub struct Serving<B> {
    agent: Bridge<B>,
    gateway: Option<Runner<B>>,
}

/// Why a bridge cannot run, or cannot run any longer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address that a name does not have, or that cannot be used for what it is for.
    #[error("`{address}` cannot be used: {reason}")]
    Address {
        /// As it is written.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host agent.
    #[error(transparent)]
    Agent(#[from] BridgeError),
    /// The directory for what is to outlive a restart.
    #[error("cannot make the directory `{}`", path.display())]
    Folder {
        /// Its name.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The gateway for MQTT-SN.
    #[error(transparent)]
    Gateway(#[from] RunError),
    /// TLS to the broker.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file with the password.
    #[error("cannot read `{}`", path.display())]
    Password {
        /// Its name.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl ServeError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Address { .. } => "write HOST:PORT, for example 127.0.0.1:1883",
            Self::Agent(BridgeError::Queue(QueueError::InUse { .. })) => {
                "end the other one, or give this one a `data_dir` of its own in [bridge]"
            }
            Self::Agent(_) | Self::Folder { .. } => {
                "this user must be able to write `data_dir` of [bridge]"
            }
            Self::Gateway(_) => "is another program using this address or file?",
            Self::Tls(error) => error.help(),
            Self::Password { .. } => "check the name and that this user may read the file",
        }
    }
}

/// Asks the parts of a bridge for their numbers while it runs. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Askers {
    /// The host agent.
    pub agent: Asker,
    /// The gateway, if there is one.
    pub gateway: Option<Asker>,
}

impl<B: Broker> Serving<B> {
    /// Opens links, buses and sessions. Each part has a way to the broker of its own, which `broker`
    /// makes. Needs a runtime of tokio.
    ///
    /// # Errors
    /// Something that is asked for cannot be opened. Sensors and serial lines are tried again instead.
    pub fn open(
        config: &Config,
        hardware: &Hardware,
        mut broker: impl FnMut() -> B,
    ) -> Result<Self, ServeError> {
        if let Some(path) = &config.bridge.data_dir {
            fs::create_dir_all(path)
                .map_err(|source| ServeError::Folder { path: path.clone(), source })?;
        }
        let credentials = credentials(config)?;
        let gateway = gateway::open(config, credentials.clone(), &mut broker)?;
        let (agent, aside) = Bridge::start(config, credentials, hardware, broker(), SessionId(0))?;
        if let Some(aside) = aside {
            tracing::error!(
                path = %aside.display(),
                "the queue on disk was damaged: it was put aside, and what waited in it is lost"
            );
        }
        Ok(Self { agent, gateway })
    }

    /// Who can be asked while it runs.
    pub fn askers(&self) -> Askers {
        let gateway = self.gateway.as_ref().map(Runner::asker);
        Askers { agent: self.agent.asker(), gateway }
    }

    /// Runs until it is told to stop; a sender that is gone says the same. When one part ends, so
    /// does the other: whoever looks after the bridge starts both anew.
    ///
    /// # Errors
    /// The gateway cannot go on.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), ServeError> {
        let Self { agent, gateway } = self;
        let (ended, end) = watch::channel(false);
        let is_told = |mut stop: watch::Receiver<bool>, mut end: watch::Receiver<bool>| async move {
            tokio::select! {
                _ = stop.wait_for(|is_set| *is_set) => {}
                _ = end.wait_for(|is_set| *is_set) => {}
            }
        };
        let told = is_told(stop.clone(), end.clone());
        let gateway = async {
            let Some(gateway) = gateway else { return Ok(()) };
            let result = gateway.run(told).await;
            ended.send_replace(true);
            result.map(|_| ())
        };
        let (gateway, ()) = tokio::join!(gateway, agent.run(is_told(stop, end)));
        Ok(gateway?)
    }
}

fn credentials(config: &Config) -> Result<Option<Credentials>, ServeError> {
    let Some(user) = &config.bridge.username else { return Ok(None) };
    let password = match &config.bridge.password_file {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|source| ServeError::Password { path: path.clone(), source })?;
            Some(text.lines().next().unwrap_or_default().into())
        }
    };
    Ok(Some(Credentials { user: user.as_str().into(), password }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll};
    use std::time::Duration;

    use super::*;
    use crate::config::parse;
    use crate::session::{Command, Event, Full, SessionOptions};

    /// A broker that never answers, and counts how often it is asked.
    struct Silent(Arc<AtomicU64>);

    impl Broker for Silent {
        fn open(&mut self, _: SessionId, _: SessionOptions) -> Result<(), Full> {
            Ok(())
        }

        fn command(&mut self, _: SessionId, _: Command) -> Result<(), Full> {
            Ok(())
        }

        fn poll_events(
            &mut self,
            _: &mut Context<'_>,
            _: &mut Vec<(SessionId, Event)>,
        ) -> Poll<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }
    }

    /// Without a sensor the agent once asked without a pause: nobody could send it anything, and it
    /// took that for something that was sent.
    #[tokio::test]
    async fn a_bridge_with_nothing_to_do_does_nothing() {
        let text = "[bridge]\nid = \"gw\"\n[[link]]\nkind = \"udp\"\nbind = \"127.0.0.1:0\"\n";
        for text in [text, "[bridge]\nid = \"gw\"\n"] {
            let config = parse("bridge.toml", text, Path::new("")).expect("it is right");
            let polls = Arc::new(AtomicU64::new(0));
            let broker = || Silent(polls.clone());
            let serving = Serving::open(&config, &Hardware::simulated(1), broker);
            let (stop, stopped) = watch::channel(false);
            let serving = serving.expect("it opens");
            let run = serving.run(stopped);
            let quiet = tokio::time::timeout(Duration::from_millis(300), run).await;
            assert!(quiet.is_err(), "it ended by itself");
            assert!(polls.load(Ordering::Relaxed) < 50, "{polls:?}");
            drop(stop);
        }
    }

    #[tokio::test]
    async fn the_parts_of_a_bridge_answer_while_it_runs() {
        let text = "[bridge]\nid = \"gw\"\n[[link]]\nkind = \"udp\"\nbind = \"127.0.0.1:0\"\n";
        let config = parse("bridge.toml", text, Path::new("")).expect("it is right");
        let broker = || Silent(Arc::default());
        let serving = Serving::open(&config, &Hardware::simulated(1), broker).expect("it opens");
        let askers = serving.askers();
        let (stop, stopped) = watch::channel(false);
        let asked = tokio::task::spawn_blocking(move || {
            let patience = Duration::from_secs(20);
            let gateway = askers.gateway.clone().expect("there is a link").ask(patience);
            let agent = askers.agent.ask(patience);
            stop.send_replace(true);
            (gateway.expect("an answer"), agent.expect("an answer"), askers)
        });
        serving.run(stopped).await.expect("it ends as asked");
        let (gateway, agent, askers) = asked.await.expect("it asked");
        assert!(gateway.contains(&("clients", 0)), "{gateway:?}");
        assert!(agent.contains(&("samples", 0)), "{agent:?}");
        assert_eq!(askers.agent.ask(Duration::ZERO), None, "it has ended");
    }
}
