//! What a script reads: which commands answer in JSON, and that the answers are JSON.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use weir_tests::harness::folder::Folder;
use weir_tests::harness::process::Ended;
use weir_tests::harness::weir::{Weir, weir};

/// Commands without `--json`, each with the reason.
const WITHOUT: [(&str, &str); 13] = [
    ("completions", "it writes a script of a shell"),
    ("dashboard", "its answer is the link, and nothing else"),
    ("demo", "it is for people"),
    ("man", "it writes manual pages"),
    ("pub", "it answers with its exit code"),
    ("rules schema", "its answer is JSON"),
    ("rules suggest", "it writes a rule file"),
    ("rules try", "its lines are messages, whose payloads are JSON"),
    ("run", "what it says is in its status and its log"),
    ("store export", "its lines are JSON"),
    ("sub", "--format says what its lines are"),
    ("token create", "its answer is the token, and nothing else"),
    ("token remove", "it answers with its exit code"),
];

/// The commands that the help of another one lists.
fn listed(of: &[&str]) -> Vec<String> {
    let help = weir(&[of, &["--help"]].concat()).stdout;
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// All commands that do something, with their helps.
fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for name in listed(&[]) {
        let below = listed(&[&name]);
        let names = match below.is_empty() {
            true => vec![name],
            false => below.iter().map(|one| format!("{name} {one}")).collect(),
        };
        for name in names {
            let words: Vec<&str> = name.split(' ').chain(["--help"]).collect();
            let help = weir(&words).stdout;
            found.push((name, help));
        }
    }
    found
}

