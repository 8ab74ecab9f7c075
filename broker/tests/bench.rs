//! `weir bench`: each scenario for a moment against the real broker, and against brokers that do
//! something wrong with one message, which it has to notice.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Lines},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;

mod bench {
    //! A broker that can be told what to do wrong.

    pub(crate) mod faulty;
}

use bench::faulty::{Fault, Faulty};

/// The real broker in a process of its own, with a data directory of its own.
struct Broker {
    child: Child,
    /// It ends when nobody can hear it any more.
    _lines: Lines<BufReader<ChildStdout>>,
    port: String,
    folder: PathBuf,
}

impl Broker {
    fn start(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("weir-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let listener = "listener=[{ address = \"127.0.0.1:0\" }]";
        let mut command = weir(&["run", "--data-dir", folder.to_str().unwrap(), "--set", listener]);
        command.args(["--set", "auth.allow_anonymous=true"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.by_ref().find_map(|line| {
            line.unwrap().split_once("listens on 127.0.0.1:").map(|(_, port)| port.to_owned())
        });
        Self { child, _lines: lines, port: port.unwrap(), folder }
    }

    /// Runs a scenario that must come out right, and answers its report.
    fn bench(&self, arguments: &str) -> Value {
        let pid = self.child.id().to_string();
        let output = run(&self.port, &format!("{arguments} --json --pid {pid}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {output:?}");
        assert_eq!(stderr, "");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["ok"], true);
        report
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn weir(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn run(port: &str, arguments: &str) -> Output {
    let mut command = weir(&["bench"]);
    command.args(arguments.split_whitespace()).args(["-h", "127.0.0.1", "-p", port]);
    command.output().unwrap()
}

/// What a run against a faulty broker says.
fn with_fault(fault: Fault, arguments: &str) -> (i32, Value) {
    let faulty = Faulty::start(fault);
    let arguments = format!("{arguments} --json --patience 0.3");
    let output = run(&faulty.port().to_string(), &arguments);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), report)
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} is missing in {report}"))
}

#[test]
fn messages_flow_in_each_shape_qos_and_version() {
    let broker = Broker::start("flow");
    for (shape, publishers, subscribers) in [("fanin", 3, 1), ("fanout", 1, 3), ("pairs", 3, 3)] {
        for arguments in ["", "-q 1 --v5", "-q 2 --inflight 5", "-q 1 --window 0"] {
            let report = broker.bench(&format!("{shape} --clients 3 --count 600 {arguments}"));
            let deliveries = if shape == "fanout" { 3 } else { 1 };
            assert_eq!(report["sent"], 600, "{report}");
            assert_eq!(report["received"], 600 * deliveries, "{report}");
            assert_eq!(report["publishers"], publishers);
            assert_eq!(report["subscribers"], subscribers);
            assert!(number(&report, "messages_per_s") > 0.0);
            assert!(number(&report, "broker_bytes") > 1e6, "{report}");
        }
    }
    let report = broker.bench("fanin --seconds 0.1 --payload 5000 --window 50");
    assert!(number(&report, "received") > 0.0 && report["received"] == report["sent"], "{report}");
}

#[test]
fn latency_has_percentiles_that_rise() {
    let report =
        Broker::start("latency").bench("latency --rate 1000 --seconds 0.3 --clients 2 -q 1");
    // Half a second more is sent before anything counts.
    assert_eq!(report["received"], 800, "{report}");
    let percentiles = ["latency_p50_us", "latency_p99_us", "latency_p99_9_us", "latency_max_us"];
    let percentiles = percentiles.map(|name| number(&report, name));
    assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{report}");
}

#[test]
fn clients_come_and_go() {
    let report = Broker::start("connect").bench("connect --count 300 --clients 8");
    assert_eq!((&report["accepted"], &report["closed"]), (&300.into(), &0.into()));
    let report = Broker::start("idle").bench("idle --clients 150 --seconds 0.1");
    assert_eq!(report["connections"], 150);
    let bytes = number(&report, "bytes_per_connection_with_subscription");
    assert!(bytes >= number(&report, "bytes_per_connection"), "{report}");
}

#[test]
fn retained_messages_and_subscriptions_are_all_found() {
    let broker = Broker::start("retained");
    for arguments in ["", "-q 1", "--v5 -q 2"] {
        let report = broker.bench(&format!("retained --count 450 {arguments}"));
        assert_eq!((&report["received"], &report["plus_received"]), (&450.into(), &5.into()));
    }
    let report = broker.bench("subs --subscriptions 300 --clients 7 --count 900");
    assert_eq!((&report["subscriptions"], &report["received"]), (&300.into(), &900.into()));
}

#[test]
fn a_session_gets_what_was_queued_for_it() {
    let broker = Broker::start("persist");
    for arguments in ["", "-q 2 --v5", "--clients 4 --inflight 5"] {
        let report = broker.bench(&format!("persist --count 500 {arguments}"));
        assert_eq!(report["session_present"], true);
        assert_eq!((&report["acknowledged"], &report["received"]), (&500.into(), &500.into()));
        assert!(number(&report, "queue_disk_bytes_per_message") > 0.0, "{report}");
    }
}

#[test]
fn a_stalled_subscriber_does_not_hold_the_other_up() {
    let report = Broker::start("slow").bench("slow --seconds 0.2 --patience 0.5");
    assert_eq!(report["lost"], 0);
    let (got, lost) = (number(&report, "stalled_received"), number(&report, "stalled_lost"));
    assert!((got + lost - number(&report, "expected")).abs() < 0.5, "{report}");
}

#[test]
fn a_broker_that_does_everything_right_passes() {
    let (code, report) = with_fault(Fault::None, "fanin --count 200 --clients 1");
    assert_eq!((code, &report["ok"]), (0, &true.into()), "{report}");
}

#[test]
fn a_lost_message_is_noticed() {
    for (arguments, count) in [
        ("fanin --count 200 --clients 1", 200),
        ("fanout --count 200 --clients 1", 200),
        ("pairs --count 200 --clients 1", 200),
        ("subs --subscriptions 20 --count 200 --clients 1", 200),
        ("latency --rate 500 --seconds 0.2 --clients 1", 350),
    ] {
        let (code, report) = with_fault(Fault::Lose(150), arguments);
        assert_eq!((code, &report["lost"]), (1, &1.into()), "{report}");
        assert_eq!((&report["received"], &report["ok"]), (&(count - 1).into(), &false.into()));
    }
}

#[test]
fn messages_in_the_wrong_order_are_noticed() {
    let (code, report) = with_fault(Fault::Swap(150), "fanin --count 200 --clients 1");
    assert_eq!((code, &report["disordered"], &report["lost"]), (1, &1.into(), &0.into()));
}

#[test]
fn a_repeated_message_is_noticed() {
    let (code, report) = with_fault(Fault::Repeat(150), "fanin --count 200 --clients 1");
    assert_eq!((code, &report["surplus"], &report["disordered"]), (1, &1.into(), &1.into()));
}

#[test]
fn a_changed_message_is_noticed() {
    let (code, report) = with_fault(Fault::Cut(150), "fanin --count 200 --clients 1");
    assert_eq!((code, &report["misdirected"]), (1, &1.into()), "{report}");
}

#[test]
fn a_broker_that_closes_is_noticed() {
    let (code, report) = with_fault(Fault::Close(150), "fanin --count 200 --clients 1");
    assert_eq!((code, &report["ok"]), (1, &false.into()), "{report}");
    assert!(number(&report, "lost") > 0.0 && number(&report, "closed") > 0.0, "{report}");
}

#[test]
fn what_cannot_be_run_is_told_with_a_way_out() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = run(&free.to_string(), "fanin");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.contains("cannot connect to 127.0.0.1") && stderr.contains("help: "),
        "{stderr}"
    );

    let faulty = Faulty::start(Fault::Refuse);
    let output = run(&faulty.port().to_string(), "fanin");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("refused a connection") && stderr.contains("-u and -P"), "{stderr}");

    let faulty = Faulty::start(Fault::Babble);
    let output = run(&faulty.port().to_string(), "fanin");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("not MQTT"), "{stderr}");

    let faulty = Faulty::start(Fault::None);
    for (arguments, words) in [
        ("fanin --payload 15", "from 16"),
        ("fanin --seconds 1 --count 1", "cannot be used with"),
        ("pairs --clients 3001", "--clients asks for fewer"),
        ("persist -q 0", "1..=2"),
        ("fanin --pid 4294967295", "pidof weir"),
    ] {
        let output = run(&faulty.port().to_string(), arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr.contains(words), "{arguments}: {stderr}");
    }
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    let broker = Broker::start("files");
    let limited = |limit: &str| {
        let line = format!(
            "ulimit {limit}; exec {} bench idle --clients 200 --seconds 0.1 -h 127.0.0.1 -p {}",
            env!("CARGO_BIN_EXE_weir"),
            broker.port
        );
        Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    let raised = limited("-Sn 64");
    assert!(raised.status.success(), "{raised:?}");
    let refused = limited("-n 64");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr.contains("the limit is 64") && stderr.contains("ulimit -n 216"), "{stderr}");
}

#[test]
fn the_table_is_for_people() {
    let faulty = Faulty::start(Fault::None);
    let output = run(&faulty.port().to_string(), "fanin --count 1200 --clients 1");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let line = |start: &str| stdout.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("scenario ").ends_with(" fanin") && line("received ").ends_with(" 1,200"));
    assert!(line("ok ").ends_with(" yes"));
}
