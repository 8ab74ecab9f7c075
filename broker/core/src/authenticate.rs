//! Who a client is, how long that holds, and what follows from it when the rules change.
//!
//! Credentials are checked by the shell, because that takes long. A CONNECT that waits for it is
//! kept and handled again once the answer is there; a client that is connected already goes on
//! meanwhile. With extended authentication the client is asked back in between: all that was said
//! stays here and goes to the shell with each step. A session keeps the identity of its client,
//! so that a new ACL can be applied to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_mqtt::{Auth, Connect, Packet, ReasonCode, Version};

use crate::authorize::{Access, Acl, Credential, Identity, Permissions, Validity};
use crate::clock::Now;
use crate::connection::{Authentication, State};
use crate::core::Core;
use crate::effect::{AuthenticationRequest, Denial, Effect, Exchange, Occasion};
use crate::identity::ConnectionId;
use crate::input::Outcome;
use crate::key::SessionKey;
use crate::timer::Timer;

/// Longest name of a method, and longest word in an exchange, bytes.
const METHOD_BYTES_MAX: usize = 64;
const WORD_BYTES_MAX: usize = 4096;
/// Between attempts to hear about a client from a shell that could not say anything.
const RENEWAL_RETRY_MS: u64 = 5000;
/// The calendar is looked at as often, should somebody set it.
const CALENDAR_TRUST_MS: u64 = 600_000;
/// What two properties, and longer lengths, need beside their values, bytes.
const PROPERTIES_BYTES: usize = 8;

impl Core {
    /// Whether there is anything to be checked: in CONNECT, or because the connection says who
    /// its client is.
    pub(crate) fn has_credentials(&self, id: ConnectionId, connect: &Connect<'_>) -> bool {
        let says_something = connect.username.is_some()
            || connect.password.is_some()
            || connect.properties.authentication_method.is_some();
        let listener = self.listener_of(id);
        let is_checked = self.limits.authentication || listener.vouches_for_users;
        listener.knows_clients || (is_checked && says_something)
    }

    /// Why a method of extended authentication cannot be one [MQTT-4.12.0-1].
    pub(crate) fn check_exchange(
        &self,
        id: ConnectionId,
        connect: &Connect<'_>,
    ) -> Option<ReasonCode> {
        let properties = &connect.properties;
        let method = properties.authentication_method?;
        let word_bytes = properties.authentication_data.map_or(0, <[u8]>::len);
        // Where the connection says who its client is, no method does.
        let has_methods = self.limits.authentication && !self.listener_of(id).knows_clients;
        if !has_methods || method.len() > METHOD_BYTES_MAX {
            Some(ReasonCode::BadAuthenticationMethod)
        } else if word_bytes > WORD_BYTES_MAX {
            Some(ReasonCode::NotAuthorized)
        } else {
            None
        }
    }

    /// What extended authentication adds to a CONNACK, bytes.
    pub(crate) fn exchange_bytes(&self, id: ConnectionId, connect: &Connect<'_>) -> usize {
        let Some(method) = connect.properties.authentication_method else { return 0 };
        let word = self.authentication(id).and_then(|check| check.last_word.as_ref());
        PROPERTIES_BYTES + method.len() + word.map_or(0, |word| word.len())
    }

    /// Who sent a CONNECT; none when the shell has to be asked.
    pub(crate) fn identify(&mut self, id: ConnectionId, connect: &Connect<'_>) -> Option<Identity> {
        let answered = self.authentication_mut(id).and_then(|check| check.identity.take());
        answered.or_else(|| (!self.has_credentials(id, connect)).then(Identity::default))
    }

    /// Asks the shell who sent a CONNECT.
    pub(crate) fn authenticate(&mut self, id: ConnectionId, connect: &Connect<'_>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let properties = &connect.properties;
        let exchange = properties.authentication_method.map(|method| Exchange {
            method: method.into(),
            said: vec![properties.authentication_data.unwrap_or_default().into()],
        });
        connection.state = State::Authenticating;
        let check = connection.authentication.insert(Box::default());
        check.exchange = exchange.clone();
        self.ask(id, request_of(connect, exchange));
    }

    /// Keeps a CONNECT that waits for the shell.
    pub(crate) fn keep_connect(&mut self, id: ConnectionId, frame: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.state == State::Authenticating
            && let Some(check) = &mut connection.authentication
        {
            check.connect = frame.to_vec();
        }
    }

    /// What the method of a client says at the end of the exchange for its CONNECT.
    pub(crate) fn take_last_word(&mut self, id: ConnectionId) -> Option<Box<[u8]>> {
        let check = self.authentication_mut(id)?;
        check.connect = Vec::new();
        check.last_word.take()
    }

