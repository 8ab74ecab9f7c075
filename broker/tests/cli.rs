//! The real binary: what it prints, where, and with which exit code. Nothing here needs a broker.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

#[path = "../../tests/src/harness/ports.rs"]
mod ports;

use ports::free_port;

/// What a run of the binary left behind.
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A directory of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("weir-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(self, name: &str, text: &str) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn weir(&self, arguments: &[&str]) -> Outcome {
        self.weir_with(arguments, &[], "")
    }

    fn weir_with(&self, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program may have ended without reading.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[track_caller]
fn assert_outcome(outcome: &Outcome, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(outcome.stderr, stderr);
    assert_eq!(outcome.stdout, stdout);
    assert_eq!(outcome.code, code);
}

#[test]
fn weir_alone_prints_help_with_examples() {
    let outcome = Folder::new("alone").weir(&[]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.contains("Usage: weir") && outcome.stdout.contains("Examples:"));
}

#[test]
fn every_command_has_help() {
    let folder = Folder::new("help");
    let help = folder.weir(&["--help"]).stdout;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<_> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"check") && names.contains(&"sub"), "{names:?}");
    for name in names {
        let outcome = folder.weir(&[name, "--help"]);
        assert_eq!(outcome.code, 0, "{name}");
        assert!(outcome.stdout.contains(&format!("Usage: weir {name}")), "{}", outcome.stdout);
    }
    for name in ["check", "test"] {
        assert_eq!(folder.weir(&["rules", name, "--help"]).code, 0);
    }
}

