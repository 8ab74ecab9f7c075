//! Which messages for an upstream go before which.

/// Before what else a message for an upstream is sent. Those of one priority keep their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before everything else.
    High,
    /// As what has no priority of its own, and what rules send.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// In the order in which they are sent, and of their discriminants.
    pub(crate) const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];
    pub(crate) const NAMES: [&'static str; 3] = ["high", "normal", "low"];

    /// The name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|priority| priority.name() == name).expect("declared by the same names")
    }
}