    pub(crate) fn handle_authenticated(&mut self, now: Now, id: ConnectionId, outcome: Outcome) {
        // It may have ended meanwhile, and its slot may be in use again.
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (state, Some(check)) = (connection.state, &mut connection.authentication) else {
            return;
        };
        match state {
            State::Authenticating => self.handle_connect_outcome(now, id, outcome),
            State::Connecting(key) | State::Open(key) if check.asked => {
                check.asked = false;
                self.handle_later_outcome(now, id, key, outcome);
                self.arm_credentials(now, id);
            }
            _ => {}
        }
    }

    fn handle_connect_outcome(&mut self, now: Now, id: ConnectionId, outcome: Outcome) {
        let connection = self.connections.get_mut(id).expect("the caller has looked");
        let check = connection.authentication.as_mut().expect("the caller has looked");
        match outcome {
            Outcome::Continue(word) => {
                connection.state = State::Challenged;
                if self.challenge(id, word) {
                    self.resume(now, id);
                } else {
                    self.refuse(id, ReasonCode::PacketTooLarge);
                }
            }
            Outcome::Granted { identity, last_word } => {
                connection.state = State::AwaitingConnect;
                check.identity = Some(identity);
                check.last_word = last_word;
                if let Some(exchange) = &mut check.exchange {
                    exchange.said.clear();
                }
                let frame = std::mem::take(&mut check.connect);
                self.handle_frame(now, id, &frame);
                self.resume(now, id);
            }
            Outcome::Refused(reason) => {
                self.metrics.refused += 1;
                self.refuse(id, reason);
            }
        }
    }

    fn handle_later_outcome(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        outcome: Outcome,
    ) {
        let before = self.sessions[key as usize].identity().cloned().unwrap_or_default();
        let exchanging = self.is_exchanging(id);
        match outcome {
            Outcome::Continue(word) => {
                if !self.challenge(id, word) {
                    self.disconnect(now, id, ReasonCode::PacketTooLarge);
                }
            }
            // A connection is of one user: sessions, wills and queues are theirs.
            Outcome::Granted { identity, .. } if identity.username != before.username => {
                self.revoke(now, id);
            }
            Outcome::Granted { identity, last_word } => {
                let client_id = self.sessions[key as usize].client_id.clone();
                let permissions = Permissions::of(&identity, &client_id, self.acl.as_ref());
                self.sessions[key as usize].identify(identity);
                self.apply_permissions(key, permissions);
                if exchanging && !self.end_exchange_with(id, last_word.as_deref()) {
                    self.disconnect(now, id, ReasonCode::PacketTooLarge);
                }
            }
            Outcome::Refused(ReasonCode::ServerBusy | ReasonCode::ServerUnavailable)
                if !exchanging =>
            {
                if let Some(validity) = self.sessions[key as usize].validity_mut()
                    && let Validity::Renewable { renew_at_ms, .. } = validity
                {
                    *renew_at_ms = now.unix_ms + RENEWAL_RETRY_MS;
                }
            }
            Outcome::Refused(_) => self.revoke(now, id),
        }
    }

    /// AUTH while CONNECT waits for it.
    pub(crate) fn handle_challenged_auth(&mut self, id: ConnectionId, auth: &Auth<'_>) {
        let step = match self.check_auth(id, auth) {
            Ok(()) if auth.reason == ReasonCode::ContinueAuthentication => Ok(()),
            Ok(()) => Err(ReasonCode::ProtocolError),
            error => error,
        };
        if let Err(reason) = step {
            return self.refuse(id, reason);
        }
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.state = State::Authenticating;
        let Some(check) = &mut connection.authentication else { return };
        let Some(exchange) = &mut check.exchange else { return };
        exchange.said.push(auth.authentication_data.unwrap_or_default().into());
        let exchange = exchange.clone();
        let Ok(Packet::Connect(connect)) = Packet::decode(&check.connect, Version::V5) else {
            unreachable!("it was decoded before it was kept");
        };
        let request = request_of(&connect, Some(exchange));
        self.ask(id, request);
    }

