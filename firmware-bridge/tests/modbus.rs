//! Modbus against devices that are not ours: pymodbus over TCP and RTU, and mbpoll as a witness.
//! What no honest device does comes from a socket of the test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that was not run says so")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir_firmware_bridge::Availability;
use weir_firmware_bridge::config::{self, ModbusConfig, ModbusEnd, Table};
use weir_firmware_bridge::modbus::{Answer, Fault, Line, Poller, PollerReport, Request};

#[allow(dead_code, reason = "each test needs a part of it")]
mod support;

use support::pymodbus::Server;

const PATIENCE: Duration = Duration::from_millis(400);

fn device(keys: &str, registers: &str) -> ModbusConfig {
    let text = format!("[[modbus]]\nname = \"m\"\ntimeout_ms = 400\n{keys}\n{registers}");
    let config = config::parse("test", &text, Path::new(""));
    config.unwrap_or_else(|problems| panic!("{}", problems[0])).modbus.remove(0)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// One poll, as the thread of a line does it.
async fn poll(line: &mut Line, poller: &mut Poller, unit: u8, now_ms: u64) -> PollerReport {
    for (number, request) in poller.begin(now_ms) {
        let answer = line.read(unit, request, PATIENCE).await;
        poller.count(&answer);
        if !poller.handle(number, answer) {
            break;
        }
    }
    poller.end(now_ms)
}

fn shown(report: &PollerReport, config: &ModbusConfig) -> Vec<(String, String)> {
    let mut values: Vec<_> = report.values.iter().collect();
    values.sort_by_key(|(place, _)| *place);
    let values = values.into_iter();
    values.map(|(place, value)| (config.reads[*place].name.clone(), value.to_string())).collect()
}

const READS: &str = r#"
[[modbus.read]]
name = "u16"
register = 3
[[modbus.read]]
name = "i16"
table = "input"
register = 24
type = "i16"
scale = 0.1
[[modbus.read]]
name = "f32"
table = "input"
register = 20
type = "f32"
[[modbus.read]]
name = "i32"
register = 22
type = "i32"
[[modbus.read]]
name = "swapped"
register = 22
type = "u32"
word_order = "low-first"
[[modbus.read]]
name = "coil"
table = "coil"
register = 9
[[modbus.read]]
name = "discrete"
table = "discrete"
register = 10
"#;

fn reads_every_kind(test: &str, kind: &str) {
    let Some(server) = Server::start(test, kind) else { return };
    let config = device(&server.keys(), READS);
    let report = run(async {
        let mut line = Line::new(config.end.clone());
        let mut poller = Poller::new(&config, 0);
        poll(&mut line, &mut poller, 1, 0).await
    });
    let expected = [
        ("u16", "1003"),
        ("i16", "-0.1"),
        ("f32", "230.1"),
        ("i32", "-123456"),
        ("swapped", "499187710"),
        ("coil", "true"),
        ("discrete", "false"),
    ];
    assert_eq!(
        shown(&report, &config),
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())),
        "{:?}",
        report.troubles
    );
    assert_eq!(report.change, Some(Availability::Online));
}

/// Behaviour 48.
#[test]
fn every_table_and_type_is_read_over_tcp() {
    reads_every_kind("every_table_and_type_is_read_over_tcp", "tcp");
}

/// Behaviour 48.
#[test]
fn every_table_and_type_is_read_over_a_serial_line() {
    reads_every_kind("every_table_and_type_is_read_over_a_serial_line", "rtu");
}

const WRITES: &str = r#"
[[modbus.write]]
name = "coil"
table = "coil"
register = 4
[[modbus.write]]
name = "setpoint"
register = 40
type = "i16"
scale = 0.1
[[modbus.write]]
name = "float"
register = 50
type = "f32"
[[modbus.write]]
name = "absent"
register = 500
"#;

