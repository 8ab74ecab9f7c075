//! The clients of a campaign: four publishers with sessions, two subscribers that are mostly
//! there, one that is mostly away, and one for the windows of a rule. They go by the book. What
//! was acknowledged has to be there in the end, in its order, and QoS 2 once.

use std::net::SocketAddr;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fmt, thread};

use weir_mqtt::{QoS, Version};

use super::load::{Ledger, Load};
use super::readers::{Reader, What};
use super::retained;

/// All clients of a broker.
#[derive(Debug)]
pub struct Clients {
    loads: Vec<Load>,
    online: Vec<Reader>,
    offline: Reader,
}

/// What has come of it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages that were acknowledged to their publishers.
    pub acknowledged: u64,
    /// Deliveries of QoS 1 that came once more, as they may.
    pub repeated: u64,
    /// Windows that were compared to a plain computation.
    pub windows: u64,
}

impl Account {
    /// Its lines in a report.
    #[must_use]
    pub fn lines(&self) -> [(&'static str, String); 3] {
        [
            ("acknowledged", self.acknowledged.to_string()),
            ("repeated_at_qos_1", self.repeated.to_string()),
            ("windows_compared", self.windows.to_string()),
        ]
    }
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.repeated += other.repeated;
        self.windows += other.windows;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, repeated, windows } = self;
        write!(
            f,
            "{acknowledged} messages acknowledged, {windows} windows compared, {repeated} \
             deliveries of QoS 1 repeated"
        )
    }
}

impl Clients {
    /// Clients that no broker knows yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let loads = [
            Load::new(0, Version::V5, QoS::AtLeastOnce, seed),
            Load::new(1, Version::V311, QoS::AtLeastOnce, seed),
            Load::new(2, Version::V5, QoS::ExactlyOnce, seed),
            Load::new(3, Version::V311, QoS::ExactlyOnce, seed),
        ];
        let online = [
            Reader::new("online-5", Version::V5, What::Loads),
            Reader::new("online-311", Version::V311, What::Loads),
            Reader::new("windows", Version::V5, What::Windows),
        ];
        let offline = Reader::new("offline", Version::V5, What::Loads);
        Self { loads: loads.into(), online: online.into(), offline }
    }

    /// Lets everything that is under way come to its end, and looks whether all is there.
    ///
    /// # Panics
    /// Something is missing, comes twice, or is something else.
    pub fn settle(&mut self, address: SocketAddr, with_offline: bool) {
        retained::check_before_resume(address, ledgers(&self.loads));
        for reader in &mut self.online {
            reader.connect(address).expect("the broker runs");
        }
        for load in &mut self.loads {
            load.settle(address);
        }
        if with_offline {
            self.offline.connect(address).expect("the broker runs");
            self.offline.catch_up(ledgers(&self.loads));
            self.offline.disconnect();
        }
        for reader in &mut self.online {
            reader.catch_up(ledgers(&self.loads));
        }
        retained::check_settled(address, ledgers(&self.loads));
    }

    /// Lets every client work, and ends the broker `wait` after the begin.
    ///
    /// # Panics
    /// Something comes that must not, or the broker is gone before that.
    pub fn work_until(
        &mut self,
        address: SocketAddr,
        with_offline: bool,
        wait: Duration,
        end: impl FnOnce(),
    ) {
        let offline = with_offline.then_some(&mut self.offline);
        thread::scope(|scope| {
            // Nobody sends: the channel closes when every thread has ended before its time.
            let (held, ended) = mpsc::channel::<()>();
            for load in &mut self.loads {
                let held = held.clone();
                scope.spawn(move || {
                    load.run_until_closed(address);
                    drop(held);
                });
            }
            for reader in self.online.iter_mut().chain(offline) {
                scope.spawn(move || reader.run_until_closed(address));
            }
            drop(held);
            let early = ended.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected);
            end();
            assert!(!early, "the broker was gone before its end");
        });
    }

    /// Lets many messages be long from now on, or few: see [`Load::set_long`].
    pub fn set_long(&mut self, many: bool) {
        self.loads.iter_mut().for_each(|load| load.set_long(many));
    }

    /// Breaks all connections.
    pub fn disconnect(&mut self) {
        self.loads.iter_mut().for_each(Load::disconnect);
        self.online.iter_mut().chain([&mut self.offline]).for_each(Reader::disconnect);
    }

    /// What the publishers have sent.
    #[must_use]
    pub fn ledgers(&self) -> Vec<Arc<Ledger>> {
        self.loads.iter().map(|load| load.ledger().clone()).collect()
    }

    /// What has come of it.
    #[must_use]
    pub fn account(&self) -> Account {
        let readers = self.online.iter().chain([&self.offline]);
        Account {
            acknowledged: ledgers(&self.loads).map(Ledger::acknowledged).sum(),
            repeated: readers.clone().map(Reader::repeated).sum(),
            windows: readers.map(Reader::windows).sum(),
        }
    }
}

fn ledgers(loads: &[Load]) -> impl Iterator<Item = &Ledger> + Clone {
    loads.iter().map(|load| load.ledger().as_ref())
}