    /// AUTH of a client that is connected: it shows once more who it is. Everything else goes on
    /// meanwhile.
    pub(crate) fn handle_auth(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        auth: &Auth<'_>,
    ) {
        if let Err(reason) = self.check_auth(id, auth) {
            return self.violation(now, id, reason);
        }
        let until = now.monotonic + self.limits.connect_timeout_ms;
        let Some(check) = self.authentication_mut(id) else { return };
        let Some(exchange) = &mut check.exchange else { return };
        let is_next = match auth.reason {
            ReasonCode::ContinueAuthentication => !exchange.said.is_empty(),
            ReasonCode::Reauthenticate => exchange.said.is_empty(),
            // Only the broker says that it was a success.
            _ => false,
        };
        if !is_next || check.asked {
            return self.violation(now, id, ReasonCode::ProtocolError);
        }
        exchange.said.push(auth.authentication_data.unwrap_or_default().into());
        let exchange = exchange.clone();
        check.exchange_until.get_or_insert(until);
        self.ask_again(id, key, Occasion::Reauthentication, Some(exchange));
        self.arm_credentials(now, id);
    }

    /// Whether AUTH belongs to what the client has begun with its CONNECT
    /// [MQTT-4.12.0-7] [MQTT-4.12.1-1].
    fn check_auth(&self, id: ConnectionId, auth: &Auth<'_>) -> Result<(), ReasonCode> {
        let check = self.authentication(id);
        let Some(exchange) = check.and_then(|check| check.exchange.as_ref()) else {
            return Err(ReasonCode::ProtocolError);
        };
        if auth.authentication_method.is_some_and(|method| *method != *exchange.method) {
            return Err(ReasonCode::BadAuthenticationMethod);
        }
        if auth.authentication_data.is_some_and(|word| word.len() > WORD_BYTES_MAX) {
            return Err(ReasonCode::NotAuthorized);
        }
        Ok(())
    }

    /// Asks a client back [MQTT-4.12.0-2]; false when the question is too long for it.
    fn challenge(&mut self, id: ConnectionId, word: Box<[u8]>) -> bool {
        let sent = self.write_auth(id, ReasonCode::ContinueAuthentication, Some(&word));
        let exchange = self.authentication_mut(id).and_then(|check| check.exchange.as_mut());
        let Some(exchange) = exchange else { return false };
        exchange.said.push(word);
        sent
    }

    /// Tells a client that its re-authentication has succeeded; false when that is too long for
    /// it.
    fn end_exchange_with(&mut self, id: ConnectionId, word: Option<&[u8]>) -> bool {
        let sent = self.write_auth(id, ReasonCode::Success, word);
        self.metrics.reauthenticated += 1;
        if let Some(check) = self.authentication_mut(id) {
            check.exchange_until = None;
            if let Some(exchange) = &mut check.exchange {
                exchange.said.clear();
            }
        }
        sent
    }

    /// False when it is longer than the client takes, or the client has named no method.
    fn write_auth(&mut self, id: ConnectionId, reason: ReasonCode, word: Option<&[u8]>) -> bool {
        let check = self.authentication(id);
        let Some(exchange) = check.and_then(|check| check.exchange.as_ref()) else { return false };
        let auth = Auth {
            reason,
            // [MQTT-4.12.0-5]
            authentication_method: Some(&exchange.method),
            authentication_data: word,
            ..Auth::default()
        };
        let mut frame = Vec::new();
        Packet::Auth(auth)
            .encode(Version::V5, &mut frame)
            .expect("the words of an exchange are bounded");
        let bytes_max = self.connections.get(id).map_or(0, |open| open.packet_bytes_max);
        let fits = frame.len() <= bytes_max;
        if fits {
            self.write(id, &frame);
        }
        fits
    }

    /// Asks the shell about a client that is connected.
    fn ask_again(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        occasion: Occasion,
        exchange: Option<Exchange>,
    ) {
        let session = &self.sessions[key as usize];
        let username = session.identity().and_then(|identity| identity.username.as_deref());
        let request = AuthenticationRequest {
            occasion,
            version: session.version,
            client_id: (*session.client_id).into(),
            username: username.map(Into::into),
            password: None,
            exchange,
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.authentication.get_or_insert_default().asked = true;
        }
        self.ask(id, request);
    }

    fn ask(&mut self, connection: ConnectionId, request: AuthenticationRequest) {
        let request = Box::new(request);
        self.turn.effects.push(Effect::Authenticate { connection, request });
    }

    fn is_exchanging(&self, id: ConnectionId) -> bool {
        let check = self.authentication(id);
        let exchange = check.and_then(|check| check.exchange.as_ref());
        exchange.is_some_and(|exchange| !exchange.said.is_empty())
    }

    fn authentication(&self, id: ConnectionId) -> Option<&Authentication> {
        self.connections.get(id)?.authentication.as_deref()
    }

    fn authentication_mut(&mut self, id: ConnectionId) -> Option<&mut Authentication> {
        self.connections.get_mut(id)?.authentication.as_deref_mut()
    }

