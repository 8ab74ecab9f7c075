//! The demonstration firmware in an emulated board, against a gateway that is a part of this test:
//! it connects, publishes, takes commands, and keeps its readings while nobody answers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "not every test needs all of its support")]
#![allow(clippy::disallowed_methods, reason = "an emulated board has its own time")]
#![allow(clippy::print_stdout, reason = "what was measured is worth a look")]

mod firmware {
    //! The gateway and the board.

    pub(crate) mod board;
    pub(crate) mod peer;
}
mod support;

use std::time::Duration;

use self::firmware::board::Board;
use self::firmware::peer::{Peer, Published};

#[test]
fn firmware_reports_obeys_and_keeps_what_it_cannot_send() {
    let Some(mut board) = Board::start() else { return };
    let mut peer = Peer::new(board.line());
    let first = |topic: &str| topic.to_owned();

    let info = peer.wait_for("info", |published| published.topic.ends_with("/info"));
    let info = String::from_utf8(info.payload).unwrap();
    assert!(
        info.starts_with(r#"{"fw":"demo-node","version":"0.1.0","hw":"mps2-an385","#),
        "{info}"
    );
    let will = peer.will.clone().unwrap();
    assert_eq!(will, ("edge/demo/node-1/availability".to_owned(), b"offline".to_vec()));

    let states = [0; 4].map(|_| peer.wait_for("state", is_state));
    assert_eq!(states[0].topic, first("$age/edge/demo/node-1/state"));
    for (before, after) in states.iter().zip(&states[1..]) {
        assert_eq!(seq(after), seq(before) + 1);
        assert!((15.0..28.0).contains(&temperature(after)), "{after:?}");
    }

    peer.command("edge/demo/node-1/lamp/set", b"on");
    let lamp = peer.wait_for("lamp", |published| published.topic.ends_with("/lamp"));
    assert_eq!((lamp.payload.as_slice(), lamp.retain), (&b"on"[..], true));

    // Nobody answers for longer than the node is patient; then it connects again and sends what it
    // has kept, with the age of each.
    let last = peer.wait_for("state", is_state);
    peer.stay_silent(Duration::from_secs(6));
    let mut kept =
        vec![peer.wait_for("kept state", |published| seq_of(published) > Some(seq(&last)))];
    while kept.last().unwrap().age_ms > 1_000 {
        kept.push(peer.wait_for("kept state", is_state));
    }
    assert!(peer.connects >= 2, "the node has not noticed the silence");
    assert!(kept.len() >= 8, "{} readings were kept", kept.len());
    for (before, after) in kept.iter().zip(&kept[1..]) {
        assert_eq!(seq(after), seq(before) + 1, "a reading is missing or came twice");
        let apart_ms = after.sampled_ms() - before.sampled_ms();
        assert!((400..=600).contains(&apart_ms), "sampled {apart_ms} ms apart, not 500");
    }

    // The stack of the whole firmware, measured by itself with everything above behind it.
    let again = peer.infos.last().unwrap();
    for (key, at_most) in [("\"stack_bytes\":", STACK_MAX), ("\"start_stack_bytes\":", START_MAX)] {
        let bytes = number_after(again, key);
        println!("{key} {bytes}");
        assert!((100.0..=at_most).contains(&bytes), "{key} {bytes}, at most {at_most}");
    }
    board.stop();
}

fn is_state(published: &Published) -> bool {
    published.topic.ends_with("/state")
}

fn seq_of(published: &Published) -> Option<u32> {
    is_state(published).then(|| seq(published))
}

fn seq(state: &Published) -> u32 {
    number_after(&String::from_utf8_lossy(&state.payload), "\"seq\":") as u32
}

fn temperature(state: &Published) -> f64 {
    number_after(&String::from_utf8_lossy(&state.payload), "\"temperature_c\":")
}

fn number_after(text: &str, key: &str) -> f64 {
    let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("no {key} in {text}"));
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

/// While it runs: 512 bytes for the node, and what the application's own texts take.
const STACK_MAX: f64 = 640.0;
/// When the client is made on the stack and moved to where it stays.
const START_MAX: f64 = 1_024.0;