fn writes_and_reads_back(test: &str, kind: &str) {
    let Some(server) = Server::start(test, kind) else { return };
    let config = device(&server.keys(), WRITES);
    run(async {
        let mut line = Line::new(config.end.clone());
        let [coil, setpoint, float, absent] = &config.writes[..] else { panic!() };
        assert_eq!(line.write(1, coil, 1.0, PATIENCE).await, Ok(1.0));
        assert_eq!(line.write(1, setpoint, -21.54, PATIENCE).await, Ok(-21.5));
        let written = line.write(1, float, 1.25, PATIENCE).await;
        assert_eq!(written, Ok(1.25));
        let refused = line.write(1, absent, 1.0, PATIENCE).await.unwrap_err();
        assert!(refused.contains("illegal data address (exception 2)"), "{refused}");
        // The connection has outlived the refusal.
        let request = Request { table: Table::Holding, first: 40, count: 1 };
        let read = line.read(1, request, PATIENCE).await;
        assert_eq!(read, Ok(Answer::Words(vec![(-215_i16) as u16])));
        let request = Request { table: Table::Coil, first: 4, count: 1 };
        assert_eq!(line.read(1, request, PATIENCE).await, Ok(Answer::Bits(vec![true])));
    });
    if let (Ok(port), Some(mbpoll)) =
        (server.place.parse::<u16>(), support::program(test, "mbpoll"))
    {
        // Another program sees it, too. It counts registers from 1.
        let seen = Command::new(mbpoll)
            .args(["-m", "tcp", "-p", &port.to_string(), "-a", "1", "-t", "4:hex"])
            .args(["-r", "41", "-c", "1", "-1", "127.0.0.1"])
            .output()
            .unwrap();
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert!(seen.contains("0xFF29"), "{seen}");
    }
}

/// Behaviour 48.
#[test]
fn commands_are_written_and_read_back_over_tcp() {
    writes_and_reads_back("commands_are_written_and_read_back_over_tcp", "tcp");
}

/// Behaviour 48.
#[test]
fn commands_are_written_and_read_back_over_a_serial_line() {
    writes_and_reads_back("commands_are_written_and_read_back_over_a_serial_line", "rtu");
}

fn tells_what_goes_wrong(test: &str, kind: &str) {
    let Some(server) = Server::start(test, kind) else { return };
    let registers = "[[modbus.read]]\nname = \"there\"\nregister = 99\n\
                     [[modbus.read]]\nname = \"absent\"\nregister = 100\n";
    let config = device(&server.keys(), registers);
    run(async {
        let mut line = Line::new(config.end.clone());
        let mut poller = Poller::new(&config, 0);
        let report = poll(&mut line, &mut poller, 1, 0).await;
        assert_eq!(report.change, Some(Availability::Online), "it refuses, and so it is there");
        // Both were one request; from now on each is asked for alone.
        let report = poll(&mut line, &mut poller, 1, 0).await;
        assert_eq!(shown(&report, &config), [("there".to_owned(), "1099".to_owned())]);
        assert_eq!(report.troubles.len(), 1, "{:?}", report.troubles);
        let (kind, text) = &report.troubles[0];
        assert_eq!(*kind, "exception");
        assert!(text.starts_with("absent: ") && text.contains("(exception 2)"), "{text}");

        let request = Request { table: Table::Holding, first: 0, count: 1 };
        let silent = line.read(2, request, PATIENCE).await;
        assert_eq!(silent, Err(Fault::Timeout { timeout_ms: 400 }));
        // A neighbour that is silent costs time, and nothing else.
        assert_eq!(line.read(1, request, PATIENCE).await, Ok(Answer::Words(vec![1000])));
        let mut poller = Poller::new(&config, 0);
        let mut changes = Vec::new();
        let mut troubles = Vec::new();
        for now_ms in [0, 10_000, 20_000] {
            let report = poll(&mut line, &mut poller, 2, now_ms).await;
            changes.extend(report.change);
            troubles.extend(report.troubles);
        }
        assert_eq!(changes, [Availability::Offline]);
        assert_eq!(troubles.len(), 1, "{troubles:?}");
        assert_eq!(troubles[0].0, "timeout");
    });
}

