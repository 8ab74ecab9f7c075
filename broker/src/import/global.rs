//! Options of the whole broker.

use super::document::{Document, Table, quoted};
use super::note::Note;
use super::statement::Statement;

/// What was said about the whole broker.
#[derive(Debug)]
pub(crate) struct Global {
    top: Table,
    auth: Table,
    limits: Table,
    log: Table,
}

/// How an option is converted.
#[derive(Clone, Copy)]
enum Way {
    /// A path or another text under a key of `[auth]`.
    Auth(&'static str),
    /// A number that means the same there; the second one stands for "no limit".
    Limit(&'static str, i64),
    /// A switch under a key of `[limits]`.
    LimitSwitch(&'static str),
    /// Not converted, for this reason.
    Lost(&'static str),
    /// Not converted when it is switched on.
    LostIfOn(&'static str),
    Needless(&'static str),
    /// Bytes under a key of `[limits]`; the second text stands for "no limit".
    Size(&'static str, &'static str),
    /// One of its own.
    Special,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            top: Table::new(""),
            auth: Table::new("[auth]"),
            limits: Table::new("[limits]"),
            log: Table::new("[log]"),
        }
    }
}

impl Global {
    /// Takes an option of the broker; `None` when it is none.
    pub(crate) fn take(&mut self, statement: &Statement) -> Option<Result<(), Note>> {
        let (_, way) = OPTIONS.iter().find(|(name, _)| *name == statement.name)?;
        let value = statement.value.as_str();
        Some(match way {
            Way::Auth(key) => {
                self.auth.set_text(key, value);
                Ok(())
            }
            Way::Limit(key, unlimited) => self.limit(key, *unlimited, statement),
            Way::LimitSwitch(key) => match statement.switch() {
                Some(switch) => {
                    self.limits.set(key, switch);
                    Ok(())
                }
                None => Err(not_understood(statement)),
            },
            Way::Lost(why) => Err(Note::lost(statement, *why)),
            Way::LostIfOn(why) => match statement.switch() {
                Some(false) => Ok(()),
                _ => Err(Note::lost(statement, *why)),
            },
            Way::Needless(why) => Err(Note::needless(statement, *why)),
            Way::Size(key, unlimited) => match statement.number() {
                Some(0) => {
                    self.limits.set(key, unlimited);
                    Ok(())
                }
                Some(bytes) if bytes > 0 => {
                    self.limits.set(key, bytes);
                    Ok(())
                }
                _ => Err(not_understood(statement)),
            },
            Way::Special => self.take_special(statement),
        })
    }

    /// Writes its tables.
    pub(crate) fn write(self, document: &mut Document) {
        for table in [self.top, self.auth, self.limits, self.log] {
            document.push(table);
        }
    }

    fn limit(&mut self, key: &str, unlimited: i64, statement: &Statement) -> Result<(), Note> {
        match statement.number() {
            Some(0) => self.limits.set(key, unlimited),
            Some(number) if number > 0 => self.limits.set(key, number),
            _ => return Err(not_understood(statement)),
        }
        Ok(())
    }

    fn take_special(&mut self, statement: &Statement) -> Result<(), Note> {
        let value = statement.value.as_str();
        match statement.name.as_str() {
            "allow_anonymous" => {
                let switch = statement.switch().ok_or_else(|| not_understood(statement))?;
                self.auth.set("allow_anonymous", switch);
            }
            "log_type" => self.take_log_type(statement)?,
            "persistence" => {
                let switch = statement.switch().ok_or_else(|| not_understood(statement))?;
                self.top.set("persistence", switch);
            }
            "persistent_client_expiration" => {
                let days = days(value).ok_or_else(|| not_understood(statement))?;
                self.limits.set_text("persistent_client_expiration", &days);
            }
            "sys_interval" => {
                let seconds = statement.number().filter(|seconds| *seconds >= 0);
                self.top.set("sys_interval", seconds.ok_or_else(|| not_understood(statement))?);
            }
            name => unreachable!("{name} is in the table"),
        }
        Ok(())
    }

    /// The most talkative type decides; what clients do is logged at debug.
    fn take_log_type(&mut self, statement: &Statement) -> Result<(), Note> {
        let level = match statement.value.as_str() {
            "all" | "debug" | "subscribe" | "unsubscribe" => "debug",
            "information" | "notice" => "info",
            "warning" => "warn",
            "error" => "error",
            "none" | "internal" | "websockets" => {
                return Err(Note::needless(statement, "the level of the log says enough"));
            }
            _ => return Err(not_understood(statement)),
        };
        let rank = |level: &str| LEVELS.iter().position(|known| quoted(known) == level);
        let is_more = self.log.get("level").is_none_or(|known| rank(&quoted(level)) > rank(known));
        if is_more {
            self.log.set_text("level", level);
        }
        Ok(())
    }
}

/// A duration of mosquitto: a number and h, d, w, m (30 days) or y (365 days).
fn days(value: &str) -> Option<String> {
    let unit = value.chars().last()?;
    let number: u32 = value.get(..value.len() - unit.len_utf8())?.parse().ok()?;
    let days = match unit {
        'h' => return Some(format!("{number}h")),
        'd' => number,
        'w' => number.checked_mul(7)?,
        'm' => number.checked_mul(30)?,
        'y' => number.checked_mul(365)?,
        _ => return None,
    };
    Some(format!("{}d", days.min(EXPIRATION_DAYS_MAX)))
}

/// A note about a value that is none.
pub(super) fn not_understood(statement: &Statement) -> Note {
    Note::lost(statement, "the value is not one that mosquitto takes")
}

const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];
const EXPIRATION_DAYS_MAX: u32 = 365;

const STORED_AT_ONCE: &str = "what is acknowledged is on disk already";
const LOG: &str = "the log goes to stderr, and systemd keeps it with the time";
const PLUGINS: &str = "there are no plugins; see docs/security.md for what is built in";
const OPTIONS: [(&str, Way); 46] = [
    ("acl_file", Way::Auth("acl_file")),
    ("allow_anonymous", Way::Special),
    ("allow_duplicate_messages", Way::Needless("overlapping subscriptions get a message once")),
    ("auth_opt_", Way::Lost(PLUGINS)),
    ("auth_plugin", Way::Lost(PLUGINS)),
    ("auth_plugin_deny_special_chars", Way::Lost(PLUGINS)),
    ("auto_id_prefix", Way::Lost("identifiers that the broker gives begin with `auto-`")),
    ("autosave_interval", Way::Needless(STORED_AT_ONCE)),
    ("autosave_on_changes", Way::Needless(STORED_AT_ONCE)),
    ("check_retain_source", Way::Lost("retained messages stay when their publisher loses a right")),
    ("clientid_prefixes", Way::Lost("use `pattern` lines with %c in the ACL file")),
    (
        "connection_messages",
        Way::Needless("the level of the log decides: connections are at debug"),
    ),
    ("include_dir", Way::Lost("a file that is included includes no others")),
    ("log_dest", Way::Needless(LOG)),
    ("log_facility", Way::Needless(LOG)),
    ("log_timestamp", Way::Needless(LOG)),
    ("log_timestamp_format", Way::Needless(LOG)),
    ("log_type", Way::Special),
    ("max_inflight_bytes", Way::Size("max_inflight_bytes", "0")),
    ("max_inflight_messages", Way::Limit("max_inflight_messages", 65_535)),
    ("max_keepalive", Way::Limit("max_keepalive", 0)),
    ("max_packet_size", Way::Size("max_packet_size", "\"256MB\"")),
    ("max_queued_bytes", Way::Size("max_queued_bytes", "0")),
    ("max_queued_messages", Way::Limit("max_queued_messages", 0)),
    ("memory_limit", Way::Lost("it counts more here: see memory_limit in [limits]")),
    ("password_file", Way::Auth("password_file")),
    (
        "per_listener_settings",
        Way::LostIfOn(
            "users and access rules are those of the whole broker; \
        only `allow_anonymous` is of a listener",
        ),
    ),
    ("persistence", Way::Special),
    ("persistence_file", Way::Needless("the store has a directory of its own, `data_dir`")),
    (
        "persistence_location",
        Way::Needless(
            "the store has a directory of its own, `data_dir`; \
        messages and sessions in mosquitto.db are not taken over",
        ),
    ),
    ("persistent_client_expiration", Way::Special),
    ("pid_file", Way::Needless("a supervisor such as systemd knows the process")),
    ("plugin", Way::Lost(PLUGINS)),
    ("plugin_load", Way::Lost(PLUGINS)),
    ("plugin_use", Way::Lost(PLUGINS)),
    ("psk_file", Way::Lost("TLS with pre-shared keys is not there; use certificates")),
    ("queue_qos0_messages", Way::LostIfOn("QoS 0 messages do not wait for clients that are away")),
    ("retain_available", Way::LimitSwitch("retain_available")),
    ("retain_expiry_interval", Way::Lost("publishers set an expiry")),
    ("set_tcp_nodelay", Way::Needless("it is always so")),
    ("store_clean_interval", Way::Needless("mosquitto has forgotten this option itself")),
    ("sys_interval", Way::Special),
    ("upgrade_outgoing_qos", Way::LimitSwitch("upgrade_outgoing_qos")),
    ("user", Way::Needless("start it as the user it is to run as")),
    ("global_max_clients", Way::Lost("limit `global_max_connections`, or the listener")),
    ("global_max_connections", Way::Limit("global_max_connections", -1)),
];
