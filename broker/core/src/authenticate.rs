//! Who a client is, and what follows from it when the rules change.
//!
//! Credentials are checked by the shell, because that takes long: the connection waits in
//! [`State::Authenticating`] with its CONNECT unhandled, and handles it again once the answer is
//! there. A session keeps the identity of its client, so that a new ACL can be applied to it.

use std::sync::Arc;

use weir_mqtt::{Connect, ReasonCode};

use crate::authorize::{Access, Acl, Identity, Permissions};
use crate::clock::Now;
use crate::connection::State;
use crate::core::Core;
use crate::effect::{AuthenticationRequest, Denial, Effect};
use crate::identity::ConnectionId;
use crate::input::Outcome;
use crate::key::SessionKey;

impl Core {
    /// Whether there is anything to be checked: in CONNECT, or because the connection says who
    /// its client is.
    pub(crate) fn has_credentials(&self, id: ConnectionId, connect: &Connect<'_>) -> bool {
        let says_something = connect.username.is_some() || connect.password.is_some();
        self.listener_of(id).knows_clients || (self.limits.authentication && says_something)
    }

    /// Who sent a CONNECT; none when the shell has to be asked.
    pub(crate) fn identify(&mut self, id: ConnectionId, connect: &Connect<'_>) -> Option<Identity> {
        let answered = self.connections.get_mut(id).and_then(|open| open.identity.take());
        answered.or_else(|| (!self.has_credentials(id, connect)).then(Identity::default))
    }

    /// Asks the shell who sent a CONNECT.
    pub(crate) fn authenticate(&mut self, id: ConnectionId, connect: &Connect<'_>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.state = State::Authenticating;
        let request = Box::new(AuthenticationRequest {
            version: connect.version,
            client_id: connect.client_id.into(),
            username: connect.username.map(Into::into),
            password: connect.password.map(Into::into),
        });
        self.turn.effects.push(Effect::Authenticate { connection: id, request });
    }

    pub(crate) fn is_authenticating(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|open| open.state == State::Authenticating)
    }

    pub(crate) fn handle_authenticated(&mut self, now: Now, id: ConnectionId, outcome: Outcome) {
        // It may have ended meanwhile, and its slot may be in use again.
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.state != State::Authenticating {
            return;
        }
        match outcome {
            Outcome::Granted(identity) => {
                connection.state = State::AwaitingConnect;
                connection.identity = Some(identity);
                self.resume(now, id);
            }
            Outcome::Refused(reason) => {
                self.metrics.refused += 1;
                self.refuse(id, reason);
            }
        }
    }

    pub(crate) fn handle_permissions(&mut self, acl: Option<Arc<Acl>>) {
        self.acl = acl;
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            let session = &self.sessions[key];
            if let Some(identity) = &session.identity {
                let permissions = Permissions::of(identity, &session.client_id, self.acl.as_ref());
                self.apply_permissions(key as SessionKey, permissions);
            }
        }
    }

    pub(crate) fn handle_revoked(&mut self, now: Now, username: &str) {
        let is_theirs = |identity: &Identity| identity.username.as_deref() == Some(username);
        let theirs = self.sessions.iter().filter_map(|(_, session)| {
            session.identity.as_ref().filter(|identity| is_theirs(identity))?;
            session.claimed_by
        });
        for connection in theirs.collect::<Vec<_>>() {
            self.disconnect(now, connection, ReasonCode::NotAuthorized);
        }
    }

    /// Gives a session what its client may do from now on. Its subscriptions note whether their
    /// deliveries have to be checked, so that most of them need not be.
    pub(crate) fn apply_permissions(
        &mut self,
        key: SessionKey,
        permissions: Option<Box<Permissions>>,
    ) {
        let session = &mut self.sessions[key as usize];
        let before = std::mem::replace(&mut session.permissions, permissions);
        if before.is_none() && session.permissions.is_none() && session.mount_point.is_none() {
            return;
        }
        for (filter, record) in session.subscriptions.clone() {
            self.enter_subscription(key, &filter, &record);
        }
    }

    /// Tells the shell that a client may not do what it wanted, once for each kind.
    pub(crate) fn tell_denied(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        access: Access,
        topic: &str,
    ) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let told = match access {
            Access::Write => &mut connection.told_of_publish,
            _ => &mut connection.told_of_subscribe,
        };
        if std::mem::replace(told, true) {
            return;
        }
        let session = &self.sessions[key as usize];
        let denial = Box::new(Denial {
            client_id: session.client_id.clone(),
            username: session.identity.as_ref().and_then(|identity| identity.username.clone()),
            access,
            topic: topic.into(),
        });
        self.turn.effects.push(Effect::Denied { connection: id, denial });
    }
}
