//! Frames as they are drawn, held against those that are kept in `frames`. Run this with
//! `WEIR_WRITE_REFERENCE=1` to write them, and look at what has changed.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::clients::Client;
use super::*;
use crate::status::{
    AuthStatus, BridgeStatus, HistoryStatus, MessageStatus, RuleStatus, StoreStatus, UpstreamState,
    UpstreamStatus,
};

const NOW_MS: u64 = 1_800_000_000_000;

fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// A busy broker after so many seconds.
fn busy(second: u64) -> Status {
    let rule = |name: &str, each: u64, errors: u64| RuleStatus {
        name: name.to_owned(),
        matched: 10_000 + each * second,
        emitted: 100 + each / 10 * second,
        errors,
        keys: each,
        handling_p99_ns: Some(each * 100),
        ..RuleStatus::default()
    };
    let upstream = |name: &str, state, depth| UpstreamStatus {
        name: name.to_owned(),
        state,
        depth,
        sent: 5_000 + 20 * second,
        acknowledged: 5_000 + 20 * second,
        ..UpstreamStatus::default()
    };
    let far = UpstreamStatus {
        oldest_at_ms: Some(NOW_MS - 300_000),
        last_error: Some("connection refused".to_owned()),
        ..upstream("far", UpstreamState::Waiting, 12_345)
    };
    let near =
        UpstreamStatus { empty_in_s: Some(2), ..upstream("near", UpstreamState::Connected, 40) };
    // A curve with a shape.
    let received = (0..second).map(|at| 100 + 50 * (at % 8)).sum::<u64>();
    Status {
        version: "0.1.0".to_owned(),
        uptime_s: 90_000 + second,
        ready: true,
        shards: 1,
        connections: 12,
        sessions: 15,
        subscriptions: 48,
        retained: 230,
        refused: counts(&[("max_connections", 3)]),
        auth: AuthStatus { refused: 2, ..AuthStatus::default() },
        messages: MessageStatus {
            received,
            sent: 3 * received,
            dropped: counts(&[("queue_full", 7), ("acl", 0)]),
        },
        store: StoreStatus {
            status: "ok".to_owned(),
            bytes: 8 << 20,
            used_bytes: 3 << 20,
            bytes_written: (64 << 20) + second * 123_456,
            flushes: 4_000 + 20 * second,
            commits: 4_000 + 20 * second,
            commit_p50_us: 1_200,
            commit_p99_us: 9_800,
            log_records: 12_385,
            ..StoreStatus::default()
        },
        rules: vec![rule("room-average", 80, 0), rule("tank-level", 300, 4)],
        upstreams: vec![far, near],
        history: vec![HistoryStatus {
            filter: "room/#".to_owned(),
            messages: 20_000,
            bytes: 5 << 20,
            dropped: counts(&[("failed", 1)]),
            ..HistoryStatus::default()
        }],
        bridge: Some(BridgeStatus {
            agent: counts(&[("samples", 900 + 5 * second), ("samples_dropped", 0)]),
            gateway: counts(&[("clients", 4)]),
        }),
        ..Status::default()
    }
}

/// The app after a while, at a pane.
fn app(pane: Pane) -> App {
    app_since(Instant::now(), pane)
}

fn app_since(start: Instant, pane: Pane) -> App {
    let mut app = App::new("127.0.0.1:8080".to_owned(), pane, true);
    for second in 0..60 {
        app.take(start + Duration::from_secs(second), Ok(busy(second)));
    }
    app
}

fn listed(received: u64) -> Clients {
    let client = |name: &str, connected, each: u64, dropped| Client {
        client_id: name.to_owned(),
        connected,
        address: connected.then(|| "192.168.1.20:51000".to_owned()),
        subscriptions: each,
        queued_messages: if connected { 0 } else { 1_250 },
        received: each * received,
        sent: 10 * each * received,
        dropped: counts(&[("queue_full", dropped)]),
    };
    let clients = vec![client("pump-7", true, 3, 0), client("screen", false, 1, 7)];
    Clients { clients, next: Some("screen".to_owned()) }
}

fn drawn(app: &App, columns: u16, lines: u16) -> Buffer {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, lines));
    let Ok(_) = terminal.draw(|frame| draw::draw(app, NOW_MS, frame));
    terminal.backend().buffer().clone()
}

fn shown(app: &App, columns: u16, lines: u16) -> String {
    draw::text(&drawn(app, columns, lines))
}

#[track_caller]
fn is_as_kept(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/cli/top/frames/{name}.txt"));
    if std::env::var_os("WEIR_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name}: kept\n{kept}\ndrawn\n{text}");
}

#[test]
fn every_pane_is_drawn_as_it_was_looked_at() {
    for pane in Pane::ALL {
        is_as_kept(pane.name(), &shown(&app(pane), 80, 24));
    }
}

#[test]
fn clients_are_listed_or_it_is_said_why_not() {
    let start = Instant::now();
    let mut app = app_since(start, Pane::Clients);
    app.take_clients(start, Some(Ok(listed(10))));
    app.take_clients(start + Duration::from_secs(1), Some(Ok(listed(20))));
    is_as_kept("clients-listed", &shown(&app, 80, 24));
    app.take_clients(start, Some(Err("the answer is `HTTP/1.1 401 Unauthorized`".to_owned())));
    let text = shown(&app, 80, 24);
    assert!(text.contains("no list") && text.contains("connections"), "{text}");
}

