//! The task that checks credentials, beside the shards.
//!
//! A question that comes while too many wait is not taken, and its client is told that the
//! server is busy. Hashes are computed on threads for blocking work, few at a time, because each
//! takes memory and a core. Wrong credentials are answered after a delay; too many of them ban
//! the address. Every question that is taken gets one answer.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64ct::{Base64, Encoding};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{self, LocalSet};
use weir_core::{AuthenticationRequest, ConnectionId, Exchange, Occasion, Outcome, ShardId};
use weir_mqtt::ReasonCode;

use super::audit;
use super::bans::Bans;
use super::rights::{Rights, Step};
use super::salt_key::SaltKey;
use super::service::Service;

/// How strict the task is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Wrong credentials of an address until it is banned; 0 = it never is.
    pub(crate) failures_max: u32,
    /// How long a ban lasts.
    pub(crate) ban: Duration,
    /// How long the answer to wrong credentials takes.
    pub(crate) delay: Duration,
    /// What salts of users are made from that do not exist.
    pub(crate) salts: SaltKey,
}

/// A client whose credentials are to be checked.
#[derive(Debug)]
pub(crate) struct Question {
    /// The shard that has the connection.
    pub(crate) shard: ShardId,
    pub(crate) connection: ConnectionId,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request: Box<AuthenticationRequest>,
}

/// Takes the answers, from the task's thread.
type Answer = Box<dyn Fn(ShardId, ConnectionId, Outcome) + Send>;

/// The task before it runs.
pub(crate) struct Authenticator {
    questions: mpsc::Receiver<Question>,
    rights: Arc<Mutex<Arc<Rights>>>,
    settings: Settings,
    answer: Answer,
}

/// Asks the task.
#[derive(Clone, Debug)]
pub(crate) struct AuthenticatorHandle {
    questions: mpsc::Sender<Question>,
    rights: Arc<Mutex<Arc<Rights>>>,
}

/// What the questions share while the task runs.
struct Desk {
    rights: Arc<Mutex<Arc<Rights>>>,
    settings: Settings,
    bans: RefCell<Bans>,
    hashes: Semaphore,
    renewals: Semaphore,
    send: Answer,
}

/// What was found out about a client.
enum Verdict {
    /// This is what it is told.
    Outcome(Outcome),
    /// Its credentials are wrong.
    Wrong,
}

impl Authenticator {
    /// A task and the way to ask it.
    pub(crate) fn new(
        rights: Rights,
        settings: Settings,
        answer: Answer,
    ) -> (Self, AuthenticatorHandle) {
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        let rights = Arc::new(Mutex::new(Arc::new(rights)));
        let handle = AuthenticatorHandle { questions: sender, rights: rights.clone() };
        (Self { questions, rights, settings, answer }, handle)
    }

    /// Answers questions until nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let desk = Rc::new(Desk {
            rights: self.rights,
            settings: self.settings,
            bans: RefCell::new(Bans::new(self.settings.failures_max, self.settings.ban)),
            hashes: Semaphore::new((cores / 2).clamp(1, HASHES_MAX)),
            renewals: Semaphore::new(RENEWALS_MAX),
            send: self.answer,
        });
        let open = Arc::new(Semaphore::new(QUESTIONS_MAX));
        let tasks = LocalSet::new();
        let asked = async {
            while let Some(question) = self.questions.recv().await {
                // Never closed.
                let Ok(permit) = open.clone().acquire_owned().await else { return };
                let desk = desk.clone();
                task::spawn_local(async move {
                    desk.answer(&question).await;
                    drop(permit);
                });
            }
        };
        tasks.run_until(asked).await;
    }
}

impl AuthenticatorHandle {
    /// Asks; false when too many questions wait already.
    pub(crate) fn ask(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
    }

    /// From now on answers come from these rights. `tell` is called with the ones before: what it
    /// does comes behind every answer that came from those, and before every other.
    pub(crate) fn replace(&self, rights: Rights, tell: impl FnOnce(&Rights)) {
        let mut held = self.rights.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *held, Arc::new(rights));
        tell(&before);
    }
}

impl Desk {
    async fn answer(&self, question: &Question) {
        let Question { shard, connection, address, request } = question;
        let connects = request.occasion == Occasion::Connect;
        let is_banned = |address| self.bans.borrow().is_banned(address, Instant::now());
        if connects && address.is_some_and(is_banned) {
            audit::refused(request, *address, "the address is banned");
            return (self.send)(*shard, *connection, Outcome::Refused(ReasonCode::Banned));
        }
        loop {
            let rights = self.rights();
            match self.judge(&rights, request, *address).await {
                Verdict::Outcome(outcome) => {
                    if self.send_by(&rights, question, outcome) {
                        return;
                    }
                }
                Verdict::Wrong => return self.refuse(question).await,
            }
        }
    }

