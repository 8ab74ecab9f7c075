//! Tokens and public keys that openssl made for the tests; the private keys were thrown away.

pub(crate) const TOKEN_RS256: &str = "\
    eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJpc3MiOiJjYSIsImF1ZCI6WyJ3ZWl\
    yIiwieCJdLCJuYmYiOjE3MDAwMDAwMDAsImV4cCI6MTgwMDAwMDAwMCwiYWNsIjpbInJlYWQgc2Vuc29ycy8\
    jIiwid3JpdGUgb3V0L2FubiJdfQ.fJkGqNJjyWHMl266Splb5Wix5viJKQqFCb5Y-kzckDClni7I00qOvwV9\
    G1EkuqF-CYGZEwB-SZqyIVlK3gNPfuc57IBaS9ftHedyJGskIc3STy2y8qJHCq2FEHjR-ftkB6tIcFdxR4Pe\
    4FWF_cj5UNJa5Z-eKbh9Noi3be7-DLCax0xXAwn_ceh5e6vpaBlSBr88AS3wcxmlCwNPx9TtipxtzqVfTL1N\
    IdkeAT_MJMTp82f5J0b9IivS4R3PIHURzG1usANb_zu-ltAVjNpBkcya2xJkpjxR11_RhT4JpkR-pGK3aK3G\
    -ucFjIo3QQxtaLNTOmjLhItXkQeC19VWRQ";

pub(crate) const TOKEN_ES256: &str = "\
    eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJpc3MiOiJjYSIsImF1ZCI6WyJ3ZWl\
    yIiwieCJdLCJuYmYiOjE3MDAwMDAwMDAsImV4cCI6MTgwMDAwMDAwMCwiYWNsIjpbInJlYWQgc2Vuc29ycy8\
    jIiwid3JpdGUgb3V0L2FubiJdfQ.BZ9j4vCk55UTfbuAs-noMmzy0IPbn0cmV-_HEn-KKad_BbSwK0Sb5iq5\
    IeQRz6BgE2TAX-NgQUmHy97AyEss7Q";

pub(crate) const TOKEN_EDDSA: &str = "\
    eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJpc3MiOiJjYSIsImF1ZCI6WyJ3ZWl\
    yIiwieCJdLCJuYmYiOjE3MDAwMDAwMDAsImV4cCI6MTgwMDAwMDAwMCwiYWNsIjpbInJlYWQgc2Vuc29ycy8\
    jIiwid3JpdGUgb3V0L2FubiJdfQ.0Q1O4XDHiOceFrsANuoJkDvALCQsNkpA5EpLRfWKbII-fl8sERFoBYLh\
    Q51EfYCdoziBeqwtAZmqV1fM2sULDA";

pub(crate) const TOKEN_HS256: &str = "\
    eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJpc3MiOiJjYSIsImF1ZCI6WyJ3ZWl\
    yIiwieCJdLCJuYmYiOjE3MDAwMDAwMDAsImV4cCI6MTgwMDAwMDAwMCwiYWNsIjpbInJlYWQgc2Vuc29ycy8\
    jIiwid3JpdGUgb3V0L2FubiJdfQ.oR70MFVesOGugWiFvkD0o1CIIxD8PgdkKz5-32k5RXA";

pub(crate) const KEY_RSA: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu7/Q1lExe3JdMlsb/5bx
tQL0Ac+VSOgjdEgs0ZHiHK38es0XZLKNJ45Un4wTQtRqaUKO1kFHVSLpFwW/JDKH
riaCtbqZTzNpp+hMZtXbn1CsifETfqT+a9KVMu+vTOP0xBIq5IFdlY9zAc4z41SP
KmmRjfSC6tAr9LgJ+3ZPItc5EE1J2NRcGiHPwFGZA40bJq93Aw8C4p+n8z0pK5N/
S1IvVTzdLOieTvHRYtFf10fiAua3sWvxE4nNTbRSn/5lHr/jQmBbrwmjMzi3hEt+
InpqN4ClDdnLc0s3QfTZbGesLFKR7YkQ3XUV3qavNho+lgfpLqY7FQcI2T0TKC7T
eQIDAQAB
-----END PUBLIC KEY-----
";

pub(crate) const KEY_EC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEa0BkdlONgjEJ0YxojnZH2v5+MB7F
vYL5zPcRklnSxSly6WHul/oKoFQRrOWgrmA5pGrt0DfaG/iOQK1rDvUg8w==
-----END PUBLIC KEY-----
";

pub(crate) const KEY_ED: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA06lGuJpy2ZPSw8Oap3itKWT5kBXARpf+jaJ25keAaSU=
-----END PUBLIC KEY-----
";
