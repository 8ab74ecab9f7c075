//! Messages of a `while` window that wait for the watermark.
//!
//! Each has a pane of its own, numbered so that panes lie in the order of time and then of arrival,
//! with the lowest bit for whether the condition was true.

/// The number of a pane; `order` tells messages of one time apart.
pub(crate) fn waiting_id(time: i64, order: u16, is_true: bool) -> i64 {
    debug_assert!(order <= WAITING_ORDER_MAX, "the caller bounds it");
    (time << TIME_SHIFT) | (i64::from(order) << 1) | i64::from(is_true)
}

/// The time of the message.
pub(crate) fn waiting_time(id: i64) -> i64 {
    id >> TIME_SHIFT
}

/// Whether the condition was true.
pub(crate) fn waiting_is_true(id: i64) -> bool {
    id & 1 == 1
}

/// The place of a message among those of its time.
pub(crate) fn waiting_order(id: i64) -> u16 {
    ((id >> 1) & i64::from(WAITING_ORDER_MAX)) as u16
}

const TIME_SHIFT: u32 = 14;
/// More messages of one millisecond than a key has panes.
pub(crate) const WAITING_ORDER_MAX: u16 = (1 << (TIME_SHIFT - 1)) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_messages_lie_in_the_order_of_time_and_arrival() {
        let ids = [
            waiting_id(-5, 0, true),
            waiting_id(-5, 1, false),
            waiting_id(0, WAITING_ORDER_MAX, true),
            waiting_id(1_767_225_600_000, 3, false),
        ];
        assert!(ids.is_sorted());
        assert_eq!(ids.map(waiting_time), [-5, -5, 0, 1_767_225_600_000]);
        assert_eq!(ids.map(waiting_is_true), [true, false, true, false]);
        assert_eq!(ids.map(waiting_order), [0, 1, WAITING_ORDER_MAX, 3]);
    }
}
