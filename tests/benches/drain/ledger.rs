//! What has come to the far end.

use std::collections::HashSet;

/// Messages are numbered from 0.
pub(crate) struct Ledger {
    messages: u64,
    ids: HashSet<String>,
    came: Vec<bool>,
    repeated: u64,
}

impl Ledger {
    pub(crate) fn new(messages: u64) -> Self {
        let came = vec![false; usize::try_from(messages).unwrap()];
        Self { messages, ids: HashSet::new(), came, repeated: 0 }
    }

    /// A message has come, with its `id` and its payload.
    pub(crate) fn take(&mut self, id: &str, payload: &[u8]) {
        if !self.ids.insert(id.to_owned()) {
            self.repeated += 1;
            return;
        }
        let number: usize =
            String::from_utf8_lossy(payload).trim_start_matches('x').parse().unwrap();
        assert!(!std::mem::replace(&mut self.came[number], true), "{number} has two identifiers");
    }

    /// Whether all have come.
    pub(crate) fn is_full(&self) -> bool {
        self.ids.len() as u64 >= self.messages
    }

    pub(crate) fn check(&self) {
        let missing = self.came.iter().filter(|came| !**came).count();
        assert_eq!((missing, self.ids.len() as u64), (0, self.messages), "missing, came");
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }
}
