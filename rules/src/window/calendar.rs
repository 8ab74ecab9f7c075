//! Windows by the calendar: shifts, days, weeks, months and years of a time zone.
//!
//! A window goes from one local time to the next, so a day in which the clock is set has 23 or 25
//! hours. A local time that does not exist that day stands for the moment after the gap as long
//! after it as it would have been; of one that exists twice, the first counts.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Windows that follow each other without gap.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calendar {
    pub(crate) unit: Unit,
    /// Local time at which windows begin.
    pub(crate) at: Time,
    pub(crate) zone: TimeZone,
}

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A divisor of 24.
    Hours(i64),
    /// A divisor of 12; the first window of a year begins in January.
    Months(i64),
    /// From this day of the week.
    Weeks(Weekday),
}

impl Calendar {
    /// Start of the window that holds `time`, in milliseconds since the Unix epoch.
    pub(crate) fn start(&self, time: i64) -> i64 {
        self.around(time).0
    }

    /// End of the window that holds `time`.
    pub(crate) fn end(&self, time: i64) -> i64 {
        self.around(time).1
    }

    /// Milliseconds of the longest window.
    pub(crate) fn longest(&self) -> i64 {
        HOUR_MS
            * match self.unit {
                Unit::Hours(hours) => hours + 2,
                Unit::Months(months) => months * 31 * 24 + 2,
                Unit::Weeks(_) => 7 * 24 + 2,
            }
    }

    /// Start and end of the window that holds `time`.
    pub(crate) fn around(&self, time: i64) -> (i64, i64) {
        let time = time.clamp(EARLIEST, LATEST);
        let local = Timestamp::from_millisecond(time)
            .map_or_else(|_| Date::ZERO, |stamp| self.zone.to_datetime(stamp).date());
        let mut number = self.number(local);
        // The local time of day decides between neighbours, and setting the clock between a few.
        while self.begin(number) > time {
            number -= 1;
        }
        while self.begin(number + 1) <= time {
            number += 1;
        }
        (self.begin(number), self.begin(number + 1))
    }

    /// The number of a window that begins on this day or not long before.
    fn number(&self, day: Date) -> i64 {
        match self.unit {
            Unit::Hours(hours) => days_of(day) * (24 / hours),
            Unit::Months(months) => {
                (i64::from(day.year()) * 12 + i64::from(day.month()) - 1).div_euclid(months)
            }
            Unit::Weeks(first) => (days_of(day) - days_of_week(first)).div_euclid(7),
        }
    }

    /// When the window of a number begins.
    fn begin(&self, number: i64) -> i64 {
        let (day, hours) = match self.unit {
            Unit::Hours(hours) => {
                let a_day = 24 / hours;
                (day_of(number.div_euclid(a_day)), number.rem_euclid(a_day) * hours)
            }
            Unit::Months(months) => {
                let month = number * months;
                let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
                (Date::new(year as i16, month as i8, 1).unwrap_or(Date::ZERO), 0)
            }
            Unit::Weeks(first) => (day_of(number * 7 + days_of_week(first)), 0),
        };
        let local = day.to_datetime(self.at).saturating_add(hours.hours());
        let stamp = self.zone.to_ambiguous_timestamp(local).compatible();
        stamp.map_or(i64::MAX / 4, Timestamp::as_millisecond)
    }
}

/// Days since 1970-01-01.
fn days_of(day: Date) -> i64 {
    EPOCH.until(day).map_or(0, |span| i64::from(span.get_days()))
}

fn day_of(days: i64) -> Date {
    EPOCH.saturating_add(days.days())
}

/// Days from 1970-01-01, a Thursday, to the first such day of the week after it.
fn days_of_week(day: Weekday) -> i64 {
    i64::from(Weekday::Thursday.until(day))
}

