//! What `weir status` says of the fleet.

use std::fmt::Write as _;

use super::{push_grid, size, uptime};
use crate::status::{BoxStatus, FleetStatus};

/// Appends a section: how this box stands, what has gone to and fro, and the other boxes.
pub(super) fn push(text: &mut String, fleet: &FleetStatus, unix_ms: u64) {
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<14} {value}").expect("a String takes everything");
    };
    let state = if fleet.is_connected { "connected" } else { "not connected" };
    line("\nfleet", format!(" this box is {}, {state}", fleet.name));
    if let Some(error) = &fleet.last_error {
        line("  last error", error.clone());
    }
    let cut = if fleet.filters_are_cut { ", cut to what they begin with" } else { "" };
    line("  wanted", format!("{} filters{cut}", fleet.filters));
    let (sent, stored) = (fleet.sent, fleet.acknowledged);
    line("  messages", format!("{sent} sent, {stored} stored, {} received", fleet.received));
    if fleet.repeated > 0 {
        line("  repeated", format!("{}, published once each", fleet.repeated));
    }
    let (values, sent, received) = (fleet.retained, fleet.retained_sent, fleet.retained_received);
    line("  retained", format!("{values} in all boxes, {sent} sent, {received} received"));
    let oldest = fleet
        .oldest_at_ms
        .map(|since| format!(", the oldest for {}", uptime(unix_ms.saturating_sub(since) / 1000)));
    let (depth, bytes) = (fleet.depth, size(fleet.depth_bytes));
    line("  waiting", format!("{depth} messages, {bytes}{}", oldest.unwrap_or_default()));
    for (reason, number) in fleet.dropped.iter().filter(|(_, number)| **number > 0) {
        line("  dropped", format!("{number} {reason}"));
    }
    if fleet.without_room > 0 {
        line("  no room", format!("{} times at the server, sent again", fleet.without_room));
    }
    if !fleet.boxes.is_empty() {
        push_grid(text, &rows(&fleet.boxes, unix_ms));
    }
}

fn rows(boxes: &[BoxStatus], unix_ms: u64) -> Vec<Vec<String>> {
    let head = ["box", "filters", "last heard", "version", "state"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for one in boxes {
        let heard = uptime(unix_ms.saturating_sub(one.heard_at_ms) / 1000);
        let state = if one.is_here { "here" } else { "away" };
        let version = if one.version.is_empty() { "-".to_owned() } else { one.version.clone() };
        let rest = [one.filters.to_string(), heard, version, state.to_owned()];
        rows.push(std::iter::once(one.name.clone()).chain(rest).collect());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fleet_has_a_section_and_each_box_a_line() {
        let fleet = FleetStatus {
            name: "hall-3".into(),
            is_connected: true,
            boxes: vec![
                BoxStatus {
                    name: "hall-1".into(),
                    is_here: true,
                    heard_at_ms: 58_000,
                    filters: 2,
                    version: "0.1.0".into(),
                },
                BoxStatus { name: "gate".into(), ..BoxStatus::default() },
            ],
            filters: 12,
            retained: 5,
            sent: 10,
            acknowledged: 7,
            received: 4,
            retained_sent: 3,
            dropped: [("qos0".to_owned(), 2)].into(),
            ..FleetStatus::default()
        };
        let expected = "
fleet          this box is hall-3, connected
  wanted       12 filters
  messages     10 sent, 7 stored, 4 received
  retained     5 in all boxes, 3 sent, 0 received
  waiting      0 messages, 0 bytes
  dropped      2 qos0

box     filters  last heard  version  state
hall-1        2         2 s    0.1.0  here
gate          0   1 min 0 s        -  away
";
        let mut text = String::new();
        push(&mut text, &fleet, 60_000);
        assert_eq!(text, expected, "{text}");
    }
}
