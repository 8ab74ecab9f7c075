//! How short memory is.

/// What is given up; each includes those before it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum MemoryPressure {
    /// Nothing.
    #[default]
    None,
    /// QoS 0 messages for clients that do not read at once are dropped.
    ShedsQos0,
    /// Messages stay on the disk until their client has read what came before. Topics that were
    /// not retained before are not retained (`retained_full`), and new subscriptions and delayed
    /// messages are refused with 0x97.
    LeavesOnDisk,
    /// CONNECT is refused with 0x97 (3.x: 0x03), and what would have to wait in memory is dropped
    /// (`queue_full`).
    RefusesClients,
}

impl MemoryPressure {
    /// Its name, as the operator reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ShedsQos0 => "sheds_qos0",
            Self::LeavesOnDisk => "leaves_on_disk",
            Self::RefusesClients => "refuses_clients",
        }
    }

    /// Each with the hundredths of the limit at which it begins.
    const STEPS: [(Self, usize); 3] =
        [(Self::RefusesClients, 100), (Self::LeavesOnDisk, 85), (Self::ShedsQos0, 70)];

    /// It ends so many hundredths below where it begins, so that it does not come and go with
    /// every message.
    const EASE: usize = 5;

    /// What is given up when `bytes` of `bytes_max` are taken and `before` was given up.
    pub(crate) fn after(before: Self, bytes: usize, bytes_max: usize) -> Self {
        let hundredths = (bytes as u128 * 100 / bytes_max.max(1) as u128) as usize;
        let is_due = |(step, begins): &(Self, usize)| {
            hundredths >= begins - if before >= *step { Self::EASE } else { 0 }
        };
        Self::STEPS.into_iter().find(is_due).map_or(Self::None, |(step, _)| step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_by_steps_and_ends_a_little_below_where_it_began() {
        use MemoryPressure::{LeavesOnDisk, None, RefusesClients, ShedsQos0};
        let mut pressure = None;
        let course = [69, 70, 69, 65, 64, 84, 85, 81, 80, 79, 100, 95, 94, 120, 0];
        let seen = course.map(|bytes| {
            pressure = MemoryPressure::after(pressure, bytes, 100);
            pressure
        });
        let expected = [
            None,
            ShedsQos0,
            ShedsQos0,
            ShedsQos0,
            None,
            ShedsQos0,
            LeavesOnDisk,
            LeavesOnDisk,
            LeavesOnDisk,
            ShedsQos0,
            RefusesClients,
            RefusesClients,
            LeavesOnDisk,
            RefusesClients,
            None,
        ];
        assert_eq!(seen, expected);
        assert_eq!(MemoryPressure::after(None, usize::MAX, usize::MAX), RefusesClients);
        assert_eq!(MemoryPressure::after(None, 1 << 40, usize::MAX), None);
    }
}
