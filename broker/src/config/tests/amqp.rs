//! What can be wrong with an upstream of kind `amqp`, and how one is read.

use super::*;
#[cfg(feature = "amqp")]
use crate::config::{AmqpSasl, Unroutable};

#[test]
fn what_is_wrong_with_amqp_of_an_upstream_is_told() {
    let head = "[upstream.a]\naddress = \"a:5672\"\nkind = \"amqp\"\n";
    let messages = |more: &str| {
        let mut found = messages("upstream-amqp", &format!("{head}{more}\n"));
        let missing = "error[C006]: this weir was built without `amqp`";
        let is_missing = found.iter().any(|message| message == missing);
        assert_eq!(is_missing, !cfg!(feature = "amqp"));
        found.retain(|message| message != missing);
        found
    };
    let long = format!("amqp = {{ vhost = \"{}\" }}", "v".repeat(256));
    for (more, message) in [
        (
            "keepalive_interval = 9",
            "error[C006]: `keepalive_interval` is for an upstream of kind `mqtt`",
        ),
        ("amqp = { unroutable = \"drop\" }", "error[C003]: `unroutable` cannot be `drop`"),
        ("http = {}", "error[C006]: `http` is for an upstream of kind `http`"),
        (
            "receive = [{ from = \"a\" }]",
            "error[C006]: nothing can be fetched from an upstream of kind `amqp`",
        ),
        (&long, "error[C006]: `vhost` is too long"),
        (
            "amqp = { sasl = \"external\" }",
            "error[C006]: without a certificate nobody knows who this is",
        ),
        ("amqp = { sasl = \"scram\" }", "error[C003]: `sasl` cannot be `scram`"),
    ] {
        assert_eq!(messages(more), [message], "{more}");
    }
    let two = messages("username = \"gate\"\namqp = { sasl = \"external\" }");
    assert_eq!(two.len(), 2, "{two:?}");
    let not_told = "error[C006]: `username` is not told: the certificate says who this is";
    assert!(two.iter().any(|message| message == not_told), "{two:?}");
}

#[cfg(feature = "amqp")]
#[test]
fn an_upstream_over_amqp_is_read() {
    let text = "[upstream.a]\naddress = \"a:5672\"\nkind = \"amqp\"\n\
                amqp = { vhost = \"plant\", unroutable = \"ignore\" }\n";
    let config = Folder::new("amqp", text).load().unwrap().config;
    let amqp = &config.upstreams[0].amqp;
    assert_eq!((amqp.exchange.as_str(), amqp.vhost.as_str()), ("amq.topic", "plant"));
    assert_eq!((amqp.unroutable, amqp.sasl), (Unroutable::Ignore, AmqpSasl::Plain));
}
