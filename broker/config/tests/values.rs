//! Values of every kind: read, left out, and refused.

mod home;

use std::path::{Path, PathBuf};
use std::time::Duration;

use home::{FAR, LAMP, LIMITS, LIMITS_NIGHT, TOP, problem, read, right};
use weir_config::Values;

#[test]
fn value_of_every_kind_is_read() {
    let tree = right(&["data_dir = \"/data\"\nfiles = [\"a/*.toml\", \"b.toml\"]\n\
        [limits]\nwatts = 0x10\nshare = 1\nmemory = 2048\npause = \"250 ms\"\nevery_s = 0.5\n\
        warm = false\nbounds = { hall = [-1, 2.5] }\noffset = { hall = 1e3 }\n\
        [limits.night]\nsecret = \"x\"\n\
        [[lamp]]\nname = \"HALL\"\ncolour = \"green\"\nmodes = [\"b\", \"a\"]\ntags = \"one\"\n\
        way = [{ from = \"a\" }, { from = \"b\", qos = 2 }]\n[[lamp.rule]]\nfrom = \"door\"\n\
        [far.away]\naddress = \"x:1\"\ntls = { cafile = \"ca.pem\" }\n"]);
    let top = tree.table(&TOP);
    assert_eq!(top.path("data_dir"), Path::new("/data"));
    let files = top.placed_paths("files").into_iter().map(|placed| placed.value);
    let expected = ["/etc/home/a/*.toml", "/etc/home/b.toml"].map(PathBuf::from);
    assert_eq!(files.collect::<Vec<_>>(), expected);
    let limits = tree.table(&LIMITS);
    assert_eq!((limits.whole::<u8>("watts"), limits.number("share")), (16, 1.0));
    assert_eq!((limits.size("memory"), limits.small_size("memory")), (2048, 2048));
    assert_eq!(limits.duration("pause"), Duration::from_millis(250));
    assert_eq!(limits.duration("every_s"), Duration::from_millis(500));
    assert!(!limits.flag("warm"));
    assert_eq!(limits.bounds("bounds"), [("hall".to_owned(), -1.0, 2.5)]);
    assert_eq!(limits.numbers("offset"), [("hall".to_owned(), 1000.0)]);
    assert_eq!(tree.table(&LIMITS_NIGHT).text("secret"), "x");
    let lamp = &tree.list(&LAMP)[0];
    assert_eq!((lamp.text("name").as_str(), lamp.choice("colour")), ("hall", "green"));
    assert_eq!((lamp.choices("modes"), lamp.texts("tags")), (vec!["b", "a"], vec!["one".into()]));
    assert_eq!(lamp.tables("rule")[0].text("from"), "door");
    let qos = lamp.tables("way").iter().map(|way| way.whole::<u8>("qos"));
    assert_eq!(qos.collect::<Vec<_>>(), [1, 2]);
    let far = &tree.named(&FAR)["away"];
    let tls = far.table("tls").expect("it was given");
    assert_eq!((tls.path("cafile"), tls.flag("insecure")), ("/etc/home/ca.pem".into(), false));
}

#[test]
fn what_is_left_out_has_its_default_or_no_value() {
    let tree = right(&[""]);
    let (top, limits) = (tree.table(&TOP), tree.table(&LIMITS));
    assert_eq!(top.path("data_dir"), Path::new("data"));
    assert!(top.placed_paths("files").is_empty() && top.is_missing("files"));
    assert_eq!((limits.whole::<u8>("watts"), limits.size("memory")), (8, 65_536));
    assert_eq!(limits.duration("every_s"), Duration::from_millis(1500));
    assert!(limits.bounds("bounds").is_empty() && limits.numbers("offset").is_empty());
    assert_eq!(tree.table(&LIMITS_NIGHT).optional("dimmed", Values::flag), None);
    assert!(tree.list(&LAMP).is_empty() && tree.place_of_list(&LAMP).is_none());
    assert!(tree.named(&FAR).is_empty());
}

