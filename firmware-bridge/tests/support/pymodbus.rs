//! Devices of pymodbus.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Devices of pymodbus; they end with the value.
pub(crate) struct Server {
    child: Child,
    pub(crate) place: String,
}

impl Server {
    pub(crate) fn start(test: &str, kind: &str) -> Option<Self> {
        let python = super::python(test, "pymodbus")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modbus_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut place = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut place).unwrap();
        let place = place.trim().to_owned();
        assert!(!place.is_empty(), "pymodbus did not start");
        Some(Self { child, place })
    }

    /// The keys of `[[modbus]]` that lead there.
    pub(crate) fn keys(&self) -> String {
        match self.place.parse::<u16>() {
            Ok(port) => format!("tcp = \"127.0.0.1:{port}\""),
            Err(_) => {
                let place = &self.place;
                format!("serial = \"{place}\"\nbaud = 19200\nparity = \"none\"\nstop_bits = 1")
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
