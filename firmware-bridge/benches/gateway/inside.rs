//! A broker with the gateway inside.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::free_port;

/// It ends with this, and its files do.
pub(crate) struct Weir {
    process: Child,
    folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) gateway: SocketAddr,
}

impl Weir {
    pub(crate) fn start(program: &Path) -> Self {
        let folder = env::temp_dir().join(format!("weir-bench-gateway-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (gateway, port) = (free.local_addr().unwrap(), free_port());
        drop(free);
        let bridge =
            format!("[bridge]\nid = \"bench\"\n[[link]]\nkind = \"udp\"\nbind = \"{gateway}\"\n");
        fs::write(folder.join("bridge.toml"), bridge).unwrap();
        let config = format!(
            "data_dir = \"data\"\nbridge = \"bridge.toml\"\n[auth]\nallow_anonymous = true\n\
             [log]\nlevel = \"error\"\n[[listener]]\naddress = \"127.0.0.1:{port}\"\n"
        );
        fs::write(folder.join("weir.toml"), config).unwrap();
        let process = Command::new(program)
            // Its keys can come from variables, and this is none.
            .env_remove("WEIR_BIN")
            .args(["run", "--config"])
            .arg(folder.join("weir.toml"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let weir = Self { process, folder, port, gateway };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < end, "it does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        weir
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
