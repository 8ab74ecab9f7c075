//! The few fields of a certificate that the broker looks at itself: how long it holds and whom it
//! names. Whether it is to be believed is for the TLS library to say, before anything here is
//! used.

use std::fmt;
use std::net::IpAddr;

use super::der::{self, Reader};

/// Fields of a certificate.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
    /// The contents of the issuer: the subject of who has signed it.
    pub(crate) issuer: &'a [u8],
    /// The contents of the subject.
    pub(crate) subject: &'a [u8],
    /// What comes behind the subject.
    rest: &'a [u8],
}

/// A moment, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) unix_s: u64,
    year: u16,
    month: u8,
    day: u8,
}

impl<'a> Certificate<'a> {
    /// None when the bytes are no certificate.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut signed = Reader(Reader(bytes).expect(der::SEQUENCE)?);
        let mut fields = Reader(signed.expect(der::SEQUENCE)?);
        fields.skip_if(VERSION);
        fields.expect(der::INTEGER)?;
        let _algorithm = fields.expect(der::SEQUENCE)?;
        let issuer = fields.expect(der::SEQUENCE)?;
        let mut validity = Reader(fields.expect(der::SEQUENCE)?);
        let not_before = Time::read(&mut validity)?;
        let not_after = Time::read(&mut validity)?;
        let subject = fields.expect(der::SEQUENCE)?;
        Some(Self { not_before, not_after, issuer, subject, rest: fields.0 })
    }

    /// The first common name of the subject.
    pub(crate) fn common_name(&self) -> Option<String> {
        let mut parts = Reader(self.subject);
        while let Some(part) = parts.expect(der::SET) {
            let mut attributes = Reader(part);
            while let Some(attribute) = attributes.expect(der::SEQUENCE) {
                let mut attribute = Reader(attribute);
                if attribute.expect(der::OBJECT_IDENTIFIER)? == COMMON_NAME {
                    // A name with a zero in it is made to look like another one.
                    return attribute.text().filter(|name| !name.contains('\0'));
                }
            }
        }
        None
    }

    /// The host names and addresses that a server may show it for (RFC 5280, 4.2.1.6).
    pub(crate) fn alternative_names(&self) -> Vec<String> {
        let mut rest = Reader(self.rest);
        while let Some((tag, contents)) = rest.next() {
            if tag == EXTENSIONS {
                return alternative_names(contents).unwrap_or_default();
            }
        }
        Vec::new()
    }

    /// The subject as RFC 2253 writes it, the last part first, for example `CN=node-7,O=Works`.
    pub(crate) fn subject(&self) -> Option<String> {
        let mut parts = Vec::new();
        let mut reader = Reader(self.subject);
        while !reader.is_empty() {
            let mut attributes = Reader(reader.expect(der::SET)?);
            let mut texts = Vec::new();
            while !attributes.is_empty() {
                let mut attribute = Reader(attributes.expect(der::SEQUENCE)?);
                let name = attribute_name(attribute.expect(der::OBJECT_IDENTIFIER)?);
                texts.push(format!("{name}={}", escape(&attribute.text()?)));
            }
            parts.push(texts.join("+"));
        }
        parts.reverse();
        Some(parts.join(","))
    }
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Reader(Reader(extensions).expect(der::SEQUENCE)?);
    while let Some(extension) = extensions.expect(der::SEQUENCE) {
        let mut extension = Reader(extension);
        if extension.expect(der::OBJECT_IDENTIFIER)? != ALTERNATIVE_NAMES {
            continue;
        }
        extension.skip_if(BOOLEAN);
        let mut names = Reader(Reader(extension.expect(OCTET_STRING)?).expect(der::SEQUENCE)?);
        let mut found = Vec::new();
        while let Some((tag, contents)) = names.next() {
            found.extend(match tag {
                DNS_NAME => String::from_utf8(contents.to_vec()).ok(),
                IP_ADDRESS => address(contents),
                _ => None,
            });
        }
        return Some(found);
    }
    None
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}

