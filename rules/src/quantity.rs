//! Durations and sizes: reading `1h30m` and `16 MiB`, and writing them.

/// Milliseconds of a duration; an error says what is wrong.
pub(crate) fn read_duration(text: &str) -> Result<i64, String> {
    let parts = parts(text).ok_or("write it like 500ms, 10s, 5m, 1h30m or 7d")?;
    let mut ms = 0.0;
    for (number, unit) in parts {
        let unit_ms = match unit {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" | "min" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            "w" => 604_800_000.0,
            "" => return Err(format!("the unit is missing: {number}s, {number}m or {number}h?")),
            _ => return Err(format!("unknown unit `{unit}`; units are ms, s, m, h, d, w")),
        };
        ms += number * unit_ms;
    }
    if ms > DURATION_MS_MAX {
        return Err("a duration is at most 10 years".to_owned());
    }
    if ms.fract() != 0.0 {
        return Err("a duration is a whole number of milliseconds".to_owned());
    }
    Ok(ms as i64)
}

/// Bytes of a size; an error says what is wrong.
pub(crate) fn read_bytes(text: &str) -> Result<u64, String> {
    let usage = "write it like 512 KiB, 16 MiB or 1 GiB";
    let parts = parts(text).filter(|parts| parts.len() == 1).ok_or(usage)?;
    let Some((number, unit)) = parts.first() else { return Err(usage.to_owned()) };
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1_048_576.0,
        "g" | "gb" | "gib" => 1_073_741_824.0,
        _ => return Err(format!("unknown unit `{unit}`; {usage}")),
    };
    Ok((number * scale) as u64)
}

/// The shortest way to write a duration.
pub(crate) fn format_duration(ms: i64) -> String {
    for (unit, unit_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms != 0 && ms % unit_ms == 0 {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

/// A size in the unit that fits.
pub(crate) fn format_bytes(bytes: u64) -> String {
    for (unit, scale) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= scale {
            let tenths = bytes.saturating_mul(10) / scale;
            return match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                part => format!("{}.{part} {unit}", tenths / 10),
            };
        }
    }
    format!("{bytes} bytes")
}

/// Numbers and the units after them.
fn parts(text: &str) -> Option<Vec<(f64, &str)>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        parts.push((number, after.get(..end)?));
        rest = after.get(end..)?.trim_start();
    }
    (!parts.is_empty() && parts.len() < 8).then_some(parts)
}

const DURATION_MS_MAX: f64 = 3_660.0 * 86_400_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(read_duration("1h30m"), Ok(5_400_000));
        assert_eq!(read_duration("500 ms"), Ok(500));
        assert_eq!(read_duration("1.5s"), Ok(1500));
        assert_eq!(read_duration("0s"), Ok(0));
        assert!(read_duration("10").unwrap_err().contains("unit is missing"));
        assert!(read_duration("5 parsecs").unwrap_err().contains("unknown unit"));
        for wrong in ["", "m", "1..2s", "-1s", "99999999d", "0.1ms"] {
            assert!(read_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(read_bytes("16 MiB"), Ok(16 << 20));
        assert_eq!(read_bytes("512k"), Ok(512 << 10));
        assert!(read_bytes("16 apples").is_err());
    }

    #[test]
    fn durations_and_sizes_are_written_short() {
        assert_eq!(format_duration(90_000), "90s");
        assert_eq!(format_duration(300_000), "5m");
        assert_eq!(format_bytes(1_572_864), "1.5 MiB");
        assert_eq!(format_bytes(100), "100 bytes");
    }
}
