//! Plays: bytes, chosen at random or by a fuzzer, say what happens to a core, and after each step
//! everything is checked that must hold whatever happens.
//!
//! Several clients of all versions send valid packets in any order, and broken ones, in portions;
//! they stop reading, hang up and come back; batches are committed late, the clock moves, and the
//! process dies. A step is a few bytes of the script. What is checked is in `peer` (what a client
//! may be told, and when), `stage` (counters, bounds, that nothing is stuck or left) and the
//! core's own invariants.
//!
//! The test beside this and the fuzz target in `tests/fuzz` share these files and the store of
//! `support`.

mod ledger;
mod packets;
mod peer;
mod script;
mod settings;
mod stage;

use std::collections::BTreeSet;

use weir_core::{
    Change, Credential, Identity, Input, MessageParts, Outcome, Publication, Route, Surroundings,
    Validity,
};
use weir_mqtt::{QoS, ReasonCode};

use peer::Phase;
use script::Script;
use settings::{LISTENERS, READER};
use stage::Stage;

const PEERS_MAX: usize = 5;

/// Plays a script to its end; answers the number of steps.
///
/// # Panics
/// Something does not hold.
pub(crate) fn play(script: &[u8]) -> usize {
    let mut script = Script::new(script);
    // In half of the plays connections live long enough for much to happen on them.
    let is_rough = script.is_rare(2);
    let limits = settings::limits(&mut script, is_rough);
    let readers = settings::readers(&mut script);
    let mut stage = Stage::new(limits, readers);
    let mut steps = 0;
    while !script.is_over() {
        steps += 1;
        step(&mut stage, &mut script, steps, is_rough);
    }
    stage.end();
    steps
}

/// One thing happens.
fn step(stage: &mut Stage, script: &mut Script<'_>, number: usize, is_rough: bool) {
    match script.below(42) {
        0..=20 => send(stage, script, number, is_rough),
        21 | 22 => send_spoiled(stage, script, number, is_rough),
        23 | 24 => with_peer(stage, script, |stage, script, index| {
            let portion = script.below(64);
            stage.deliver(index, portion);
        }),
        25 => with_peer(stage, script, |stage, _, index| {
            let connection = stage.peers[index].id;
            stage.close(connection);
        }),
        26..=29 => {
            stage.commit(1);
        }
        30 => {
            let group = 1 + script.below(8);
            stage.commit(group);
        }
        31 => {
            let time = script.one_of(&[10, 1000, 10_000, 100_000]);
            stage.advance(time);
        }
        32 => with_peer(stage, script, |stage, script, index| {
            stage.peers[index].reads = script.is_rare(2);
            let portion = script.below(64);
            stage.read(index, portion);
        }),
        33 => {
            stage.gathers = !stage.gathers;
            stage.settle();
        }
        34 | 35 => publish_inside(stage, script, number),
        36 => change_surroundings(stage, script),
        37 => {
            let sequence = stage.readable;
            stage.handle(Input::ReaderDone { reader: READER, sequence });
        }
        38 => judge(stage, script),
        39 | 40 => {
            stage.load();
        }
        _ => {
            if script.is_rare(4) {
                let seconds = script.one_of(&[0, 2, 700]);
                stage.crash(seconds);
            }
        }
    }
}

