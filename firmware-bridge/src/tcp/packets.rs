//! From the words of the seam to those of the codec, and back.

use rumqttc::{
    Connect, ConnectReturnCode, LastWill, Login, Protocol, Publish, QoS as WireQoS,
    SubscribeFilter, SubscribeReasonCode,
};

use crate::session::{LostReason, QoS, RefusedReason, SessionOptions, Will};

pub(super) fn connect(options: &SessionOptions) -> Connect {
    let login = options.credentials.as_ref().map(|credentials| Login {
        username: credentials.user.to_string(),
        password: credentials.password.as_deref().unwrap_or_default().to_owned(),
    });
    Connect {
        protocol: Protocol::V4,
        keep_alive: options.keep_alive_s,
        client_id: options.client_id.to_string(),
        clean_session: options.clean_session,
        last_will: options.will.as_ref().map(last_will),
        login,
    }
}

/// The packet identifier is still to be given.
pub(super) fn publish(topic: Box<str>, payload: bytes::Bytes, qos: QoS, retain: bool) -> Publish {
    let mut publish = Publish::from_bytes(topic, qos_to_wire(qos), payload);
    publish.retain = retain;
    publish
}

pub(super) fn subscribe_filter(filter: Box<str>, qos: QoS) -> SubscribeFilter {
    SubscribeFilter::new(filter.into(), qos_to_wire(qos))
}

pub(super) fn granted(code: Option<&SubscribeReasonCode>) -> Option<QoS> {
    match code {
        Some(SubscribeReasonCode::Success(qos)) => Some(qos_from_wire(*qos)),
        Some(SubscribeReasonCode::Failure) | None => None,
    }
}

/// What the broker says in CONNACK, if it does not accept.
pub(super) enum Declined {
    /// Trying again later may help.
    Away(LostReason),
    /// It would not.
    Refused(RefusedReason),
}

pub(super) fn declined(code: ConnectReturnCode) -> Option<Declined> {
    Some(match code {
        ConnectReturnCode::Success => return None,
        ConnectReturnCode::BadClientId => Declined::Refused(RefusedReason::ClientId),
        ConnectReturnCode::BadUserNamePassword => Declined::Refused(RefusedReason::Credentials),
        ConnectReturnCode::NotAuthorized => Declined::Refused(RefusedReason::NotAuthorized),
        ConnectReturnCode::RefusedProtocolVersion => Declined::Refused(RefusedReason::Protocol),
        ConnectReturnCode::ServiceUnavailable => Declined::Away(LostReason::Closed),
    })
}

pub(super) fn qos_from_wire(qos: WireQoS) -> QoS {
    match qos {
        WireQoS::AtMostOnce => QoS::AtMostOnce,
        WireQoS::AtLeastOnce => QoS::AtLeastOnce,
        WireQoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

fn qos_to_wire(qos: QoS) -> WireQoS {
    match qos {
        QoS::AtMostOnce => WireQoS::AtMostOnce,
        QoS::AtLeastOnce => WireQoS::AtLeastOnce,
        QoS::ExactlyOnce => WireQoS::ExactlyOnce,
    }
}

fn last_will(will: &Will) -> LastWill {
    LastWill {
        topic: will.topic.to_string(),
        message: will.payload.clone(),
        qos: qos_to_wire(will.qos),
        retain: will.retain,
    }
}
