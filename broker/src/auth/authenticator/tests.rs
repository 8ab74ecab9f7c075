//! Questions and answers of a running task, with a delay that is none unless it is the subject.

use std::sync::mpsc as answers;

use super::*;
use crate::auth::password_file::Passwords;
use crate::auth::vectors::SHA512;

const NAMED: Outcome = Outcome::Refused(ReasonCode::BadUserNameOrPassword);
const SETTINGS: Settings =
    Settings { failures_max: 3, ban: Duration::from_secs(600), delay: Duration::ZERO };

/// A task on a thread of its own.
struct Running {
    handle: Option<AuthenticatorHandle>,
    answers: answers::Receiver<(ConnectionId, Outcome)>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(settings: Settings) -> Self {
        let (sender, answers) = answers::channel();
        let answer = Box::new(move |id, outcome| sender.send((id, outcome)).unwrap());
        let (task, handle) = Authenticator::new(rights(&[("ann", 0)]), settings, answer);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(task.run());
        });
        Self { handle: Some(handle), answers, thread: Some(thread) }
    }

    fn ask(&self, slot: u32, address: &str, username: &str, password: &str) {
        let request = Box::new(AuthenticationRequest {
            version: weir_mqtt::Version::V5,
            client_id: "c".into(),
            username: Some(username.into()),
            password: Some(password.as_bytes().into()),
        });
        let connection = ConnectionId { slot, generation: 0 };
        let address = address.parse().ok();
        assert!(self.handle.as_ref().unwrap().ask(Question { connection, address, request }));
    }

    fn answer(&self) -> (u32, Outcome) {
        let (id, outcome) = self.answers.recv_timeout(Duration::from_secs(20)).unwrap();
        (id.slot, outcome)
    }

    fn result(&self, address: &str, username: &str, password: &str) -> Outcome {
        self.ask(1, address, username, password);
        self.answer().1
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.take();
        self.thread.take().unwrap().join().ok();
    }
}

fn rights(users: &[(&str, usize)]) -> Rights {
    let lines = users.iter().map(|(name, vector)| format!("{name}:{}\n", SHA512[*vector].1));
    let text: String = lines.collect();
    Rights { passwords: Some(Passwords::parse(&text, "passwords").unwrap()), ..Rights::default() }
}

fn ann() -> Outcome {
    Outcome::Granted(Identity { username: Some("ann".into()), rules: None })
}

#[test]
fn right_credentials_are_granted_and_wrong_ones_refused() {
    let task = Running::start(SETTINGS);
    assert_eq!(task.result("", "ann", "secret"), ann());
    assert_eq!(task.result("", "ann", "wrong"), NAMED);
    assert_eq!(task.result("", "eve", "secret"), NAMED);
}

#[test]
fn an_address_that_fails_too_often_is_refused_with_right_credentials_too() {
    let task = Running::start(SETTINGS);
    for _ in 0..3 {
        assert_eq!(task.result("192.0.2.1", "ann", "wrong"), NAMED);
    }
    assert_eq!(task.result("192.0.2.1", "ann", "secret"), Outcome::Refused(ReasonCode::Banned));
    assert_eq!(task.result("192.0.2.2", "ann", "secret"), ann());
}

#[test]
fn a_delay_keeps_nobody_else_waiting() {
    let delay = Duration::from_millis(300);
    let task = Running::start(Settings { delay, ..SETTINGS });
    let start = Instant::now();
    task.ask(1, "", "ann", "wrong");
    task.ask(2, "", "ann", "secret");
    assert_eq!(task.answer(), (2, ann()));
    assert_eq!(task.answer(), (1, NAMED));
    assert!(start.elapsed() >= delay);
}

#[test]
fn new_rights_hold_for_the_next_question() {
    let task = Running::start(SETTINGS);
    let before = task.handle.as_ref().unwrap().replace(rights(&[("ann", 1), ("bob", 0)]));
    assert_eq!(before.revoked_by(&rights(&[("ann", 1)])), ["ann"]);
    assert_eq!(task.result("", "ann", "secret"), NAMED);
    assert_eq!(task.result("", "ann", SHA512[1].0), ann());
}

#[test]
fn more_questions_than_there_is_room_for_are_not_taken() {
    let (_task, handle) = Authenticator::new(Rights::default(), SETTINGS, Box::new(|_, _| {}));
    let question = || Question {
        connection: ConnectionId { slot: 1, generation: 0 },
        address: None,
        request: Box::new(AuthenticationRequest {
            version: weir_mqtt::Version::V5,
            client_id: "c".into(),
            username: None,
            password: None,
        }),
    };
    assert!((0..QUESTIONS_MAX).all(|_| handle.ask(question())));
    assert!(!handle.ask(question()));
}
