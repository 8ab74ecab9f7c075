//! A mosquitto that is replaced by weir, with its configuration, its users and their rights.

use std::path::Path;
use std::process::Command;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::ports::free_address;
use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{Weir, weir};

const TEST: &str = "moving in from mosquitto";
/// User, password, topic.
const PROBES: [(&str, &str, &str); 5] = [
    ("ann", "secret", "home/hall"),
    ("ann", "secret", "attic"),
    ("ann", "wrong", "home/hall"),
    ("bob", "secret", "home/hall"),
    ("", "", "public/news"),
];

#[test]
fn clients_may_do_after_the_move_what_they_could_do_before() {
    let folder = Folder::new("import");
    let programs = ["mosquitto", "mosquitto_passwd", "mosquitto_pub"];
    let [Some(mosquitto), Some(passwd), Some(publisher)] = programs.map(|name| program(TEST, name))
    else {
        return;
    };
    let passwords = folder.path().join("passwords");
    let made =
        Command::new(passwd).arg("-c").arg("-b").arg(&passwords).args(["ann", "secret"]).status();
    assert!(made.unwrap().success());
    let acl = folder.write("acl", "topic write public/#\n\nuser ann\ntopic readwrite home/#\n");
    let address = free_address();
    // Started by root it would become another user, who may not read here.
    let config = folder.write(
        "mosquitto.conf",
        format!(
            "user root\npersistence false\nallow_anonymous true\npassword_file {}\nacl_file {}\n\
             max_keepalive 600\nlog_dest stderr\nlistener {} {}\nmax_connections 50\n",
            passwords.display(),
            acl.display(),
            address.port(),
            address.ip(),
        ),
    );
    let outcomes = || PROBES.map(|probe| publish(&publisher, address.port(), probe));
    let mut before = Process::spawn(Command::new(mosquitto).arg("-c").arg(&config));
    assert!(before.wait_for(Stream::Stderr, " running", LIMIT).is_some(), "{before:?}");
    let expected = outcomes();
    assert_eq!(expected, [true, false, false, false, true]);
    before.kill();

    let new = folder.path().join("weir.toml");
    let arguments = ["import".as_ref(), config.as_os_str(), "--output".as_ref(), new.as_os_str()];
    let imported = weir(&arguments.map(|argument| argument.to_str().unwrap()));
    assert!(imported.status.success(), "{imported:?}");
    let checked = weir(&["check", "--config", new.to_str().unwrap()]);
    assert!(checked.status.success(), "{checked:?}");
    let _weir = Weir::start(&new);
    assert_eq!(outcomes(), expected);
}

/// Whether it was taken.
fn publish(publisher: &Path, port: u16, (user, password, topic): (&str, &str, &str)) -> bool {
    let mut command = Command::new(publisher);
    command.args(["-V", "mqttv5", "-q", "1", "-h", "127.0.0.1", "-p", &port.to_string()]);
    command.args(["-t", topic, "-m", "x"]);
    if !user.is_empty() {
        command.args(["-u", user, "-P", password]);
    }
    let ended = Process::spawn(&mut command).wait(LIMIT);
    ended.status.success() && ended.stderr.is_empty()
}
