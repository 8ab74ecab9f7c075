//! A broker that is killed and started again, and a publisher that goes on with each of them.

use std::path::PathBuf;

use weir_mqtt::Version;

use super::publisher::Publisher;
use super::weir::Weir;

/// The broker and its publisher, which knows by QoS 2 what has come in: nothing comes in twice.
#[derive(Debug)]
pub struct Restarted {
    config: PathBuf,
    weir: Option<Weir>,
    /// Connected to the broker that runs.
    pub publisher: Publisher,
}

impl Restarted {
    /// Starts it with a configuration.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(config: PathBuf) -> Self {
        let publisher = Publisher::new("sensor", Version::V5, 20);
        let mut restarted = Self { config, weir: None, publisher };
        restarted.kill_and_start();
        restarted
    }

    /// Kills the one that runs, and starts another.
    ///
    /// # Panics
    /// It does not start.
    pub fn kill_and_start(&mut self) {
        if let Some(weir) = self.weir.take() {
            weir.kill();
        }
        let weir = Weir::start(&self.config);
        self.publisher.connect(weir.address()).expect("it listens");
        self.weir = Some(weir);
    }

    /// The one that runs.
    ///
    /// # Panics
    /// None has been started.
    #[must_use]
    pub fn weir(&self) -> &Weir {
        self.weir.as_ref().expect("it was started")
    }

    /// Asks it to end.
    pub fn stop(self) {
        if let Some(weir) = self.weir {
            weir.stop();
        }
    }
}
