//! CONNECT.
//!
//! Responsible for the first packet of a connection: which version is spoken, who the client is
//! and what it wants. Whether an identifier is acceptable is for the server to decide.

use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use crate::codec::will::Will;
use crate::error::{DecodeError, EncodeError};
use crate::frame;
use crate::hidden::Hidden;
use crate::kind::PacketKind;
use crate::property::{Properties, Property, put_property};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::{put_binary, put_text, put_u16, put_with_length};

/// A client asks to connect.
///
/// ```
/// use weir_mqtt::{Connect, Packet, Version};
///
/// let connect = Connect { keep_alive_s: 60, ..Connect::new(Version::V311, "sensor-1") };
/// let mut out = Vec::new();
/// Packet::Connect(connect).encode(Version::V311, &mut out)?;
/// assert_eq!(out, b"\x10\x14\x00\x04MQTT\x04\x02\x00\x3c\x00\x08sensor-1");
/// # Ok::<(), weir_mqtt::EncodeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the client speaks.
    pub version: Version,
    /// Whether the upper bit of the protocol level is set, below 5.0: the client is a bridge, a
    /// private agreement that mosquitto introduced.
    pub bridge: bool,
    /// Whether to begin without the earlier session; clean session below 5.0.
    pub clean_start: bool,
    /// The longest time between two packets from the client; 0 for no limit.
    pub keep_alive_s: u16,
    /// Who the client is; empty if the server is to choose.
    pub client_id: &'a str,
    /// The message to publish when the client is gone.
    pub will: Option<Will<'a>>,
    /// The name to authenticate with.
    pub username: Option<&'a str>,
    /// The password, any bytes. Below 5.0 only with a user name.
    pub password: Option<&'a [u8]>,
    /// 5.0 only.
    pub properties: ConnectProperties<'a>,
}

impl<'a> Connect<'a> {
    /// A CONNECT with a clean start, no limit on silence, and nothing else.
    pub fn new(version: Version, client_id: &'a str) -> Self {
        Self {
            version,
            bridge: false,
            clean_start: true,
            keep_alive_s: 0,
            client_id,
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }

    /// The version that a CONNECT names, even if the packet is wrong further on: a server that
    /// refuses it answers in that version.
    pub fn peek_version(frame: &[u8]) -> Option<Version> {
        let (kind, _, mut reader) = frame::open(frame, Version::V5).ok()?;
        if kind != PacketKind::Connect {
            return None;
        }
        decode_version(&mut reader).ok().map(|(version, _)| version)
    }

    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let (version, bridge) = decode_version(&mut reader)?;
        let flags = Flags::decode(reader.u8()?, version)?;
        let keep_alive_s = reader.u16()?;
        let properties = match version {
            Version::V5 => ConnectProperties::decode(reader.properties()?)?,
            Version::V31 | Version::V311 => ConnectProperties::default(),
        };
        let client_id = reader.text()?;
        let will = match flags.will {
            Some((qos, retain)) => Some(Will::decode(&mut reader, qos, retain, version)?),
            None => None,
        };
        // 3.1 lets a client announce a user name or password and leave it out.
        let may_end = |reader: &Reader<'_>| version == Version::V31 && reader.is_empty();
        let has_username = flags.username && !may_end(&reader);
        let username = if has_username { Some(reader.text()?) } else { None };
        let has_password = flags.password && !may_end(&reader);
        let password = if has_password { Some(reader.binary()?) } else { None };
        reader.finish()?;
        let clean_start = flags.clean_start;
        #[rustfmt::skip]
        let connect = Self {
            version, bridge, clean_start, keep_alive_s, client_id, will, username, password,
            properties,
        };
        Ok(connect)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.version != Version::V5 && self.password.is_some() && self.username.is_none() {
            return Err(EncodeError::PasswordWithoutUserName);
        }
        out.push(PacketKind::Connect.first_byte());
        put_with_length(out, |out| {
            let name = if self.version == Version::V31 { NAME_31 } else { NAME };
            put_binary(name, out)?;
            let bridge = self.bridge && self.version != Version::V5;
            out.push(self.version.level() | if bridge { BRIDGE } else { 0 });
            out.push(self.flags());
            put_u16(self.keep_alive_s, out);
            if self.version == Version::V5 {
                put_with_length(out, |out| self.properties.encode(out))?;
            }
            put_text(self.client_id, out)?;
            self.will.map_or(Ok(()), |will| will.encode(self.version, out))?;
            self.username.map_or(Ok(()), |username| put_text(username, out))?;
            self.password.map_or(Ok(()), |password| put_binary(password, out))
        })
    }

    fn flags(&self) -> u8 {
        let when = |set: bool, bits: u8| if set { bits } else { 0 };
        let will = self.will.map_or(0, |will| {
            WILL | u8::from(will.qos) << WILL_QOS_SHIFT | when(will.retain, WILL_RETAIN)
        });
        will | when(self.clean_start, CLEAN_START)
            | when(self.username.is_some(), USERNAME)
            | when(self.password.is_some(), PASSWORD)
    }
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("bridge", &self.bridge)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| Hidden))
            .field("properties", &self.properties)
            .finish()
    }
}

/// The properties of CONNECT.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// How long the session outlives the connection; `u32::MAX` is for ever.
    pub session_expiry_interval_s: Option<u32>,
    /// How many QoS 1 and 2 messages the client takes at a time.
    pub receive_maximum: Option<NonZeroU16>,
    /// The longest packet in bytes that the client takes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The highest topic alias that the client takes.
    pub topic_alias_maximum: Option<u16>,
    /// Whether the client wants response information in CONNACK.
    pub request_response_information: Option<bool>,
    /// Whether the client wants reason strings and user properties with failures.
    pub request_problem_information: Option<bool>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
    /// The method of extended authentication.
    pub authentication_method: Option<&'a str>,
    /// What the method says first.
    pub authentication_data: Option<&'a [u8]>,
}

