//! Which messages of a batch that a broker refused are to blame.

use super::answer::is_size;
use super::topic::Waiting;
use crate::upstream::error::one_line;

/// Takes those out that will never be stored. If the broker does not say which ones they are the
/// others are to be tried in smaller parts, or one by one.
pub(super) fn wrong_ones(
    messages: &mut Vec<Waiting>,
    places: &[(usize, Option<String>)],
    reason: &str,
    code: i16,
) -> Vec<(Waiting, String)> {
    if let [_] = messages[..] {
        return messages.drain(..).map(|waiting| (waiting, reason.to_owned())).collect();
    }
    let mut wrong = Vec::new();
    let is_named = places.iter().any(|(place, _)| *place < messages.len());
    let all = std::mem::take(messages);
    for (place, mut waiting) in all.into_iter().enumerate() {
        match places.iter().find(|(wrong, _)| *wrong == place) {
            Some((_, text)) => {
                let reason = text.as_deref().map_or_else(|| reason.to_owned(), one_line);
                wrong.push((waiting, reason));
            }
            None => {
                waiting.is_alone = !is_named && !is_size(code);
                messages.push(waiting);
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KafkaKey;
    use crate::upstream::desk::Numbered;
    use crate::upstream::kafka::record::Record;
    use crate::upstream::outgoing::Outgoing;

    fn batch(count: usize) -> Vec<Waiting> {
        let waiting = |number: usize| {
            let payload = vec![u8::try_from(number).expect("few")];
            let mut outgoing = Outgoing { payload, ..Outgoing::default() };
            let record = Record::of(&mut outgoing, KafkaKey::None);
            Waiting { message: Numbered { outgoing, number: Some(1) }, record, is_alone: false }
        };
        (0..count).map(waiting).collect()
    }

    fn values(messages: &[Waiting]) -> Vec<u8> {
        messages.iter().map(|waiting| waiting.record.value[0]).collect()
    }

    #[test]
    fn a_broker_that_names_the_wrong_records_is_believed() {
        let mut messages = batch(4);
        let places = [(1, Some("no\nkey".to_owned())), (3, None), (9, None)];
        let wrong = wrong_ones(&mut messages, &places, "INVALID_RECORD", 87);
        let told: Vec<(u8, &str)> =
            wrong.iter().map(|(one, reason)| (one.record.value[0], reason.as_str())).collect();
        assert_eq!(told, [(1, "no key"), (3, "INVALID_RECORD")]);
        assert_eq!(values(&messages), [0, 2]);
        assert!(messages.iter().all(|waiting| !waiting.is_alone));
    }

    #[test]
    fn of_a_batch_that_is_wrong_somewhere_each_is_tried_by_itself() {
        let mut messages = batch(3);
        assert!(wrong_ones(&mut messages, &[], "INVALID_RECORD", 87).is_empty());
        assert_eq!(values(&messages), [0, 1, 2]);
        assert!(messages.iter().all(|waiting| waiting.is_alone));
        let mut alone = batch(1);
        let wrong = wrong_ones(&mut alone, &[(7, None)], "INVALID_RECORD", 87);
        assert_eq!((wrong.len(), alone.len()), (1, 0));
    }
}
