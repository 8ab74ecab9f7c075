//! Files are changed on disk and the real binary gets SIGHUP: what open connections see of it,
//! which rules run then, and what a wrong file changes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use weir_mqtt::{Connect, Packet, PacketId, Publish, QoS, ReasonCode, Version};
use weir_tests::harness::client::{Client, Received};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::process::Stream;
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::Weir;

/// What stands in a password file for `secret`.
const HASH: &str = "$6$QDkKdWh6h93NAeY8$RcDt2JDMmgIiG1VKFXx8CW1x+vPADspikiplnLG+u9ihrS2IsibcuSkH\
                    /0jhJg1iNsSYhl+h4tY4hJ2FQPA5cg==";
/// Of the user `ann`, who may write `out/#`, until 2100.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsImFjbCI6WyJ3cm\
                     l0ZSBvdXQvIyJdfQ.EGaJmLjplV76tBg2BdQK5hqk72_Qcg3wcn825WfbK5c";
/// The key that it was signed with.
const SECRET: &str = "a secret of thirty-two bytes, at least";
const ACL: &str = "user ann\ntopic write here\nuser bob\ntopic write here\n";
const CONFIG: &str = "persistence = false\n[[listener]]\naddress = \"127.0.0.1:0\"\n[auth]\n\
                      password_file = \"passwords\"\nacl_file = \"acl\"\n\
                      jwt = { secret_file = \"key\", acl_claim = \"acl\" }\n";
const READ_AGAIN: &str = "passwords and permissions were read again";

struct Site {
    folder: Folder,
    weir: Weir,
}

impl Site {
    fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("passwords", lines_of(&["ann", "bob"]));
        folder.write("acl", ACL);
        folder.write("key", SECRET);
        let weir = Weir::start(&folder.write("weir.toml", CONFIG));
        Self { folder, weir }
    }

    /// Sends SIGHUP and waits for what the broker says to it.
    fn hang_up(&self, answer: &str) {
        self.weir.process().signal("HUP");
        let said = self.weir.process().wait_for(Stream::Stderr, answer, LIMIT);
        assert!(said.is_some(), "{answer}");
    }

    fn try_connect(&self, username: &str, password: &str) -> Result<Client, ReasonCode> {
        let mut connect = Connect::new(Version::V5, username);
        connect.username = Some(username);
        connect.password = Some(password.as_bytes());
        let (client, accepted) = Client::connect(self.weir.address(), connect).unwrap();
        match accepted.reason {
            ReasonCode::Success => Ok(client),
            reason => Err(reason),
        }
    }

    #[track_caller]
    fn connect(&self, username: &str, password: &str) -> Client {
        self.try_connect(username, password).unwrap()
    }
}

/// A password file.
fn lines_of(users: &[&str]) -> String {
    users.iter().map(|user| format!("{user}:{HASH}\n")).collect()
}

#[track_caller]
fn may_publish(client: &mut Client, topic: &str) -> bool {
    let publish =
        Publish { qos: QoS::AtLeastOnce, packet_id: PacketId::new(1), ..Publish::new(topic, b"x") };
    client.send(&Packet::Publish(publish)).unwrap();
    match client.receive(LIMIT) {
        Received::Packet(Packet::Puback(puback)) => puback.reason != ReasonCode::NotAuthorized,
        other => panic!("{other:?} instead of PUBACK"),
    }
}

#[track_caller]
fn expect_revoked(client: &mut Client) {
    match client.receive(LIMIT) {
        Received::Packet(Packet::Disconnect(disconnect)) => {
            assert_eq!(disconnect.reason, ReasonCode::NotAuthorized);
        }
        other => panic!("{other:?} instead of DISCONNECT"),
    }
    assert_eq!(client.receive(LIMIT), Received::Closed);
}

