//! From registers to values and back.

use crate::config::{RegisterPlace, RegisterType, WordOrder};
use crate::json::Value;

/// What a device answered to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Coils or discrete inputs.
    Bits(Vec<bool>),
    /// Holding or input registers.
    Words(Vec<u16>),
}

/// The value at an offset of an answer; `None` for what is not a number, and beyond the end.
///
/// ```
/// use weir_firmware_bridge::Value;
/// use weir_firmware_bridge::config::{RegisterPlace, RegisterType, Table, WordOrder};
/// use weir_firmware_bridge::modbus::{Answer, decode};
///
/// let place = RegisterPlace {
///     table: Table::Input,
///     register: 0,
///     type_: RegisterType::I32,
///     word_order: WordOrder::LowFirst,
///     scale: 0.01,
/// };
/// let answer = Answer::Words(vec![0xfff6, 0xffff]);
/// assert_eq!(decode(&answer, 0, &place).unwrap().to_string(), "-0.10");
/// ```
pub fn decode(answer: &Answer, offset: usize, place: &RegisterPlace) -> Option<Value> {
    let words = match answer {
        Answer::Bits(bits) => return bits.get(offset).copied().map(Value::Flag),
        Answer::Words(words) => words.get(offset..offset + usize::from(place.length()))?,
    };
    let whole = |raw: i64| {
        // Whole numbers of 32 bits are exact.
        Value::Number(raw as f64 * place.scale, Some(decimals(place.scale)))
    };
    Some(match (place.type_, words) {
        (RegisterType::I16, [word]) => whole(i64::from(*word as i16)),
        (RegisterType::U16, [word]) => whole(i64::from(*word)),
        (RegisterType::I32, words) => whole(i64::from(joined(words, place.word_order)? as i32)),
        (RegisterType::U32, words) => whole(i64::from(joined(words, place.word_order)?)),
        (_, words) => float(f32::from_bits(joined(words, place.word_order)?), place.scale)?,
    })
}

/// The registers that hold a value, which is rounded to what they can hold.
///
/// # Errors
/// The registers cannot hold it; the text says why.
pub fn encode(value: f64, place: &RegisterPlace) -> Result<Vec<u16>, String> {
    let raw = value / place.scale;
    if place.type_ == RegisterType::F32 {
        let float = raw as f32;
        if !float.is_finite() {
            return Err(format!("{value} does not fit into 32 bits"));
        }
        return Ok(split(float.to_bits(), place.word_order));
    }
    let raw = raw.round();
    let (least, greatest) = place.type_.range();
    if !(least..=greatest).contains(&raw) {
        return Err(format!("{value} does not fit into the register"));
    }
    // In range, and so exact.
    let raw = raw as i64;
    Ok(match place.type_ {
        RegisterType::I16 | RegisterType::U16 => vec![raw as u16],
        _ => split(raw as u32, place.word_order),
    })
}

/// Digits after the point that a scale gives, at most 6.
pub fn decimals(scale: f64) -> u8 {
    let is_whole = |decimals: &u8| {
        let scaled = scale * 10f64.powi(i32::from(*decimals));
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1e-3)
    };
    (0..DECIMALS_MAX).find(is_whole).unwrap_or(DECIMALS_MAX)
}

fn joined(words: &[u16], order: WordOrder) -> Option<u32> {
    let (high, low) = match (words, order) {
        ([high, low], WordOrder::HighFirst) | ([low, high], WordOrder::LowFirst) => (high, low),
        _ => return None,
    };
    Some(u32::from(*high) << 16 | u32::from(*low))
}

fn split(bits: u32, order: WordOrder) -> Vec<u16> {
    let (high, low) = ((bits >> 16) as u16, bits as u16);
    match order {
        WordOrder::HighFirst => vec![high, low],
        WordOrder::LowFirst => vec![low, high],
    }
}

fn float(value: f32, scale: f64) -> Option<Value> {
    if !value.is_finite() {
        return None;
    }
    if scale == 1.0 {
        // The shortest text that means the same number, not all digits of its neighbour in f64.
        return value.to_string().parse().ok().map(|value| Value::Number(value, None));
    }
    let scaled = (f64::from(value) * scale * 1e6).round() / 1e6;
    scaled.is_finite().then_some(Value::Number(scaled, None))
}

const DECIMALS_MAX: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Table;

    fn place(type_: RegisterType, word_order: WordOrder, scale: f64) -> RegisterPlace {
        RegisterPlace { table: Table::Holding, register: 0, type_, word_order, scale }
    }

    fn shown(words: &[u16], place: &RegisterPlace) -> Option<String> {
        decode(&Answer::Words(words.to_vec()), 0, place).map(|value| value.to_string())
    }

    #[test]
    fn every_type_is_read_in_both_orders() {
        use RegisterType::{F32, I16, I32, U16, U32};
        use WordOrder::{HighFirst, LowFirst};
        for (type_, order, words, expected) in [
            (U16, HighFirst, &[0xffff][..], "65535"),
            (I16, HighFirst, &[0xffff], "-1"),
            (U32, HighFirst, &[0x0001, 0x0002], "65538"),
            (U32, LowFirst, &[0x0002, 0x0001], "65538"),
            (U32, HighFirst, &[0xffff, 0xffff], "4294967295"),
            (I32, HighFirst, &[0xffff, 0xfffe], "-2"),
            (I32, LowFirst, &[0xfffe, 0xffff], "-2"),
            (F32, HighFirst, &[0x4366, 0x199a], "230.1"),
            (F32, LowFirst, &[0x199a, 0x4366], "230.1"),
        ] {
            assert_eq!(shown(words, &place(type_, order, 1.0)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn scale_decides_the_digits() {
        let scaled =
            |raw, scale| shown(&[raw], &place(RegisterType::U16, WordOrder::HighFirst, scale));
        assert_eq!(scaled(2301, 0.1).unwrap(), "230.1");
        assert_eq!(scaled(3, 0.001).unwrap(), "0.003");
        assert_eq!(scaled(3, 10.0).unwrap(), "30");
        assert_eq!(scaled(7, 0.25).unwrap(), "1.75");
        assert_eq!(decimals(1.0 / 3.0), 6);
    }

    #[test]
    fn what_is_not_a_number_or_too_short_is_no_value() {
        let float = place(RegisterType::F32, WordOrder::HighFirst, 1.0);
        assert_eq!(shown(&[0x7fc0, 0x0000], &float), None);
        assert_eq!(shown(&[0x7f80, 0x0000], &float), None);
        assert_eq!(shown(&[0x4366], &float), None);
        assert_eq!(decode(&Answer::Bits(vec![true]), 1, &float), None);
    }

    #[test]
    fn written_value_is_read_as_it_was() {
        for type_ in [RegisterType::I16, RegisterType::I32, RegisterType::F32] {
            for order in [WordOrder::HighFirst, WordOrder::LowFirst] {
                let place = place(type_, order, 0.1);
                let words = encode(-12.3, &place).unwrap();
                let value = shown(&words, &place).unwrap().parse::<f64>().unwrap();
                assert!((value + 12.3).abs() < 1e-6, "{type_:?}: {value}");
            }
        }
        let place = place(RegisterType::U16, WordOrder::HighFirst, 0.1);
        assert_eq!(encode(21.5, &place), Ok(vec![215]));
        assert_eq!(encode(21.54, &place), Ok(vec![215]));
        assert!(encode(-1.0, &place).is_err());
        assert!(encode(7_000.0, &place).is_err());
    }
}
