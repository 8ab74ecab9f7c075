//! The HTTP request that a WebSocket begins with, and the answer to it.
//!
//! Any path is served: what a client may do is for its CONNECT to say. The head is bounded, and
//! whatever is wrong with it is answered with what to change.

use httparse::{EMPTY_HEADER, Header, Request, Status};

use super::key;

/// Longest head of a request; browsers send cookies of their site along.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
/// What is looked at while the end is missing, so that no byte is parsed too often.
const START_BYTES: usize = 16;
/// Names of MQTT, 3.1.1 and 5.0 first [MQTT-6.0.0-3].
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
const END: &[u8] = b"\r\n\r\n";

/// A request that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct Upgrade {
    head: Vec<u8>,
}

/// Why there will be no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("the key of the request is missing or not 16 bytes in base64")]
    Key,
    #[error("this is not a GET request of HTTP 1.1")]
    NotHttp,
    #[error("this is an HTTP request and not the start of a WebSocket")]
    NotWebSocket,
    #[error("the subprotocol is not mqtt")]
    Protocol,
    #[error("the head of the request is longer than 8 KiB or has more than 64 fields")]
    TooLong,
    #[error("the version of the WebSocket is not 13")]
    Version,
}

impl Upgrade {
    /// Takes bytes of the request. When it is complete, answers how many of them belong to it,
    /// and the response.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(usize, String)>, UpgradeError> {
        let before = self.head.len();
        let take = bytes.len().min(HEAD_BYTES_MAX - before);
        self.head.extend_from_slice(&bytes[..take]);
        // The end may have begun in the bytes of last time.
        let from = before.saturating_sub(END.len() - 1);
        let found = self.head[from..].windows(END.len()).position(|window| window == END);
        let Some(end) = found.map(|at| from + at + END.len()) else {
            if self.head.len() == HEAD_BYTES_MAX {
                return Err(UpgradeError::TooLong);
            }
            if before < START_BYTES {
                check_start(&self.head)?;
            }
            return Ok(None);
        };
        let response = respond(&self.head[..end])?;
        Ok(Some((end - before, response)))
    }
}

impl UpgradeError {
    /// The response that says so.
    pub(crate) fn answer(self) -> String {
        let status = match self {
            Self::Key | Self::NotHttp | Self::Protocol => "400 Bad Request",
            Self::NotWebSocket | Self::Version => "426 Upgrade Required",
            Self::TooLong => "431 Request Header Fields Too Large",
        };
        let text = format!("This is an MQTT broker: {self}.\n");
        format!(
            "HTTP/1.1 {status}\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )
    }
}

/// What cannot become a request is not waited for.
fn check_start(head: &[u8]) -> Result<(), UpgradeError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    match Request::new(&mut headers).parse(head) {
        Ok(_) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(UpgradeError::TooLong),
        Err(_) => Err(UpgradeError::NotHttp),
    }
}

fn respond(head: &[u8]) -> Result<String, UpgradeError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(UpgradeError::TooLong),
        _ => return Err(UpgradeError::NotHttp),
    }
    if request.method != Some("GET") || request.version != Some(1) {
        return Err(UpgradeError::NotHttp);
    }
    let fields = Fields(request.headers);
    if !fields.has("upgrade", "websocket") || !fields.has("connection", "upgrade") {
        return Err(UpgradeError::NotWebSocket);
    }
    if fields.values("host").next().is_none() {
        return Err(UpgradeError::NotHttp);
    }
    if fields.values("sec-websocket-version").next() != Some("13") {
        return Err(UpgradeError::Version);
    }
    let mut keys = fields.values("sec-websocket-key");
    let accept = keys.next().and_then(key::accept).filter(|_| keys.next().is_none());
    let accept = accept.ok_or(UpgradeError::Key)?;
    let mut offered = fields.values("sec-websocket-protocol");
    let protocol = offered.find_map(|offer| PROTOCOLS.into_iter().find(|known| *known == offer));
    let protocol = protocol.ok_or(UpgradeError::Protocol)?;
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    ))
}

/// The header fields of a request.
struct Fields<'h, 'b>(&'h [Header<'b>]);

impl<'b> Fields<'_, 'b> {
    /// The values in all fields of this name, which may be lists.
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'b str> {
        let fields = self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        let texts = fields.filter_map(|field| std::str::from_utf8(field.value).ok());
        texts.flat_map(|text| text.split(',')).map(str::trim)
    }

    fn has(&self, name: &'static str, wanted: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(wanted))
    }
}
