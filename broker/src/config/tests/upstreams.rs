//! What is wrong with an upstream of any kind.

use super::*;

#[test]
fn dead_letters_need_a_topic_of_their_own() {
    for topic in ["a/+", "#", "$SYS/dead", "$delayed", "$share/g/dead", "dead/"] {
        let folder = Folder::new("dead", &format!("[limits]\ndead_letter = \"{topic}\"\n"));
        let told = problems(folder.load());
        assert!(told.contains("error[C008]: dead letters cannot be published"), "{topic}: {told}");
    }
    let folder = Folder::new("dead", "[limits]\ndead_letter = \"$dead\"\nmax_delay = \"1h\"\n");
    let limits = folder.load().unwrap().config.limits;
    assert_eq!(limits.dead_letter.as_deref(), Some("$dead"));
    assert_eq!(limits.max_delay, Duration::from_secs(3600));
}

#[test]
fn what_is_wrong_with_tls_of_an_upstream_is_told() {
    let text = "[upstream.cloud]\naddress = \"a:1\"\ntls = { certfile = \"box.pem\" }\n\
                [upstream.other.tls]\ncafile = \"weir.toml\"\ncafiel = \"x\"\n\
                [upstream.other]\naddress = \"b:1\"\n";
    let found = messages("upstream-tls", text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], "error[C006]: `certfile` and `keyfile` need each other");
    assert!(found[1].contains("weir.toml` holds no certificate in PEM form"), "{}", found[1]);
    assert_eq!(found[2], "error[C002]: unknown key `cafiel` in [upstream.NAME.tls]");
}

#[test]
fn a_lazy_upstream_fetches_nothing() {
    let text = "[upstream.a]\naddress = \"a:1\"\nstart_type = \"lazy\"\ntopics = [\"x in\"]\n";
    let expected = "error[C006]: a lazy upstream has no connection over which messages could come";
    assert_eq!(messages("lazy", text), [expected]);
}

#[test]
fn what_is_wrong_with_http_of_an_upstream_is_told() {
    let head = "[upstream.a]\naddress = \"a:80\"\nkind = \"http\"\n";
    for (more, message) in [
        ("http = { path = \"x y\" }", "`x y` is not the path of a request"),
        ("http = { body = \"raw\", batch = 2 }", "a body of `raw` holds one message"),
        ("http = { authorization = \"a\\nb\" }", "`authorization` cannot stand in a header"),
        ("window = 5", "`window` is for an upstream of kind `mqtt`"),
        ("topics = [\"a both\"]", "nothing can be fetched from an upstream of kind `http`"),
    ] {
        let expected = format!("error[C006]: {message}");
        assert_eq!(messages("upstream-http", &format!("{head}{more}\n")), [expected], "{more}");
    }
    let text = "[upstream.a]\naddress = \"a:80\"\nhttp = {}\n";
    let expected = "error[C006]: `http` is for an upstream of kind `http`";
    assert_eq!(messages("upstream-no-http", text), [expected]);
}

#[test]
fn routes_are_checked() {
    let text = "[upstream.cloud]\naddress = \"a:1\"\nforward = [{ from = \"a/#/b\" }, \
                { from = \"a\", to = \"x/{topc}\" }, { to = \"x\" }]\ntopics = \"a/# up\"\n";
    let found = messages("routes", text);
    assert_eq!(
        found,
        [
            "error[C008]: `a/#/b` is not a topic filter",
            "error[C008]: `x/{topc}` is not a topic",
            "error[C005]: `from` is missing",
            "error[C008]: `a/# up` is not a topic line",
        ]
    );
    let text = text.replace(", { to = \"x\" }", "");
    let found = problems(Folder::new("routes2", &text).load());
    assert!(found.contains("`a/#/b` is not a topic filter"), "{found}");
    assert!(found.contains("did you mean `topic`?"), "{found}");
}

/// Nothing would ever come by such a route. What the other side is sent is its own affair.
#[test]
fn nothing_is_received_as_a_topic_of_the_broker() {
    let text = "[upstream.cloud]\naddress = \"a:1\"\nforward = [{ from = \"a\", to = \"$SYS/a\" }]\n\
                receive = [{ from = \"a/#\", to = \"$SYS/{rest}\" }, { from = \"$SYS/#\" }, \
                { from = \"$SYS/#\", to = \"far/{topic}\" }, { from = \"a\", to = \"$SYSTEM\" }]\n\
                topics = \"# in 1 $SYS/ far/\"\n";
    let found = messages("of_broker", text);
    assert_eq!(
        found,
        [
            "error[C008]: `a/#` cannot be received as `$SYS/{rest}`",
            "error[C008]: `$SYS/#` cannot be received as `{topic}`",
            "error[C008]: `far/#` cannot be received as `$SYS/{topic from byte 4}`",
        ]
    );
}
