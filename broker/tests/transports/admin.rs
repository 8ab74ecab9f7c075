//! The admin server behind TLS, asked by the commands of weir.

use std::process::{Command, Output};

use crate::support::{certificates::Authority, process::Process, secure::Site};

const SECURE: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
                      [admin.tls]\ncertfile = \"broker.pem\"\nkeyfile = \"broker.key\"\n";

/// `weir status` of a broker, with these authorities.
fn status(site: &Site, port: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["status", "--admin", &format!("localhost:{port}")]).args(more);
    command.current_dir(site.folder.path()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_admin_server_is_asked_over_tls_and_uses_a_changed_certificate() {
    let site = Site::new();
    let process = Process::start(&site.folder, SECURE, "info");
    let line = process.line_with("status at ");
    let address = line.split_once("status at https://127.0.0.1:").unwrap().1;
    let port = address.split('/').next().unwrap();
    let asked = status(&site, port, &["--admin-ca", "ca.pem"]);
    assert!(asked.status.success(), "{}", stderr(&asked));

    let plain = status(&site, port, &[]);
    assert_eq!(plain.status.code(), Some(2), "{}", stderr(&plain));
    let other = Authority::new("others");
    site.folder.write("others.pem", other.pem());
    let untrusted = status(&site, port, &["--admin-ca", "others.pem"]);
    assert_eq!(untrusted.status.code(), Some(2));
    assert!(stderr(&untrusted).contains("certificate"), "{}", stderr(&untrusted));

    site.install(&other.server());
    process.hang_up();
    process.line_with("certificates were read again");
    let renewed = status(&site, port, &["--admin-ca", "others.pem"]);
    assert!(renewed.status.success(), "{}", stderr(&renewed));
}
