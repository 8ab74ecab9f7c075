//! Durations ("5s", "14d") and sizes ("64KB", "2MB") as text. One number, one unit: what a person
//! reads at a glance is what the program reads.

use std::time::Duration;

/// One KB is 1024 bytes, and so on upwards.
const SIZES: [(&str, u64); 5] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("B", 1)];

const DURATIONS_MS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration; `None` when it is not one number and one unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let (_, ms) = DURATIONS_MS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*ms).map(Duration::from_millis)
}

/// Reads a size in bytes; `None` when it is not one number and one unit.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let unit = unit.to_ascii_uppercase();
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// Writes a duration with the largest unit that keeps it whole.
pub fn format_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match DURATIONS_MS.iter().find(|(_, unit)| ms >= *unit && ms.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", ms / unit),
        None => "0s".to_owned(),
    }
}

/// Writes a size with the largest unit that keeps it whole.
pub(crate) fn format_size(bytes: u64) -> String {
    match SIZES.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => "0B".to_owned(),
    }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_one_number_and_one_unit() {
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("14d"), Some(Duration::from_secs(14 * 86_400)));
        assert_eq!(parse_duration("250 ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "5", "s", "-5s", "5 sec", "1h30m", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_count_in_steps_of_1024() {
        assert_eq!(parse_size("2MB"), Some(2 * 1024 * 1024));
        assert_eq!(parse_size("64 kb"), Some(65_536));
        for wrong in ["", "2", "MB", "2PB", "1.5MB", "99999999999TB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn written_text_reads_back() {
        for text in ["0s", "90s", "2m", "14d", "1ms"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
        assert_eq!(format_size(0), "0B");
        assert_eq!(format_size(1536), "1536B");
        assert_eq!(format_size(16 << 20), "16MB");
    }
}
