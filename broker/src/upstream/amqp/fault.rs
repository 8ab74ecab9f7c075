//! What an error of the library, or what the server said in it, means for a message or a
//! connection.

use std::io;

use lapin::protocol::AMQPError;
use lapin::{Error, ErrorKind};

use crate::upstream::error::{LinkError, one_line};

/// What is wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection is of no use any more.
    Link(LinkError),
    /// One message of those under way will never be taken, and has ended its channel.
    Message(String),
}

impl Fault {
    /// Where no message is under way.
    pub(super) fn of_link(self) -> LinkError {
        match self {
            Self::Link(error) => error,
            Self::Message(reason) => LinkError::RefusedMessage(reason),
        }
    }
}

/// What an error means once a connection is open.
pub(super) fn of(error: &Error) -> Fault {
    let ErrorKind::ProtocolError(told) = error.kind() else { return Fault::Link(lost(error)) };
    let reason = one_line(told.get_message().as_str());
    let refused = |help| Fault::Link(LinkError::Refused { reason: reason.clone(), help });
    match told.get_id() {
        // A user may write to an exchange, but only with some routing keys.
        ACCESS_REFUSED if reason.contains("access to topic") => Fault::Message(reason),
        ACCESS_REFUSED => refused(HELP_PERMISSION),
        NOT_FOUND => refused(HELP_EXCHANGE),
        CONTENT_TOO_LARGE | PRECONDITION_FAILED => Fault::Message(reason),
        _ => Fault::Link(LinkError::Ended(reason)),
    }
}

/// What an error means before a connection is open.
pub(super) fn of_opening(error: &Error, is_tls: bool, is_external: bool) -> LinkError {
    let refused = |told: &AMQPError, help| {
        let reason = one_line(told.get_message().as_str());
        LinkError::Refused { reason, help }
    };
    match error.kind() {
        ErrorKind::ProtocolError(told) => match told.get_id() {
            ACCESS_REFUSED if is_external => refused(told, HELP_EXTERNAL),
            ACCESS_REFUSED => refused(told, HELP_CREDENTIALS),
            INVALID_PATH | NOT_ALLOWED | NOT_FOUND => refused(told, HELP_VHOST),
            _ => LinkError::Ended(one_line(told.get_message().as_str())),
        },
        ErrorKind::IOError(cause) if LinkError::of_tls(cause).is_none() && has_ended(cause) => {
            let reason = format!("it ended it while AMQP was begun: {cause}");
            match is_tls {
                // The answer to a certificate comes after the handshake, and may be lost with the
                // connection.
                true => LinkError::Tls { reason, help: HELP_CERTIFICATE },
                false => LinkError::Refused { reason, help: HELP_AMQP },
            }
        }
        ErrorKind::InvalidProtocolVersion(_) | ErrorKind::ParsingError(_) => {
            let reason = format!("it does not speak AMQP 0.9.1: {error}");
            LinkError::Refused { reason: one_line(&reason), help: HELP_AMQP }
        }
        _ => lost(error),
    }
}

fn lost(error: &Error) -> LinkError {
    match error.kind() {
        ErrorKind::IOError(cause) => {
            LinkError::of_tls(cause).unwrap_or_else(|| LinkError::Lost(cause.to_string()))
        }
        ErrorKind::MissingHeartbeatError => LinkError::Timeout,
        _ => LinkError::Lost(one_line(&error.to_string())),
    }
}

/// A server that does not understand what it is sent ends the connection without a word.
fn has_ended(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
    )
}

// Codes of AMQP 0.9.1 and of RabbitMQ.
const CONTENT_TOO_LARGE: u16 = 311;
const INVALID_PATH: u16 = 402;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

pub(super) const HELP_EXCHANGE: &str =
    "declare the exchange at the upstream, or check `exchange` in `amqp` of this upstream";
pub(super) const HELP_VHOST: &str =
    "check `vhost` in `amqp` of this upstream, and that this user has permissions in it";
const HELP_AMQP: &str =
    "check that the port of `address` speaks AMQP 0.9.1; for the port of AMQPS set `tls`";
const HELP_CERTIFICATE: &str = "the upstream may want another certificate: check `certfile` and \
                                `keyfile`, and that the port of `address` speaks AMQP 0.9.1";
const HELP_CREDENTIALS: &str = "check `username` and `password_file` of this upstream; the user \
                                `guest` may connect from the machine of the server only";
const HELP_EXTERNAL: &str = "switch on the plugin rabbitmq_auth_mechanism_ssl, allow EXTERNAL in \
                             `auth_mechanisms`, and add a user with the name of the certificate \
                             (`ssl_cert_login_from`), at the upstream";
const HELP_PERMISSION: &str =
    "give this user the permission to write to the exchange, at the upstream";
