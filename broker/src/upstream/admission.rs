//! How many of the messages that come a backlog takes as it fills.

use crate::config::BacklogFull;

/// What a backlog takes, by how full it is.
#[derive(Debug)]
pub(crate) struct Admission {
    policy: BacklogFull,
    bytes_max: u64,
    one_of: u32,
    told: Option<u32>,
}

impl Admission {
    pub(crate) fn new(policy: BacklogFull, bytes_max: u64) -> Self {
        Self { policy, bytes_max, one_of: 1, told: None }
    }

    /// So many bytes wait now.
    pub(crate) fn look(&mut self, bytes: u64) {
        let eighths = bytes.saturating_mul(8) / self.bytes_max.max(1);
        self.one_of = match (self.policy, eighths) {
            (BacklogFull::DropOld, _) => 1,
            (BacklogFull::DropNew, 8..) => 0,
            // Until there is room for more than a few.
            (BacklogFull::DropNew, 7) => self.one_of,
            (BacklogFull::DropNew, _) => 1,
            (BacklogFull::Thin, 0..=3) => 1,
            (BacklogFull::Thin, 4 | 5) => 2,
            (BacklogFull::Thin, 6) => 4,
            (BacklogFull::Thin, _) => 8,
        };
    }

    /// Whether the oldest go when it is full.
    pub(crate) fn drops_old(&self) -> bool {
        self.policy != BacklogFull::DropNew
    }

    /// Whether it takes nothing at all.
    pub(crate) fn is_closed(&self) -> bool {
        self.one_of == 0
    }

    /// How many messages it takes one of, 0 = none, if that was not told yet.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let is_news = self.told != Some(self.one_of);
        self.told = Some(self.one_of);
        is_news.then_some(self.one_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(policy: BacklogFull, fills: &[u64]) -> Vec<Option<u32>> {
        let mut admission = Admission::new(policy, 800);
        let look = |bytes: &u64| {
            admission.look(*bytes);
            admission.take()
        };
        fills.iter().map(look).collect()
    }

    #[test]
    fn a_backlog_takes_less_the_fuller_it_is() {
        let fills = [0, 399, 400, 599, 600, 700, 900, 650, 100];
        let thin = [Some(1), None, Some(2), None, Some(4), Some(8), None, Some(4), Some(1)];
        assert_eq!(taken(BacklogFull::Thin, &fills), thin);
        let all = [Some(1), None, None, None, None, None, None, None, None];
        assert_eq!(taken(BacklogFull::DropOld, &fills), all);
    }

    #[test]
    fn one_that_is_full_is_closed_until_it_has_room() {
        let fills = [0, 799, 800, 900, 750, 700, 699, 750, 800];
        let closed = [Some(1), None, Some(0), None, None, None, Some(1), None, Some(0)];
        assert_eq!(taken(BacklogFull::DropNew, &fills), closed);
    }
}
