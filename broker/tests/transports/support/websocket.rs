//! A WebSocket client on a stream, as a stream of the payloads.

use std::io::{self, Read, Write};

use tungstenite::{
    ClientRequestBuilder, HandshakeError, Message, WebSocket, client, error::Error, http::Uri,
};

/// Payloads of binary frames as one stream.
pub(crate) struct Framed<S> {
    pub(crate) socket: WebSocket<S>,
    read: Vec<u8>,
    /// Bytes of a frame that is sent; a large write becomes several frames.
    portion: usize,
}

impl<S: Read + Write> Framed<S> {
    pub(crate) fn connect(stream: S, portion: usize) -> Result<Self, String> {
        let uri = Uri::from_static("ws://gateway/mqtt");
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("mqtt");
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket, read: Vec::new(), portion }),
            Err(HandshakeError::Failure(error)) => Err(error.to_string()),
            Err(HandshakeError::Interrupted(_)) => Err("interrupted".to_owned()),
        }
    }
}

impl<S: Read + Write> Read for Framed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read.is_empty() {
            match self.socket.read().map_err(io_error)? {
                Message::Binary(bytes) => self.read = bytes.to_vec(),
                Message::Close(_) => return Ok(0),
                _ => {}
            }
        }
        let count = buffer.len().min(self.read.len());
        buffer[..count].copy_from_slice(&self.read[..count]);
        self.read.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for Framed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.portion);
        let message = Message::binary(bytes[..count].to_vec());
        self.socket.send(message).map_err(io_error)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io_error)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