const EPOCH: Date = Date::constant(1970, 1, 1);
const HOUR_MS: i64 = 3_600_000;
/// The years 2 to 9997, so that neighbours of a window can be computed with as well.
const EARLIEST: i64 = -62_104_060_800_000;
const LATEST: i64 = 253_307_520_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::zone;

    fn berlin(unit: Unit, at: Time) -> Calendar {
        Calendar { unit, at, zone: zone("Europe/Berlin").expect("a zone") }
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time stamp").as_millisecond()
    }

    #[test]
    fn days_in_which_the_clock_is_set_have_23_and_25_hours() {
        let days = berlin(Unit::Hours(24), Time::midnight());
        let spring = (ms("2026-03-28T23:00:00Z"), ms("2026-03-29T22:00:00Z"));
        let autumn = (ms("2026-10-24T22:00:00Z"), ms("2026-10-25T23:00:00Z"));
        for (start, end) in [spring, autumn] {
            for time in [start, start + 1, end - 1] {
                assert_eq!(days.around(time), (start, end));
            }
        }
        assert_eq!((spring.1 - spring.0) / HOUR_MS, 23);
        assert_eq!((autumn.1 - autumn.0) / HOUR_MS, 25);
    }

    #[test]
    fn a_start_that_does_not_exist_is_moved_behind_the_gap() {
        let days = berlin(Unit::Hours(24), Time::constant(2, 30, 0, 0));
        // 02:30 is skipped on that day: the window begins at 03:30 summer time.
        assert_eq!(days.start(ms("2026-03-29T02:00:00Z")), ms("2026-03-29T01:30:00Z"));
        assert_eq!(days.start(ms("2026-03-29T01:15:00Z")), ms("2026-03-28T01:30:00Z"));
        // In autumn 02:30 comes twice: the first counts.
        assert_eq!(days.start(ms("2026-10-25T01:00:00Z")), ms("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn shifts_begin_at_the_same_local_time_each_day() {
        let shifts = berlin(Unit::Hours(8), Time::constant(6, 0, 0, 0));
        assert_eq!(
            shifts.around(ms("2026-07-01T03:00:00Z")),
            (ms("2026-06-30T20:00:00Z"), ms("2026-07-01T04:00:00Z"))
        );
        // The night in which the clock is set forward has a shift of seven hours.
        let (start, end) = shifts.around(ms("2026-03-29T00:00:00Z"));
        assert_eq!((end - start) / HOUR_MS, 7);
    }

    #[test]
    fn weeks_months_and_years_begin_on_their_first_day() {
        let weeks = berlin(Unit::Weeks(Weekday::Monday), Time::midnight());
        assert_eq!(
            weeks.around(ms("2026-11-29T22:59:59Z")),
            (ms("2026-11-22T23:00:00Z"), ms("2026-11-29T23:00:00Z"))
        );
        let sundays = berlin(Unit::Weeks(Weekday::Sunday), Time::midnight());
        assert_eq!(sundays.start(ms("2026-11-29T22:59:59Z")), ms("2026-11-28T23:00:00Z"));
        let months = berlin(Unit::Months(1), Time::constant(6, 0, 0, 0));
        assert_eq!(
            months.around(ms("2026-12-01T04:59:59Z")),
            (ms("2026-11-01T05:00:00Z"), ms("2026-12-01T05:00:00Z"))
        );
        let years = berlin(Unit::Months(12), Time::midnight());
        assert_eq!(years.end(ms("2026-11-29T00:00:00Z")), ms("2026-12-31T23:00:00Z"));
    }

    #[test]
    fn windows_of_every_zone_follow_each_other_without_gap() {
        for name in ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"] {
            for unit in [Unit::Hours(1), Unit::Hours(8), Unit::Hours(24), Unit::Months(1)] {
                let at = Time::constant(1, 45, 0, 0);
                let calendar = Calendar { unit, at, zone: zone(name).expect("a zone") };
                let mut end = calendar.start(ms("2026-01-01T00:00:00Z"));
                while end < ms("2027-01-01T00:00:00Z") {
                    let next = calendar.around(end);
                    assert_eq!(next.0, end, "{name} {unit:?}");
                    assert!(next.1 > end && next.1 - end <= calendar.longest());
                    end = next.1;
                }
            }
        }
    }

    #[test]
    fn times_far_away_are_no_trouble() {
        let days = berlin(Unit::Hours(24), Time::midnight());
        for time in [i64::MIN / 4, -1, 0, i64::MAX / 4] {
            assert!(days.start(time) < days.end(time));
        }
    }
}