#[test]
fn open_connections_have_the_new_permissions_and_a_removed_user_has_none() {
    let site = Site::start("sighup");
    let (mut ann, mut bob) = (site.connect("ann", "secret"), site.connect("bob", "secret"));
    assert!(may_publish(&mut ann, "here") && !may_publish(&mut ann, "there"));
    assert!(may_publish(&mut bob, "here"));

    site.folder.write("acl", "user ann\ntopic write there\n");
    site.folder.write("passwords", lines_of(&["ann", "cy"]));
    assert!(!may_publish(&mut ann, "there"), "not before SIGHUP");
    site.hang_up(READ_AGAIN);

    assert!(!may_publish(&mut ann, "here") && may_publish(&mut ann, "there"));
    expect_revoked(&mut bob);
    let refused = site.try_connect("bob", "secret").err();
    assert_eq!(refused, Some(ReasonCode::BadUserNameOrPassword));
    site.connect("cy", "secret");
}

#[test]
fn another_key_of_tokens_ends_what_the_old_one_has_opened() {
    let site = Site::start("sighup-key");
    let (mut by_token, mut ann) = (site.connect("any", TOKEN), site.connect("ann", "secret"));
    assert!(may_publish(&mut by_token, "out/x") && !may_publish(&mut by_token, "there"));

    site.folder.write("key", SECRET.replace("secret", "Secret"));
    site.hang_up(READ_AGAIN);

    expect_revoked(&mut by_token);
    assert_eq!(site.try_connect("any", TOKEN).err(), Some(ReasonCode::BadUserNameOrPassword));
    assert!(may_publish(&mut ann, "here"));
}

/// As a file is while somebody writes it, or was when the power failed.
#[test]
fn a_file_with_nothing_in_it_takes_nothing_away() {
    let site = Site::start("sighup-empty");
    let mut bob = site.connect("bob", "secret");
    site.folder.write("passwords", lines_of(&["ann"]));
    site.folder.write("weir.toml", "");
    site.hang_up("there is nothing in it");
    assert!(may_publish(&mut bob, "here"));
    site.folder.write("weir.toml", CONFIG);
    site.hang_up(READ_AGAIN);
    expect_revoked(&mut bob);
}

#[test]
fn a_wrong_file_changes_nothing_and_is_named_with_its_line() {
    let site = Site::start("sighup-wrong");
    let (mut by_token, mut bob) = (site.connect("any", TOKEN), site.connect("bob", "secret"));

    // The other files are right, and would take away everything that somebody has.
    site.folder.write("passwords", lines_of(&["ann"]));
    site.folder.write("key", SECRET.replace("secret", "Secret"));
    site.folder.write("acl", "user bob\ntopic wriet here\n");
    site.hang_up("nothing was changed: a file is wrong");
    let said = site.weir.process().said(Stream::Stderr);
    for line in
        ["acl:2:7", "2 | topic wriet here", "`wriet` is not an access", "did you mean `write`?"]
    {
        assert!(said.contains(line), "`{line}` is missing in:\n{said}");
    }
    assert!(may_publish(&mut bob, "here") && may_publish(&mut by_token, "out/x"));
    let mut bob = site.connect("bob", "secret");

    site.folder.write("acl", ACL);
    site.folder.write("passwords", format!("{}bob:hunter2\n", lines_of(&["ann"])));
    site.folder.write("key", "short");
    site.hang_up("at least 32");
    let said = site.weir.process().said(Stream::Stderr);
    assert!(said.contains("passwords:2:1"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(may_publish(&mut bob, "here") && may_publish(&mut by_token, "out/x"));
}

/// The file of the configuration itself is read again: it may name other rules.
#[test]
fn other_rules_run_unless_a_file_is_wrong() {
    let site = Site::start("sighup-rules");
    let rule = "[rule.copy]\nfrom = \"here\"\nto = \"there\"\n";
    site.folder.write("copy.toml", rule);
    site.folder.write("weir.toml", format!("rules = [\"*copy.toml\"]\n{CONFIG}"));
    site.folder.write("acl", "user ann\ntopic wriet here\n");
    site.hang_up("nothing was changed: a file is wrong");
    site.folder.write("acl", ACL);
    site.hang_up("+ copy  added");
    site.folder.write("copy.toml", rule.replace("from", "form"));
    site.hang_up("copy.toml:2:1");
    site.folder.write("weir.toml", CONFIG);
    site.hang_up("- copy  removed; groups forgotten: 0");
}