impl Time {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (tag, contents) = reader.next()?;
        let digits = std::str::from_utf8(contents).ok()?.strip_suffix('Z')?;
        let (year, rest) = match tag {
            der::GENERALIZED_TIME => (number(digits.get(..4)?)?, digits.get(4..)?),
            // Two digits stand for 1950 to 2049.
            der::UTC_TIME => match number(digits.get(..2)?)? {
                year @ 50.. => (1900 + year, digits.get(2..)?),
                year => (2000 + year, digits.get(2..)?),
            },
            _ => return None,
        };
        let field = |index: usize| number(rest.get(2 * index..2 * index + 2)?);
        let (month, day) = (field(0)?, field(1)?);
        let seconds = field(2)? * 3600 + field(3)? * 60 + field(4)?;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let unix_s = days_since_1970(year, month, day).checked_mul(86_400)? + i64::from(seconds);
        Some(Self {
            unix_s: u64::try_from(unix_s).unwrap_or(0),
            year: u16::try_from(year).ok()?,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The civil calendar, counted in eras of 400 years that begin in March.
fn days_since_1970(year: u32, month: u32, day: u32) -> i64 {
    let (year, month) = (i64::from(year) - i64::from(month <= 2), i64::from(month));
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn attribute_name(identifier: &[u8]) -> String {
    let known = ATTRIBUTES.iter().find(|(bytes, _)| *bytes == identifier);
    known.map_or_else(|| der::dotted(identifier), |(_, name)| (*name).to_owned())
}

/// Marks what has a meaning in a subject, and what is not printable ASCII.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';')
            || (byte == b'#' && at == 0)
            || (byte == b' ' && (at == 0 || at == last));
        match byte {
            _ if special => escaped.extend(['\\', char::from(byte)]),
            b' '..=b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\{byte:02X}")),
        }
    }
    escaped
}

const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ATTRIBUTES: [(&[u8], &str); 12] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(2052, 2, 29);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_validity_is_read_in_both_forms_of_time() {
        let bytes = certificate(&[]);
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.not_before.unix_s, 946_598_400);
        assert_eq!(certificate.not_after.unix_s, 2_592_777_600);
        assert_eq!(certificate.not_after.to_string(), "2052-02-29");
    }

    #[test]
    fn the_subject_is_written_as_rfc_2253_says() {
        let names = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Müller, Sons + Co"),
            (DnType::CommonName, "node-7 "),
            (DnType::CustomDnType(vec![1, 2, 840, 99]), "#x"),
        ];
        let bytes = certificate(&names);
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.common_name().as_deref(), Some("node-7 "));
        let subject = certificate.subject().unwrap();
        assert_eq!(subject, r"1.2.840.99=\#x,CN=node-7\ ,O=M\C3\BCller\, Sons \+ Co,C=DE");
    }

    #[test]
    fn a_certificate_without_a_name_has_none() {
        let bytes = certificate(&[]);
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.common_name(), None);
        assert_eq!(certificate.subject().as_deref(), Some(""));
        let zero = certificate_with_zero();
        assert_eq!(Certificate::parse(&zero).unwrap().common_name(), None);
    }

    fn certificate_with_zero() -> Vec<u8> {
        certificate(&[(DnType::CommonName, "admin\0.example.org")])
    }

    #[test]
    fn names_of_hosts_and_addresses_are_read() {
        let names = ["gate.local", "192.168.1.5", "fd00::1"].map(str::to_owned);
        let params = CertificateParams::new(names).unwrap();
        let bytes = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.alternative_names(), ["gate.local", "192.168.1.5", "fd00::1"]);
        assert_eq!(certificate.issuer, certificate.subject);
        let bytes = self::certificate(&[(DnType::CommonName, "x")]);
        assert!(Certificate::parse(&bytes).unwrap().alternative_names().is_empty());
    }

    #[test]
    fn a_certificate_that_is_cut_off_is_none() {
        let bytes = certificate(&[(DnType::CommonName, "x")]);
        for length in 0..bytes.len() {
            assert!(Certificate::parse(&bytes[..length]).is_none(), "{length}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            // Whatever comes of it, nothing panics.
            if let Some(certificate) = Certificate::parse(&changed) {
                let _ = (certificate.common_name(), certificate.subject());
                let _ = certificate.alternative_names();
            }
        }
    }
}