    /// Ends a connection whose credentials do not hold any more.
    fn revoke(&mut self, now: Now, id: ConnectionId) {
        self.metrics.revoked += 1;
        self.disconnect(now, id, ReasonCode::NotAuthorized);
    }

    /// The time of a client's credentials, or of its exchange, may be over.
    pub(crate) fn check_credentials(&mut self, now: Now, id: ConnectionId) {
        let Some(check) = self.authentication_mut(id) else { return };
        check.timer = None;
        let (asked, exchange_until) = (check.asked, check.exchange_until);
        let Some(key) = self.connections.get(id).and_then(|open| open.session()) else { return };
        if exchange_until.is_some_and(|until| until <= now.monotonic) {
            return self.revoke(now, id);
        }
        match self.validity(key) {
            Validity::Until(ends_at_ms) | Validity::Renewable { ends_at_ms, .. }
                if ends_at_ms <= now.unix_ms =>
            {
                return self.revoke(now, id);
            }
            Validity::Renewable { renew_at_ms, .. }
                if renew_at_ms <= now.unix_ms && !asked && !self.is_exchanging(id) =>
            {
                self.ask_again(id, key, Occasion::Renewal, None);
            }
            _ => {}
        }
        self.arm_credentials(now, id);
    }

    /// Arms the timer for the next thing that ends or has to be asked.
    pub(crate) fn arm_credentials(&mut self, now: Now, id: ConnectionId) {
        self.disarm_credentials(id);
        let Some(connection) = self.connections.get(id) else { return };
        let Some(key) = connection.session() else { return };
        let check = connection.authentication.as_deref();
        let waits = check.is_some_and(|check| check.asked) || self.is_exchanging(id);
        let by_calendar = match self.validity(key) {
            Validity::Always => None,
            Validity::Renewable { renew_at_ms, .. } if !waits => Some(renew_at_ms),
            Validity::Renewable { ends_at_ms: at_ms, .. } | Validity::Until(at_ms) => Some(at_ms),
        };
        let by_calendar = by_calendar
            .map(|at_ms| now.monotonic + at_ms.saturating_sub(now.unix_ms).min(CALENDAR_TRUST_MS));
        let exchange_until = check.and_then(|check| check.exchange_until);
        let at = by_calendar.into_iter().chain(exchange_until).min();
        let Some(connection) = self.connections.get_mut(id) else { return };
        match at {
            Some(at) => {
                connection.authentication.get_or_insert_default().timer = Some(at);
                self.timers.arm(at, Timer::Credentials(id));
            }
            // Most clients need nothing more once they are connected.
            None if check_is_over(connection.authentication.as_deref()) => {
                connection.authentication = None;
            }
            None => {}
        }
    }

    pub(crate) fn disarm_credentials(&mut self, id: ConnectionId) {
        let armed = self.authentication_mut(id).and_then(|check| check.timer.take());
        if let Some(at) = armed {
            self.timers.disarm(at, Timer::Credentials(id));
        }
    }

    fn validity(&self, key: SessionKey) -> Validity {
        let identity = self.sessions[key as usize].identity();
        identity.map_or(Validity::Always, |identity| identity.validity)
    }

    pub(crate) fn handle_permissions(&mut self, acl: Option<Arc<Acl>>) {
        self.acl = acl;
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            let session = &self.sessions[key];
            if let Some(identity) = session.identity() {
                let permissions = Permissions::of(identity, &session.client_id, self.acl.as_ref());
                self.apply_permissions(key as SessionKey, permissions);
            }
        }
    }

    pub(crate) fn handle_revoked(&mut self, now: Now, credentials: &BTreeSet<Credential>) {
        let theirs = self.sessions.iter().filter_map(|(_, session)| {
            let identity = session.identity()?;
            session.claimed_by.filter(|_| credentials.contains(&identity.credential))
        });
        for connection in theirs.collect::<Vec<_>>() {
            self.revoke(now, connection);
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
            username: session.identity().and_then(|identity| identity.username.clone()),
            access,
            topic: topic.into(),
            line: session.permissions.as_ref().and_then(|known| known.rule_on(access, topic).line),
        });
        self.turn.effects.push(Effect::Denied { connection: id, denial });
    }
}

fn request_of(connect: &Connect<'_>, exchange: Option<Exchange>) -> AuthenticationRequest {
    AuthenticationRequest {
        occasion: Occasion::Connect,
        version: connect.version,
        client_id: connect.client_id.into(),
        username: connect.username.map(Into::into),
        password: connect.password.map(Into::into),
        exchange,
    }
}

/// Whether nothing is left that a check of the client could need.
fn check_is_over(check: Option<&Authentication>) -> bool {
    check.is_none_or(|check| check.exchange.is_none() && !check.asked)
}
