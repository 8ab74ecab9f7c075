//! What holds for all metrics, and what is made from them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::admin::tests::support::Server;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn names_follow_the_conventions_of_prometheus_and_stand_once() {
    let mut seen = BTreeSet::new();
    for metric in metrics() {
        let name = metric.name;
        assert!(seen.insert(name), "{name} stands twice");
        assert!(name.starts_with("weir_") && !name.ends_with("_total"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        for unit in ["_ms", "_us", "_ns", "_kb", "_mb", "_percent", "_count", "_sum", "_bucket"] {
            assert!(!name.ends_with(unit), "{name}");
        }
        // Neither clients nor topics: there is no end to them.
        let labels = ["code", "figure", "history", "priority", "reason", "rate", "rule"];
        let labels = [&labels[..], &["status", "upstream", "box", "version"]].concat();
        assert!(metric.labels.iter().all(|label| labels.contains(label)), "{name}");
        assert!(!metric.text.is_empty() && !metric.text.ends_with('.'), "{name}");
    }
}

#[test]
fn times_are_in_the_bucket_that_they_do_not_exceed() {
    // Three below 4, two from 4 on, five from 32 on; the unit is a millisecond.
    let times = Times { powers: vec![1, 2, 2, 0, 0, 5], sum: 200 };
    let found = buckets(&times, 1e-3, 1..4);
    let expected = [(0.004, 3), (0.008, 2), (0.016, 0), (f64::INFINITY, 5)];
    assert_eq!(found.len(), expected.len());
    for ((end, count), (right_end, right_count)) in found.iter().zip(expected) {
        assert!((end - right_end).abs() < 1e-9 || *end == right_end, "{end}");
        assert_eq!(*count, right_count, "{end}");
    }
    assert_eq!(times.count(), 10);
}

#[test]
fn a_scrape_has_the_figures_of_the_broker() {
    let server = Server::start();
    let answer = server.ask("GET", "/metrics", None);
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
    let text = answer.text();
    for line in [
        "# TYPE weir_messages_received_total counter",
        "weir_messages_received_total 0",
        "weir_messages_dropped_total{reason=\"queue_full\"} 0",
        "weir_store_ok 1",
        "weir_store_status{status=\"ok\"} 1",
        "weir_store_status{status=\"full\"} 0",
        "# TYPE weir_store_commit_seconds histogram",
        "weir_admin_refused_total{reason=\"wrong_token\"} 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(text.contains("weir_process_cpu_seconds_total 0."), "{text}");
}

/// `WEIR_WRITE_REFERENCE=1` writes it.
#[test]
fn the_page_of_metrics_is_up_to_date() {
    let mut page = "# Metrics\n\n\
        `GET /metrics` of the [admin server](api.md) gives what the broker counts, as text for\n\
        Prometheus. On the machine itself it needs no token; from elsewhere one of the role `view`.\n\
        Counters count from the start of the process. Labels are names of the configuration and\n\
        reasons, never clients or topics. What does not exist, such as a fleet, has no line.\n\n\
        `config/prometheus/alerts.yml` has alert rules and `config/grafana/weir.json` a dashboard\n\
        for these.\n\n\
        | metric | type | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for metric in metrics() {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels, text) = (metric.full_name(), labels.join(", "), metric.text);
        page.push_str(&format!("| `{name}` | {kind} | {labels} | {text} |\n"));
    }
    let file = root().join("docs/metrics.md");
    if std::env::var_os("WEIR_WRITE_REFERENCE").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let stored = fs::read_to_string(&file).unwrap_or_default();
    assert!(stored == page, "docs/metrics.md is old: run this test with WEIR_WRITE_REFERENCE=1");
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_exist() {
    let known: BTreeSet<String> = metrics().map(Metric::full_name).collect();
    for file in ["config/grafana/weir.json", "config/prometheus/alerts.yml"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("weir_"));
        let words: BTreeSet<&str> = words.collect();
        assert!(words.len() > 10, "{file} uses metrics");
        for word in words {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            let is_known = known.contains(word) || base.is_some_and(|base| known.contains(base));
            assert!(is_known, "{file}: there is no metric `{word}`");
        }
    }
}