#[test]
fn an_unknown_command_names_the_nearest() {
    let outcome = Folder::new("command").weir(&["chek"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("'check'"), "{}", outcome.stderr);
}

#[test]
fn a_right_configuration_is_summed_up() {
    let folder = Folder::new("right").write(
        "weir.toml",
        "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:1883\"\n\
         [auth]\nallow_anonymous = true\n[upstream.cloud]\naddress = \"127.0.0.1:1884\"\n",
    );
    let outcome = folder.weir(&["check", "--config", "weir.toml"]);
    let summary = "weir.toml: ok (1 listener, 0 rules in 0 files, 1 upstream, 0 warnings)\n";
    assert_outcome(&outcome, 0, summary, "");
    assert!(!folder.0.join("data").exists(), "a check leaves nothing behind");
}

#[test]
fn every_problem_of_a_broken_configuration_is_shown() {
    let folder = Folder::new("broken").write(
        "weir.toml",
        "rules = [\"rules/*.toml\"]\npersistent = true\n\n[limits]\nqueue_full = \"drop\"\n\
         max_packet_size = \"1GB\"\n",
    );
    let outcome = folder.weir(&["check", "--config", "weir.toml"]);
    let expected = r#"error[C007]: cannot read the rules `rules/*.toml`
  --> weir.toml:1:10
1 | rules = ["rules/*.toml"]
  |          ^^^^^^^^^^^^^^ No such file or directory (os error 2)
  = help: relative names start at the directory of the configuration file
error[C002]: unknown key `persistent` at the top of the file
  --> weir.toml:2:1
2 | persistent = true
  | ^^^^^^^^^^ no such key
  = help: did you mean `persistence`?
error[C003]: `queue_full` cannot be `drop`
  --> weir.toml:5:14
5 | queue_full = "drop"
  |              ^^^^^^ must be one of "drop_new", "drop_old", "disconnect"
error[C004]: `max_packet_size` cannot be 1GB
  --> weir.toml:6:19
6 | max_packet_size = "1GB"
  |                   ^^^^^ must be 1KB to 256MB
4 problems
"#;
    assert_outcome(&outcome, 1, "", expected);
}

const ROOMS: &str = "[rule.rooms]\nfrom = \"room/{room}\"\nby = [\"room\"]\n\
                     window = \"tumbling 1m\"\nselect = { mean = \"avg(value)\" }\n\
                     to = { upstream = \"cloud\", topic = \"agg/{room}\" }\n";

#[test]
fn rules_are_checked_together_with_the_configuration() {
    let text = "rules = [\"rules/*.toml\"]\npersistense = true\n";
    let folder = Folder::new("rules")
        .write("gateway/weir.toml", text)
        .write("gateway/rules/rooms.toml", &ROOMS.replace("avg", "avgg"));
    let outcome = folder.weir(&["check", "--config", "gateway/weir.toml"]);
    let expected = r#"error[C002]: unknown key `persistense` at the top of the file
  --> gateway/weir.toml:2:1
2 | persistense = true
  | ^^^^^^^^^^^ no such key
  = help: did you mean `persistence`?
error[R014]: unknown function `avgg`
  --> gateway/rules/rooms.toml:5:20
5 | select = { mean = "avgg(value)" }
  |                    ^^^^ not a function
  = help: did you mean `avg`?
2 problems
"#;
    assert_outcome(&outcome, 1, "", expected);
}

#[test]
fn an_upstream_that_only_a_rule_knows_is_an_error() {
    let text = "rules = \"rooms.toml\"\n[upstream.clowd]\naddress = \"localhost:1884\"\n";
    let folder = Folder::new("upstream").write("weir.toml", text).write("rooms.toml", ROOMS);
    let outcome = folder.weir(&["check", "--config", "weir.toml"]);
    let expected = r#"error[C009]: unknown upstream `cloud`
  --> rooms.toml:6:19
6 | to = { upstream = "cloud", topic = "agg/{room}" }
  |                   ^^^^^^^ not in the configuration
  = help: did you mean `clowd`?
1 problem
"#;
    assert_outcome(&outcome, 1, "", expected);
}

#[test]
fn rules_are_checked_and_tested_without_a_configuration() {
    let with_test = |value: &str| {
        format!(
            "{ROOMS}[[rule.rooms.test]]\nname = \"the mean of a minute\"\n\
             play = [ {{ at = \"0s\", topic = \"room/a\", payload = '{{\"value\":1}}' }},\n\
             {{ at = \"61s\", topic = \"room/a\", payload = '{{\"value\":9}}' }} ]\n\
             expect = [ {{ topic = \"agg/a\", where = \"mean == {value}\", times = 1 }} ]\n"
        )
    };
    let folder = Folder::new("rules-test")
        .write("right.toml", &with_test("1"))
        .write("wrong.toml", &with_test("2"));
    let outcome = folder.weir(&["rules", "check", "right.toml"]);
    assert_outcome(&outcome, 0, "ok (1 rule in 1 file)\n", "");
    let outcome = folder.weir(&["rules", "test", "right.toml"]);
    let report = "rooms: the mean of a minute ... ok\n1 test, 0 failed\n";
    assert_outcome(&outcome, 0, report, "");
    let outcome = folder.weir(&["rules", "test", "wrong.toml"]);
    assert!(outcome.stdout.contains("1 test, 1 failed\n"), "{}", outcome.stdout);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
}

#[test]
fn an_override_is_checked_like_the_file() {
    let folder = Folder::new("set").write("weir.toml", "#\n");
    let arguments = ["check", "--config", "weir.toml", "--set", "log.level=loud"];
    let variables = [("WEIR_LIMITS__TOPIC_LEVELS", "0")];
    let expected = r#"error[C004]: `topic_levels` cannot be 0
  --> environment:1:27
1 | WEIR_LIMITS__TOPIC_LEVELS=0
  |                           ^ must be 1 to 1000 levels
error[C003]: `level` cannot be `loud`
  --> --set:1:11
1 | log.level=loud
  |           ^^^^ must be one of "error", "warn", "info", "debug", "trace"
2 problems
"#;
    assert_outcome(&folder.weir_with(&arguments, &variables, ""), 1, "", expected);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_a_way_out() {
    let outcome = Folder::new("missing").weir(&["check", "--config", "none.toml"]);
    let expected = "error: cannot read the configuration `none.toml`\n  \
                    why: No such file or directory (os error 2)\n  \
                    help: check the name, what is in the file, and that this user may read it\n";
    assert_outcome(&outcome, 2, "", expected);
    let outcome = Folder::new("missing-rules").weir(&["rules", "check", "none.toml"]);
    assert!(outcome.stderr.starts_with("error: cannot read `none.toml`\n"), "{}", outcome.stderr);
    assert_eq!(outcome.code, 2);
}

#[test]
fn the_files_of_the_repository_are_right() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    for name in ["weir.toml", "demo.toml"] {
        let path = config.join(name);
        let outcome = Folder::new(name).weir(&["check", "--config", path.to_str().unwrap()]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{name}");
    }
}

#[test]
fn arguments_that_do_not_fit_together_say_what_to_do() {
    let folder = Folder::new("arguments");
    let error = |arguments: &[&str]| {
        let outcome = folder.weir(arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}");
        outcome.stderr
    };
    assert!(error(&["sub", "-t", "a", "-c"]).contains("add -i NAME"));
    assert!(error(&["pub", "-t", "a/#", "-m", "x"]).contains("cannot hold wildcards"));
    assert!(error(&["sub", "-t", "a/#/b"]).contains("`a/#/b`"));
    assert!(error(&["pub", "-t", "a", "-m", "x", "-V", "311", "-x", "5"]).contains("use -V 5"));
    assert!(error(&["sub", "-t", "a", "-F", "%z"]).contains("p (payload)"));
    assert!(error(&["pub", "-t", "a", "-m", "x", "-n"]).contains("cannot be used with"));
}

#[test]
fn a_configuration_of_mosquitto_is_converted() {
    let folder = Folder::new("import")
        .write("conf.d/b.conf", "topic a/# out 1\n")
        .write("conf.d/a.conf", "connection far\naddress far.example\n")
        .write("conf.d/note.txt", "not read\n")
        .write(
            "mosquitto.conf",
            "listener 1883 127.0.0.1\nuser mosquitto\nallow_anonymous true\ninclude_dir conf.d\n",
        );
    let imported = folder.weir(&["import", "mosquitto.conf", "--output", "weir.toml"]);
    let told = "mosquitto.conf:2: not needed: user mosquitto\n  why: start it as the user it is to \
                run as\nweir.toml: written, 0 options not converted, 1 option not needed\n";
    assert_outcome(&imported, 0, "", told);
    let checked = folder.weir(&["check", "--config", "weir.toml"]);
    let summary = "weir.toml: ok (1 listener, 0 rules in 0 files, 1 upstream, 0 warnings)\n";
    assert_outcome(&checked, 0, summary, "");
}

#[test]
fn what_cannot_be_converted_is_a_no_and_the_rest_is_written() {
    let folder = Folder::new("import-lost").write("m.conf", "plugin /x.so\nlistener 1883 ::1\n");
    let imported = folder.weir(&["import", "m.conf"]);
    assert_eq!(imported.code, 1);
    assert!(imported.stdout.contains("[[listener]]\naddress = \"[::1]:1883\"\n"));
    assert!(imported.stderr.starts_with("m.conf:1: not converted: plugin /x.so\n  why: "));
}

#[test]
fn an_import_writes_over_nothing() {
    let folder = Folder::new("import-over").write("m.conf", "").write("weir.toml", "mine");
    let imported = folder.weir(&["import", "m.conf", "--output", "weir.toml"]);
    assert_eq!(imported.code, 2);
    assert!(imported.stderr.contains("cannot write `weir.toml`"), "{}", imported.stderr);
    assert_eq!(fs::read_to_string(folder.0.join("weir.toml")).unwrap(), "mine");
    let missing = folder.weir(&["import", "nothing.conf"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("cannot read `nothing.conf`"), "{}", missing.stderr);
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let port = free_port().to_string();
    let outcome = Folder::new("nobody").weir(&["pub", "-p", &port, "-t", "a", "-m", "x"]);
    let first = format!("error: cannot connect to localhost:{port}\n");
    assert!(outcome.stderr.starts_with(&first), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("help: is a broker running there?"));
    assert_eq!(outcome.code, 2);
}

#[test]
fn status_of_a_server_that_is_no_weir_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).unwrap();
        assert!(request[..read].starts_with(b"GET /api/v1/status HTTP/1.0\r\n"));
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let outcome = Folder::new("status").weir(&["status", "--admin", &address]);
    server.join().unwrap();
    assert!(outcome.stderr.contains("HTTP/1.1 404 Not Found"), "{}", outcome.stderr);
    assert_eq!(outcome.code, 2);
}

#[test]
fn status_prints_what_the_server_says() {
    let body = r#"{"version":"9.9.9","uptime_s":61,"ready":true,"shards":1,"connections":2,
        "sessions":3,"subscriptions":4,"retained":5,
        "messages":{"received":6,"sent":7,"dropped":{"queue_full":8}},
        "store":{"bytes_written":9,"commits":10,"log_records":11},"rules":[],"upstreams":[]}"#;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let read = stream.read(&mut [0; 1024]).unwrap();
            assert!(read > 0);
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{body}").unwrap();
        }
    });
    let folder = Folder::new("status-table");
    let table = folder.weir(&["status", "--admin", &address]);
    let json = folder.weir(&["status", "--admin", &address, "--json"]);
    server.join().unwrap();
    assert!(table.stdout.contains("uptime         1 min 1 s\n"), "{}", table.stdout);
    assert!(table.stdout.contains("  dropped      8 queue_full\n"), "{}", table.stdout);
    assert_eq!((table.code, json.code), (0, 0));
    assert_eq!(json.stdout.trim_end(), body);
}