/// Behaviour 48.
#[test]
fn exceptions_and_timeouts_are_told_over_tcp() {
    tells_what_goes_wrong("exceptions_and_timeouts_are_told_over_tcp", "tcp");
}

/// Behaviour 48.
#[test]
fn exceptions_and_timeouts_are_told_over_a_serial_line() {
    tells_what_goes_wrong("exceptions_and_timeouts_are_told_over_a_serial_line", "rtu");
}

#[test]
fn device_that_is_not_there_is_a_fault_of_the_transport() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let request = Request { table: Table::Holding, first: 0, count: 1 };
        let mut line = Line::new(ModbusEnd::Tcp(address.to_string()));
        let fault = line.read(1, request, PATIENCE).await.unwrap_err();
        assert!(
            matches!(&fault, Fault::Transport { reason } if reason.contains("refused")),
            "{fault:?}"
        );
        let mut line = device("serial = \"/dev/weir-is-not-there\"", READS).end;
        if let ModbusEnd::Serial(serial) = &mut line {
            serial.baud = 9_600;
        }
        let fault = Line::new(line).read(1, request, PATIENCE).await.unwrap_err();
        assert!(fault.to_string().contains("/dev/weir-is-not-there"), "{fault}");
    });
}

/// A device that answers each request with bytes of the test; the first two are the number of the
/// request, put there by this.
async fn liar(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 12];
            while stream.read_exact(&mut request).await.is_ok() {
                let Some(mut answer) = answers.next() else { break };
                answer[..2].copy_from_slice(&request[..2]);
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    address
}

#[test]
fn answer_that_does_not_fit_is_no_value_and_no_panic() {
    run(async {
        // Number, protocol, length, unit, function, bytes, registers.
        let address = liar(vec![
            // One register in place of two.
            vec![0, 0, 0, 0, 0, 5, 1, 3, 2, 0, 7],
            // Input registers in place of holding registers.
            vec![0, 0, 0, 0, 0, 7, 1, 4, 4, 0, 7, 0, 8],
            // Another unit.
            vec![0, 0, 0, 0, 0, 7, 9, 3, 4, 0, 7, 0, 8],
            // A length that promises more than comes.
            vec![0, 0, 0, 0, 0, 90, 1, 3, 4, 0, 7, 0, 8],
            // At last the truth.
            vec![0, 0, 0, 0, 0, 7, 1, 3, 4, 0, 7, 0, 8],
        ])
        .await;
        let mut line = Line::new(ModbusEnd::Tcp(address));
        let request = Request { table: Table::Holding, first: 0, count: 2 };
        for _ in 0..3 {
            let fault = line.read(1, request, PATIENCE).await.unwrap_err();
            assert!(matches!(fault, Fault::Mismatch { .. }), "{fault:?}");
        }
        let fault = line.read(1, request, PATIENCE).await.unwrap_err();
        assert!(matches!(fault, Fault::Timeout { .. }), "{fault:?}");
        assert_eq!(line.read(1, request, PATIENCE).await, Ok(Answer::Words(vec![7, 8])));
    });
}

#[test]
fn late_answer_is_not_taken_for_that_to_a_later_request() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            // The first connection is answered too late, the second one at once.
            let (mut late, _) = listener.accept().await.unwrap();
            let mut request = [0; 12];
            late.read_exact(&mut request).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            late.write_all(&[request[0], request[1], 0, 0, 0, 5, 1, 3, 2, 0, 1]).await.ok();
            stream.read_exact(&mut request).await.unwrap();
            let answer = [request[0], request[1], 0, 0, 0, 5, 1, 3, 2, 0, 2];
            stream.write_all(&answer).await.unwrap();
            stream.read_exact(&mut request).await.ok();
        });
        let mut line = Line::new(ModbusEnd::Tcp(address));
        let request = Request { table: Table::Holding, first: 0, count: 1 };
        let fault = line.read(1, request, PATIENCE).await.unwrap_err();
        assert!(matches!(fault, Fault::Timeout { .. }), "{fault:?}");
        assert_eq!(line.read(1, request, PATIENCE).await, Ok(Answer::Words(vec![2])));
    });
}
