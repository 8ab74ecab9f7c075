//! The task that checks credentials, beside the shards.
//!
//! A question that comes while too many wait is not taken, and its client is told that the
//! server is busy. Hashes are computed on threads for blocking work, few at a time, because each
//! takes memory and a core. Wrong credentials are answered after a delay; too many of them ban
//! the address. Every question that is taken gets one answer.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{self, LocalSet};
use weir_core::{AuthenticationRequest, ConnectionId, Identity, Outcome};
use weir_mqtt::ReasonCode;

use super::audit;
use super::bans::Bans;
use super::rights::Rights;

/// How strict the task is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Wrong credentials of an address until it is banned; 0 = it never is.
    pub(crate) failures_max: u32,
    /// How long a ban lasts.
    pub(crate) ban: Duration,
    /// How long the answer to wrong credentials takes.
    pub(crate) delay: Duration,
}

/// A client whose credentials are to be checked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) connection: ConnectionId,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request: Box<AuthenticationRequest>,
}

/// Takes the answers, from the task's thread.
type Answer = Box<dyn Fn(ConnectionId, Outcome) + Send>;

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
    answer: Answer,
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
            answer: self.answer,
        });
        let open = Arc::new(Semaphore::new(QUESTIONS_MAX));
        let tasks = LocalSet::new();
        let asked = async {
            while let Some(question) = self.questions.recv().await {
                // Never closed.
                let Ok(permit) = open.clone().acquire_owned().await else { return };
                let desk = desk.clone();
                task::spawn_local(async move {
                    let outcome = desk.judge(&question).await;
                    (desk.answer)(question.connection, outcome);
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

    /// From now on answers come from these rights; the ones before are given back.
    pub(crate) fn replace(&self, rights: Rights) -> Arc<Rights> {
        let mut held = self.rights.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, Arc::new(rights))
    }
}

impl Desk {
    async fn judge(&self, question: &Question) -> Outcome {
        let Question { address, request, .. } = question;
        if address.is_some_and(|address| self.bans.borrow().is_banned(address, Instant::now())) {
            audit::refused(request, *address, "the address is banned");
            return Outcome::Refused(ReasonCode::Banned);
        }
        if let Some(identity) = self.identify(request).await {
            audit::connected(request, identity.username.as_deref().unwrap_or_default(), *address);
            return Outcome::Granted(identity);
        }
        audit::refused(request, *address, "wrong user name or password");
        if let Some(address) = *address
            && self.bans.borrow_mut().count_failure(address, Instant::now())
        {
            audit::banned(address, self.settings.ban.as_secs());
        }
        tokio::time::sleep(self.settings.delay).await;
        Outcome::Refused(ReasonCode::BadUserNameOrPassword)
    }

    async fn identify(&self, request: &AuthenticationRequest) -> Option<Identity> {
        loop {
            let rights = self.rights();
            // Never closed.
            let _permit = self.hashes.acquire().await.ok()?;
            let (asked, request) = (rights.clone(), request.clone());
            let identify = move || {
                let password = request.password.as_deref()?;
                let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
                let username = request.username.as_deref();
                asked.identify(username, password, since_epoch.as_secs())
            };
            // A panic there lets nobody in.
            let identity = task::spawn_blocking(identify).await.ok().flatten();
            // Somebody may have lost their rights while this was computed.
            if Arc::ptr_eq(&rights, &self.rights()) {
                return identity;
            }
        }
    }

    fn rights(&self) -> Arc<Rights> {
        self.rights.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Questions that wait for their turn, and questions that are being answered; the delay of wrong
/// credentials counts. Past it clients are told that the server is busy.
const QUESTIONS_MAX: usize = 512;
/// Hashes that are computed at a time.
const HASHES_MAX: usize = 2;

#[cfg(test)]
mod tests;