impl<'a> ConnectProperties<'a> {
    fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut connect = Self::default();
        let mut properties = Properties::new(block);
        while let Some(property) = properties.next()? {
            connect.take(property, block)?;
        }
        if connect.authentication_data.is_some() && connect.authentication_method.is_none() {
            return Err(DecodeError::AuthenticationDataWithoutMethod);
        }
        Ok(connect)
    }

    fn take(&mut self, property: Property<'a>, block: &'a [u8]) -> Result<(), DecodeError> {
        match property {
            Property::SessionExpiryInterval(value) => self.session_expiry_interval_s = Some(value),
            Property::ReceiveMaximum(value) => self.receive_maximum = Some(value),
            Property::MaximumPacketSize(value) => self.maximum_packet_size = Some(value),
            Property::TopicAliasMaximum(value) => self.topic_alias_maximum = Some(value),
            Property::RequestResponseInformation(value) => {
                self.request_response_information = Some(value);
            }
            Property::RequestProblemInformation(value) => {
                self.request_problem_information = Some(value);
            }
            Property::User(..) => {
                self.user_properties = UserProperties::from_checked(block);
            }
            Property::AuthenticationMethod(text) => self.authentication_method = Some(text),
            Property::AuthenticationData(bytes) => self.authentication_data = Some(bytes),
            other => return Err(other.not_allowed()),
        }
        Ok(())
    }

    #[rustfmt::skip]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.authentication_data.is_some() && self.authentication_method.is_none() {
            return Err(EncodeError::AuthenticationDataWithoutMethod);
        }
        put_property(self.session_expiry_interval_s.map(Property::SessionExpiryInterval), out)?;
        put_property(self.receive_maximum.map(Property::ReceiveMaximum), out)?;
        put_property(self.maximum_packet_size.map(Property::MaximumPacketSize), out)?;
        put_property(self.topic_alias_maximum.map(Property::TopicAliasMaximum), out)?;
        put_property(
            self.request_response_information.map(Property::RequestResponseInformation), out)?;
        put_property(
            self.request_problem_information.map(Property::RequestProblemInformation), out)?;
        self.user_properties.encode(out)?;
        put_property(self.authentication_method.map(Property::AuthenticationMethod), out)?;
        put_property(self.authentication_data.map(Property::AuthenticationData), out)
    }
}

impl fmt::Debug for ConnectProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry_interval_s", &self.session_expiry_interval_s)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("request_response_information", &self.request_response_information)
            .field("request_problem_information", &self.request_problem_information)
            .field("user_properties", &self.user_properties)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.map(|_| Hidden))
            .finish()
    }
}

/// The connect flags, once they are known not to contradict each other.
struct Flags {
    username: bool,
    password: bool,
    will: Option<(QoS, bool)>,
    clean_start: bool,
}

impl Flags {
    /// 3.1 has no rule for the reserved bit nor for the will bits without a will: they are
    /// passed over there.
    fn decode(bits: u8, version: Version) -> Result<Self, DecodeError> {
        let is_set = |flag| bits & flag != 0;
        if is_set(RESERVED) && version != Version::V31 {
            return Err(DecodeError::ConnectFlagsReserved);
        }
        if is_set(PASSWORD) && !is_set(USERNAME) && version != Version::V5 {
            return Err(DecodeError::PasswordWithoutUserName);
        }
        let will = if is_set(WILL) {
            let qos = QoS::try_from((bits & WILL_QOS) >> WILL_QOS_SHIFT);
            Some((qos.map_err(|_| DecodeError::WillFlagsInvalid)?, is_set(WILL_RETAIN)))
        } else if is_set(WILL_QOS | WILL_RETAIN) && version != Version::V31 {
            return Err(DecodeError::WillFlagsInvalid);
        } else {
            None
        };
        Ok(Self {
            username: is_set(USERNAME),
            password: is_set(PASSWORD),
            will,
            clean_start: is_set(CLEAN_START),
        })
    }
}

/// The version and whether the client is a bridge.
fn decode_version(reader: &mut Reader<'_>) -> Result<(Version, bool), DecodeError> {
    let name = reader.binary()?;
    if name != NAME && name != NAME_31 {
        return Err(DecodeError::ProtocolNameUnknown);
    }
    let level = reader.u8()?;
    match level {
        3 | 0x83 if name == NAME_31 => Ok((Version::V31, level & BRIDGE != 0)),
        4 | 0x84 if name == NAME => Ok((Version::V311, level & BRIDGE != 0)),
        5 if name == NAME => Ok((Version::V5, false)),
        _ => Err(DecodeError::ProtocolVersionUnsupported(level)),
    }
}

const NAME: &[u8] = b"MQTT";
const NAME_31: &[u8] = b"MQIsdp";
const BRIDGE: u8 = 0x80;

const USERNAME: u8 = 0b1000_0000;
const PASSWORD: u8 = 0b0100_0000;
const WILL_RETAIN: u8 = 0b0010_0000;
const WILL_QOS: u8 = 0b0001_1000;
const WILL_QOS_SHIFT: u8 = 3;
const WILL: u8 = 0b0000_0100;
const CLEAN_START: u8 = 0b0000_0010;
const RESERVED: u8 = 0b0000_0001;
