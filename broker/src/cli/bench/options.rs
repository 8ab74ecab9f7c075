//! The options that several scenarios have, and what each says to the broker because of them.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use clap::{ArgAction, Args};
use weir_mqtt::{
    Connect, ConnectProperties, Disconnect, Packet, PacketId, QoS, ReasonCode, Subscribe,
    SubscribeFilter, SubscribeFilters, SubscribeProperties, SubscriptionOptions, TopicFilter,
    Version,
};

use super::{failure::BenchError, report::Report, wire::Mark};
use crate::config::HostPort;

/// A session that is kept and that nobody comes back for is gone after that.
const SESSION_EXPIRY_S: u32 = 3600;
const KEEP_ALIVE_S: u16 = 600;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Clients have numbers of 16 bits, one of which stands for all.
pub(crate) const CLIENTS_MAX: i64 = 60_000;

/// Where the broker is, how to speak to it, and how to tell of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Host of the broker
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port of the broker
    #[arg(short, long, default_value_t = 1883)]
    pub(crate) port: u16,
    /// User name
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", requires = "username")]
    pub(crate) password: Option<String>,
    /// Speak MQTT 5.0 instead of 3.1.1
    #[arg(long)]
    pub(crate) v5: bool,
    /// Process of the broker on this machine: its processor time, memory and disk are reported too
    #[arg(long, value_name = "NUMBER")]
    pub(crate) pid: Option<u32>,
    /// Seconds of silence after which what has not come is missing
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) patience: Duration,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// The messages.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Load {
    /// QoS of messages and subscriptions: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) qos: u8,
    /// Bytes of each payload
    #[arg(long, default_value_t = 64, value_name = "BYTES", value_parser = parse_payload)]
    pub(crate) payload: usize,
    /// Messages under way in the broker at most; 0 sends without looking back
    #[arg(long, default_value_t = 1000, value_name = "MESSAGES")]
    pub(crate) window: u64,
    /// Messages of one publisher at most that are not acknowledged yet
    #[arg(long, default_value_t = 100, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) inflight: u32,
}

/// How long a run takes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Seconds during which messages are sent
    #[arg(long, default_value = "4", value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) seconds: Duration,
    /// Send so many messages instead, however long it takes
    #[arg(long, value_name = "MESSAGES", conflicts_with = "seconds")]
    pub(crate) count: Option<u64>,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joining<'a> {
    pub(crate) id: &'a str,
    /// Nothing is left of an earlier session, and nothing stays.
    pub(crate) is_clean: bool,
    pub(crate) receive_buffer_bytes: Option<usize>,
}

impl<'a> Joining<'a> {
    pub(crate) fn clean(id: &'a str) -> Self {
        Self { id, is_clean: true, receive_buffer_bytes: None }
    }
}

impl Length {
    /// So many messages.
    pub(crate) fn messages(count: u64) -> Self {
        Self { seconds: Duration::ZERO, count: Some(count) }
    }
}

impl Load {
    pub(crate) fn qos(&self) -> QoS {
        QoS::try_from(self.qos).expect("the command line takes 0, 1 and 2")
    }

    pub(crate) fn report(&self, report: &mut Report) {
        report.count("qos", self.qos.into());
        report.count("payload_bytes", self.payload as u64);
        report.count("window", self.window);
        report.count("inflight", self.inflight.into());
    }
}

impl Target {
    pub(crate) fn version(&self) -> Version {
        if self.v5 { Version::V5 } else { Version::V311 }
    }

    pub(crate) fn report(&self, report: &mut Report) {
        report.text("version", if self.v5 { "5.0" } else { "3.1.1" });
    }

    /// Looks the host up and tries each of its addresses, so that later a connection that fails is
    /// the broker's doing.
    pub(crate) fn find(&self) -> Result<SocketAddr, BenchError> {
        let failed = |source| BenchError::Connect {
            address: HostPort::new(self.host.as_str(), self.port).to_string(),
            source,
        };
        let mut last = std::io::Error::other("the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
                Ok(_) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Appends the CONNECT of a client.
    pub(crate) fn put_connect(
        &self,
        joining: Joining<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), BenchError> {
        let connect = Connect {
            clean_start: joining.is_clean,
            keep_alive_s: KEEP_ALIVE_S,
            username: self.username.as_deref(),
            password: self.password.as_deref().map(str::as_bytes),
            properties: ConnectProperties {
                session_expiry_interval_s: (!joining.is_clean).then_some(SESSION_EXPIRY_S),
                ..ConnectProperties::default()
            },
            ..Connect::new(self.version(), joining.id)
        };
        Ok(Packet::Connect(connect).encode(self.version(), out)?)
    }

    /// Appends a SUBSCRIBE with all filters.
    pub(crate) fn put_subscribe(
        &self,
        filters: &[String],
        qos: QoS,
        out: &mut Vec<u8>,
    ) -> Result<(), BenchError> {
        let options = SubscriptionOptions::new(qos);
        let parse = |text| TopicFilter::parse(text).expect("the filters of a scenario are right");
        let filters = filters.iter().map(|text| SubscribeFilter { filter: parse(text), options });
        let filters: Vec<_> = filters.collect();
        let subscribe = Subscribe {
            packet_id: PacketId::new(1).expect("it is not zero"),
            properties: SubscribeProperties::default(),
            filters: SubscribeFilters::from(&filters[..]),
        };
        Ok(Packet::Subscribe(subscribe).encode(self.version(), out)?)
    }

    /// Appends a DISCONNECT.
    pub(crate) fn put_disconnect(&self, out: &mut Vec<u8>) -> Result<(), BenchError> {
        let disconnect = Disconnect::with_reason(ReasonCode::Success);
        Ok(Packet::Disconnect(disconnect).encode(self.version(), out)?)
    }
}

/// A payload has room for its mark, else nothing could be said about order.
pub(crate) fn parse_payload(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(bytes) if (Mark::BYTES..=16_000_000).contains(&bytes) => Ok(bytes),
        _ => Err(format!(
            "must be a number from {} to 16000000; the first {} bytes are the mark by which a \
             message is known again",
            Mark::BYTES,
            Mark::BYTES
        )),
    }
}

pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("must be a number from 0.01 to 86400".to_owned()),
    }
}
