use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const RING: usize = 64;

fn entry(number: u16, length: usize) -> Entry {
    Entry {
        topic: TopicIndex(number as u8),
        qos: match number % 3 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        },
        retain: number.is_multiple_of(2),
        ticket: Ticket(number),
        published: Moment(u32::from(number) << 16 | 0xabcd),
        length: length as u16,
    }
}

fn payload(number: u16, length: usize) -> Vec<u8> {
    vec![number as u8 ^ 0x5a; length]
}

fn front(queue: &Queue<'_>) -> Option<(Entry, Vec<u8>)> {
    let entry = queue.front()?;
    let mut payload = vec![0; usize::from(entry.length)];
    queue.copy_payload(&mut payload);
    Some((entry, payload))
}

fn room(overflow: Overflow, first_stays: bool) -> Room {
    Room { overflow, first_stays }
}

#[test]
fn message_longer_than_the_ring_drops_nothing() {
    let mut ring = [0; RING];
    let mut queue = Queue::new(&mut ring);
    let drop = room(Overflow::DropOldest, false);
    assert_eq!(queue.push(entry(1, 5), &payload(1, 5), drop), Ok(0));
    assert_eq!(
        queue.push(entry(2, RING - HEADER + 1), &payload(2, RING - HEADER + 1), drop),
        Err(Full)
    );
    assert_eq!(front(&queue), Some((entry(1, 5), payload(1, 5))));
    assert_eq!(queue.push(entry(3, RING - HEADER), &payload(3, RING - HEADER), drop), Ok(1));
    assert_eq!(front(&queue), Some((entry(3, RING - HEADER), payload(3, RING - HEADER))));
}

proptest! {
    /// The ring does what a list of messages with the same rules does.
    #[test]
    fn ring_is_a_queue_of_whole_messages(
        steps in prop::collection::vec((0..4u8, 0..60usize, any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut ring = [0; RING];
    let mut queue = Queue::new(&mut ring);
        let mut model: VecDeque<(u16, usize)> = VecDeque::new();
        for (number, (step, length, keep, first_stays)) in (0u16..).zip(steps) {
            if step == 0 {
                queue.pop();
                model.pop_front();
            } else {
                let overflow = if keep { Overflow::KeepOldest } else { Overflow::DropOldest };
                let result = queue.push(
                    entry(number, length),
                    &payload(number, length),
                    room(overflow, first_stays),
                );
                let used = |model: &VecDeque<(u16, usize)>| {
                    model.iter().map(|(_, length)| length + HEADER).sum::<usize>()
                };
                let mut after = model.clone();
                let mut dropped = 0;
                let first = usize::from(first_stays);
                while used(&after) + length + HEADER > RING && !keep && after.len() > first {
                    after.remove(first);
                    dropped += 1;
                }
                if used(&after) + length + HEADER > RING {
                    prop_assert_eq!(result, Err(Full));
                } else {
                    prop_assert_eq!(result, Ok(dropped));
                    after.push_back((number, length));
                    model = after;
                }
            }
            let first = model.front().map(|(number, length)| {
                (entry(*number, *length), payload(*number, *length))
            });
            prop_assert_eq!(front(&queue), first);
            prop_assert_eq!(queue.is_empty(), model.is_empty());
        }
        while let Some((number, length)) = model.pop_front() {
            prop_assert_eq!(front(&queue), Some((entry(number, length), payload(number, length))));
            queue.pop();
        }
        prop_assert!(queue.is_empty());
    }
}
