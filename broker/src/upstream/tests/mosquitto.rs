//! A real broker of another maker, on a port of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::ports::free_port;
use crate::config::HostPort;

/// The running program; it ends with the value.
pub(crate) struct Mosquitto {
    directory: Directory,
    port: u16,
    program: Option<Child>,
}

/// A directory of a test's own that ends with the value.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Mosquitto {
    /// Starts it with more lines of configuration. None when the tests run without programs of
    /// others, which is said.
    pub(crate) fn start(lines: &[&str]) -> Option<Self> {
        if std::env::var_os("WEIR_TESTS_WITHOUT_FOREIGN").is_some_and(|value| value == "1") {
            println!("not run: mosquitto is not used, WEIR_TESTS_WITHOUT_FOREIGN=1 is set");
            return None;
        }
        let directory = Directory::new("mosquitto");
        let port = free_port();
        let mut config = format!("listener {port} 127.0.0.1\n");
        let path = directory.0.display().to_string();
        writeln!(config, "user root\npersistence true\npersistence_location {path}/").unwrap();
        writeln!(config, "log_dest none\nmax_queued_messages 0").unwrap();
        for line in lines {
            writeln!(config, "{}", line.replace("{directory}", &path)).unwrap();
        }
        fs::write(directory.0.join("mosquitto.conf"), config).expect("the directory is ours");
        let acl = "topic readwrite agg/good\n";
        fs::write(directory.0.join("acl"), acl).expect("the directory is ours");
        let mut mosquitto = Self { directory, port, program: None };
        mosquitto.resume();
        Some(mosquitto)
    }

    /// The same for everybody who comes, with the access list `{directory}/acl` for the
    /// lines of configuration, which allows `agg/good` only.
    pub(crate) fn open(lines: &[&str]) -> Option<Self> {
        Self::start(&[&["allow_anonymous true"], lines].concat())
    }

    pub(crate) fn address(&self) -> HostPort {
        HostPort::new("127.0.0.1", self.port)
    }

    /// Ends it in peace: it keeps its sessions.
    pub(crate) fn stop(&mut self) {
        let Some(mut program) = self.program.take() else { return };
        let id = program.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status();
        assert!(told.is_ok_and(|status| status.success()), "mosquitto cannot be stopped");
        program.wait().expect("it was started here");
    }

    /// Starts it again where it was.
    pub(crate) fn resume(&mut self) {
        let config = self.directory.0.join("mosquitto.conf");
        let start = |program: &str| {
            let mut command = Command::new(program);
            command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn()
        };
        let program = start("mosquitto").or_else(|_| start("/usr/sbin/mosquitto"));
        self.program = Some(program.unwrap_or_else(|error| {
            panic!(
                "mosquitto cannot be started ({error}): install it (apt-get install mosquitto), \
                 or set WEIR_TESTS_WITHOUT_FOREIGN=1 to leave these tests out"
            )
        }));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.answers() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            std::thread::yield_now();
        }
    }
}

impl Mosquitto {
    /// Whether it answers a CONNECT, whatever it says. It listens earlier than it serves, and
    /// forgets a signal that comes in between.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("it is not zero");
        let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
        stream.write_all(connect).is_ok() && stream.read(&mut [0; 4]).is_ok_and(|read| read > 0)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("weir-upstream-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the directory for temporary files can be written");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