    /// False when the rights are others meanwhile: somebody may have lost theirs.
    fn send_by(&self, rights: &Arc<Rights>, question: &Question, outcome: Outcome) -> bool {
        // Held until the answer is sent, so that what a change of the rights revokes does not
        // overtake it.
        let held = self.rights.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(rights, &held) {
            return false;
        }
        let Question { shard, connection, address, request } = question;
        match &outcome {
            Outcome::Continue(_) => {}
            Outcome::Granted { identity, .. } => audit::granted(request, identity, *address),
            Outcome::Refused(ReasonCode::BadAuthenticationMethod) => {
                audit::refused(request, *address, "no such method of authentication");
            }
            Outcome::Refused(ReasonCode::NotAuthorized) => {
                audit::refused(request, *address, "the service of [auth.http] says so");
            }
            // One that is connected is asked about again soon.
            Outcome::Refused(_) if request.occasion == Occasion::Renewal => {}
            Outcome::Refused(_) => audit::refused(request, *address, "it cannot be checked"),
        }
        (self.send)(*shard, *connection, outcome);
        true
    }

    /// Answers wrong credentials.
    async fn refuse(&self, question: &Question) {
        let Question { shard, connection, address, request } = question;
        audit::refused(request, *address, "wrong user name or password");
        if let Some(address) = *address
            && self.bans.borrow_mut().count_failure(address, Instant::now())
        {
            audit::banned(address, self.settings.ban.as_secs());
        }
        tokio::time::sleep(self.settings.delay).await;
        (self.send)(*shard, *connection, Outcome::Refused(ReasonCode::BadUserNameOrPassword));
    }

    async fn judge(
        &self,
        rights: &Arc<Rights>,
        request: &AuthenticationRequest,
        address: Option<IpAddr>,
    ) -> Verdict {
        if let Some(exchange) = &request.exchange {
            return self.exchange(rights, exchange);
        }
        if let Some(service) = rights.service_for(request) {
            return self.ask_service(service, request, address).await;
        }
        // Never closed.
        let Ok(_permit) = self.hashes.acquire().await else { return Verdict::Wrong };
        let (rights, request) = (rights.clone(), request.clone());
        let identify = move || {
            let password = request.password.as_deref()?;
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
            let username = request.username.as_deref();
            rights.identify(username, password, since_epoch.as_secs())
        };
        // A panic there lets nobody in.
        match task::spawn_blocking(identify).await.ok().flatten() {
            Some(identity) => Verdict::Outcome(Outcome::granted(identity)),
            None => Verdict::Wrong,
        }
    }

    async fn ask_service(
        &self,
        service: &Service,
        request: &AuthenticationRequest,
        address: Option<IpAddr>,
    ) -> Verdict {
        let unavailable = Verdict::Outcome(Outcome::Refused(ReasonCode::ServerUnavailable));
        let renews = request.occasion == Occasion::Renewal;
        // What is asked again about those who are there keeps nobody out who comes.
        let _place = match renews.then(|| self.renewals.try_acquire()) {
            Some(Err(_)) => return unavailable,
            Some(Ok(place)) => Some(place),
            None => None,
        };
        match service.identify(request, address).await {
            Some(Some(identity)) => Verdict::Outcome(Outcome::granted(identity)),
            // Nothing was guessed, so nothing is counted.
            Some(None) if renews => Verdict::Outcome(Outcome::Refused(ReasonCode::NotAuthorized)),
            Some(None) => Verdict::Wrong,
            None => unavailable,
        }
    }

    fn exchange(&self, rights: &Rights, exchange: &Exchange) -> Verdict {
        let Ok(nonce) = nonce() else {
            tracing::error!("the system gives no random numbers: no client can be asked back");
            return Verdict::Outcome(Outcome::Refused(ReasonCode::ServerUnavailable));
        };
        Verdict::Outcome(match rights.exchange(exchange, &nonce, &self.settings.salts) {
            Step::Continue(word) => Outcome::Continue(word),
            Step::Done { identity, last_word } => {
                Outcome::Granted { identity, last_word: Some(last_word) }
            }
            Step::UnknownMethod => Outcome::Refused(ReasonCode::BadAuthenticationMethod),
            Step::Wrong => return Verdict::Wrong,
        })
    }

    fn rights(&self) -> Arc<Rights> {
        self.rights.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A text that is never made twice.
fn nonce() -> io::Result<String> {
    let mut bytes = [0; 18];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Base64::encode_string(&bytes))
}

/// Questions that wait for their turn, and questions that are being answered; the delay of wrong
/// credentials counts. Past it clients are told that the server is busy.
const QUESTIONS_MAX: usize = 512;
/// Clients that are connected and asked about again at a time; the others wait.
const RENEWALS_MAX: usize = 64;
/// Hashes that are computed at a time.
const HASHES_MAX: usize = 2;

#[cfg(test)]
mod tests;
