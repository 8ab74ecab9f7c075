//! Certificates that were believed in a handshake and may be revoked by now.

use weir_core::{Input, Now};

use super::{HANDSHAKES_PER_TURN, Shard};
use crate::auth;
use crate::stream::Layer;

impl Shard {
    /// What was believed in a handshake has to be looked at again. A handshake that still goes on
    /// would end with what was believed before, so it ends here.
    pub(super) fn doubt_certificates(&mut self, now: Now) {
        self.certificate_changes += 1;
        self.to_verify.clear();
        for id in self.sockets.ids().collect::<Vec<_>>() {
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            if !self.parts.entrances[usize::from(socket.listener)].has_revocations() {
                continue;
            }
            match socket.stream.unfinished() {
                Some(Layer::Proxy | Layer::Tls) => self.close(now, id),
                _ => self.to_verify.push(id),
            }
        }
    }

    /// Looks at some of the certificates again.
    pub(super) fn verify_certificates(&mut self, now: Now) {
        let rest = self.to_verify.len().saturating_sub(HANDSHAKES_PER_TURN);
        for id in self.to_verify.split_off(rest) {
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            let listener = &self.parts.entrances[usize::from(socket.listener)];
            if listener.is_revoked(&socket.stream) {
                let address = socket.stream.peer().map(|peer| peer.ip());
                let subject = socket.stream.subject();
                auth::certificate_revoked(address, listener.name(), subject.as_deref());
                self.parts.core.handle(now, Input::CertificateRevoked { connection: id });
            }
        }
    }
}
