//! Questions and answers of a running task, with a delay that is none unless it is the subject.

use std::sync::mpsc as answers;

use super::*;
use crate::auth::PasswordHash;
use crate::auth::password_file::Passwords;
use crate::auth::vectors::SHA512;

const NAMED: Outcome = Outcome::Refused(ReasonCode::BadUserNameOrPassword);

fn settings() -> Settings {
    let (ban, delay) = (Duration::from_secs(600), Duration::ZERO);
    Settings { failures_max: 3, ban, delay, salts: SaltKey::new().unwrap() }
}

/// A task on a thread of its own.
struct Running {
    handle: Option<AuthenticatorHandle>,
    answers: answers::Receiver<(ConnectionId, Outcome)>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(settings: Settings) -> Self {
        let (sender, answers) = answers::channel();
        let answer = Box::new(move |_, id, outcome| sender.send((id, outcome)).unwrap());
        let (task, handle) = Authenticator::new(rights(&[("ann", 0)]), settings, answer);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(task.run());
        });
        Self { handle: Some(handle), answers, thread: Some(thread) }
    }

    fn ask(&self, slot: u32, address: &str, username: &str, password: &str) {
        let request = Box::new(AuthenticationRequest {
            occasion: Occasion::Connect,
            version: weir_mqtt::Version::V5,
            client_id: "c".into(),
            username: Some(username.into()),
            password: Some(password.as_bytes().into()),
            exchange: None,
        });
        let connection = ConnectionId { slot, generation: 0 };
        let address = address.parse().ok();
        assert!(self.handle.as_ref().unwrap().ask(Question {
            shard: ShardId(0),
            connection,
            address,
            request
        }));
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
    let known = rights(&[("ann", 0)]);
    Outcome::granted(known.identify(Some("ann"), SHA512[0].0.as_bytes(), 0).unwrap())
}

#[test]
fn right_credentials_are_granted_and_wrong_ones_refused() {
    let task = Running::start(settings());
    assert_eq!(task.result("", "ann", "secret"), ann());
    assert_eq!(task.result("", "ann", "wrong"), NAMED);
    assert_eq!(task.result("", "eve", "secret"), NAMED);
}

#[test]
fn an_address_that_fails_too_often_is_refused_with_right_credentials_too() {
    let task = Running::start(settings());
    for _ in 0..3 {
        assert_eq!(task.result("192.0.2.1", "ann", "wrong"), NAMED);
    }
    assert_eq!(task.result("192.0.2.1", "ann", "secret"), Outcome::Refused(ReasonCode::Banned));
    assert_eq!(task.result("192.0.2.2", "ann", "secret"), ann());
}

#[test]
fn a_delay_keeps_nobody_else_waiting() {
    let delay = Duration::from_millis(300);
    let task = Running::start(Settings { delay, ..settings() });
    let start = Instant::now();
    task.ask(1, "", "ann", "wrong");
    task.ask(2, "", "ann", "secret");
    assert_eq!(task.answer(), (2, ann()));
    assert_eq!(task.answer(), (1, NAMED));
    assert!(start.elapsed() >= delay);
}

#[test]
fn new_rights_hold_for_the_next_question() {
    let task = Running::start(settings());
    let newer = rights(&[("ann", 1), ("bob", 0)]);
    let Outcome::Granted { identity, .. } = ann() else { unreachable!() };
    task.handle.as_ref().unwrap().replace(newer.clone(), |before| {
        assert_eq!(before.revoked_by(&newer), [identity.credential].into());
        assert!(newer.revoked_by(before).len() == 2 && newer.revoked_by(&newer).is_empty());
    });
    assert_eq!(task.result("", "ann", "secret"), NAMED);
    assert!(matches!(task.result("", "ann", SHA512[1].0), Outcome::Granted { .. }));
}

#[test]
fn more_questions_than_there_is_room_for_are_not_taken() {
    let (_task, handle) = Authenticator::new(Rights::default(), settings(), Box::new(|_, _, _| {}));
    let question = || Question {
        shard: ShardId(0),
        connection: ConnectionId { slot: 1, generation: 0 },
        address: None,
        request: Box::new(AuthenticationRequest {
            occasion: Occasion::Connect,
            version: weir_mqtt::Version::V5,
            client_id: "c".into(),
            username: None,
            password: None,
            exchange: None,
        }),
    };
    assert!((0..QUESTIONS_MAX).all(|_| handle.ask(question())));
    assert!(!handle.ask(question()));
}

const SCRAM_LINE: &str = "user:$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==\
                          $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=\
                          $wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

