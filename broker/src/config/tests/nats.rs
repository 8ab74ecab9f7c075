//! What can be wrong with an upstream of kind `nats`.

use super::*;
#[cfg(feature = "nats")]
#[test]
fn what_is_wrong_with_nats_of_an_upstream_is_told() {
    let head = "[upstream.a]\naddress = \"a:4222\"\nkind = \"nats\"\n";
    for (more, message) in [
        ("nats = { stream = \"a.b\" }", "C006]: this is not the name of a stream"),
        ("nats = { inbox_prefix = \"a..b\" }", "C006]: no subject can begin like this"),
        ("nats = { inbox_prefix = \"a.>\" }", "C006]: no subject can begin like this"),
        (
            "nats = { token = \"a\", nkey_file = \"weir.toml\" }",
            "C006]: `token` and `nkey_file` are two ways to log in",
        ),
        (
            "username = \"a\"\nnats = { creds_file = \"weir.toml\" }",
            "C006]: `username` and `creds_file` are two ways to log in",
        ),
        ("window = 5", "C006]: `window` is for an upstream of kind `mqtt`"),
        ("http = {}", "C006]: `http` is for an upstream of kind `http`"),
        ("topics = [\"a in\"]", "C006]: nothing can be fetched from an upstream of kind `nats`"),
    ] {
        let expected = format!("error[{message}");
        assert_eq!(messages("upstream-nats", &format!("{head}{more}\n")), [expected], "{more}");
    }
    let missing = messages("upstream-creds", &format!("{head}nats = {{ creds_file = \"x\" }}\n"));
    assert!(missing.len() == 1 && missing[0].contains("cannot read `"), "{missing:?}");
    let text = format!("{head}nats = {{ stream = \"PLANT\", token_file = \"weir.toml\" }}\n");
    let config = Folder::new("upstream-token", &text).load().unwrap().config;
    let nats = &config.upstreams[0].nats;
    assert_eq!((nats.stream.as_deref(), nats.inbox_prefix.as_str()), (Some("PLANT"), "_INBOX"));
    assert_eq!(nats.token.as_ref().map(crate::config::Secret::reveal), Some("[upstream.a]"));
}

#[cfg(not(feature = "nats"))]
#[test]
fn a_kind_that_was_not_built_is_told() {
    let text = "[upstream.a]\naddress = \"a:4222\"\nkind = \"nats\"\n";
    let found = problems(Folder::new("upstream-not-built", text).load());
    assert!(found.contains("error[C006]: this weir was built without `nats`"), "{found}");
    assert!(
        found.contains("help: build it with `cargo build --release --features nats`"),
        "{found}"
    );
}
