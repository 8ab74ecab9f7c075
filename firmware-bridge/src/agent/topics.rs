//! The topics of the bridge and its devices.

/// The topics below `<root>/<id>`.
#[derive(Clone, Debug)]
pub struct Topics {
    base: String,
}

impl Topics {
    /// The topics of the bridge `id` below `root`.
    ///
    /// ```
    /// use weir_firmware_bridge::agent::Topics;
    ///
    /// let topics = Topics::new("edge", "mill");
    /// assert_eq!(topics.bridge_state(), "edge/mill/bridge/state");
    /// assert_eq!(topics.device("hall", "state"), "edge/mill/hall/state");
    /// assert_eq!(topics.command("pump", "switch"), "edge/mill/pump/switch/set");
    /// ```
    pub fn new(root: &str, id: &str) -> Self {
        Self { base: format!("{root}/{id}") }
    }

    /// Whether the bridge runs; its will is here.
    pub fn bridge_state(&self) -> String {
        format!("{}/bridge/state", self.base)
    }

    /// The counters of the agent, its queue and its devices. Those of the gateway for MQTT-SN are at
    /// `bridge/metrics`.
    pub fn bridge_devices(&self) -> String {
        format!("{}/bridge/devices", self.base)
    }

    /// A topic of a device: `state`, `availability`, `info`, `event`, a quantity or an actuator.
    pub fn device(&self, device: &str, what: &str) -> String {
        format!("{}/{device}/{what}", self.base)
    }

    /// Where an actuator takes commands.
    pub fn command(&self, device: &str, actuator: &str) -> String {
        format!("{}/{device}/{actuator}/set", self.base)
    }

    /// Where an actuator says what became of commands.
    pub fn result(&self, device: &str, actuator: &str) -> String {
        format!("{}/{device}/{actuator}/result", self.base)
    }

    /// All commands.
    pub fn command_filter(&self) -> String {
        format!("{}/+/+/set", self.base)
    }

    /// Device and actuator of a command.
    pub fn parse_command<'a>(&self, topic: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = topic.strip_prefix(&self.base)?.strip_prefix('/')?.strip_suffix("/set")?;
        rest.split_once('/').filter(|(_, actuator)| !actuator.contains('/'))
    }
}
