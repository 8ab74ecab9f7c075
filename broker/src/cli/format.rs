//! How `weir sub` prints a message: the simple fields of mosquitto's `-F`.

use super::client::Message;

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Hex,
    Length,
    Payload,
    Qos,
    Retain,
    Text(Vec<u8>),
    Topic,
}

impl Format {
    /// Payload only, or topic and payload, each on a line.
    pub(crate) fn simple(with_topic: bool, line_end: bool) -> Self {
        let mut parts = Vec::new();
        if with_topic {
            parts.extend([Part::Topic, Part::Text(b" ".to_vec())]);
        }
        parts.push(Part::Payload);
        if line_end {
            parts.push(Part::Text(b"\n".to_vec()));
        }
        Self { parts }
    }

    /// Reads a format; a line end is added, as mosquitto does.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let field = match (character, characters.clone().next()) {
                ('%', Some('%')) => Err('%'),
                ('%', Some('l')) => Ok(Part::Length),
                ('%', Some('p')) => Ok(Part::Payload),
                ('%', Some('q')) => Ok(Part::Qos),
                ('%', Some('r')) => Ok(Part::Retain),
                ('%', Some('t')) => Ok(Part::Topic),
                ('%', Some('x')) => Ok(Part::Hex),
                ('\\', Some('\\')) => Err('\\'),
                ('\\', Some('n')) => Err('\n'),
                ('\\', Some('t')) => Err('\t'),
                ('%', _) => {
                    return Err("after % one of p (payload), t (topic), q (QoS), r (retain), \
                                l (length), x (payload in hexadecimal), %"
                        .to_owned());
                }
                _ => {
                    plain.push(character);
                    continue;
                }
            };
            characters.next();
            match field {
                Err(character) => plain.push(character),
                Ok(part) => {
                    parts.push(Part::Text(std::mem::take(&mut plain).into_bytes()));
                    parts.push(part);
                }
            }
        }
        plain.push('\n');
        parts.push(Part::Text(plain.into_bytes()));
        Ok(Self { parts })
    }

    pub(crate) fn write(&self, message: &Message, output: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Hex => {
                    let hex = message.payload().iter().map(|byte| format!("{byte:02x}"));
                    hex.for_each(|byte| output.extend(byte.bytes()));
                }
                Part::Length => output.extend(message.payload().len().to_string().bytes()),
                Part::Payload => output.extend_from_slice(message.payload()),
                Part::Qos => output.extend(message.qos().to_string().bytes()),
                Part::Retain => output.push(if message.retain() { b'1' } else { b'0' }),
                Part::Text(text) => output.extend_from_slice(text),
                Part::Topic => output.extend_from_slice(message.topic()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &Format) -> String {
        let publish = rumqttc::Publish::new("room/1", rumqttc::QoS::AtLeastOnce, "21.5");
        let mut output = Vec::new();
        format.write(&Message::V311(publish), &mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn fields_are_filled_in() {
        let format = Format::parse("%t\\t%p (%l bytes, QoS %q, retain %r, %x, 5%%)").unwrap();
        assert_eq!(written(&format), "room/1\t21.5 (4 bytes, QoS 1, retain 0, 32312e35, 5%)\n");
        assert_eq!(written(&Format::simple(true, true)), "room/1 21.5\n");
        assert_eq!(written(&Format::simple(false, false)), "21.5");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(Format::parse("%z").unwrap_err().contains("p (payload)"));
        assert!(Format::parse("100%").is_err());
    }
}
