//! What a client says in CONNECT.

use std::num::{NonZeroU16, NonZeroU32};

use weir_mqtt::{Connect, ConnectProperties, Packet, QoS, Version, Will, WillProperties};

/// A CONNECT in the making.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) expiry_s: Option<u32>,
    pub(crate) keep_alive_s: u16,
    pub(crate) receive_max: Option<u16>,
    pub(crate) packet_max: Option<u32>,
    pub(crate) topic_alias_max: Option<u16>,
    pub(crate) response_information: Option<bool>,
    pub(crate) problem_information: Option<bool>,
    pub(crate) will: Option<WillOptions>,
    pub(crate) authentication_method: Option<&'static str>,
    pub(crate) authentication_data: Option<&'static [u8]>,
    pub(crate) username: Option<&'static str>,
    pub(crate) password: Option<&'static [u8]>,
}

/// A will in the making.
#[derive(Clone, Debug)]
pub(crate) struct WillOptions {
    pub(crate) topic: &'static str,
    pub(crate) payload: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) delay_s: Option<u32>,
    pub(crate) expiry_s: Option<u32>,
}

/// An MQTT 5 client that begins anew and leaves nothing behind.
pub(crate) fn v5(client_id: &str) -> Options {
    Options {
        version: Version::V5,
        client_id: client_id.to_owned(),
        clean: true,
        expiry_s: None,
        keep_alive_s: 0,
        receive_max: None,
        packet_max: None,
        topic_alias_max: None,
        response_information: None,
        problem_information: None,
        will: None,
        authentication_method: None,
        authentication_data: None,
        username: None,
        password: None,
    }
}

/// An MQTT 3.1.1 client with a clean session.
pub(crate) fn v311(client_id: &str) -> Options {
    Options { version: Version::V311, ..v5(client_id) }
}

/// An MQTT 3.1 client with a clean session.
pub(crate) fn v31(client_id: &str) -> Options {
    Options { version: Version::V31, ..v5(client_id) }
}

impl Options {
    /// Goes on with an old session, and keeps the session for an hour (3.x: for ever).
    pub(crate) fn kept(self) -> Self {
        let expiry_s = (self.version == Version::V5).then_some(3600);
        Self { clean: false, expiry_s, ..self }
    }

    pub(crate) fn clean(self) -> Self {
        Self { clean: true, ..self }
    }

    pub(crate) fn expiry(self, seconds: u32) -> Self {
        Self { clean: false, expiry_s: Some(seconds), ..self }
    }

    pub(crate) fn username(self, name: &'static str) -> Self {
        Self { username: Some(name), ..self }
    }

    pub(crate) fn method(self, method: &'static str, data: &'static [u8]) -> Self {
        let (authentication_method, authentication_data) = (Some(method), Some(data));
        Self { authentication_method, authentication_data, ..self }
    }

    pub(crate) fn keep_alive(self, seconds: u16) -> Self {
        Self { keep_alive_s: seconds, ..self }
    }

    pub(crate) fn receive_max(self, max: u16) -> Self {
        Self { receive_max: Some(max), ..self }
    }

    pub(crate) fn packet_max(self, max: u32) -> Self {
        Self { packet_max: Some(max), ..self }
    }

    pub(crate) fn topic_alias_max(self, max: u16) -> Self {
        Self { topic_alias_max: Some(max), ..self }
    }

    pub(crate) fn problem_information(self, wanted: bool) -> Self {
        Self { problem_information: Some(wanted), ..self }
    }

    pub(crate) fn response_information(self, wanted: bool) -> Self {
        Self { response_information: Some(wanted), ..self }
    }

    /// Adds a QoS 1 will without delay.
    pub(crate) fn will(self, topic: &'static str, payload: &'static str) -> Self {
        let qos = QoS::AtLeastOnce;
        let will =
            WillOptions { topic, payload, qos, retain: false, delay_s: None, expiry_s: None };
        Self { will: Some(will), ..self }
    }

    /// Changes the will.
    pub(crate) fn with_will(mut self, change: impl FnOnce(&mut WillOptions)) -> Self {
        change(self.will.as_mut().expect("there is a will"));
        self
    }

    pub(crate) fn will_delay(self, seconds: u32) -> Self {
        self.with_will(|will| will.delay_s = Some(seconds))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let will = self.will.as_ref().map(|will| Will {
            topic: will.topic,
            payload: will.payload.as_bytes(),
            qos: will.qos,
            retain: will.retain,
            properties: WillProperties {
                will_delay_interval_s: will.delay_s,
                message_expiry_interval_s: will.expiry_s,
                ..WillProperties::default()
            },
        });
        let connect = Connect {
            clean_start: self.clean,
            keep_alive_s: self.keep_alive_s,
            will,
            username: self.username,
            password: self.password,
            properties: ConnectProperties {
                session_expiry_interval_s: self.expiry_s,
                receive_maximum: self.receive_max.and_then(NonZeroU16::new),
                maximum_packet_size: self.packet_max.and_then(NonZeroU32::new),
                topic_alias_maximum: self.topic_alias_max,
                request_response_information: self.response_information,
                request_problem_information: self.problem_information,
                authentication_method: self.authentication_method,
                authentication_data: self.authentication_data,
                ..ConnectProperties::default()
            },
            ..Connect::new(self.version, &self.client_id)
        };
        let mut bytes = Vec::new();
        Packet::Connect(connect).encode(self.version, &mut bytes).expect("a valid CONNECT");
        bytes
    }
}
