//! What Sparkplug devices announce about their metrics: learned from births, filled into data.
//!
//! A row of the table of aliases stands under the node, its device (empty for its own metrics) and
//! the alias or name of a metric; its value is the kind of the metric and, under an alias, the
//! name. A birth replaces all rows of its device; that of a node also those of its devices.

use super::life::Turn;
use super::records::{Payload, fault, too_many};
use super::work::Message;
use crate::code;
use crate::expression::Fault;
use crate::limits::RECORDS_MAX;
use crate::message::Event;
use crate::payload::{Decode, Metric, Metrics};
use crate::rule::{METRIC_TOPICS, Rule};
use crate::running::Running;
use crate::table::{Table, TableId};

/// Who sends metrics, from the topic `spBv1.0/group/DDATA/node/device`.
#[derive(Clone, Copy)]
struct Address<'t> {
    /// Up to the group.
    group: &'t str,
    kind: &'t str,
    node: &'t str,
    device: Option<&'t str>,
}

impl Running {
    /// Takes a payload of metrics; `filter` is that of a birth if it is behind those of the rule.
    pub(super) fn take_metrics<'m>(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'m>,
        payload: &Payload<'m>,
        filter: u16,
    ) {
        let event = message.event;
        let wanted = usize::from(filter) < turn.rule.filters.len();
        let Some(address) = Address::find(&event, message.levels, turn.rule, filter) else {
            // A state of a host, or what else there is in the name space.
            if wanted {
                self.pass_over(turn, message);
            }
            return;
        };
        let metrics = match Metrics::new(event.payload) {
            Ok(metrics) => metrics,
            Err(error) if wanted => {
                self.handle(turn, message, filter, Err(fault(&error)));
                return;
            }
            Err(error) => {
                self.report_payload(turn, message, fault(&error));
                return;
            }
        };
        if address.is_birth()
            && let Err(fault) = self.learn(turn.rule, message, address, metrics)
        {
            self.report_payload(turn, message, fault);
        }
        if wanted {
            self.use_metrics(turn, message, payload, (address, metrics, filter));
        }
    }

    /// Learns from the births of a message without using it.
    pub(super) fn overhear(&mut self, rule: &Rule, message: &mut Message<'_>, filter: u16) {
        let event = message.event;
        if !matches!(rule.decode, Decode::Sparkplug) || event.payload.is_empty() {
            return;
        }
        let Some(address) = Address::find(&event, message.levels, rule, filter) else { return };
        if let Ok(metrics) = Metrics::new(event.payload)
            && address.is_birth()
        {
            // Without room no name is known, and the rule says so when it goes on.
            let _ = self.learn(rule, message, address, metrics);
        }
    }

    fn use_metrics<'m>(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'m>,
        payload: &Payload<'m>,
        (address, metrics, filter): (Address<'m>, Metrics<'m>, u16),
    ) {
        let event = message.event;
        let (mut taken, mut unknown, mut first) = (0, 0u64, None);
        for metric in metrics {
            taken += 1;
            message.event = Event { payload: metric.bytes, ..event };
            message.record = Some(("metric", taken as u32));
            if taken > RECORDS_MAX {
                (message.event, message.record) = (event, None);
                self.handle(turn, message, filter, Err(too_many("metric")));
                break;
            }
            if metric.name.is_none() && metric.alias.is_none() {
                let error = Fault {
                    code: code::DECODE_FAULT,
                    message: "neither a name nor an alias".to_owned(),
                };
                self.handle(turn, message, filter, Err(error));
                continue;
            }
            let table = self.table(TableId::Aliases);
            match known(table, &metric, address, &mut message.scratch.key) {
                Some(metric) => {
                    metric.fill(&mut message.slots(payload.tree));
                    self.handle(turn, message, filter, Ok(()));
                }
                None => {
                    self.metrics.matched += 1;
                    unknown += 1;
                    first.get_or_insert(metric);
                }
            }
        }
        (message.event, message.record) = (event, None);
        if let Some(first) = first {
            let fault = address.no_birth(&first, unknown);
            self.report_payload(turn, message, fault);
        } else if taken == 0 {
            self.pass_over(turn, message);
        }
    }

    /// Reports a payload as a whole.
    fn report_payload(&mut self, turn: &mut Turn<'_>, message: &Message<'_>, fault: Fault) {
        let (event, start) = (message.event, turn.out.len());
        if self.is_traced() {
            self.trace_error(&fault);
        }
        self.report(turn, fault, event.topic, event.payload);
        if self.is_traced() {
            self.trace_message(turn, message, start);
        }
    }

    /// Keeps what a birth says, or nothing of it if there is no room.
    fn learn(
        &mut self,
        rule: &Rule,
        message: &mut Message<'_>,
        address: Address<'_>,
        metrics: Metrics<'_>,
    ) -> Result<(), Fault> {
        let arrived = message.event.arrived.0;
        let key = &mut message.scratch.key;
        key.clear();
        address.push_node(key);
        if address.device.is_some() {
            address.push_device(key);
        }
        self.change_table(TableId::Aliases, |table| table.remove_prefix(key));
        key.clear();
        address.push_node(key);
        address.push_device(key);
        let device = key.len();
        let rows = metrics.filter(|metric| metric.name.is_some());
        let needed = rows.map(|metric| {
            key.truncate(device);
            push_metric(metric.alias, metric.name, key);
            Table::row_bytes(key.len(), KIND_BYTES + metric.name.map_or(0, str::len))
        });
        self.check_memory(rule, needed.sum())?;
        let mut value = Vec::new();
        self.change_table(TableId::Aliases, |table| {
            for metric in metrics {
                let Some(name) = metric.name else { continue };
                key.truncate(device);
                push_metric(metric.alias, metric.name, key);
                value.clear();
                value.extend_from_slice(&metric.kind.unwrap_or(KIND_UNKNOWN).to_le_bytes());
                if metric.alias.is_some() {
                    value.extend_from_slice(name.as_bytes());
                }
                table.set(key, arrived, &value);
            }
        });
        Ok(())
    }
}

