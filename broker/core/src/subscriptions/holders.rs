//! The holders of one filter, ordered, so that one of very many is found at once.

use super::{Holder, Subscriber};

/// Most filters have one holder, which then needs no allocation of its own.
#[derive(Debug, Default)]
pub(super) enum Holders {
    #[default]
    None,
    One(Subscriber),
    /// Two or more.
    #[allow(clippy::box_collection, reason = "a vector of three words would be in every filter")]
    Several(Box<Vec<Subscriber>>),
}

impl Holders {
    /// Adds a subscriber, or changes the one of the same holder; true when it is new.
    pub(super) fn upsert(&mut self, subscriber: Subscriber) -> bool {
        let at = match self.find(subscriber.holder) {
            Ok(at) => {
                self.as_mut_slice()[at] = subscriber;
                return false;
            }
            Err(at) => at,
        };
        match self {
            Self::None => *self = Self::One(subscriber),
            Self::One(one) => {
                let mut several = vec![*one];
                several.insert(at, subscriber);
                *self = Self::Several(Box::new(several));
            }
            Self::Several(several) => several.insert(at, subscriber),
        }
        true
    }

    /// Removes the subscriber of a holder; true when there was one.
    pub(super) fn remove(&mut self, holder: Holder) -> bool {
        let Ok(at) = self.find(holder) else { return false };
        match self {
            Self::Several(several) if several.len() > 2 => {
                several.remove(at);
                // A crowd that has gone leaves its room, but not for ever.
                if several.len() * 4 < several.capacity() {
                    several.shrink_to(several.len() * 2);
                }
            }
            Self::Several(several) => *self = Self::One(several[1 - at]),
            Self::None | Self::One(_) => *self = Self::None,
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscriber> {
        self.as_slice().iter()
    }

    fn find(&self, holder: Holder) -> Result<usize, usize> {
        self.as_slice().binary_search_by_key(&holder, |known| known.holder)
    }

    fn as_slice(&self) -> &[Subscriber] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Subscriber] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Several(several) => several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_mqtt::QoS;

    fn subscriber(session: u32, identifier: u32) -> Subscriber {
        Subscriber {
            holder: Holder::Session(session),
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            checked: false,
            identifier,
        }
    }

    fn found(holders: &Holders) -> Vec<(Holder, u32)> {
        holders.iter().map(|found| (found.holder, found.identifier)).collect()
    }

    #[test]
    fn each_holder_is_there_once_whatever_the_order_of_coming_and_going() {
        let mut holders = Holders::default();
        for session in [5, 1, 3, 4, 2, 0] {
            assert!(holders.upsert(subscriber(session, 7)));
            assert!(!holders.upsert(subscriber(session, session)));
        }
        let expected: Vec<_> = (0..6).map(|session| (Holder::Session(session), session)).collect();
        assert_eq!(found(&holders), expected);
        for session in [3, 0, 5, 2, 1] {
            assert!(holders.remove(Holder::Session(session)));
            assert!(!holders.remove(Holder::Session(session)));
        }
        assert_eq!(found(&holders), [(Holder::Session(4), 4)]);
        assert!(holders.remove(Holder::Session(4)) && holders.is_empty());
    }

    #[test]
    fn one_holder_takes_no_more_than_its_subscription() {
        assert_eq!(size_of::<Holders>(), size_of::<Subscriber>());
        assert_eq!(size_of::<Subscriber>(), 16);
    }
}
