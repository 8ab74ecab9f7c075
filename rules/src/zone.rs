//! Time zones by name.

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The time zone of an IANA name, from the database that is part of the program: that of the box
/// may be another one after an update, and what was sent could not be computed again.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    database().get(name).ok()
}

/// Every name that `zone` knows.
pub(crate) fn zone_names() -> Vec<String> {
    database().available().map(|name| name.to_string()).collect()
}

fn database() -> TimeZoneDatabase {
    TimeZoneDatabase::bundled()
}
