//! Values at fixed places of a payload: `decode = "bytes:f32le@4"`.

use super::{DecodeError, FieldTree, Slots};
use crate::limits::OFFSET_MAX;
use crate::value::Value;

/// A value at a fixed place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// The field it becomes.
    pub(crate) name: Box<str>,
    form: Form,
    offset: usize,
    /// As it is written.
    pub(crate) text: Box<str>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bit(u8),
    Number { kind: Kind, bytes: u8, order: Order },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
}

/// Which byte comes first. In the last two, the bytes of registers of 16 bits are swapped, or the
/// registers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
    SwappedBytes,
    SwappedRegisters,
}

impl Fixed {
    /// Reads `f32le@4` or `bool@3.2`; an error says what is wrong with it.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, &'static str> {
        let (word, place) = text.split_once('@').ok_or("write the first byte as @0")?;
        let (offset, bit) = match place.split_once('.') {
            Some((offset, bit)) => (offset, Some(bit)),
            None => (place, None),
        };
        let offset = digits(offset).filter(|offset| *offset <= OFFSET_MAX);
        let offset = offset.ok_or("the place is the number of a byte, from 0 to 65535")?;
        let form = match (word, bit) {
            ("bool", Some(bit)) => {
                let bit = digits(bit).filter(|bit| *bit < 8);
                Form::Bit(bit.ok_or("bits are 0 (lowest) to 7")? as u8)
            }
            ("bool", None) => return Err("write the bit as bool@0.7"),
            (_, Some(_)) => return Err("only a bool has a bit"),
            (word, None) => number(word)?,
        };
        Ok(Self { name: name.into(), form, offset, text: text.into() })
    }

    /// Whether it is true or false; otherwise it is a number.
    pub(crate) fn is_bool(&self) -> bool {
        matches!(self.form, Form::Bit(_))
    }

    fn read(&self, payload: &[u8]) -> Result<Value, DecodeError> {
        let bytes = match self.form {
            Form::Bit(_) => 1,
            Form::Number { bytes, .. } => usize::from(bytes),
        };
        let end = self.offset + bytes;
        let Some(taken) = payload.get(self.offset..end) else {
            let (field, format) = (self.name.to_string(), self.text.to_string());
            let found = payload.len();
            return Err(DecodeError::Short { field, format, found, wanted: end });
        };
        let (kind, order) = match self.form {
            Form::Bit(bit) => return Ok(Value::Bool(taken.iter().any(|b| b >> bit & 1 == 1))),
            Form::Number { kind, order, .. } => (kind, order),
        };
        let bits = order.bits(taken);
        Ok(Value::finite(match (kind, bytes) {
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
            (Kind::Signed, _) => {
                let unused = 64 - 8 * bytes as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            (Kind::Unsigned, _) => bits as f64,
        }))
    }
}

impl Order {
    fn bits(self, bytes: &[u8]) -> u64 {
        let append = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        match self {
            Order::Big => bytes.iter().fold(0, append),
            Order::SwappedRegisters => bytes.rchunks(2).flatten().fold(0, append),
            Order::Little => bytes.iter().rev().fold(0, append),
            Order::SwappedBytes => bytes.chunks(2).flat_map(|two| two.iter().rev()).fold(0, append),
        }
    }
}

/// Reads all fields of a payload.
pub(super) fn read_fixed(
    payload: &[u8],
    fields: &[Fixed],
    slots: &mut Slots<'_>,
) -> Result<(), DecodeError> {
    for field in fields {
        let node = slots.field(Some(FieldTree::ROOT), &field.name);
        slots.set(node, field.read(payload)?);
    }
    Ok(())
}

