//! Headers of both versions, whole and cut, right and wrong.

use super::*;

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [V2_START, &[command, family], &length, body].concat()
}

fn v2_tcp4(more: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 10, 0, 0, 1, 0xd9, 0x03, 0x07, 0x5b];
    v2(0x21, 0x11, &[addresses.as_slice(), more].concat())
}

/// The source, and what is left of the bytes.
type Found = (Option<SocketAddr>, Vec<u8>);

/// What is found when the bytes come in portions.
fn read(
    versions: ProxyProtocol,
    bytes: &[u8],
    portion: usize,
) -> Result<Option<Found>, ProxyError> {
    let mut header = ProxyHeader::new(versions);
    let mut at = 0;
    while at < bytes.len() {
        let chunk = &bytes[at..bytes.len().min(at + portion)];
        if let Some(Header { used, source }) = header.receive(chunk)? {
            return Ok(Some((source, bytes[at + used..].to_vec())));
        }
        assert!(header.head.len() <= V1_BYTES_MAX, "no more is kept");
        at += chunk.len();
    }
    Ok(None)
}

#[test]
fn the_address_of_the_client_is_read_wherever_the_header_is_cut() {
    let v6 = [[0x20, 0x01, 0x0d, 0xb8].as_slice(), &[0; 28], &[0x12, 0x34, 0, 1]].concat();
    let cases: [(Vec<u8>, Option<&str>); 9] = [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 55555 1883\r\n".into(), Some("192.0.2.7:55555")),
        (b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n".into(), Some("[2001:db8::7]:1")),
        (b"PROXY UNKNOWN\r\n".into(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".into(), None),
        (v2_tcp4(b""), Some("192.0.2.7:55555")),
        (v2_tcp4(&[4; 300]), Some("192.0.2.7:55555")),
        (v2(0x21, 0x21, &v6), Some("[2001:db8::]:4660")),
        (v2(0x20, 0x00, b"a health check"), None),
        (v2(0x21, 0x31, &[0; 216]), None),
    ];
    for (header, source) in cases {
        let source = source.map(|text| text.parse().unwrap());
        let bytes = [header.as_slice(), b"CONNECT"].concat();
        for portion in 1..=bytes.len() {
            let (found, rest) = read(ProxyProtocol::Any, &bytes, portion).unwrap().unwrap();
            assert_eq!(found, source);
            assert_eq!(rest, b"CONNECT", "{portion}");
        }
        for length in 0..header.len() {
            assert_eq!(read(ProxyProtocol::Any, &header[..length], 1), Ok(None), "{length}");
        }
    }
}

#[test]
fn only_the_versions_that_are_allowed_are_taken() {
    let v1 = b"PROXY UNKNOWN\r\n".as_slice();
    let v2 = v2_tcp4(b"");
    for portion in [1, 200] {
        assert!(read(ProxyProtocol::V1, v1, portion).unwrap().is_some());
        assert!(read(ProxyProtocol::V2, &v2, portion).unwrap().is_some());
        assert_eq!(read(ProxyProtocol::V2, v1, portion), Err(ProxyError::Missing));
        assert_eq!(read(ProxyProtocol::V1, &v2, portion), Err(ProxyError::Missing));
    }
}

#[test]
fn what_is_no_header_is_refused_as_early_as_it_can_be() {
    let missing = ["\u{10}\u{e}\0\u{4}MQTT", "GET / HTTP/1.1\r\n", "PROXX", "\r\n\r\nX", "P\r\n"];
    for bytes in missing {
        assert_eq!(read(ProxyProtocol::Any, bytes.as_bytes(), 1), Err(ProxyError::Missing));
        let filled = format!("{bytes:20}");
        assert_eq!(read(ProxyProtocol::Any, filled.as_bytes(), 99), Err(ProxyError::Missing));
    }
}

#[test]
fn a_header_that_is_not_formed_right_is_refused() {
    let lines = [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 55555\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 55555 1883 1\r\n",
        "PROXY TCP4 192.0.2.7  10.0.0.1 55555 1883\r\n",
        "PROXY TCP4 192.0.2.256 10.0.0.1 55555 1883\r\n",
        "PROXY TCP4 ::1 10.0.0.1 55555 1883\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 55555 1883\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 1883\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 +5 1883\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 5 \r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 5 5\r\n",
        "PROXY tcp4 192.0.2.7 10.0.0.1 5 5\r\n",
    ];
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX));
    let texts = lines.into_iter().map(|line| line.as_bytes().to_vec()).chain([long.into_bytes()]);
    let not_utf8 = b"PROXY TCP4 \xff 10.0.0.1 5 5\r\n".to_vec();
    let binary = [
        v2(0x11, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x11, &[0; 11]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x41, &[0; 12]),
    ];
    for bytes in texts.chain([not_utf8]).chain(binary) {
        for portion in [1, bytes.len()] {
            let found = read(ProxyProtocol::Any, &bytes, portion);
            assert_eq!(found, Err(ProxyError::Malformed), "{}", bytes.escape_ascii());
        }
    }
}
