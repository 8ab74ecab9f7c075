//! The brokers, and how each is told to do the same: one listener on the loopback, everybody may
//! come, no delay in its sockets, errors only in its log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// With the limits that a broker has by itself.
    Default,
    /// What is acknowledged is on disk, or as near to it as the broker gets.
    Durable,
    /// Limits of queues are off, so that nothing that waits is dropped.
    Roomy,
}

/// Writes the configuration below a directory and answers the command; none when the broker has no
/// such setting.
type Start = fn(&Path, Setting, SocketAddr, &Path) -> io::Result<Option<Command>>;

/// A broker.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// What it was told, beside the address, for the page.
    pub(crate) settings: &'static str,
    program: PathBuf,
    version_arguments: &'static [&'static str],
    start: Start,
}

impl Peer {
    /// With the program in the path, or a word about it that it is not there.
    #[allow(clippy::print_stderr, reason = "this is how it tells what it leaves out")]
    pub(crate) fn found_or_named(mut self) -> Option<Self> {
        let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let places = env::split_paths(&path).chain(more).map(|place| place.join(&self.program));
        match places.into_iter().find(|path| path.is_file()) {
            Some(path) => {
                self.program = path;
                Some(self)
            }
            None => {
                eprintln!("{}: not installed", self.name);
                None
            }
        }
    }

    pub(crate) fn command(
        &self,
        setting: Setting,
        address: SocketAddr,
        folder: &Path,
    ) -> io::Result<Option<Command>> {
        (self.start)(&self.program, setting, address, folder)
    }

    /// As it says itself.
    pub(crate) fn version(&self) -> String {
        let output = Command::new(&self.program).args(self.version_arguments).output();
        let text = output.map(|output| [output.stdout, output.stderr].concat());
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let is_version = |word: &&str| {
            word.contains('.') && word.trim_start_matches('v').starts_with(|c: char| c.is_numeric())
        };
        text.split_whitespace().find(is_version).unwrap_or("of unknown version").to_owned()
    }
}

/// All that are known, weir first.
pub(crate) fn all(weir: &Path) -> Vec<Peer> {
    vec![
        Peer {
            name: "weir",
            settings: "its defaults: everything that it acknowledges is on disk, in every row",
            program: weir.to_owned(),
            version_arguments: &["--version"],
            start: start_weir,
        },
        Peer {
            name: "mosquitto",
            settings: "`set_tcp_nodelay true`, no persistence, `max_queued_messages 0` except \
                       where a subscriber stalls; in the durable row `persistence true`, \
                       `autosave_on_changes true`, `autosave_interval 1`",
            program: "mosquitto".into(),
            version_arguments: &["-h"],
            start: start_mosquitto,
        },
        Peer {
            name: "FlashMQ",
            settings: "`tcp_nodelay true`, `max_qos_msg_pending_per_client 65535` except where a \
                       subscriber stalls",
            program: "flashmq".into(),
            version_arguments: &["--version"],
            start: start_flashmq,
        },
        Peer {
            name: "NanoMQ",
            settings: "`max_mqueue_len 65535` except where a subscriber stalls",
            program: "nanomq".into(),
            version_arguments: &["--version"],
            start: start_nanomq,
        },
        Peer {
            name: "rumqttd",
            settings: "the file that it comes with, `max_inflight_count = 60000`",
            program: "rumqttd".into(),
            version_arguments: &["--version"],
            start: start_rumqttd,
        },
        Peer {
            name: "RMQTT",
            settings: "its defaults",
            program: "rmqttd".into(),
            version_arguments: &["--version"],
            start: start_rmqttd,
        },
        Peer {
            name: "EMQX",
            settings: "its defaults, one listener",
            program: "emqx".into(),
            version_arguments: &["version"],
            start: start_emqx,
        },
    ]
}

