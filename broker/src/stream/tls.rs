//! TLS over a socket that does not block.
//!
//! The library holds at most a cut-off record of what was received and `SEND_BUFFER_BYTES` of what
//! the kernel does not take yet.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;

use super::certificates::CertificateUsername;
use super::socket::Socket;
use super::wire::Received;
use super::x509::Certificate;

/// The longest record with what it may have grown by.
const RECORD_BYTES: usize = 16 * 1024 + 2048 + 5;
/// Encrypted bytes that wait for the kernel; one write takes them all.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// One side of a TLS connection: the server's.
#[derive(Debug)]
pub(crate) struct Tls {
    connection: Box<ServerConnection>,
    username: CertificateUsername,
}

impl Tls {
    pub(crate) fn new(mut connection: ServerConnection, username: CertificateUsername) -> Self {
        connection.set_buffer_limit(Some(SEND_BUFFER_BYTES));
        Self { connection: Box::new(connection), username }
    }

    /// Space that the decrypted bytes of `received` ones may need.
    pub(crate) fn space_for(received: usize) -> usize {
        received + RECORD_BYTES
    }

    /// Decrypts into `decrypted`, which has the space for it.
    pub(crate) fn receive(
        &mut self,
        mut bytes: &[u8],
        decrypted: &mut [u8],
    ) -> Result<Received, rustls::Error> {
        assert!(decrypted.len() >= Self::space_for(bytes.len()), "the space was made by its size");
        let mut count = 0;
        while !bytes.is_empty() {
            // It fails when a message of the handshake is too long, and takes nothing only after
            // the peer has said goodbye.
            let taken = self.connection.read_tls(&mut bytes);
            let taken = taken.map_err(|error| rustls::Error::General(error.to_string()))?;
            let state = self.connection.process_new_packets()?;
            let waiting = state.plaintext_bytes_to_read();
            let space = &mut decrypted[count..count + waiting];
            self.connection.reader().read_exact(space).expect("as many as it said");
            count += waiting;
            if taken == 0 || state.peer_has_closed() {
                return Ok(Received { count, ended: true });
            }
        }
        Ok(Received { count, ended: false })
    }

    /// Encrypts a part of the bytes and says how many; none while the kernel takes nothing.
    pub(crate) fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> usize {
        self.connection.writer().write_vectored(slices).expect("memory is always writable")
    }

    /// Writes what waits until nothing does, or fails with `WouldBlock`.
    pub(crate) fn flush(&mut self, socket: &mut Socket) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn end(&mut self) {
        self.connection.send_close_notify();
    }

    /// The certificates of the client, its own first. The library keeps them anyway.
    pub(crate) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection.peer_certificates()
    }

    /// The user name that the certificate of the client stands for.
    pub(crate) fn user_name(&self) -> Option<String> {
        let certificate = Certificate::parse(self.certificates()?.first()?)?;
        let name = match self.username {
            CertificateUsername::CommonName => certificate.common_name(),
            CertificateUsername::None => None,
            CertificateUsername::Subject => certificate.subject(),
        };
        name.filter(|name| !name.is_empty())
    }

    /// The name of the version that was agreed on.
    pub(crate) fn version(&self) -> Option<&'static str> {
        self.connection.protocol_version()?.as_str()
    }
}
