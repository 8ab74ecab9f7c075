//! What can be wrong with a fleet.

use super::*;

#[cfg(feature = "nats")]
#[test]
fn what_is_wrong_with_a_fleet_is_told() {
    let head = "[fleet]\naddress = \"a:4222\"\n";
    for (more, message) in [
        ("name = \"a.b\"", "C006]: `name` has what a subject cannot be named by"),
        ("prefix = \"weir >\"", "C006]: `prefix` has what a subject cannot be named by"),
        ("filters = [\"a/#/b\"]", "C008]: `a/#/b` cannot be shared"),
        ("filters = [\"a\", \"$SYS/#\"]", "C008]: `$SYS/#` cannot be shared"),
        ("filters = \"$share/g/a\"", "C008]: `$share/g/a` cannot be shared"),
        ("inbox_prefix = \"a..b\"", "C006]: no subject can begin like this"),
        ("token = \"a\"\nusername = \"b\"", "C006]: `username` and `token` are two ways to log in"),
        ("away_max = \"1s\"", "C004]: `away_max` cannot be 1s"),
    ] {
        let expected = format!("error[{message}");
        assert_eq!(messages("fleet", &format!("{head}{more}\n")), [expected], "{more}");
    }
    let message =
        "error[C006]: a fleet needs a store on disk: what the others are to have waits there";
    assert_eq!(messages("fleet-memory", &format!("persistence = false\n{head}")), [message]);
    let message = "error[C005]: a fleet meets at a NATS server";
    assert_eq!(messages("fleet-nowhere", "[fleet]\nname = \"a\"\n"), [message]);
}

#[cfg(feature = "nats")]
#[test]
fn a_fleet_has_what_its_section_says() {
    let text = "[fleet]\naddress = [\"a:4222\", \"b:4222\"]\nname = \"hall-3\"\n\
                filters = [\"site/#\", \"cmd/+\"]\ntoken_file = \"weir.toml\"\n\
                [fleet.tls]\ninsecure = true\n";
    let config = Folder::new("fleet-whole", text).load().unwrap().config;
    let fleet = config.fleet.expect("there is one");
    assert_eq!((fleet.address.len(), fleet.name.as_deref()), (2, Some("hall-3")));
    assert_eq!((fleet.prefix.as_str(), fleet.filters.len()), ("weir", 2));
    assert_eq!(fleet.nats.token.as_ref().map(crate::config::Secret::reveal), Some("[fleet]"));
    assert!(fleet.tls.is_some_and(|tls| tls.insecure));
    assert!(Folder::new("fleet-none", "#\n").load().unwrap().config.fleet.is_none());
}

#[cfg(not(feature = "nats"))]
#[test]
fn a_fleet_that_was_not_built_is_told() {
    let found = problems(Folder::new("fleet-not-built", "[fleet]\naddress = \"a:4222\"\n").load());
    assert!(found.contains("error[C006]: this weir was built without `nats`"), "{found}");
}
