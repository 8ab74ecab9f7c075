//! What must hold when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::Metrics;
use weir_mqtt::QoS;

use super::model::{MessageId, Model, Published, SessionNumber, Subscription};
use super::trace::About;

/// Every message that was acknowledged to its publisher has come to every session to which it
/// was owed, or a dead letter tells why not. `names` are those of the clients.
pub(crate) fn check_owed(model: &mut Model, names: &[&str]) {
    let mut missing = None;
    for run in model.sessions.iter().filter(|run| !run.is_over) {
        for (id, message) in (0..).zip(&model.messages) {
            let owed = run.subscriptions.iter().find(|subscription| subscription.must_get(message));
            let came = run.deliveries.get(&id).map_or(0, |deliveries| deliveries.live);
            if let Some(owed) = owed
                && came == 0
                && !model.is_mourned(names[run.client], id)
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
pub(crate) fn check_counts(model: &mut Model, clients: u64, metrics: &Metrics) {
    if metrics.sessions != clients {
        let text = format!("there are {} sessions of {clients} clients", metrics.sessions);
        model.blame(About::ALL, text);
    }
}

/// A member of a shared subscription, by its session.
struct Membership<'a> {
    session: SessionNumber,
    subscription: &'a Subscription,
}

/// Each message that matches a shared subscription has come to one of its members, and at QoS 2 to
/// no other.
pub(crate) fn check_shared(model: &mut Model, names: &[&str]) {
    let mut groups: BTreeMap<&str, Vec<Membership<'_>>> = BTreeMap::new();
    for (session, run) in model.sessions.iter().enumerate() {
        for subscription in run.subscriptions.iter().filter(|s| s.is_shared()) {
            let members = groups.entry(&subscription.filter).or_default();
            members.push(Membership { session, subscription });
        }
    }
    let problem = groups.iter().find_map(|(filter, members)| {
        let mut messages = (0..).zip(&model.messages);
        messages.find_map(|(id, message)| {
            let text = difference_of_share(model, names, members, id, message)?;
            Some((id, format!("message {id} to {}, shared as {filter}: {text}", message.topic)))
        })
    });
    if let Some((id, text)) = problem {
        model.blame(About { client: None, message: Some(id) }, text);
    }
}

fn difference_of_share(
    model: &Model,
    names: &[&str],
    members: &[Membership<'_>],
    id: MessageId,
    message: &Published,
) -> Option<String> {
    let any = members.first()?;
    if !any.subscription.matches(&message.topic) {
        return None;
    }
    let sessions: BTreeSet<SessionNumber> = members.iter().map(|member| member.session).collect();
    let came = |session: &SessionNumber| {
        model.sessions[*session].deliveries.get(&id).copied().unwrap_or_default()
    };
    // A session that is not kept gets a message before it is durable that it has come.
    let is_counted =
        |session: &SessionNumber| model.crashes == 0 || model.sessions[*session].is_kept;
    let counted = sessions.iter().filter(|session| is_counted(session));
    let exact = counted.filter(|session| came(session).exact_live > 0).count();
    if exact > 1 {
        return Some(format!("it is exactly once, and came to {exact} members"));
    }
    let ended = |session: &SessionNumber| {
        let run = &model.sessions[*session];
        run.is_over && run.ended.is_none_or(|ended| ended > message.first_sent)
    };
    let has_ended = sessions.iter().any(ended);
    let got = sessions.iter().filter(|session| came(session).live > 0).count();
    // One that it was sent to may have ended without it, or with it and without its answer.
    if got > 1 && !has_ended && message.sends == 1 && model.crashes == 0 {
        return Some(format!("it was sent once, and came to {got} members"));
    }
    let is_owed = members.iter().any(|member| {
        let is_there = !model.sessions[member.session].is_over;
        is_there && member.subscription.drop_asked.is_none() && member.subscription.is_owed(message)
    });
    // At QoS 2 a session takes what was begun with it along, and one that has left the share
    // finishes what was begun.
    let has_left = members.iter().any(|member| member.subscription.drop_asked.is_some());
    // What a member leaves behind makes no dead letter when its time is over.
    let is_excused = has_ended && (message.qos == QoS::ExactlyOnce || has_left)
        || message.expiry_s.is_some() && (has_ended || has_left);
    let is_mourned =
        sessions.iter().any(|session| model.is_mourned(names[model.sessions[*session].client], id));
    (is_owed && got == 0 && !is_excused && !is_mourned)
        .then(|| "it was acknowledged, but came to no member".to_owned())
}
