//! Clients that others have written, against the real binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use weir_tests::harness::folder::Folder;
use weir_tests::harness::weir::Weir;

mod foreign {
    //! One file for each family of clients.

    mod acl;
    mod admin;
    mod browser;
    mod certificates;
    mod import;
    mod mosquitto;
    mod once;
    mod paho;
    mod prometheus;
    mod rust;
    mod scram;
    mod transports;
}

/// With several shards, which no client can see. Tests with a configuration of their own have one,
/// unless the machine is large.
const CONFIG: &str = "shards = 3\ndata_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                      [auth]\nallow_anonymous = true\n";

/// A broker of its own for each test.
fn broker(name: &str) -> (Folder, Weir) {
    let folder = Folder::new(name);
    let weir = Weir::start(&folder.write("weir.toml", CONFIG));
    (folder, weir)
}