fn digits(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn number(word: &str) -> Result<Form, &'static str> {
    let kind = match word.chars().next() {
        Some('f') => Kind::Float,
        Some('i') => Kind::Signed,
        Some('u') => Kind::Unsigned,
        _ => return Err("a value is u8 to u64, i8 to i64, f32, f64 or bool"),
    };
    let rest = word.get(1..).unwrap_or_default();
    let order_at = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (bits, order) = rest.split_at(order_at);
    let bits = digits(bits).unwrap_or(0);
    let fits = match kind {
        Kind::Float => matches!(bits, 32 | 64),
        _ => matches!(bits, 8 | 16 | 24 | 32 | 40 | 48 | 56 | 64),
    };
    if !fits {
        return Err("numbers have 8 to 64 bits in steps of 8, floating-point ones 32 or 64");
    }
    let order = match order {
        "" if bits == 8 => Order::Big,
        "" => return Err("say le or be: which byte comes first"),
        "be" => Order::Big,
        "le" => Order::Little,
        "cdab" if bits == 32 => Order::SwappedRegisters,
        "badc" if bits == 32 => Order::SwappedBytes,
        _ => return Err("the order of bytes is le or be, with 32 bits also cdab or badc"),
    };
    Ok(Form::Number { kind, bytes: (bits / 8) as u8, order })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, payload: &[u8]) -> Result<Value, DecodeError> {
        Fixed::parse("value", text).expect("a place").read(payload)
    }

    fn number(text: &str, payload: &[u8]) -> f64 {
        match read(text, payload) {
            Ok(Value::Number(number)) => number,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn numbers_of_every_width_and_order_are_read() {
        let bytes = [0xff, 0xfe, 0x01, 0x02, 0x80];
        assert_eq!(number("u8@0", &bytes), 255.0);
        assert_eq!(number("i8@1", &bytes), -2.0);
        assert_eq!(number("u16be@0", &bytes), f64::from(0xfffe_u16));
        assert_eq!(number("i16le@0", &bytes), f64::from(i16::from_le_bytes([0xff, 0xfe])));
        assert_eq!(number("u24be@1", &bytes), f64::from(0x00fe_0102));
        assert_eq!(number("i24le@2", &bytes), f64::from(0x80_0201 - 0x100_0000));
        assert_eq!(number("i40be@0", &bytes), (0xff_fe01_0280_i64 - (1 << 40)) as f64);
        assert_eq!(number("u64le@0", &[0xff; 8]), 18_446_744_073_709_551_615.0);
        assert_eq!(number("i64be@0", &[0xff; 8]), -1.0);
    }

    #[test]
    fn floats_come_in_the_four_orders_of_two_registers() {
        let [a, b, c, d] = 21.5f32.to_be_bytes();
        assert_eq!(number("f32be@0", &[a, b, c, d]), 21.5);
        assert_eq!(number("f32le@0", &[d, c, b, a]), 21.5);
        assert_eq!(number("f32cdab@0", &[c, d, a, b]), 21.5);
        assert_eq!(number("f32badc@0", &[b, a, d, c]), 21.5);
        assert_eq!(number("f64le@1", &[&[0], &21.5f64.to_le_bytes()[..]].concat()), 21.5);
        assert_eq!(read("f32be@0", &f32::NAN.to_be_bytes()), Ok(Value::Null));
    }

    #[test]
    fn bits_count_from_the_lowest() {
        assert_eq!(read("bool@1.2", &[0, 0b100]), Ok(Value::Bool(true)));
        assert_eq!(read("bool@1.3", &[0, 0b100]), Ok(Value::Bool(false)));
    }

    #[test]
    fn short_payload_says_what_is_missing() {
        let text = read("f32le@4", &[0; 6]).unwrap_err().to_string();
        assert_eq!(text, "payload has 6 bytes, but `value` (f32le@4) needs 8");
    }

    #[test]
    fn wrong_forms_say_what_is_wrong() {
        let problem = |text| Fixed::parse("x", text).unwrap_err();
        assert_eq!(problem("f32le"), "write the first byte as @0");
        assert_eq!(problem("u16@0"), "say le or be: which byte comes first");
        assert_eq!(problem("bool@3"), "write the bit as bool@0.7");
        assert_eq!(problem("bool@3.8"), "bits are 0 (lowest) to 7");
        assert_eq!(problem("u8@70000"), "the place is the number of a byte, from 0 to 65535");
        assert_eq!(problem("u8@+1"), "the place is the number of a byte, from 0 to 65535");
        assert_eq!(problem("x8@0"), "a value is u8 to u64, i8 to i64, f32, f64 or bool");
        assert_eq!(problem(""), "write the first byte as @0");
        assert_eq!(problem("é8@0"), "a value is u8 to u64, i8 to i64, f32, f64 or bool");
        assert!(problem("f16be@0").starts_with("numbers have 8 to 64 bits"));
    }
}