/// The client's half of an exchange for the password `pencil`, for whatever it is asked.
fn proof(first_bare: &str, challenge: &str, password: &str) -> (String, String) {
    use crate::auth::scram::{KEY_BYTES, derive_keys, hmac};
    use sha2::{Digest, Sha256};
    let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let salt = Base64::decode_vec(part("s=")).unwrap();
    let mut salted = [0; KEY_BYTES];
    let iterations = part("i=").parse().unwrap();
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations, &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let without_proof = format!("c=biws,r={}", part("r="));
    let all = format!("{first_bare},{challenge},{without_proof}");
    let signature = hmac(&Sha256::digest(client_key), all.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let server_key = &derive_keys(password.as_bytes(), &salt, iterations)[KEY_BYTES..];
    let last = Base64::encode_string(&hmac(server_key, all.as_bytes()));
    (format!("{without_proof},p={}", Base64::encode_string(&proof)), format!("v={last}"))
}

fn with_scram() -> (Running, Rights) {
    let passwords = Passwords::parse(SCRAM_LINE, "passwords").unwrap();
    let rights = Rights { passwords: Some(passwords), ..Rights::default() };
    let task = Running::start(settings());
    task.handle.as_ref().unwrap().replace(rights.clone(), |_| {});
    (task, rights)
}

impl Running {
    fn exchange(&self, address: &str, method: &str, said: &[&str]) -> Outcome {
        let exchange = Exchange {
            method: method.into(),
            said: said.iter().map(|word| word.as_bytes().into()).collect(),
        };
        let request = Box::new(AuthenticationRequest {
            occasion: Occasion::Connect,
            version: weir_mqtt::Version::V5,
            client_id: "c".into(),
            username: None,
            password: None,
            exchange: Some(exchange),
        });
        let connection = ConnectionId { slot: 1, generation: 0 };
        let address = address.parse().ok();
        assert!(self.handle.as_ref().unwrap().ask(Question {
            shard: ShardId(0),
            connection,
            address,
            request
        }));
        self.answer().1
    }

    /// A whole exchange; the answer is the outcome and what the broker should have said last.
    fn scram(&self, address: &str, user: &str, password: &str) -> (Outcome, String) {
        let bare = format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL");
        let first = format!("n,,{bare}");
        let challenge = match self.exchange(address, "SCRAM-SHA-256", &[&first]) {
            Outcome::Continue(word) => String::from_utf8(word.into()).unwrap(),
            other => return (other, String::new()),
        };
        let (proof, last) = proof(&bare, &challenge, password);
        (self.exchange(address, "SCRAM-SHA-256", &[&first, &challenge, &proof]), last)
    }
}

#[test]
fn scram_lets_in_who_knows_the_password_and_shows_that_the_broker_does() {
    let (task, rights) = with_scram();
    let (outcome, last) = task.scram("", "user", "pencil");
    let Outcome::Granted { identity, last_word } = outcome else { panic!("{outcome:?}") };
    assert_eq!(last_word.as_deref(), Some(last.as_bytes()));
    assert_eq!(identity.username.as_deref(), Some("user"));
    assert_eq!(rights.revoked_by(&Rights::default()), [identity.credential].into());
    // The same line holds for the plain password too.
    assert_eq!(task.result("", "user", "pencil"), Outcome::granted(identity));
    assert_eq!(task.result("", "user", "pencils"), NAMED);
}

#[test]
fn scram_failures_are_counted_and_ban() {
    let (task, _) = with_scram();
    assert_eq!(task.scram("192.0.2.1", "user", "pencils").0, NAMED);
    assert_eq!(task.scram("192.0.2.1", "eve", "pencil").0, NAMED);
    assert_eq!(task.exchange("192.0.2.1", "SCRAM-SHA-256", &["nonsense"]), NAMED);
    let banned = Outcome::Refused(ReasonCode::Banned);
    assert_eq!(task.scram("192.0.2.1", "user", "pencil").0, banned);
    assert!(matches!(task.scram("192.0.2.2", "user", "pencil").0, Outcome::Granted { .. }));
}

#[test]
fn a_method_that_nobody_could_use_is_not_offered() {
    let (task, _) = with_scram();
    let refused = Outcome::Refused(ReasonCode::BadAuthenticationMethod);
    for method in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "scram-sha-256", ""] {
        assert_eq!(task.exchange("", method, &["n,,n=user,r=abc"]), refused, "{method}");
    }
    let task = Running::start(settings());
    assert_eq!(task.exchange("", "SCRAM-SHA-256", &["n,,n=ann,r=abc"]), refused);
}

#[test]
fn a_password_that_changes_in_an_exchange_holds_from_then_on() {
    let (task, _) = with_scram();
    let first = "n,,n=user,r=abc";
    let Outcome::Continue(challenge) = task.exchange("", "SCRAM-SHA-256", &[first]) else {
        panic!("it is asked back")
    };
    let challenge = String::from_utf8(challenge.into()).unwrap();
    let (proof, _) = proof("n=user,r=abc", &challenge, "pencil");
    let other = PasswordHash::new_scram(b"other", 4096).unwrap();
    let passwords = Passwords::parse(&format!("user:{other}\n"), "passwords").unwrap();
    let rights = Rights { passwords: Some(passwords), ..Rights::default() };
    task.handle.as_ref().unwrap().replace(rights, |_| {});
    assert_eq!(task.exchange("", "SCRAM-SHA-256", &[first, &challenge, &proof]), NAMED);
}
