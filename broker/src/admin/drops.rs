//! Messages that reached nobody, wherever it was decided: `drops`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use weir_config::Places;

use super::Asked;
use super::answer::ApiError;
use crate::status::Status;

/// All reasons for which something was dropped.
#[derive(Debug, Serialize)]
pub(super) struct Drops {
    drops: Vec<Drop>,
}

/// One reason in one place.
#[derive(Debug, Eq, PartialEq, Serialize)]
struct Drop {
    /// A part of the broker.
    part: &'static str,
    /// Which of them, if there are several.
    name: Option<String>,
    reason: String,
    count: u64,
    /// The key of the configuration, or the rule, that decides it; none when somebody else does.
    decided_by: Option<String>,
    /// The file and line where that stands; none where the default decides.
    at: Option<String>,
}

/// `GET drops`.
pub(super) async fn list(State(api): Asked) -> Result<Json<Drops>, ApiError> {
    let mut drops = drops(&api.status().await?);
    if let Some(places) = api.reload.places() {
        drops.iter_mut().for_each(|drop| drop.at = place(drop, &places));
    }
    Ok(Json(Drops { drops }))
}

fn place(drop: &Drop, places: &Places) -> Option<String> {
    let by = drop.decided_by.as_deref()?;
    let key = match drop.name.as_deref().filter(|_| drop.part == "rules") {
        Some(rule) => format!("rule.{rule}"),
        None => by.to_owned(),
    };
    places.get(&key).map(ToString::to_string)
}

fn drops(status: &Status) -> Vec<Drop> {
    let mut drops = Vec::new();
    let mut add = |part, name: Option<&str>, reason: &str, count: u64, by: Option<String>| {
        if count > 0 {
            let (name, reason) = (name.map(str::to_owned), reason.to_owned());
            drops.push(Drop { part, name, reason, count, decided_by: by, at: None });
        }
    };
    for (reason, count) in &status.messages.dropped {
        add("sessions", None, reason, *count, of_session(reason).map(str::to_owned));
    }
    for (reason, count) in &status.refused {
        let by = (reason == "max_connections").then(|| "listener.max_connections".to_owned());
        add("listeners", None, reason, *count, by);
    }
    for upstream in &status.upstreams {
        for (reason, count) in &upstream.dropped {
            let by = of_upstream(reason).map(|key| format!("upstream.{}.{key}", upstream.name));
            add("upstreams", Some(&upstream.name), reason, *count, by);
        }
    }
    for rule in &status.rules {
        let by = |what: &str| Some(format!("rule {}: {what}", rule.name));
        add("rules", Some(&rule.name), "late_or_limit", rule.dropped, by("lateness or max_keys"));
        for (code, count) in &rule.errors_by_code {
            add("rules", Some(&rule.name), code, *count, by("an expression or a payload"));
        }
    }
    for history in &status.history {
        for (reason, count) in &history.dropped {
            add("history", Some(&history.filter), reason, *count, None);
        }
    }
    for (reason, count) in status.fleet.iter().flat_map(|fleet| &fleet.dropped) {
        let by = of_fleet(reason).map(|key| format!("fleet.{key}"));
        add("fleet", None, reason, *count, by);
    }
    drops
}

fn of_session(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "acl" => "auth.acl_file",
        "disk_full" => "store.max_store_bytes",
        "queue_full" => "limits.max_queued_messages",
        "retained_full" => "limits.max_retained_messages",
        "slow_qos0" => "limits.max_send_buffer",
        _ => return None,
    })
}

fn of_upstream(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "backlog_age" => "backlog_max_age",
        "backlog_full" => "backlog_max_bytes",
        "received_no_route" => "receive",
        _ => return None,
    })
}

fn of_fleet(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "backlog_age" => "backlog_max_age",
        "backlog_full" => "backlog_max_bytes",
        "received_unshared" => "filters",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key_is_declared;
    use crate::status::{FleetStatus, MessageStatus, RuleStatus, UpstreamStatus};

    fn counts(reasons: &[&str]) -> std::collections::BTreeMap<String, u64> {
        reasons.iter().map(|reason| ((*reason).to_owned(), 1)).collect()
    }

    #[test]
    fn every_reason_is_there_with_a_key_that_exists() {
        let of_messages: Vec<&str> = weir_core::DropReason::ALL.map(|reason| reason.name()).into();
        let backlog = ["backlog_age", "backlog_full", "received_no_route", "received_unshared"];
        let status = Status {
            messages: MessageStatus { dropped: counts(&of_messages), ..MessageStatus::default() },
            refused: counts(&["max_connections", "tls"]),
            upstreams: vec![UpstreamStatus {
                name: "cloud".into(),
                dropped: counts(&backlog),
                ..UpstreamStatus::default()
            }],
            fleet: Some(FleetStatus { dropped: counts(&backlog), ..FleetStatus::default() }),
            rules: vec![RuleStatus {
                name: "tank".into(),
                dropped: 2,
                errors_by_code: counts(&["R101"]),
                ..RuleStatus::default()
            }],
            ..Status::default()
        };
        let found = drops(&status);
        assert_eq!(found.len(), of_messages.len() + 2 + 4 + 2 + 4, "{found:#?}");
        for drop in found.iter().filter(|drop| drop.part != "rules") {
            let Some(by) = drop.decided_by.as_deref() else { continue };
            assert!(key_is_declared(&by.replace("upstream.cloud.", "upstream.")), "{by}");
        }
        assert_eq!(drops(&Status::default()), []);
    }
}
