//! The real binary as a service of systemd: the manager and the journal are sockets of the test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign;
use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::wait::{LIMIT, until};
use weir_tests::harness::weir::{binary, command};

const CONFIG: &str = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n";

/// What stands in a password file for `secret`.
const HASH: &str = "$6$QDkKdWh6h93NAeY8$RcDt2JDMmgIiG1VKFXx8CW1x+vPADspikiplnLG+u9ihrS2IsibcuSkH\
                    /0jhJg1iNsSYhl+h4tY4hJ2FQPA5cg==";

/// A socket that datagrams are sent to.
struct Heard(UnixDatagram);

impl Heard {
    fn at(path: PathBuf) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self(socket)
    }

    fn next(&self) -> String {
        let mut buffer = vec![0; 64 * 1024];
        let length = self.0.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The first datagram with this line.
    fn until(&self, line: &str) -> String {
        loop {
            let heard = self.next();
            if heard.lines().any(|one| one.starts_with(line)) {
                return heard;
            }
        }
    }
}

fn fields(datagram: &str) -> BTreeMap<&str, &str> {
    datagram.lines().filter_map(|line| line.split_once('=')).collect()
}

fn service(folder: &Folder, config: &str) -> (Heard, Command) {
    let heard = Heard::at(folder.path().join("notify"));
    let mut weir = command(&["run", "--config"]);
    weir.arg(folder.write("weir.toml", config));
    weir.env("NOTIFY_SOCKET", folder.path().join("notify"));
    (heard, weir)
}

#[test]
fn manager_hears_of_start_reload_life_and_end() {
    let folder = Folder::new("systemd-life");
    let (heard, mut weir) = service(&folder, CONFIG);
    let weir = Process::spawn(weir.env("WATCHDOG_USEC", "400000"));

    let ready = heard.until("READY=1");
    assert_eq!(fields(&ready)["STATUS"], "0 connections, 0 rules, store ok");
    // Who starts after weir finds it: a client can connect at once.
    let address = weir.wait_for(Stream::Stdout, " listens on ", LIMIT).unwrap();
    let client = TcpStream::connect(&address).unwrap();
    heard.until("WATCHDOG=1");
    heard.until("STATUS=1 connection, ");
    drop(client);

    weir.signal("HUP");
    let reloading = heard.until("RELOADING=1");
    let at: u64 = fields(&reloading)["MONOTONIC_USEC"].parse().unwrap();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!((uptime - at as f64 / 1e6).abs() < LIMIT.as_secs_f64(), "{at} at {uptime}");
    heard.until("READY=1");

    weir.signal("TERM");
    heard.until("STOPPING=1");
    assert!(weir.wait(LIMIT).status.success());
}

#[test]
fn no_sign_of_life_is_given_to_a_manager_that_does_not_want_one() {
    let folder = Folder::new("systemd-quiet");
    let (heard, mut weir) = service(&folder, CONFIG);
    // That of another process, as a wrapper has it.
    weir.env("WATCHDOG_USEC", "20000").env("WATCHDOG_PID", "1");
    let weir = Process::spawn(&mut weir);
    heard.until("READY=1");
    weir.signal("TERM");
    let mut all = vec![heard.next()];
    while !all.last().unwrap().contains("STOPPING=1") {
        all.push(heard.next());
    }
    assert!(!all.concat().contains("WATCHDOG"), "{all:?}");
    assert!(weir.wait(LIMIT).status.success());
}

#[test]
fn secret_comes_from_a_credential_of_the_service() {
    let folder = Folder::new("systemd-credential");
    let secrets = folder.path().join("credentials");
    fs::create_dir(&secrets).unwrap();
    let config = format!("{CONFIG}[auth]\npassword_file = \"credential:users\"\n");
    let (heard, mut weir) = service(&folder, &config);
    weir.env("CREDENTIALS_DIRECTORY", &secrets);
    let ended = Process::spawn(&mut weir).wait(LIMIT);
    let expected = secrets.join("users").display().to_string();
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);

    fs::write(secrets.join("users"), format!("ann:{HASH}\n")).unwrap();
    let weir = Process::spawn(&mut weir);
    heard.until("READY=1");
    weir.signal("TERM");
    assert!(weir.wait(LIMIT).status.success());
}

/// In a namespace of its own the test is the journal.
#[test]
fn log_goes_to_the_journal_when_stderr_does() {
    const TEST: &str = "log_goes_to_the_journal_when_stderr_does";
    let Some(unshare) = foreign::program(TEST, "unshare") else { return };
    let separate = ["--user", "--map-root-user", "--mount"];
    let mut tried = Command::new(&unshare);
    tried.args(separate).args(["mount", "-t", "tmpfs", "none", "/run"]);
    let is_allowed = tried.output().is_ok_and(|ended| ended.status.success());
    if !foreign::allows(TEST, "a mount in a namespace of its own", is_allowed) {
        return;
    }
    let folder = Folder::new("systemd-journal");
    let journal = folder.path().join("journal");
    fs::create_dir(&journal).unwrap();
    let heard = Heard::at(journal.join("socket"));
    let config = folder.write("weir.toml", CONFIG);
    let stderr = folder.path().join("stderr");
    let file = File::create(&stderr).unwrap();
    let stat = file.metadata().unwrap();
    let script = format!(
        "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
         mount --bind '{}' /run/systemd/journal && exec '{}' run --config '{}'",
        journal.display(),
        binary().display(),
        config.display(),
    );
    let mut weir = Command::new(unshare);
    weir.args(separate).args(["sh", "-c", &script]);
    weir.env("JOURNAL_STREAM", format!("{}:{}", stat.dev(), stat.ino()));
    weir.env("WEIR_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let mut weir = weir.spawn().unwrap();
    // A wrong file at SIGHUP is an event that the operator must see.
    let said = heard_or_ended(&heard, &mut weir, || fs::write(&config, "nonsense").unwrap());
    let entry = fields(&said);
    assert_eq!(entry["MESSAGE"], "nothing was changed: a file is wrong");
    assert_eq!((entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]), ("3", "weir"));
    assert_eq!(entry["WEIR_TARGET"], "weir_broker::cli::run");
    let lines = fs::read_to_string(&stderr).unwrap();
    assert!(!lines.contains("nothing was changed: a file is wrong"), "{lines}");
    let _ = weir.kill();
    let _ = weir.wait();
}

/// Hangs the process up until it says something to the journal.
fn heard_or_ended(heard: &Heard, weir: &mut std::process::Child, change: impl FnOnce()) -> String {
    heard.0.set_nonblocking(true).unwrap();
    let mut change = Some(change);
    until("an entry of the journal", || {
        assert!(weir.try_wait().unwrap().is_none(), "weir has ended");
        // Before it runs there is nobody who hears the signal; `sh` and `unshare` ignore it.
        let ready = fs::read_to_string(format!("/proc/{}/comm", weir.id())).unwrap_or_default();
        if ready.trim() == "weir" && ignores_no_hang_up(weir.id()) {
            if let Some(change) = change.take() {
                change();
            }
            let status = Command::new("kill").args(["-HUP", &weir.id().to_string()]).status();
            assert!(status.unwrap().success());
        }
        let mut buffer = vec![0; 64 * 1024];
        let length = heard.0.recv(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.contains("a file is wrong").then_some(text)
    })
}

/// Whether the process has a handler for SIGHUP, which is bit 0 of `SigCgt`.
fn ignores_no_hang_up(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|it| it & 1 == 1)
}