#[test]
fn value_that_cannot_be_is_refused_with_what_can() {
    for (line, expected) in [
        ("watts = 0", "H4]: `watts` cannot be 0\n|must be 1 to 100 W"),
        ("watts = \"8\"", "H3]: `watts` cannot be `8`\n|must be a whole number"),
        ("watts = 1.5", "H3]: `watts` cannot be a float\n|must be a whole number"),
        ("share = 1.5", "H4]: `share` cannot be 1.5\n|must be 0 to 1"),
        ("share = nan", "H4]: `share` cannot be NaN\n|must be 0 to 1"),
        ("share = true", "H3]: `share` cannot be a boolean\n|must be a number"),
        ("memory = \"1PB\"", "H3]: `memory` cannot be `1PB`\n|units: B, KB, MB, GB"),
        ("memory = 5", "H4]: `memory` cannot be 5B\n|must be 1KB to 1MB"),
        ("memory = -5", "H3]: `memory` cannot be a number\n|must be a size"),
        ("pause = 5", "H3]: `pause` cannot be a number\n|for example \"5s\""),
        ("pause = \"0s\"", "H4]: `pause` cannot be 0s\n|must be 1ms to 5s"),
        ("every_s = 61", "H4]: `every_s` cannot be 61\n|must be 0.1 to 60 seconds"),
        ("warm = 1", "H3]: `warm` cannot be a number\n|must be true or false"),
        ("bounds = { hall = [2, 1] }", "H3]: `bounds` cannot be a list\n|[least, greatest]"),
        ("bounds = { hall = [1, \"2\", 3] }", "H3]: `bounds` cannot be a list\n|two numbers"),
        ("bounds = 5", "H3]: `bounds` cannot be a number\n|{ room = [least, greatest] }"),
        ("offset = { hall = inf }", "H3]: `offset` cannot be a float\n|must be a number"),
        ("offset = { a = 1, b = 2, c = 3, d = 4 }", "H3]: `offset` cannot be a table\n|number }"),
    ] {
        let told = problem(&format!("[limits]\n{line}\n"));
        let (first, other) = expected.split_once('|').expect("it has two parts");
        assert!(told.starts_with(&format!("error[{first}")) && told.contains(other), "{told}");
    }
}

#[test]
fn text_that_cannot_be_is_refused_with_what_can() {
    let long = format!("tags = \"{}\"", "x".repeat(21));
    for (line, expected) in [
        ("name = \"a1\"", "H3]: `name` cannot be `a1`\n|must be small letters"),
        ("name = 5", "H3]: `name` cannot be a number\n|must be text in quotes"),
        ("name = \"\"", "H3]: `name` cannot be an empty text\n|leave the key out instead"),
        ("name = \"http://me:x@h\"", "H3]: `name` cannot be `http://****@h`\n|for example"),
        ("name = \"a\"\ncolour = \"gren\"", "H3]: `colour` cannot be `gren`\n|`green`?"),
        ("name = \"a\"\ncolour = \"false\"", "H3]: `colour` cannot be `false`\n|must be one of"),
        ("name = \"a\"\ncolour = true", "H3]: `colour` cannot be a boolean\n|\"green\", false"),
        ("name = \"a\"\nmodes = []", "H3]: `modes` cannot be an empty list\n|one element or"),
        ("name = \"a\"\ntags = [\"\", \"b\"]", "H3]: `tags` cannot be an empty text\n|text in"),
        (
            "name = \"a\"\ntags = [\"a\", \"b\", \"c\", \"d\"]",
            "H3]: `tags` cannot be a list of 4\n|must be 3 elements or fewer",
        ),
        (&format!("name = \"a\"\n{long}"), "H3]: `tags` cannot be 21 bytes long\n|1 to 20 bytes"),
    ] {
        let told = problem(&format!("[[lamp]]\n{line}\n"));
        let (first, other) = expected.split_once('|').expect("it has two parts");
        assert!(told.starts_with(&format!("error[{first}")) && told.contains(other), "{told}");
    }
}

#[test]
fn every_wrong_element_of_a_list_is_told_with_its_place() {
    let (_, told) = read(&["[[lamp]]\nname = \"a\"\nmodes = [\"x\", \"a\", 5]\n"]);
    assert_eq!(told.len(), 2);
    assert!(told[0].contains("home.toml:3:10") && told[1].contains("home.toml:3:20"), "{told:?}");
}

#[test]
fn secret_is_not_shown() {
    let told = problem("[limits.night]\nsecret = [\"hunter2\"]\n");
    assert!(told.contains("`secret` cannot be a list"), "{told}");
    let told = problem("[far.a]\naddress = \"x\"\npassword = hunter2\n");
    assert!(!told.contains("hunter2") && told.contains("password = *******"), "{told}");
}

/// `credential:NAME` is a file that the service manager has put somewhere.
#[test]
fn path_may_be_a_credential_of_the_service() {
    let tree = right(&["data_dir = \"credential:key\"\n"]);
    let path = tree.table(&TOP).path("data_dir");
    assert!(path.ends_with("key") && !path.starts_with("/etc/home"), "{path:?}");
    let told = problem("data_dir = \"credential:a/b\"\n");
    assert!(told.contains("must be a credential"), "{told}");
}
