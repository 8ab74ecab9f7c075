//! The real binary as a broker, with the clients of the same binary: start, publish, subscribe,
//! status, and an end that leaves behind what it should and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Lines},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

/// What a user waits for gladly is 3 s; a busy machine that runs all tests at once gets more.
const RESULTS_WITHIN: Duration = Duration::from_secs(15);

/// A running `weir run` or `weir demo`, killed when a test fails before its end.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = weir(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads until a line has the text, and answers what follows it.
    fn read_until(&mut self, text: &str) -> String {
        for line in self.lines.by_ref() {
            if let Some((_, after)) = line.unwrap().split_once(text) {
                return after.to_owned();
            }
        }
        panic!("the output ended without `{text}`")
    }

    fn end(mut self, signal: &str) -> ExitStatus {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(self.lines.by_ref().count() < 1000);
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A broker on a free port with a data directory of the test.
struct Gateway {
    process: Process,
    port: String,
    admin: String,
}

impl Gateway {
    fn start(data_dir: &Folder) -> Self {
        let mut process = Process::start(&[
            "run",
            "--data-dir",
            data_dir.0.to_str().unwrap(),
            "--set",
            "listener=[{ address = \"127.0.0.1:0\" }]",
            "--set",
            "auth.allow_anonymous=true",
            "--set",
            "admin.address=127.0.0.1:0",
        ]);
        let port = process.read_until("listens on 127.0.0.1:");
        let url = process.read_until("status at http://");
        let admin = url.split('/').next().unwrap().to_owned();
        Self { process, port, admin }
    }

    fn client(&self, command: &str, arguments: &[&str]) -> Output {
        weir(&[command, "-h", "127.0.0.1", "-p", &self.port]).args(arguments).output().unwrap()
    }
}

/// A directory of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("weir-run-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
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

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_retained_message_is_there_after_a_restart() {
    let data_dir = Folder::new("retained");
    let gateway = Gateway::start(&data_dir);
    for version in ["5", "311"] {
        let topic = format!("room/{version}");
        let arguments = ["-t", &topic, "-m", "21.5", "-q", "1", "-r", "-V", version];
        stdout(&gateway.client("pub", &arguments));
    }
    assert!(gateway.process.end("TERM").success());
    let gateway = Gateway::start(&data_dir);
    for version in ["5", "311"] {
        let topic = format!("room/{version}");
        let arguments =
            ["-t", &topic, "-V", version, "-C", "1", "-W", "10", "-F", "%t %p %r", "-q", "1"];
        let output = gateway.client("sub", &arguments);
        assert_eq!(stdout(&output), format!("room/{version} 21.5 1\n"));
    }
    assert!(gateway.process.end("INT").success());
}

#[test]
fn a_session_that_is_kept_gets_what_came_meanwhile() {
    let data_dir = Folder::new("session");
    let gateway = Gateway::start(&data_dir);
    let session = ["-t", "kept/#", "-i", "reader", "-c", "-q", "2", "-v"];
    let nothing = gateway.client("sub", &[&session[..], &["-W", "1"]].concat());
    assert_eq!(stdout(&nothing), "");
    for qos in ["1", "2"] {
        stdout(&gateway.client("pub", &["-t", "kept/1", "-m", qos, "-q", qos]));
    }
    let output = gateway.client("sub", &[&session[..], &["-C", "2", "-W", "10"]].concat());
    assert_eq!(stdout(&output), "kept/1 1\nkept/1 2\n");
    // What was printed was acknowledged.
    let nothing = gateway.client("sub", &[&session[..], &["-W", "1"]].concat());
    assert_eq!(stdout(&nothing), "");
}

#[test]
fn status_counts_what_happened() {
    let data_dir = Folder::new("status");
    let gateway = Gateway::start(&data_dir);
    stdout(&gateway.client("pub", &["-t", "a", "-m", "x", "-r", "--repeat", "3", "-q", "1"]));
    let output = weir(&["status", "--admin", &gateway.admin]).output().unwrap();
    let text = stdout(&output);
    assert!(text.contains("retained       1\n"), "{text}");
    assert!(text.contains("messages       3 received"), "{text}");
    let output = weir(&["status", "--json", "--admin", &gateway.admin]).output().unwrap();
    assert!(stdout(&output).contains("\"retained\":1"));
}

#[test]
fn a_port_that_is_taken_is_an_error_with_a_way_out() {
    let data_dir = Folder::new("taken");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let set = format!("listener=[{{ address = \"{address}\" }}]");
    let data_dir = data_dir.0.to_str().unwrap().to_owned();
    let output = weir(&["run", "--set", &set, "--data-dir", &data_dir]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains(&format!("error: cannot listen on {address}")), "{text}");
    assert!(text.contains("choose another port"), "{text}");
}

#[test]
fn the_demo_shows_results_in_seconds_and_leaves_nothing_behind() {
    let temporary = Folder::new("demo");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port().to_string();
    let start = Instant::now();
    let mut child = weir(&["demo", "--port", &taken])
        .env("TMPDIR", &temporary.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut demo = Process { child, lines };
    demo.read_until(&format!("Port {taken} is taken: using "));
    demo.read_until("site/mill/office/climate");
    demo.read_until("site/demo/agg/office/climate");
    assert!(start.elapsed() < RESULTS_WITHIN, "{:?}", start.elapsed());
    assert_eq!(fs::read_dir(&temporary.0).unwrap().count(), 1);
    assert!(demo.end("INT").success());
    assert_eq!(fs::read_dir(&temporary.0).unwrap().count(), 0);
}