fn with_peer(
    stage: &mut Stage,
    script: &mut Script<'_>,
    act: impl FnOnce(&mut Stage, &mut Script<'_>, usize),
) {
    if !stage.peers.is_empty() {
        let index = script.below(stage.peers.len());
        act(stage, script, index);
    }
}

/// A client sends a packet, which arrives at once or in portions; a new one sends CONNECT.
fn send(stage: &mut Stage, script: &mut Script<'_>, number: usize, is_rough: bool) {
    let index = some_peer(stage, script);
    let bytes = next_packet(stage, script, index, number, is_rough);
    transmit(stage, script, index, bytes);
}

/// A client sends a packet that does not arrive as it was.
fn send_spoiled(stage: &mut Stage, script: &mut Script<'_>, number: usize, is_rough: bool) {
    if !is_rough {
        return send(stage, script, number, is_rough);
    }
    let index = some_peer(stage, script);
    let bytes = next_packet(stage, script, index, number, is_rough);
    let bytes = packets::spoil(script, bytes);
    transmit(stage, script, index, bytes);
}

fn some_peer(stage: &mut Stage, script: &mut Script<'_>) -> usize {
    let wanted = script.below(PEERS_MAX);
    if wanted < stage.peers.len() {
        return wanted;
    }
    let listener = script.one_of(&[0, 0, 0, 1]) % LISTENERS;
    stage.open(listener)
}

fn next_packet(
    stage: &Stage,
    script: &mut Script<'_>,
    index: usize,
    number: usize,
    is_rough: bool,
) -> Vec<u8> {
    let peer = &stage.peers[index];
    let is_again = is_rough && script.is_rare(100);
    if peer.phase == Phase::Fresh || is_again {
        let is_free = |name: &&&str| !stage.peers.iter().any(|peer| peer.client_id() == **name);
        let free = packets::CLIENTS.iter().find(is_free).copied();
        let any = script.one_of(&packets::CLIENTS);
        let takes_over = script.is_rare(4);
        return packets::connect(script, free.filter(|_| !takes_over).unwrap_or(any));
    }
    // Far enough from each other that a spoiled one is not like another.
    let payload = format!("{:08x}", (number as u32).wrapping_mul(0x9e37_79b1));
    let inflight = &peer.inflight();
    let (version, payload) = (peer.version, &payload);
    packets::packet(script, &packets::Situation { version, payload, inflight, is_rough })
}

fn transmit(stage: &mut Stage, script: &mut Script<'_>, index: usize, bytes: Vec<u8>) {
    let portion = script.one_of(&[usize::MAX, usize::MAX, usize::MAX, 1, 7, 0]);
    stage.peers[index].withheld.extend(bytes);
    stage.deliver(index, portion);
}

/// A rule or an upstream publishes.
fn publish_inside(stage: &mut Stage, script: &mut Script<'_>, number: usize) {
    let payload = format!("inside {number}");
    let message = MessageParts {
        qos: script.one_of(&[QoS::AtLeastOnce, QoS::AtMostOnce, QoS::ExactlyOnce]),
        retain: script.is_rare(3),
        expires_at_ms: script.is_rare(4).then_some(stage.now.unix_ms + 500),
        received_at_ms: stage.now.unix_ms,
        publisher: "",
        topic: script.one_of(&["t/0", "t/1", "rule/x"]),
        properties: &[],
        payload: payload.as_bytes(),
    };
    let to_reader = stage.has_reader() && script.is_rare(4);
    let origin = script.one_of(&[None, None, Some(READER)]);
    let route = if to_reader { Route::Reader(READER) } else { Route::Subscribers { origin } };
    let gathered = stage.gathers;
    stage.gathers = true;
    if script.is_rare(2) {
        // What a rule sends rests on its state.
        stage.handle(Input::Record(Change::RuleDelta { delta: vec![1] }));
    }
    stage.handle(Input::Publish(Publication { message, route }));
    stage.gathers = gathered;
    stage.settle();
}

fn change_surroundings(stage: &mut Stage, script: &mut Script<'_>) {
    match script.below(3) {
        0 => stage.handle(Input::Permissions(settings::acl(script))),
        1 => stage.handle(Input::Surroundings(&Surroundings::default())),
        _ => {
            let credentials = BTreeSet::from([Credential(1)]);
            stage.handle(Input::Revoked { credentials: &credentials });
        }
    }
}

/// Somebody who waits for it is let in, or not.
fn judge(stage: &mut Stage, script: &mut Script<'_>) {
    let Some((connection, request)) = stage.asking.pop_front() else { return };
    let now_ms = stage.now.unix_ms;
    let renewable = Validity::Renewable { renew_at_ms: now_ms + 500, ends_at_ms: now_ms + 20_000 };
    let identity = Identity {
        username: request.username.as_deref().map(Into::into),
        credential: Credential(script.below(2) as u64),
        validity: script.one_of(&[Validity::Always, Validity::Until(now_ms + 5000), renewable]),
        ..Identity::default()
    };
    let outcome = match script.below(4) {
        0 => Outcome::Refused(ReasonCode::NotAuthorized),
        1 if request.exchange.is_some() => Outcome::Continue(b"more".as_slice().into()),
        2 if request.exchange.is_some() => {
            Outcome::Granted { identity, last_word: Some(b"last".as_slice().into()) }
        }
        _ => Outcome::granted(identity),
    };
    stage.judge(connection, outcome);
}