#[test]
fn a_token_is_made_listed_and_removed() {
    let folder = Folder::new("token");
    let made = folder.weir(&["token", "create", "ann", "--role", "view"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let token = made.stdout.trim();
    assert!(token.starts_with("weir_") && token.lines().count() == 1, "{token}");
    let text = fs::read_to_string(folder.0.join("tokens")).unwrap();
    assert!(text.starts_with("ann:view:sha256:") && !text.contains(token), "{text}");
    let again = folder.weir(&["token", "create", "ann", "--role", "operate"]);
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert_eq!(folder.weir(&["token", "create", "bob", "--role", "operate"]).code, 0);
    let wrong = folder.weir(&["token", "create", "a b", "--role", "view"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("letters, digits"), "{}", wrong.stderr);
    assert_eq!(folder.weir(&["token", "list"]).stdout, "ann  view\nbob  operate\n");
    assert_eq!(folder.weir(&["token", "remove", "ann"]).code, 0);
    assert_eq!(folder.weir(&["token", "remove", "ann"]).code, 1);
    assert_eq!(folder.weir(&["token", "list"]).stdout, "bob  operate\n");
    let folder = folder.write("tokens", "bob:operate:sha256:12\n");
    let wrong = folder.weir(&["token", "list"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("tokens:1:13"), "{}", wrong.stderr);
}
