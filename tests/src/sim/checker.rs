//! What must hold when everything has come to rest.

use weir_core::Metrics;

use super::client::Client;
use super::model::{MessageId, Model, SessionNumber};
use super::trace::About;

/// Every message that was acknowledged to its publisher has come to every session to which it
/// was owed.
pub(crate) fn check_owed(model: &mut Model) {
    let mut missing = None;
    for run in model.sessions.iter().filter(|run| !run.is_over) {
        for (id, message) in (0..).zip(&model.messages) {
            let owed = run.subscriptions.iter().find(|subscription| subscription.must_get(message));
            let came = run.deliveries.get(&id).map_or(0, |deliveries| deliveries.live);
            if let Some(owed) = owed
                && came == 0
            {
                missing = Some((run.client, id, owed.filter.clone()));
                break;
            }
        }
    }
    if let Some((client, id, filter)) = missing {
        let topic = &model.message(id).topic;
        let text = format!(
            "message {id} to {topic} was acknowledged, but never came to client {client}, which \
             subscribes to {filter}"
        );
        model.blame(About::message(client, id), text);
    }
}

/// The retained messages, as a new subscriber of everything has got them, are the last ones that
/// were acknowledged, or later ones.
pub(crate) fn check_retained(model: &mut Model, probe: SessionNumber) {
    let mut problem = None;
    for (topic, candidates) in &model.retained {
        let last = model.last_acknowledged(topic, u64::MAX);
        let came = |id: &&MessageId| {
            let deliveries = model.sessions[probe].deliveries.get(*id);
            deliveries.is_some_and(|deliveries| deliveries.replays > 0)
        };
        let found = candidates.iter().find(came).copied();
        let could_be_removed = candidates.iter().any(|id| {
            let message = model.message(*id);
            message.is_removal && message.sends > 0 && last.is_none_or(|last| *id >= last)
        });
        let text = match (found, last) {
            (Some(found), Some(last)) if found < last => {
                format!("message {found} is retained for {topic}, not {last}")
            }
            (None, Some(last)) if !could_be_removed => {
                format!("nothing is retained for {topic}, not even {last}")
            }
            _ => continue,
        };
        let publisher = candidates.first().map(|id| model.message(*id).publisher);
        let client = match publisher {
            Some(
                super::model::Publisher::Client(client) | super::model::Publisher::Will(client),
            ) => Some(client),
            None => None,
        };
        problem = Some((About { client, message: last.or(found) }, text));
        break;
    }
    if let Some((about, text)) = problem {
        model.blame(about, text);
    }
}

/// What the core counts is what the clients have.
pub(crate) fn check_counts(model: &mut Model, clients: &[Client], metrics: &Metrics) {
    if metrics.sessions != clients.len() as u64 {
        let text = format!("there are {} sessions of {} clients", metrics.sessions, clients.len());
        model.blame(About::ALL, text);
    }
}
