//! Requests to the admin server of a running broker.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::CliError;
use crate::{
    admin::AdminKey,
    config::{HostPort, TlsClientConfig},
};

/// The longest wait for the network, each time.
const PATIENCE: Duration = Duration::from_secs(5);
/// No line of a head is longer.
const LINE_MAX_BYTES: u64 = 8 * 1024;
/// No text is longer, not even a status.
const TEXT_MAX_BYTES: u64 = 16 << 20;

/// What is shown to the admin server, and what it has to show.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Access {
    /// File with a token for the admin server, as `weir token create` prints it; without it the
    /// key in the data directory
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Talk TLS with the admin server: authorities that its certificate leads to
    #[arg(long, value_name = "FILE")]
    admin_ca: Option<PathBuf>,
}

/// An answer: whose it is, its first line, and what follows the head.
pub(crate) struct Response {
    address: HostPort,
    first: String,
    pub(crate) body: BufReader<Wire>,
}

/// The connection, with or without TLS.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Access {
    /// The token to show; none when no file is named and there is no data directory to look into.
    fn token(&self, data_dir: Option<&Path>) -> Result<Option<String>, CliError> {
        match (&self.token_file, data_dir) {
            (Some(path), _) => {
                let file = |source| CliError::File { path: path.clone(), source };
                let token = fs::read_to_string(path).map_err(file)?.trim().to_owned();
                match token.bytes().all(|byte| byte.is_ascii_graphic()) && !token.is_empty() {
                    true => Ok(Some(token)),
                    false => Err(CliError::Argument {
                        argument: "--token-file",
                        reason: format!("there is not one token in {}", path.display()),
                        help: "the file has what `weir token create` printed, and nothing else"
                            .to_owned(),
                    }),
                }
            }
            (None, Some(data_dir)) => {
                let key = AdminKey::read(data_dir);
                key.map(|key| Some(key.token())).map_err(|source| CliError::AdminKey { source })
            }
            (None, None) => Ok(None),
        }
    }

    fn wrap(&self, address: &HostPort, stream: TcpStream) -> io::Result<Wire> {
        if self.admin_ca.is_none() {
            return Ok(Wire::Plain(stream));
        }
        let config =
            TlsClientConfig { cafile: self.admin_ca.clone(), ..TlsClientConfig::default() };
        let config = config.load().map_err(io::Error::other)?;
        let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Wire::Tls(Box::new(StreamOwned::new(connection, stream))))
    }
}

impl Response {
    /// The number in the first line.
    pub(crate) fn code(&self) -> Option<u16> {
        self.first.split_whitespace().nth(1)?.parse().ok()
    }

    /// The answer, if it is what was asked for.
    pub(crate) fn ok(self) -> Result<Self, CliError> {
        match self.code() {
            Some(200) => Ok(self),
            _ => Err(self.unexpected()),
        }
    }

    /// That it is not, with what it says.
    pub(crate) fn unexpected(self) -> CliError {
        let (address, first) = (self.address.clone(), self.first.clone());
        match self.message() {
            Ok(text) => {
                wrong(&address, io::Error::other(format!("the answer is `{first}`: {text}")))
            }
            Err(error) => error,
        }
    }

    /// The whole body as text.
    pub(crate) fn text(self) -> Result<String, CliError> {
        let mut text = String::new();
        let read = self.body.take(TEXT_MAX_BYTES).read_to_string(&mut text);
        read.map_err(|source| wrong(&self.address, source))?;
        Ok(text.trim().to_owned())
    }

    /// The whole body as what it says in JSON.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<(T, String), CliError> {
        let address = self.address.clone();
        let text = self.text()?;
        let value = serde_json::from_str(&text).map_err(|error| wrong(&address, error.into()))?;
        Ok((value, text))
    }

    /// What the body says to people: what was done, or what was in the way and what to do. Of what
    /// there is not, only that: the command knows how to find out what there is.
    pub(crate) fn message(self) -> Result<String, CliError> {
        let is_unknown = self.code() == Some(404);
        let text = self.text()?;
        let Ok(body) = serde_json::from_str::<Value>(&text) else { return Ok(text) };
        let part = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let message = match body.get("error") {
            None => part(&body, "message"),
            Some(error) => part(error, "message").map(|message| {
                match part(error, "help").filter(|_| !is_unknown) {
                    Some(help) => format!("{message}\nhelp: {help}"),
                    None => message,
                }
            }),
        };
        Ok(message.unwrap_or(text))
    }
}

impl Wire {
    /// How long a read may take; none = for ever.
    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.set_read_timeout(timeout),
            Self::Tls(stream) => stream.sock.set_read_timeout(timeout),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Asks for something that needs a token: that of `access`, or the key of the data directory.
pub(crate) fn post(
    address: &HostPort,
    access: &Access,
    data_dir: &Path,
    path: &str,
    content: &str,
) -> Result<Response, CliError> {
    let data_dir = Some(data_dir);
    request(address, access, access.token(data_dir)?, "POST", path, content)
}

/// Asks for figures, which need a token on other machines only.
pub(crate) fn get(address: &HostPort, access: &Access, path: &str) -> Result<Response, CliError> {
    request(address, access, access.token(None)?, "GET", path, "")
}

/// Asks for what is shown to whoever has a token: that of `access`, or the key of the data directory.
pub(crate) fn get_as_viewer(
    address: &HostPort,
    access: &Access,
    data_dir: &Path,
    path: &str,
) -> Result<Response, CliError> {
    request(address, access, access.token(Some(data_dir))?, "GET", path, "")
}

/// HTTP/1.0 says that the body ends with the connection.
fn request(
    address: &HostPort,
    access: &Access,
    token: Option<String>,
    method: &str,
    path: &str,
    content: &str,
) -> Result<Response, CliError> {
    let name = address.to_string();
    let stream = connect(address)
        .map_err(|source| CliError::AdminConnect { address: name.clone(), source })?;
    let wrong = |source| wrong(address, source);
    let mut wire = access.wrap(address, stream).map_err(wrong)?;
    let token =
        token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {name}\r\n{token}Content-Length: {}\r\n\r\n{content}",
        content.len()
    );
    wire.write_all(request.as_bytes()).and_then(|()| wire.flush()).map_err(wrong)?;
    let mut body = BufReader::new(wire);
    let first = line(&mut body).map_err(wrong)?;
    if !first.starts_with("HTTP/1.") {
        return Err(wrong(io::Error::other("the answer is not HTTP")));
    }
    while !line(&mut body).map_err(wrong)?.is_empty() {}
    Ok(Response { address: address.clone(), first, body })
}

/// The server does not answer as it should.
pub(crate) fn wrong(address: &HostPort, source: io::Error) -> CliError {
    CliError::AdminAnswer { address: address.to_string(), source }
}

pub(crate) fn connect(address: &HostPort) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in (address.host(), address.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn line(answer: &mut BufReader<Wire>) -> io::Result<String> {
    let mut line = String::new();
    answer.by_ref().take(LINE_MAX_BYTES).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
