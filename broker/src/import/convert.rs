//! Which part of the new file a statement belongs to.
//!
//! As in mosquitto, what stands behind `listener` is about that listener, what stands behind
//! `connection` about that bridge, and some options are about the whole broker wherever they
//! stand.

use super::bridge::Bridge;
use super::document::Document;
use super::global::Global;
use super::listener::Listeners;
use super::note::Note;
use super::statement::Statement;

/// What a conversion came to.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The new file.
    pub(crate) toml: String,
    /// What is to be told, in the order of the lines.
    pub(crate) notes: Vec<Note>,
}

/// Converts the statements of a file and of those that it includes.
pub(crate) fn convert(statements: &[Statement]) -> Imported {
    let mut global = Global::default();
    let mut listeners = Listeners::default();
    let mut bridges: Vec<Bridge> = Vec::new();
    let mut notes = Vec::new();
    for statement in statements {
        let mut note = |note: Option<Note>| notes.extend(note);
        if statement.name == "connection" {
            bridges.push(Bridge::new(statement));
            continue;
        }
        let of_bridge = bridges.last_mut().and_then(|bridge| bridge.take(statement));
        let taken =
            of_bridge.or_else(|| listeners.take(statement)).or_else(|| global.take(statement));
        match taken {
            Some(answer) => note(answer.err()),
            None if Bridge::knows(statement) => {
                note(Some(Note::lost(statement, "it stands before any `connection`")));
            }
            None => note(Some(Note::lost(statement, "mosquitto has no such option"))),
        }
    }
    let mut document = Document::default();
    global.write(&mut document);
    listeners.write(&mut document);
    bridges.into_iter().for_each(|bridge| notes.extend(bridge.write(&mut document)));
    Imported { toml: format!("{HEADER}{document}"), notes }
}

const HEADER: &str = "# Made from a mosquitto.conf. `weir check --config FILE` checks it.\n\n";