#[test]
fn every_command_that_a_script_reads_has_json() {
    let commands = commands();
    assert!(commands.len() > 30, "{commands:?}");
    let mut problems = Vec::new();
    for (name, help) in &commands {
        let excuse = WITHOUT.iter().find(|(known, _)| known == name);
        match (help.contains("--json"), excuse) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => problems.push(format!("{name} needs no excuse any more")),
            (false, None) => problems.push(format!("{name} has no --json, and no excuse")),
        }
    }
    for (name, _) in WITHOUT {
        if !commands.iter().any(|(known, _)| known == name) {
            problems.push(format!("{name} is no command"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The answer of a command with `--json`, which is one line on the standard output.
#[track_caller]
fn answer(words: &[&str], code: i32) -> Value {
    let Ended { status, stdout, stderr } = weir(&[words, &["--json"]].concat());
    assert_eq!(status.code(), Some(code), "{words:?}: {stdout}{stderr}");
    assert_eq!(stderr, "", "{words:?}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {stdout}"))
}

const RULE: &str = "[rule.double]\nfrom = \"in/{x}\"\ndecode = \"number\"\n\
                    select = { twice = \"2 * value\" }\nto = \"out/{x}\"\n\
                    [[rule.double.test]]\nname = \"a number is doubled\"\n\
                    play = [{ at = \"0s\", topic = \"in/a\", payload = \"21\" }]\n\
                    expect = [{ topic = \"out/a\", where = \"twice == 42\", times = 1 }]\n";

#[test]
fn files_are_checked_with_an_answer_for_a_script() {
    let folder = Folder::new("json-files");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rule = folder.write("rule.toml", RULE).display().to_string();
    let wrong = folder.write("wrong.toml", RULE.replace("2 * value", "2 *")).display().to_string();
    let config = folder.write("weir.toml", "rules = [\"rule.toml\"]\n").display().to_string();

    assert_eq!(answer(&["check", "--config", &config], 0)["rules"], 1);
    let config = folder.write("typo.toml", "\nretian = 1\n").display().to_string();
    let found = answer(&["check", "--config", &config], 1);
    assert_eq!((&found["ok"], &found["problems"][0]["line"]), (&false.into(), &2.into()));

    assert_eq!(answer(&["rules", "check", &rule], 0)["ok"], true);
    let found = answer(&["rules", "check", &wrong], 1);
    assert_eq!(found["problems"][0]["path"], wrong);
    let found = answer(&["rules", "test", &rule], 0);
    assert_eq!(found["cases"][0]["name"], "a number is doubled");
    let failing = folder.write("failing.toml", RULE.replace("== 42", "== 43"));
    let found = answer(&["rules", "test", failing.to_str().unwrap()], 1);
    assert!(!found["cases"][0]["failures"].as_array().unwrap().is_empty());
    let found = answer(&["rules", "explain", "double", &rule], 0);
    assert!(found["text"].as_str().unwrap().contains("double"));

    let old = folder.write("mosquitto.conf", "listener 1883 127.0.0.1\nautosave_interval 5\n");
    let found = answer(&["import", old.to_str().unwrap(), "--output", &path("new.toml")], 0);
    assert_eq!((&found["ok"], found["notes"].as_array().unwrap().len()), (&true.into(), 1));

    let users = folder.write("users", format!("ann:{HASH}\n")).display().to_string();
    assert_eq!(answer(&["passwd", &users, "--list"], 0)["users"][0]["user"], "ann");
    assert_eq!(answer(&["passwd", &users, "bob", "--delete"], 1)["done"], "missing");
    assert_eq!(answer(&["passwd", &users, "ann", "--delete"], 0)["done"], "deleted");
    assert_eq!(weir(&["passwd", &users, "--list"]).stdout, "");
}

const HASH: &str = "$6$QDkKdWh6h93NAeY8$RcDt2JDMmgIiG1VKFXx8CW1x+vPADspikiplnLG+u9ihrS2IsibcuSkH\
                    /0jhJg1iNsSYhl+h4tY4hJ2FQPA5cg==";

#[test]
fn running_broker_and_its_store_answer_scripts() {
    let folder = Folder::new("json-broker");
    folder.write("rule.toml", RULE);
    let config = folder.write(
        "weir.toml",
        "data_dir = \"data\"\nrules = [\"rule.toml\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n",
    );
    let broker = Weir::start(&config);
    let (admin, data) = (broker.admin_address().to_string(), folder.path().join("data"));
    let place = ["--admin", &admin, "--data-dir", data.to_str().unwrap()];
    let at = |words: &[&str]| answer(&[words, &place].concat(), 0);

    assert_eq!(answer(&["status", "--admin", &admin], 0)["ready"], true);
    assert_eq!(answer(&["rules", "status", "--admin", &admin], 0)[0]["name"], "double");
    for command in ["pause", "resume", "reset"] {
        assert_eq!(at(&["rules", command, "double"])["rule"], "double", "{command}");
    }
    assert!(at(&["rules", "explain", "double"])["text"].as_str().unwrap().contains("double"));
    assert_eq!(at(&["reload"])["dry_run"], false);
    assert_eq!(at(&["reload", "--dry-run"])["dry_run"], true);
    let frame = at(&["top", "--once"]);
    assert_eq!((&frame["status"]["ready"], &frame["rates"]["received"]), (&true.into(), &0.into()));
    let copy = folder.path().join("copy.redb");
    let copy = copy.to_str().unwrap();
    assert_eq!(at(&["store", "backup", copy])["copy"], copy);
    broker.stop();

    let data = ["--data-dir", data.to_str().unwrap()];
    assert_eq!(answer(&["store", "verify", copy], 0)["ok"], true);
    assert_eq!(
        answer(&[&["store", "info"][..], &data].concat(), 0)["problems"],
        Value::Array(vec![])
    );
    assert!(answer(&[&["store", "compact"][..], &data].concat(), 0)["bytes_after"].is_u64());
}

#[test]
fn doctor_answers_scripts_and_ends_with_what_it_found() {
    let folder = Folder::new("json-doctor");
    let listener = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                    [auth]\nallow_anonymous = true\n";
    let config = folder.write("weir.toml", listener).display().to_string();
    // What it says of this machine is not known here; that it ends by it is.
    let Ended { status, stdout, .. } = weir(&["doctor", "--config", &config, "--json"]);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    let problems = found["problems"].as_u64().unwrap();
    assert_eq!(status.code(), Some(i32::from(problems > 0)), "{stdout}");
    let findings = found["findings"].as_array().unwrap();
    for check in ["config", "permissions", "clock", "disk", "limits", "broker"] {
        assert!(findings.iter().any(|one| one["check"] == check), "{check} in {stdout}");
    }
    assert!(!folder.path().join("data").exists(), "it changes nothing");

    let config = folder.write("typo.toml", "retian = 1\n").display().to_string();
    let found = answer(&["doctor", "--config", &config], 1);
    assert_eq!((&found["problems"], &found["findings"][0]["check"]), (&1.into(), &"config".into()));
    let Ended { status, stderr, .. } = weir(&["doctor", "--config", "/nowhere/weir.toml"]);
    assert_eq!(status.code(), Some(2), "{stderr}");
}
