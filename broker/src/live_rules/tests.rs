use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};
use weir_core::{MessageParts, ReaderId, Records, Sequence, parse_message};
use weir_mqtt::QoS;
use weir_rules::{Diagnostic, Engine, Source};

use super::LiveRules;
use crate::clock::unix_ms;
use crate::config::{Config, compile_rules, read_tables};
use crate::mailbox::{Mail, MailReceiver, Mailboxes, mailbox};
use crate::pipeline::{Pipeline, PipelineThread, Waiting};
use crate::record_sink::RecordSink;

const PATIENCE: Duration = Duration::from_secs(20);
const RULE: &str = "[rule.r]\nfrom = \"in/{tag}\"\nto = \"out\"\nselect = { name = \"names.name\" }\n\
                    [rule.r.lookup.names]\nfile = \"names.csv\"\nkey = \"tag\"\n";

/// Rules that run, with the files that they read.
struct Bench {
    folder: PathBuf,
    rules: LiveRules,
    thread: PipelineThread,
    mail: MailReceiver,
    _poll: Poll,
    position: u64,
}

impl Bench {
    fn new(name: &str, table: &str) -> Self {
        let name = format!("weir-tables-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("it can be made");
        fs::write(folder.join("names.csv"), table).expect("it can be written");
        let mut source = Source::new(folder.join("r.toml").display().to_string(), RULE);
        read_tables(&mut source);
        let config = Config { rules: vec![source], ..Config::default() };
        let plan = compile_rules(&config.rules, &[]).expect("the rule is correct");
        let pipeline = Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new());
        let poll = Poll::new().expect("the system gives a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("and a way to wake it");
        let (mailbox, mail) = mailbox(waker);
        let mailboxes = Mailboxes::new(vec![mailbox]);
        let thread = PipelineThread::run(pipeline, Waiting::default(), mailboxes);
        let thread = thread.expect("the system gives a thread");
        let rules = LiveRules::new(&config, thread.handle());
        Self { folder, rules, thread, mail, _poll: poll, position: 0 }
    }

    /// Replaces the file; it has another inode then, however little time has passed.
    fn write(&self, table: &str) {
        let new = self.folder.join("new");
        fs::write(&new, table).expect("it can be written");
        fs::rename(new, self.folder.join("names.csv")).expect("it can be replaced");
    }

    /// What is wrong with the files as they are.
    fn problems(&self) -> Vec<Diagnostic> {
        let mut source = Source::new(self.folder.join("r.toml").display().to_string(), RULE);
        read_tables(&mut source);
        self.rules.check(vec![source]).err().expect("they are wrong")
    }

    fn end(self) {
        drop(self.thread);
        fs::remove_dir_all(self.folder).expect("it was made here");
    }

    /// What the rule sends for a message.
    fn send(&mut self, tag: &str) -> String {
        self.position += 1;
        let topic = format!("in/{tag}");
        let parts = MessageParts {
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: unix_ms(),
            topic: &topic,
            properties: &[],
            payload: b"{}",
            publisher: "",
        };
        let mut records = Records::default();
        records.push(Some(Sequence(self.position)), &parts);
        self.thread.handle().give(records);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut mail = self.mail.take();
            let publications = mail.find_map(|mail| match mail {
                Mail::Turn(turn) if !turn.publications.is_empty() => Some(turn.publications),
                _ => None,
            });
            if let Some(publications) = publications {
                let message = parse_message(&publications[0].record).expect("it is whole");
                return format!("{} {}", message.topic, String::from_utf8_lossy(message.payload));
            }
            assert!(Instant::now() < deadline, "no turn in time");
            std::thread::yield_now();
        }
    }
}

#[test]
fn file_that_has_changed_is_used_without_a_restart() {
    let mut bench = Bench::new("changed", "tag,name\na,one\n");
    assert_eq!(bench.send("a"), r#"out {"name":"one"}"#);
    assert!(!bench.rules.refresh());
    bench.write("name,tag\ntwo,a\nthree,b\n");
    // The column of the keys is the first one now.
    assert!(bench.rules.refresh());
    assert_eq!(bench.send("two"), r#"out {"name":"two"}"#);
    assert!(!bench.rules.refresh());
    bench.end();
}

#[test]
fn file_that_is_wrong_leaves_the_one_before_and_is_told_once() {
    let mut bench = Bench::new("wrong", "tag,name\na,one\n");
    bench.write("tag,name\na,two\na,three\n");
    assert!(!bench.rules.refresh());
    assert_eq!(bench.send("a"), r#"out {"name":"one"}"#);
    let problems = bench.problems();
    assert_eq!(problems[0].position(), Some((3, 1)));
    // A column that a rule names is gone.
    bench.write("tag,title\na,two\n");
    assert!(!bench.rules.refresh());
    assert_eq!(bench.send("a"), r#"out {"name":"one"}"#);
    fs::remove_file(bench.folder.join("names.csv")).expect("it was there");
    assert!(!bench.rules.refresh());
    assert_eq!(bench.send("a"), r#"out {"name":"one"}"#);
    bench.write("tag,name\na,four\n");
    assert!(bench.rules.refresh());
    assert_eq!(bench.send("a"), r#"out {"name":"four"}"#);
    bench.end();
}

#[test]
fn table_that_is_too_large_is_not_read_whole() {
    let bench = Bench::new("large", "tag,name\na,one\n");
    let large = format!("tag,name\n{}", "x,y\n".repeat(5 << 20));
    bench.write(&large);
    let problems = bench.problems();
    assert_eq!(problems[0].message(), "cannot read the table `names.csv`");
    bench.end();
}

/// Whoever writes a file in two steps may be read between them.
#[test]
fn file_that_was_read_while_it_was_written_is_read_again() {
    let mut bench = Bench::new("half", "tag,name\na,one\n");
    let table = bench.folder.join("names.csv");
    fs::write(&table, "tag,name\na,two\n").expect("it can be written");
    let mut source = Source::new(bench.folder.join("r.toml").display().to_string(), RULE);
    read_tables(&mut source);
    // The second half comes after it was read and before the rules are exchanged.
    fs::write(&table, "tag,name\na,two\nb,three\n").expect("it can be written");
    let next = bench.rules.check(vec![source]).expect("the rule is correct");
    bench.rules.exchange(next).expect("the rules run");
    assert_eq!(bench.send("a"), r#"out {"name":"two"}"#);
    assert!(bench.rules.refresh());
    assert_eq!(bench.send("b"), r#"out {"name":"three"}"#);
    bench.end();
}