fn start_weir(
    program: &Path,
    _: Setting,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Option<Command>> {
    let text = format!(
        "data_dir = \"{}\"\n[[listener]]\naddress = \"{address}\"\nmax_connections = 20000\n\
         [auth]\nallow_anonymous = true\n",
        folder.join("data").display(),
    );
    with_file(program, &["run", "--config"], folder, "weir.toml", &text).map(|mut command| {
        command.env("WEIR_LOG", "error");
        Some(command)
    })
}

fn start_mosquitto(
    program: &Path,
    setting: Setting,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Option<Command>> {
    // Started by root it would become another user, who may not write there.
    let mut text = format!(
        "listener {} {}\nallow_anonymous true\nuser root\nlog_type error\nset_tcp_nodelay true\n",
        address.port(),
        address.ip(),
    );
    if setting != Setting::Default {
        text.push_str("max_queued_messages 0\n");
    }
    if setting == Setting::Durable {
        text.push_str(&format!(
            "persistence true\npersistence_location {}/\nautosave_on_changes true\n\
             autosave_interval 1\n",
            folder.display(),
        ));
    }
    with_file(program, &["-c"], folder, "mosquitto.conf", &text).map(Some)
}

fn start_flashmq(
    program: &Path,
    setting: Setting,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Option<Command>> {
    let mut text = format!(
        "allow_anonymous true\nlog_level error\nlisten {{\n  protocol mqtt\n  port {}\n  \
         inet4_bind_address {}\n  tcp_nodelay true\n}}\n",
        address.port(),
        address.ip(),
    );
    match setting {
        // It saves every five minutes and at its end.
        Setting::Durable => return Ok(None),
        Setting::Default => {}
        Setting::Roomy => text.push_str(
            "max_qos_msg_pending_per_client 65535\nmax_qos_bytes_pending_per_client 536870912\n",
        ),
    }
    with_file(program, &["--config-file"], folder, "flashmq.conf", &text).map(Some)
}

fn start_nanomq(
    program: &Path,
    setting: Setting,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Option<Command>> {
    let queue = match setting {
        Setting::Durable => return Ok(None),
        Setting::Default => "",
        Setting::Roomy => "mqtt {\n  max_mqueue_len = 65535\n}\n",
    };
    let text = format!(
        "listeners.tcp {{\n  bind = \"{address}\"\n}}\nlog {{\n  to = [console]\n  level = error\n\
         }}\n{queue}"
    );
    with_file(program, &["start", "--conf"], folder, "nanomq.conf", &text).map(Some)
}

fn start_rumqttd(
    program: &Path,
    setting: Setting,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Option<Command>> {
    let text = format!(
        "id = 0\n[router]\nid = 0\nmax_connections = 10010\nmax_outgoing_packet_count = 200\n\
         max_segment_size = 104857600\nmax_segment_count = 10\n[v4.1]\nname = \"v4-1\"\n\
         listen = \"{address}\"\nnext_connection_delay_ms = 1\n[v4.1.connections]\n\
         connection_timeout_ms = 60000\nmax_payload_size = 20480\nmax_inflight_count = 60000\n\
         dynamic_filters = true\n"
    );
    if setting == Setting::Durable {
        return Ok(None);
    }
    with_file(program, &["--quiet", "--config"], folder, "rumqttd.toml", &text).map(Some)
}

fn start_rmqttd(
    program: &Path,
    setting: Setting,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Option<Command>> {
    let text = format!(
        "log.to = \"console\"\nlog.level = \"error\"\nplugins.default_startups = []\n\
         listener.tcp.external.addr = \"{address}\"\n"
    );
    if setting == Setting::Durable {
        return Ok(None);
    }
    with_file(program, &["-f"], folder, "rmqtt.toml", &text).map(Some)
}

fn start_emqx(
    program: &Path,
    setting: Setting,
    address: SocketAddr,
    folder: &Path,
) -> io::Result<Option<Command>> {
    if setting == Setting::Durable {
        return Ok(None);
    }
    let mut command = Command::new(program);
    command
        .arg("foreground")
        .env("EMQX_LISTENERS__TCP__DEFAULT__BIND", address.to_string())
        .env("EMQX_LISTENERS__SSL__DEFAULT__ENABLE", "false")
        .env("EMQX_LISTENERS__WS__DEFAULT__ENABLE", "false")
        .env("EMQX_LISTENERS__WSS__DEFAULT__ENABLE", "false")
        .env("EMQX_DASHBOARD__LISTENERS__HTTP__BIND", "0")
        .env("EMQX_LOG__CONSOLE__LEVEL", "error")
        .env("EMQX_NODE__DATA_DIR", folder);
    Ok(Some(command))
}

/// A program with a file of its own as its last argument.
fn with_file(
    program: &Path,
    arguments: &[&str],
    folder: &Path,
    name: &str,
    text: &str,
) -> io::Result<Command> {
    let file = folder.join(name);
    fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.args(arguments).arg(file);
    Ok(command)
}
