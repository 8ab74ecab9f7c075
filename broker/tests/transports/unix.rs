//! MQTT over a Unix socket, and the care of its file.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
};

use crate::support::{gateway::Folder, mqtt::Client};

const LISTENER: &str = "[[listener]]\npath = \"mqtt.sock\"\nmode = \"0600\"\n";

#[test]
fn a_client_speaks_over_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path().join("mqtt.sock");
    let gateway = folder.start(LISTENER).unwrap();
    assert!(gateway.broker.addresses().is_empty());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let stream = UnixStream::connect(&path).unwrap();
    Client::connect(stream, "local").unwrap().check(&vec![7; 300_000]);
    gateway.broker.shutdown();
    assert!(!path.exists(), "the file is removed at the end");
}

#[test]
fn the_file_that_a_killed_process_left_is_replaced() {
    let folder = Folder::new();
    let path = folder.path().join("mqtt.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let _gateway = folder.start(LISTENER).unwrap();
    Client::connect(UnixStream::connect(&path).unwrap(), "local").unwrap();
}

#[test]
fn the_socket_of_a_running_program_and_other_files_are_left_alone() {
    let folder = Folder::new();
    let path = folder.path().join("mqtt.sock");
    let other = UnixListener::bind(&path).unwrap();
    let error = folder.start(LISTENER).err().unwrap().to_string();
    assert!(error.contains("another program listens there"), "{error}");
    drop(other);
    fs::remove_file(&path).unwrap();
    folder.write("mqtt.sock", "a file");
    let error = folder.start(LISTENER).err().unwrap().to_string();
    assert!(error.contains("not a socket"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"a file");
}

#[test]
fn a_path_and_an_address_do_not_go_together() {
    let folder = Folder::new();
    let both = "[[listener]]\npath = \"a\"\naddress = \"127.0.0.1:0\"\n";
    assert!(folder.problems(both).contains("both `address` and `path` are given"));
    let mode = "[[listener]]\naddress = \"127.0.0.1:0\"\nmode = \"0600\"\n";
    assert!(folder.problems(mode).contains("`mode` is for a Unix socket"));
    let mode = "[[listener]]\npath = \"a\"\nmode = \"rw-\"\n";
    assert!(folder.problems(mode).contains("octal digits"));
}
