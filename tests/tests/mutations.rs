//! Faults in the core, the store and the rules themselves, put into a copy of the source: the
//! simulator must find every one.
//!
//! The ordinary test only sees that each fault still fits the source. To look for them takes a
//! build of the copy, in which one fault at a time is switched on:
//!
//! ```text
//! cargo test --package weir-tests --test mutations -- --ignored --nocapture
//! WEIR_FAULT=will cargo test --package weir-tests --test mutations -- --ignored --nocapture
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A fault is found within so many seeds.
const SEEDS: u32 = 100;

/// A place in the source, and the faults that are put there.
struct Place {
    file: &'static str,
    /// The name of each fault, and what the broker does then; none where it is a part of one that is
    /// named elsewhere.
    faults: &'static [(&'static str, &'static str)],
    find: &'static str,
    /// `is_on` says whether a fault is there: all are built into one copy, and one is switched on
    /// at a time.
    replace: &'static str,
}

const PLACES: &[Place] = &[
    Place {
        file: "broker/core/src/publish.rs",
        faults: &[("acknowledges-early", "PUBACK and PUBREC do not wait for the commit")],
        find: "            Durability::Commit => self.reply(id, reply, packet_id, reason, durable),\n",
        replace: "            Durability::Commit => {\n                let durable = durable && !is_on(\"acknowledges-early\");\n                self.reply(id, reply, packet_id, reason, durable);\n            }\n",
    },
    Place {
        file: "broker/core/src/publish.rs",
        faults: &[("received-unchecked", "a QoS 2 message that comes again is published again")],
        find: "before.filter(|_| reply == Reply::Pubrec)",
        replace: "before.filter(|_| reply == Reply::Pubrec && !is_on(\"received-unchecked\"))",
    },
    Place {
        file: "broker/core/src/publish.rs",
        faults: &[(
            "received-unstored",
            "the identifier of a received QoS 2 message is not stored",
        )],
        find: "            if is_recorded {\n",
        replace: "            if is_recorded && !is_on(\"received-unstored\") {\n",
    },
    Place {
        file: "broker/core/src/acknowledge.rs",
        faults: &[
            ("pubrel-forgotten", "PUBREL is not said once PUBREC has come"),
            ("pubrel-early", "PUBREL is said before it is durable that PUBREC came"),
        ],
        find: "        self.reply(id, Reply::Pubrel, packet_id, ReasonCode::Success, durable);\n",
        replace: "        let durable = durable && !is_on(\"pubrel-early\");\n        if !is_on(\"pubrel-forgotten\") {\n            self.reply(id, Reply::Pubrel, packet_id, ReasonCode::Success, durable);\n        }\n",
    },
    Place {
        file: "broker/core/src/inflight.rs",
        faults: &[(
            "resend-dropped",
            "what was under way when a connection ended is not sent again",
        )],
        find: "self.entries.iter().find(|entry| entry.progress == Progress::Waiting).copied()",
        replace: "let is_dropped = |entry: &Inflight| entry.sent_before && is_on(\"resend-dropped\");\n        let waits = |entry: &&Inflight| entry.progress == Progress::Waiting && !is_dropped(entry);\n        self.entries.iter().find(waits).copied()",
    },
    Place {
        file: "broker/core/src/deliver.rs",
        faults: &[("resend-without-dup", "what is sent again has no DUP flag")],
        find: "            dup: entry.sent_before,\n",
        replace: "            dup: entry.sent_before && !is_on(\"resend-without-dup\"),\n",
    },
    Place {
        file: "broker/core/src/retained.rs",
        faults: &[("retains-the-older", "a retained message does not replace the one before")],
        find: "        self.bytes += message.len();\n        let expiry",
        replace: "        if is_on(\"retains-the-older\") && self.messages.contains(message.topic()) {\n            return;\n        }\n        self.bytes += message.len();\n        let expiry",
    },
    Place {
        file: "broker/core/src/turn.rs",
        faults: &[("cursor-stays", "the cursors of sessions are not written")],
        find: "                self.turn.changes.push(change);\n            }\n        }\n        self.turn.cursors.clear();",
        replace: "                if !is_on(\"cursor-stays\") {\n                    self.turn.changes.push(change);\n                }\n            }\n        }\n        self.turn.cursors.clear();",
    },
    Place {
        file: "broker/core/src/shards.rs",
        faults: &[(
            "forward-unlinked",
            "what a message changes in another shard is not committed together with the rest",
        )],
        find: "        self.peers.forward(shard, message, is_linked);\n",
        replace: "        self.peers.forward(shard, message, is_linked && !is_on(\"forward-unlinked\"));\n",
    },
    Place {
        file: "broker/core/src/readers.rs",
        faults: &[
            ("log-trimmed-too-far", "the log is given up past what sessions and readers wait for"),
            (
                "reader-overtaken",
                "the log is given up before the rules and the upstream have read it",
            ),
        ],
        find: "needed.fold(self.log.start(), Sequence::min)",
        replace: "let too_far = if is_on(\"log-trimmed-too-far\") { 3 } else { 0 };\n        if is_on(\"reader-overtaken\") {\n            return self.log.start();\n        }\n        Sequence(needed.fold(self.log.start(), Sequence::min).0 + too_far)",
    },
    Place {
        file: "broker/core/src/recover.rs",
        faults: &[(
            "identifiers-reused",
            "a packet identifier is taken again after a start although it is in use",
        )],
        find: "        match put_later.or(target.packet_id) {",
        replace: "        match put_later.or(target.packet_id).filter(|_| !is_on(\"identifiers-reused\")) {",
    },
    Place {
        file: "broker/core/src/deliver.rs",
        faults: &[("exactly-once-early", "QoS 2 goes out before its identifier is durable")],
        find: "        if delivered.logged && delivered.qos == QoS::ExactlyOnce {",
        replace: "        if delivered.logged && delivered.qos == QoS::ExactlyOnce && !is_on(\"exactly-once-early\") {",
    },
    Place {
        file: "broker/core/src/session.rs",
        faults: &[("will-lost", "a will is not stored")],
        find: "will: self.will.as_deref().cloned(),",
        replace: "will: self.will.as_deref().cloned().filter(|_| !is_on(\"will-lost\")),",
    },
    Place {
        file: "broker/core/src/disconnect.rs",
        faults: &[("will-undelayed", "a will does not wait for its delay")],
        find: "            let at = now.monotonic + delay_ms.min(expiry_ms);",
        replace: "            let delay_ms = if is_on(\"will-undelayed\") { 0 } else { delay_ms };\n            let at = now.monotonic + delay_ms.min(expiry_ms);",
    },
    Place {
        file: "broker/core/src/disconnect.rs",
        faults: &[("session-expiry-skipped", "a session does not end when its time is over")],
        find: "            self.metrics.clients_expired += 1;\n            self.end_session(now, key);",
        replace: "            self.metrics.clients_expired += 1;\n            if !is_on(\"session-expiry-skipped\") {\n                self.end_session(now, key);\n            }",
    },
    Place {
        file: "broker/core/src/deliver.rs",
        faults: &[("message-expiry-skipped", "a message whose time is over is still sent")],
        find: "        if message.is_expired(now.unix_ms) {\n            self.lose_waiting",
        replace: "        if message.is_expired(now.unix_ms) && !is_on(\"message-expiry-skipped\") {\n            self.lose_waiting",
    },
    Place {
        file: "broker/core/src/delayed.rs",
        faults: &[("delayed-twice", "a delayed message stays in the store when it is published")],
        find: "        self.record(Change::SessionRemoved { session: id });\n        let seconds",
        replace: "        if !is_on(\"delayed-twice\") {\n            self.record(Change::SessionRemoved { session: id });\n        }\n        let seconds",
    },
    Place {
        file: "broker/core/src/delayed.rs",
        faults: &[("delayed-lost", "a delayed message is forgotten by a start")],
        find: "        self.schedule.insert(id, waiting);\n        self.timers.arm(now.monotonic + left_ms, Timer::Delayed(id));",
        replace: "        if is_on(\"delayed-lost\") {\n            return;\n        }\n        self.schedule.insert(id, waiting);\n        self.timers.arm(now.monotonic + left_ms, Timer::Delayed(id));",
    },
    Place {
        file: "broker/core/src/handover.rs",
        faults: &[("share-legacy-lost", "what a member of a share leaves behind goes to nobody")],
        find: "        for legacy in legacy {",
        replace: "        let count = if is_on(\"share-legacy-lost\") { 0 } else { legacy.len() };\n        for legacy in legacy.into_iter().take(count) {",
    },
    Place {
        file: "broker/core/src/handover.rs",
        faults: &[(
            "share-kept-by-both",
            "a message that a member takes over stays with the one it is taken from",
        )],
        find: "                    self.settle(from, delivered);\n",
        replace: "                    if !is_on(\"share-kept-by-both\") {\n                        self.settle(from, delivered);\n                    }\n",
    },
    Place {
        file: "broker/core/src/recovered.rs",
        faults: &[(
            "position-reused",
            "a position of the log is given again although a cursor stands behind it",
        )],
        find: "cursors.chain(readers).fold(self.next_sequence, Sequence::max)",
        replace: "let count = if is_on(\"position-reused\") { 0 } else { usize::MAX };\n        cursors.chain(readers).take(count).fold(self.next_sequence, Sequence::max)",
    },
    // The store keeps the next position and looks at the cursors too, so it takes all three.
    Place {
        file: "broker/src/store/position.rs",
        faults: &[],
        find: "            let next = Sequence(schema::number(next.value())?);\n",
        replace: "            let next = schema::number(next.value())?;\n            let next = Sequence(if is_on(\"position-reused\") { 0 } else { next });\n",
    },
    Place {
        file: "broker/src/store/recover.rs",
        faults: &[],
        find: "cursors.chain(readers).fold(written.max(Sequence(1)), Sequence::max)",
        replace: "let count = if is_on(\"position-reused\") { 0 } else { usize::MAX };\n        cursors.chain(readers).take(count).fold(written.max(Sequence(1)), Sequence::max)",
    },
    Place {
        file: "broker/src/store/group.rs",
        faults: &[(
            "older-change-wins",
            "of two changes of one row in a group the older one is written",
        )],
        find: "self.0.sort_unstable_by(|(a, a_at, _), (b, b_at, _)| a.cmp(b).then(b_at.cmp(a_at)));",
        replace: "let turn = |order: std::cmp::Ordering| if is_on(\"older-change-wins\") { order.reverse() } else { order };\n        self.0.sort_unstable_by(|(a, a_at, _), (b, b_at, _)| a.cmp(b).then(turn(b_at.cmp(a_at))));",
    },
    Place {
        file: "broker/src/pipeline.rs",
        faults: &[(
            "rules-position-alone",
            "the position of the rules is not written with their state",
        )],
        find: "            turn.done = self.done.map(|done| (self.reader, done));\n",
        replace: "            turn.done = self.done.filter(|_| !is_on(\"rules-position-alone\")).map(|done| (self.reader, done));\n",
    },
    Place {
        file: "broker/src/pipeline.rs",
        faults: &[(
            "rules-state-alone",
            "the state of the rules is not written with their position",
        )],
        find: "            turn.changes.extend(self.state_change());\n",
        replace: "            turn.changes.extend(self.state_change().filter(|_| !is_on(\"rules-state-alone\")));\n",
    },
    Place {
        file: "broker/src/pipeline.rs",
        faults: &[(
            "rules-eager-dropped",
            "what does not wait for the state is lost when something else does",
        )],
        find: "            let publications = std::mem::take(&mut self.eager);\n",
        replace: "            let mut publications = std::mem::take(&mut self.eager);\n            if is_on(\"rules-eager-dropped\") && !self.publications.is_empty() {\n                publications.clear();\n            }\n",
    },
    Place {
        file: "rules/src/state.rs",
        faults: &[
            ("rules-joined-unstored", "a value that a rule joins is not in the delta"),
            ("rules-seen-unstored", "what `dedupe` has seen is not in the delta"),
        ],
        find: "                write_row(id, &key, row, out);\n",
        replace: "                let fault = match id {\n                    TableId::Joined => \"rules-joined-unstored\",\n                    TableId::Seen => \"rules-seen-unstored\",\n                    TableId::Aliases => \"\",\n                };\n                if !is_on(fault) {\n                    write_row(id, &key, row, out);\n                }\n",
    },
    Place {
        file: "rules/src/engine/life.rs",
        faults: &[("rules-alert-timers-lost", "the timers of alerts do not come back at a start")],
        find: "                key.timer = deadline(rule, key);\n",
        replace: "                let is_lost = rule.alert.is_some() && is_on(\"rules-alert-timers-lost\");\n                key.timer = if is_lost { TIMER_NONE } else { deadline(rule, key) };\n",
    },
];

