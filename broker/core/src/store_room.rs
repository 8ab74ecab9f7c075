//! Whether the store has room.

/// What the store takes at the moment; see [`Input::StoreRoom`](crate::Input::StoreRoom).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StoreRoom {
    /// Everything.
    #[default]
    Ample,
    /// Everything, but nothing can be written at the moment. What would be acknowledged before it
    /// is written (level `relaxed`) waits for its commit like the rest.
    Failing,
    /// Only what makes room, or was promised before: acknowledgements, ends of sessions and of
    /// subscriptions, removals of retained messages, wills and delayed messages whose time has
    /// come. What would need room is refused, or delivered and not kept.
    Full,
}

impl StoreRoom {
    /// Its name, as the operator reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ample => "ample",
            Self::Failing => "failing",
            Self::Full => "full",
        }
    }
}
