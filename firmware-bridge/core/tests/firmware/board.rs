//! The emulated board, with its serial line on a TCP connection.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support;

/// A board that runs the firmware. It ends with this.
pub(crate) struct Board {
    emulator: Child,
    line: Option<TcpStream>,
}

impl Board {
    /// Builds the firmware and starts it; `None` when something is missing and that is allowed.
    pub(crate) fn start() -> Option<Self> {
        let test = "demonstration firmware";
        let firmware = support::script(test, "firmware-sim", &["--fetched-only", "--prepare"])?;
        let emulator = support::program(test, "qemu-system-arm")?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let emulator = Command::new(emulator)
            .args(["-M", "mps2-an385", "-display", "none", "-monitor", "none"])
            .args(["-serial", &format!("tcp:127.0.0.1:{port}"), "-kernel", firmware.trim()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut board = Self { emulator, line: None };
        listener.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        board.line = Some(loop {
            match listener.accept() {
                Ok((line, _)) => break line,
                Err(_) => assert!(Instant::now() < deadline, "the emulator does not connect"),
            }
            thread::yield_now();
        });
        Some(board)
    }

    /// The serial line.
    pub(crate) fn line(&mut self) -> TcpStream {
        let line = self.line.take().unwrap();
        line.set_nonblocking(false).unwrap();
        line
    }

    pub(crate) fn stop(mut self) {
        self.emulator.kill().unwrap();
        self.emulator.wait().unwrap();
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
