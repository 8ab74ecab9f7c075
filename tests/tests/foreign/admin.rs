//! The API as its documents describe it: each curl of docs/api.md, and whatever Schemathesis makes of
//! the OpenAPI document.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::{program, python};
use weir_tests::harness::process::{Ended, Process, Stream};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{Weir, command, weir, workspace};

/// A broker with one of each, a token that may do everything, and a client that subscribes.
struct Gateway {
    folder: Folder,
    weir: Weir,
    token: String,
    _client: Process,
}

impl Gateway {
    fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let tokens = folder.path().join("tokens");
        let made = weir(&["token", "create", "ann", "--role", "operate", "--file", &text(&tokens)]);
        assert!(made.status.success(), "{}", made.stderr);
        let rules = text(&workspace().join("config/rules/room-average.toml"));
        let config = format!(
            "data_dir = \"data\"\nrules = [\"{rules}\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             [auth]\nallow_anonymous = true\n[admin]\naddress = \"127.0.0.1:0\"\n\
             tokens_file = \"tokens\"\n[log]\nlevel = \"warn\"\n[upstream.cloud]\n\
             address = [\"127.0.0.1:1\"]\nforward = [{{ from = \"agg/#\" }}]\n\
             [[history]]\nfilter = \"room/#\"\n"
        );
        let weir = Weir::start(&folder.write("weir.toml", config));
        let port = weir.address().port().to_string();
        let client = Process::spawn(
            command(&[
                "sub", "-p", &port, "-i", "meter-7", "-t", "room/#", "-t", "ready", "-q", "1",
            ])
            .arg("-v"),
        );
        // Retained, so it comes whenever the subscription does.
        let said = weir_pub(&port, "ready");
        assert!(said.status.success(), "{}", said.stderr);
        client.wait_for(Stream::Stdout, "ready", LIMIT).expect("the client has subscribed");
        Self { folder, weir, token: made.stdout.trim().to_owned(), _client: client }
    }

    fn admin(&self) -> String {
        format!("http://{}", self.weir.admin_address())
    }
}

fn weir_pub(port: &str, topic: &str) -> Ended {
    weir(&["pub", "-p", port, "-t", topic, "-m", "yes", "-r", "-q", "1"])
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn each_curl_of_the_page_does_what_it_says_and_each_route_has_one() {
    let test = "the examples of docs/api.md";
    if program(test, "curl").is_none() {
        return;
    }
    let one = Gateway::start("api-page");
    let page = fs::read_to_string(workspace().join("docs/api.md")).unwrap();
    let mut asked = BTreeSet::new();
    for line in curls(&page) {
        let line = line.replace("http://127.0.0.1:8080", &one.admin());
        let line = line.replacen("curl ", "curl --silent --show-error --fail-with-body ", 1);
        let mut shell = Command::new("bash");
        shell.args(["-c", &line]).current_dir(one.folder.path()).env("TOKEN", &one.token);
        let ended = Process::spawn(&mut shell).wait(Duration::from_secs(40));
        // 28: it would not have ended by itself.
        let is_endless = line.contains("--max-time") && ended.status.code() == Some(28);
        assert!(ended.status.success() || is_endless, "{line}\n{}{}", ended.stdout, ended.stderr);
        let method =
            line.split(" -X ").nth(1).map_or("get", |rest| rest.split(' ').next().unwrap());
        let url = line.split(&one.admin()).nth(1).unwrap();
        let path: String = url.split(['?', '"', ' ']).next().unwrap().to_owned();
        asked.insert((method.to_lowercase(), path));
    }
    let document = workspace().join("broker/src/admin/openapi.json");
    let document: Value = serde_json::from_slice(&fs::read(document).unwrap()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let has_one = |(by, to): &(String, String)| by == method && is_like(to, path);
            assert!(asked.iter().any(has_one), "{method} {path} has no example");
        }
    }
    one.weir.stop();
}

/// Whether a path could be meant by a template: a part in braces is anything.
fn is_like(path: &str, template: &str) -> bool {
    let (path, template): (Vec<&str>, Vec<&str>) =
        (path.split('/').collect(), template.split('/').collect());
    let same = |(part, known): (&&str, &&str)| part == known || known.starts_with('{');
    let is_open = template.last().is_some_and(|last| *last == "{topic}" || *last == "{client_id}");
    (path.len() == template.len() || is_open && path.len() > template.len())
        && path.iter().zip(&template).all(same)
}

/// The curls of the page, joined where they go on.
fn curls(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    joined.lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

#[test]
fn schemathesis_finds_nothing_that_the_openapi_document_does_not_say() {
    let test = "Schemathesis";
    let Some(python) = python(test, "schemathesis") else { return };
    let one = Gateway::start("api-schemathesis");
    let run: PathBuf = python.with_file_name("schemathesis");
    let mut schemathesis = Command::new(run);
    schemathesis
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", one.admin()))
        .args(["--header", &format!("Authorization: Bearer {}", one.token)])
        // They go on until whoever asks goes.
        .args(["--exclude-path-regex", "(events|subscribe|trace|backup)$"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "1"])
        .args(["--max-time", "60", "--request-timeout", "20", "--no-color"])
        .current_dir(one.folder.path());
    let ended = Process::spawn(&mut schemathesis).wait(Duration::from_secs(240));
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    one.weir.stop();
}
