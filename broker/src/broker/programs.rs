//! What a program that runs a broker has of it besides the network: clients and sinks.

use std::collections::BTreeSet;

use weir_mqtt::TopicFilter;

use super::{Broker, StartError};
use crate::client::{Client, ClientError, ClientOptions};
use crate::config::{UpstreamConfig, UpstreamKind};
use crate::upstream::{Sink, SinkError};

impl Broker {
    /// A client in this process. Waits until the broker has taken it, some milliseconds; a kept
    /// session is on the disk then.
    ///
    /// # Errors
    /// The client identifier is not one, the user may not come in, or there are as many clients as
    /// may be.
    pub fn client(&self, options: ClientOptions) -> Result<Client, ClientError> {
        let running = self.running.as_ref().ok_or(ClientError::Ended)?;
        running.clients.open(options)
    }

    /// Takes the sink of an upstream that is
    /// [the program itself](UpstreamConfig::for_program). It is free again when it and its messages
    /// are dropped.
    ///
    /// # Errors
    /// There is no such upstream, or its sink is held.
    pub fn sink(&self, name: &str) -> Result<Sink, SinkError> {
        let running = self.running.as_ref().ok_or(SinkError::Ended)?;
        running.upstreams.sink(name)
    }
}

/// Those of files were checked with them; those of a program were not.
pub(super) fn check(upstreams: &[UpstreamConfig]) -> Result<(), StartError> {
    let mut names = BTreeSet::new();
    for UpstreamConfig { name, kind, forward, .. } in upstreams {
        let refuse = |reason: String| StartError::Upstream { name: name.clone(), reason };
        if !names.insert(name) {
            return Err(refuse("there are two of this name".to_owned()));
        }
        if *kind != UpstreamKind::Program {
            continue;
        }
        if name.is_empty() || name.contains('/') {
            return Err(refuse("a name is not empty and has no `/`".to_owned()));
        }
        for route in forward {
            let said = |error| refuse(format!("the topic filter `{}` {error}", route.from));
            TopicFilter::parse(&route.from).map_err(said)?;
        }
    }
    Ok(())
}
