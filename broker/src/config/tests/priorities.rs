//! What goes before what to an upstream.

use super::*;
use crate::config::Priority;

#[test]
fn a_route_has_a_priority() {
    let text = "[upstream.a]\naddress = \"a:1\"\ntopics = [\"c/# out\"]\n\
                forward = [{ from = \"a/#\", priority = \"high\" }, { from = \"b/#\" },\n\
                { from = \"l/#\", priority = \"low\" }]\n";
    let config = Folder::new("priorities", text).load().unwrap().config;
    let found = config.upstreams[0].forward.iter().map(|route| route.priority);
    let expected = [Priority::High, Priority::Normal, Priority::Low, Priority::Normal];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_wrong_with_a_priority_is_told() {
    for (line, message) in [
        (
            "forward = [{ from = \"a\", priority = \"hihg\" }]",
            "error[C003]: `priority` cannot be `hihg`",
        ),
        (
            "forward = [{ from = \"a\", priority = 1 }]",
            "error[C003]: `priority` cannot be a number",
        ),
        (
            "receive = [{ from = \"a\", priority = \"high\" }]",
            "error[C006]: `priority` is for what is sent",
        ),
    ] {
        let text = format!("[upstream.a]\naddress = \"a:1\"\n{line}\n");
        assert_eq!(messages("priorities", &text), [message], "{line}");
    }
}