/// The metric with its name and kind; `None` if only a birth could tell them, and did not.
fn known<'b>(
    table: &'b Table,
    metric: &Metric<'b>,
    address: Address<'_>,
    key: &mut Vec<u8>,
) -> Option<Metric<'b>> {
    if metric.name.is_some() && metric.kind.is_some() {
        return Some(*metric);
    }
    key.clear();
    address.push_node(key);
    address.push_device(key);
    let device = key.len();
    push_metric(metric.alias, metric.name, key);
    let mut row = table.get(key);
    if let (None, Some(_), Some(_)) = (row, metric.name, metric.alias) {
        // The birth named it without an alias.
        key.truncate(device);
        push_metric(None, metric.name, key);
        row = table.get(key);
    }
    let Some((kind, name)) = row.and_then(|row| row.value.split_first_chunk::<KIND_BYTES>()) else {
        return (metric.name.is_some() && !metric.needs_kind()).then_some(*metric);
    };
    let kind = Some(u32::from_le_bytes(*kind)).filter(|kind| *kind != KIND_UNKNOWN);
    Some(metric.known(std::str::from_utf8(name).ok()?, kind))
}

/// Appends what tells a metric apart from the others of its device.
fn push_metric(alias: Option<u64>, name: Option<&str>, key: &mut Vec<u8>) {
    match (alias, name) {
        (Some(alias), _) => {
            key.push(BY_ALIAS);
            key.extend_from_slice(&alias.to_be_bytes());
        }
        (None, name) => {
            key.push(BY_NAME);
            key.extend_from_slice(name.unwrap_or_default().as_bytes());
        }
    }
}

impl<'t> Address<'t> {
    /// Reads a topic of a filter; `None` if it is not one of metrics.
    fn find(event: &Event<'t>, levels: &[u32], rule: &Rule, filter: u16) -> Option<Self> {
        let kind_level = *rule.births.kind_levels.get(usize::from(filter))?;
        let start = |level: usize| levels.get(level).map(|start| *start as usize);
        let level = |number: usize| {
            let end = start(number + 1).map_or(event.topic.len(), |next| next - 1);
            event.topic.get(start(number)?..end)
        };
        let group = event.topic.get(..start(kind_level)?.checked_sub(1)?)?;
        let (kind, node) = (level(kind_level)?, level(kind_level + 1)?);
        let device = level(kind_level + 2);
        let whole = levels.len() <= kind_level + 3;
        let fits = METRIC_TOPICS.contains(&kind) && kind.starts_with('D') == device.is_some();
        (fits && whole).then_some(Self { group, kind, node, device })
    }

    fn is_birth(&self) -> bool {
        self.kind.ends_with("BIRTH")
    }

    /// Topics have no zeros: they end the parts of a key.
    fn push_node(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self.group.as_bytes());
        key.push(0);
        key.extend_from_slice(self.node.as_bytes());
        key.push(0);
    }

    fn push_device(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self.device.unwrap_or_default().as_bytes());
        key.push(0);
    }

    fn no_birth(&self, first: &Metric<'_>, count: u64) -> Fault {
        let Self { group, node, .. } = self;
        let what = match (first.name, first.alias) {
            (Some(name), _) => format!("kind of `{name}`"),
            (None, alias) => format!("name of alias {}", alias.unwrap_or_default()),
        };
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        let birth = if self.device.is_some() { "DBIRTH" } else { "NBIRTH" };
        let device = self.device.map_or(String::new(), |device| format!("/{device}"));
        let message = format!(
            "{what}{more} not known: no {birth} of {node}{device} was seen; publish \
             `Node Control/Rebirth` = true to {group}/NCMD/{node}"
        );
        Fault { code: code::BIRTH_FAULT, message }
    }
}

const KIND_BYTES: usize = 4;
const KIND_UNKNOWN: u32 = u32::MAX;
const BY_ALIAS: u8 = 0;
const BY_NAME: u8 = 1;
