//! Requests to the admin server of a running broker that are for whoever can read its data
//! directory.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::{CliError, status};
use crate::{admin::AdminKey, config::HostPort};

/// An answer: its first line, and what follows the head.
pub(crate) struct Response {
    pub(crate) first: String,
    pub(crate) body: BufReader<TcpStream>,
}

impl Response {
    /// The number in the first line.
    pub(crate) fn code(&self) -> Option<u16> {
        self.first.split_whitespace().nth(1)?.parse().ok()
    }

    /// The body as text, which is short.
    pub(crate) fn text(self) -> io::Result<String> {
        let mut text = String::new();
        self.body.take(TEXT_MAX_BYTES).read_to_string(&mut text)?;
        Ok(text.trim().to_owned())
    }
}

/// Asks for something with the key of the data directory. HTTP/1.0 says that the body ends with
/// the connection.
pub(crate) fn post(
    address: &HostPort,
    data_dir: &Path,
    path: &str,
    content: &str,
) -> Result<Response, CliError> {
    let name = address.to_string();
    let key = AdminKey::read(data_dir).map_err(|source| CliError::AdminKey { source })?;
    let mut stream = status::connect(address)
        .map_err(|source| CliError::AdminConnect { address: name.clone(), source })?;
    let wrong = |source| CliError::AdminAnswer { address: name.clone(), source };
    let token = key.token();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {name}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{content}",
        content.len()
    );
    stream.write_all(request.as_bytes()).map_err(wrong)?;
    let mut body = BufReader::new(stream);
    let first = line(&mut body).map_err(wrong)?;
    while !line(&mut body).map_err(wrong)?.is_empty() {}
    Ok(Response { first, body })
}

fn line(answer: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    answer.by_ref().take(LINE_MAX_BYTES).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// No line of a head is longer.
const LINE_MAX_BYTES: u64 = 8 * 1024;
/// No text is longer.
const TEXT_MAX_BYTES: u64 = 64 * 1024;
