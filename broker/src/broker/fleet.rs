//! The member of a fleet, if the configuration names one: its numbers in the store, and what its
//! reader wants before the others are heard of.

#[cfg(feature = "nats")]
pub(super) use with_nats::FleetReader;
#[cfg(not(feature = "nats"))]
pub(super) use without_nats::FleetReader;

#[cfg(feature = "nats")]
mod with_nats {
    use std::sync::Arc;

    use weir_core::{ReaderConfig, ReaderId, ReaderKind};

    use crate::broker::readers::SHARD;
    use crate::clock::ClockWatch;
    use crate::config::Config;
    use crate::fleet::{Fleet, Place, wanted_before};
    use crate::mailbox::Mailboxes;
    use crate::store::{Store, StoreError};

    /// The numbers of the fleet.
    #[derive(Clone, Copy)]
    pub(in crate::broker) struct FleetReader {
        pub(in crate::broker) reader: ReaderId,
        position: ReaderId,
    }

    impl FleetReader {
        pub(in crate::broker) fn register(
            store: &Store,
            config: &Config,
        ) -> Result<Option<Self>, StoreError> {
            if config.fleet.is_none() {
                return Ok(None);
            }
            let reader = store.register_readers(&["fleet"])?;
            let reader = *reader.first().expect("each name has a number");
            let position = store.number_place("fleet/position")?;
            Ok(Some(Self { reader, position }))
        }

        pub(in crate::broker) fn config(&self, config: &Config) -> ReaderConfig {
            let fleet = config.fleet.as_ref().expect("it was registered");
            ReaderConfig {
                reader: self.reader,
                filters: wanted_before(fleet, &config.data_dir),
                kind: ReaderKind::Fleet,
                // Histories and rules of the others may want to know.
                names_publishers: true,
            }
        }

        /// The member; it does not run yet.
        pub(in crate::broker) fn member(
            &self,
            config: &Config,
            store: &Arc<Store>,
            mailboxes: &Mailboxes,
            clock_watch: &Arc<ClockWatch>,
        ) -> Fleet {
            let fleet = config.fleet.as_ref().expect("it was registered");
            let place = Place {
                reader: self.reader,
                position: self.position,
                shard: SHARD,
                data_dir: config.data_dir.clone(),
                store: store.clone(),
                mailboxes: mailboxes.clone(),
                clock_watch: clock_watch.clone(),
            };
            Fleet::new(fleet, place)
        }
    }
}

#[cfg(not(feature = "nats"))]
mod without_nats {
    use std::sync::Arc;

    use weir_core::{ReaderConfig, ReaderId};

    use crate::clock::ClockWatch;
    use crate::config::Config;
    use crate::fleet::Fleet;
    use crate::mailbox::Mailboxes;
    use crate::store::{Store, StoreError};

    /// Cannot be: the check of the configuration refuses a fleet.
    #[derive(Clone, Copy)]
    pub(in crate::broker) struct FleetReader {
        pub(in crate::broker) reader: ReaderId,
        never: std::convert::Infallible,
    }

    impl FleetReader {
        pub(in crate::broker) fn register(
            _: &Store,
            _: &Config,
        ) -> Result<Option<Self>, StoreError> {
            Ok(None)
        }

        pub(in crate::broker) fn config(&self, _: &Config) -> ReaderConfig {
            match self.never {}
        }

        pub(in crate::broker) fn member(
            &self,
            _: &Config,
            _: &Arc<Store>,
            _: &Mailboxes,
            _: &Arc<ClockWatch>,
        ) -> Fleet {
            match self.never {}
        }
    }
}
