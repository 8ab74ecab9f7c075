//! A mosquitto and a gateway of a test's own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::{env, fs};

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use weir_firmware_bridge::gateway::{Gateway, LinkId, LinkOptions, Options};
use weir_firmware_bridge::link::udp::UdpOptions;
use weir_firmware_bridge::run::{LinkConfig, Runner};
use weir_firmware_bridge::tcp::TcpBroker;

use crate::support::ports::free_port;
use crate::support::program;

/// A folder that is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("weir-gateway-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A mosquitto that keeps its port and its data over a restart.
pub(crate) struct Mosquitto {
    folder: Folder,
    pub(crate) port: u16,
    process: Option<Child>,
    program: PathBuf,
}

impl Mosquitto {
    /// `None` if it is not installed, which is said.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let program = program(test, "mosquitto")?;
        let folder = Folder::new();
        let port = free_port();
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {}/\nmax_queued_messages 0\nlog_dest stderr\n",
            folder.path().display()
        );
        fs::write(folder.path().join("conf"), text).unwrap();
        let mut mosquitto = Self { program, folder, port, process: None };
        mosquitto.start_again();
        Some(mosquitto)
    }

    pub(crate) fn start_again(&mut self) {
        let mut process = Command::new(&self.program)
            .arg("-c")
            .arg(self.folder.path().join("conf"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let running = lines.by_ref().any(|line| line.unwrap().contains(" running"));
        assert!(running, "mosquitto does not start");
        // It must be able to go on writing.
        thread::spawn(move || lines.for_each(drop));
        self.process = Some(process);
    }

    /// It writes its data and ends.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let id = process.id().to_string();
        assert!(Command::new("kill").arg("-TERM").arg(&id).status().unwrap().success());
        process.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A gateway in a thread of its own, with a network link and those of the test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Gateway>>,
}

impl Running {
    pub(crate) fn start(port: u16, configure: impl FnOnce(&mut Options)) -> Self {
        Self::start_with(port, None, Vec::new(), configure)
    }

    pub(crate) fn start_with(
        port: u16,
        state: Option<PathBuf>,
        more: Vec<LinkConfig>,
        configure: impl FnOnce(&mut Options),
    ) -> Self {
        let options = options(configure);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let runner = open(port, options, more, state);
                tell.send(runner.local_address(LinkId(0)).unwrap()).unwrap();
                let shutdown = async {
                    let _ = stopped.await;
                };
                runner.run(shutdown).await.unwrap()
            })
        });
        let address = told.recv().unwrap();
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Ends it as SIGTERM does.
    pub(crate) fn stop(mut self) -> Gateway {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn options(configure: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::new("gw");
    options.links = vec![LinkOptions::udp("udp0")];
    options.retry_ms = 500;
    options.wait_ms = 200;
    configure(&mut options);
    options
}

pub(crate) fn open(
    port: u16,
    options: Options,
    more: Vec<LinkConfig>,
    state: Option<PathBuf>,
) -> Runner<TcpBroker> {
    let broker = TcpBroker::new(tokio::runtime::Handle::current(), "127.0.0.1", port, None, 20_000);
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut links = vec![LinkConfig::Udp(UdpOptions { bind, multicast: None })];
    links.extend(more);
    Runner::open(options, links, state, broker).unwrap()
}