#[test]
fn each_fault_fits_the_source() {
    for place in PLACES {
        let source = read(&root().join(place.file));
        let count = source.matches(place.find).count();
        assert_eq!(count, 1, "{}, {:?}: it is there {count} times", place.file, place.faults);
    }
}

#[test]
#[ignore = "builds the broker once more, and needs minutes"]
fn each_fault_is_found() {
    let wanted = std::env::var("WEIR_FAULT").unwrap_or_default();
    let copy = MutatedSource::of(&root());
    assert_eq!(copy.first_failure("none"), None, "the copy fails without a fault");
    let mut missed = Vec::new();
    println!("| fault | seeds | what the simulator says |\n|---|---|---|");
    let faults = PLACES.iter().flat_map(|place| place.faults);
    for (name, says) in faults.filter(|(name, _)| name.contains(&wanted)) {
        match copy.first_failure(name) {
            Some((seed, problem)) => {
                let problem: String = problem.chars().take(PROBLEM_CHARS).collect();
                println!("| {says} | {} | {problem} |", seed + 1);
            }
            None => missed.push(*name),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

/// A copy of the source with all faults in it.
struct MutatedSource {
    folder: PathBuf,
    target: PathBuf,
}

impl MutatedSource {
    fn of(root: &Path) -> Self {
        // Cargo tells packages of two workspaces apart by their paths within these, so the copy must
        // not share a folder with the source: a build of one would pass for one of the other.
        let target = root.join("target/mutations");
        let folder = target.join("source");
        for file in files_of(root) {
            let text = fs::read(root.join(&file)).expect("a file of the source");
            let to = folder.join(&file);
            let text = with_faults(&file, text);
            // What did not change is not built again.
            if fs::read(&to).ok().as_ref() != Some(&text) {
                fs::create_dir_all(to.parent().expect("a file in a folder")).expect("a folder");
                fs::write(&to, text).expect("a copy of a file");
            }
        }
        Self { folder, target }
    }

    /// The first seed that fails with a fault, and what is wrong.
    fn first_failure(&self, fault: &str) -> Option<(u32, String)> {
        let output = Command::new(env!("CARGO"))
            .current_dir(&self.folder)
            .args(["test", "--release", "--package", "weir-tests", "--test", "simulation"])
            .args(["first_failure", "--", "--ignored", "--nocapture"])
            .env("CARGO_TARGET_DIR", &self.target)
            .env("WEIR_SIM_SEEDS", SEEDS.to_string())
            .env(SWITCH, fault)
            .output()
            .expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let Some((_, found)) = text.split_once("first failure: ") else {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("no failure"), "{fault}: the copy does not run:\n{errors}");
            return None;
        };
        let (seed, problem) = found.lines().next()?.split_once(' ')?;
        Some((seed.parse().ok()?, problem.to_owned()))
    }
}

/// A file with the faults that belong into it.
fn with_faults(file: &Path, text: Vec<u8>) -> Vec<u8> {
    // The core and the rules have a switch of their own; whatever lies above them uses the core's.
    let is_root = ROOTS.iter().any(|root| file == Path::new(root).join("lib.rs"));
    let places: Vec<&Place> = PLACES.iter().filter(|place| Path::new(place.file) == file).collect();
    if places.is_empty() && !is_root {
        return text;
    }
    let mut source = String::from_utf8(text).expect("source is text");
    for place in places {
        source = source.replace(place.find, place.replace);
    }
    let is_below = ROOTS.iter().any(|root| file.starts_with(root));
    let krate = if is_below { "crate" } else { "weir_core" };
    source = source.replace(" is_on(", &format!(" {krate}::is_on("));
    source = source.replace("!is_on(", &format!("!{krate}::is_on("));
    if is_root {
        source.push_str(IS_ON);
    }
    source.into_bytes()
}

/// The files of the source, without what was built.
fn files_of(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::new()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder of the source") {
            let entry = entry.expect("an entry of a folder");
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().expect("the kind of an entry");
            let is_left_out = path == Path::new("target") || entry.file_name() == ".git";
            if kind.is_dir() && !is_left_out {
                folders.push(path);
            } else if kind.is_file() && !is_left_out {
                files.push(path);
            }
        }
    }
    files
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are in the workspace").to_owned()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// So much of a problem is told in a table.
const PROBLEM_CHARS: usize = 110;
/// Crates that know no other one with a switch.
const ROOTS: [&str; 2] = ["broker/core/src", "rules/src"];
/// Names the fault that is switched on in the copy.
const SWITCH: &str = "WEIR_FAULT_ON";
const IS_ON: &str = r#"
/// Whether a deliberate fault is switched on.
pub fn is_on(fault: &str) -> bool {
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ON.get_or_init(|| std::env::var("WEIR_FAULT_ON").ok()).as_deref() == Some(fault)
}
"#;