#[test]
fn narrow_terminals_show_what_matters_most() {
    for pane in [Pane::Overview, Pane::Rules, Pane::Upstreams, Pane::Store] {
        is_as_kept(&format!("{}-40x12", pane.name()), &shown(&app(pane), 40, 12));
    }
    for (columns, lines) in [(1, 1), (10, 3), (300, 100)] {
        for pane in Pane::ALL {
            // Nothing is out of its place, whatever the size.
            shown(&app(pane), columns, lines);
        }
    }
}

#[test]
fn help_is_shown_and_any_key_takes_it_away() {
    let mut app = app(Pane::Rules);
    assert_eq!(app.press(Key::Sign('?')), Step::Draw);
    is_as_kept("help", &shown(&app, 40, 12));
    app.press(Key::Sign('q'));
    assert!(!app.shows_help);
    assert_eq!(app.press(Key::Sign('q')), Step::End);
}

#[test]
fn broker_that_is_lost_is_told_and_taken_up_again() {
    let start = Instant::now();
    let mut app = app_since(start, Pane::Overview);
    let later = start + Duration::from_secs(75);
    app.take(later, Err("cannot reach the admin server at 127.0.0.1:8080".to_owned()));
    is_as_kept("lost", &shown(&app, 80, 24));
    // It was started anew: nothing has happened in the second before.
    app.take(later, Ok(Status { uptime_s: 1, ..busy(0) }));
    assert_eq!(app.rates().received, 0);
    assert!(shown(&app, 80, 24).starts_with("weir 0.1.0"));
}

#[test]
fn rules_are_sorted_and_filtered() {
    let mut app = app(Pane::Rules);
    let first = |app: &App| shown(app, 80, 24).lines().nth(3).unwrap_or_default().to_owned();
    assert!(first(&app).starts_with("room-average"));
    app.press(Key::Sign('s'));
    assert!(first(&app).starts_with("tank-level"), "the most messages first");
    app.press(Key::Sign('r'));
    assert!(first(&app).starts_with("room-average"));
    app.press(Key::Sign('/'));
    // Letters that are keys elsewhere go into the filter.
    for sign in "tankq".chars() {
        app.press(Key::Sign(sign));
    }
    app.press(Key::Backspace);
    app.press(Key::Enter);
    assert!(first(&app).starts_with("tank-level"));
    assert!(!shown(&app, 80, 24).contains("room-average"));
    app.press(Key::Escape);
    assert!(shown(&app, 80, 24).contains("room-average"));
    app.press(Key::Down);
    assert!(!shown(&app, 80, 24).contains("room-average"), "it is above the screen");
    for _ in 0..5 {
        app.press(Key::Down);
    }
    assert!(shown(&app, 80, 24).contains("tank-level"), "the last row stays");
}

#[test]
fn pause_keeps_what_is_on_the_screen() {
    let mut app = app(Pane::Overview);
    app.press(Key::Sign('p'));
    let before = shown(&app, 80, 24);
    assert!(before.lines().next().unwrap().ends_with("paused"));
    app.take(Instant::now(), Ok(busy(500)));
    assert_eq!(shown(&app, 80, 24), before);
    app.press(Key::Sign(' '));
    app.take(Instant::now() + Duration::from_secs(500), Ok(busy(500)));
    assert_ne!(shown(&app, 80, 24), before);
}

#[test]
fn keys_go_around_the_panes() {
    let mut app = app(Pane::Overview);
    app.press(Key::Previous);
    assert_eq!(app.pane, Pane::Bridge);
    app.press(Key::Next);
    assert_eq!(app.pane, Pane::Overview);
    app.press(Key::Sign('4'));
    assert_eq!(app.pane, Pane::Upstreams);
    assert_eq!(app.press(Key::Sign('x')), Step::Nothing);
    assert_eq!(app.press(Key::End), Step::End);
}

#[test]
fn without_colour_there_is_none_and_what_is_bad_is_seen_all_the_same() {
    let colours = |app: &App| {
        let buffer = drawn(app, 80, 24);
        buffer.content.iter().filter(|cell| cell.fg != Color::Reset).count()
    };
    let mut app = app(Pane::Overview);
    assert!(colours(&app) > 0);
    app.has_colour = false;
    assert_eq!(colours(&app), 0);
    let marked = ratatui::style::Modifier::UNDERLINED;
    assert!(drawn(&app, 80, 24).content.iter().any(|cell| cell.modifier.contains(marked)));
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let mut app = App::new("x".to_owned(), Pane::Rules, true);
    let mut status = busy(0);
    status.rules[0].name = "a\u{1b}[2Jb\u{9b}c".to_owned();
    status.upstreams[0].last_error = Some("\u{1b}]0;owned\u{7}".to_owned());
    app.take(Instant::now(), Ok(status));
    for pane in Pane::ALL {
        app.press(Key::Next);
        let text = shown(&app, 120, 24);
        assert!(!text.chars().any(|sign| sign.is_control() && sign != '\n'), "{pane:?}: {text:?}");
    }
}

#[test]
fn json_has_the_rates_beside_the_status() {
    let app = app(Pane::Overview);
    let line = Line { unix_ms: NOW_MS, rates: app.rates(), status: app.status() };
    let json = serde_json::to_value(&line).unwrap();
    assert_eq!(json["rates"]["rules"]["tank-level"], serde_json::json!([300, 30]));
    assert_eq!(json["rates"]["upstreams"]["near"], 20);
    assert_eq!(json["status"]["connections"], 12);
}
