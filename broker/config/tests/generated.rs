//! What differs between two readings, and what is generated from the declarations.

mod home;

use home::{DECLARED, right};
use weir_config::{Codes, Declared, Form, Initial, Key, Kind, Limits, Section, differences};

#[test]
fn keys_that_say_something_else_are_named_as_they_are_written() {
    let before = "[limits]\nwatts = 8\n[[lamp]]\nname = \"a\"\nway = [{ from = \"x\" }]\n\
                  [far.x]\naddress = \"1\"\npassword = \"old\"\ntls = { cafile = \"a\" }\n\
                  [far.gone]\naddress = \"1\"\n";
    let after = "# Elsewhere, and a default written down.\n[far.x]\npassword = \"new\"\n\
                 address = \"1\"\ntls = { cafile = \"b\" }\n[[lamp]]\nname = \"a\"\n\
                 way = [{ from = \"x\", qos = 2 }]\n[limits]\nshare = 0.5\nwatts = 9\n\
                 [limits.night]\ndimmed = true\n[far.come]\naddress = \"1\"\n";
    let (before, after) = (right(&[before]), right(&[after]));
    assert_eq!(differences(&before, &before), []);
    let found = differences(&before, &after);
    let shown = found.iter().map(|found| {
        format!("{} | {}: {} -> {}", found.section, found.key, found.before, found.after)
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "limits | limits.watts: 8 -> 9",
            "limits.night | limits.night.dimmed: not set -> true",
            "lamp | [[lamp]] 1: way: [{ from = \"x\" }] -> [{ from = \"x\", qos = 2 }]",
            "far | far.x.password: a secret -> a secret",
            "far | far.x.tls.cafile: \"/etc/home/a\" -> \"/etc/home/b\"",
        ]
    );
    let more = right(&["[[lamp]]\nname = \"a\"\n[[lamp]]\nname = \"b\"\n"]);
    let found = differences(&before, &more);
    let lamps = found.iter().find(|found| found.section == "lamp").expect("one has come");
    assert_eq!((lamps.before.as_str(), lamps.after.as_str()), ("1 entry", "2 entries"));
}

#[test]
fn page_has_every_table_and_every_key() {
    let page = DECLARED.page("# Home\n");
    assert!(page.starts_with("# Home\n\n## Before the first section\n\nThe house.\n\n| key |"));
    for row in [
        "\n## `[[lamp]]`\n",
        "\n## `[[lamp.rule]]`\n",
        "\n## `[far.cloud.tls]`\n",
        "\n| `watts` | `8` | 1 to 100 W | It is. |\n",
        "\n| `colour` | `false` | \"red\", \"green\", false | It is. |\n",
        "\n| `name` | must be given | small letters | It is. Example: `\"hall\"` |\n",
        "\n| `tags` | nothing | text, or a list of them | It is. Example: `\"a\"` |\n",
        "\n| `rule` | nothing | tables `[[lamp.rule]]` | It is. Example: `[{ from = \"a\" }]` |\n",
        "\n| `way` | nothing | a list of { from, qos = 1 } | It is. Example: `[{ from = \"a\" }]` |\n",
    ] {
        assert!(page.contains(row), "{row} is missing in\n{page}");
    }
}

#[test]
fn sample_has_every_key_commented_out_and_can_be_read() {
    let sample = DECLARED.sample("# Home\n");
    for line in [
        "\n# It is. Possible: 1 to 100 W.\n#watts = 8\n",
        "\n# It is. Possible: small letters. Must be given.\n#name = \"hall\"\n",
        "\n[limits]\n",
        "\n#[[lamp]]\n",
        "\n#[far.cloud.tls]\n",
    ] {
        assert!(sample.contains(line), "{line} is missing in\n{sample}");
    }
    // What has a header of its own is not a key beside it.
    assert!(!sample.contains("#tls =") && !sample.contains("#rule ="), "{sample}");
    assert!(home::read(&[&sample]).1.is_empty());
    assert_eq!(DECLARED.faults(), Vec::<String>::new());
}

#[test]
fn declarations_that_are_wrong_are_told() {
    const KEY: Key = Key {
        name: "watts",
        text: "It is.",
        kind: Kind::Whole { min: 1, max: 5, unit: "" },
        initial: Initial::Default("6"),
    };
    static WRONG: Section =
        Section { name: "lamp", form: Form::Table, text: "A lamp.", keys: &[KEY, KEY] };
    const CODE: &str = "X";
    const FAULTY: Declared = Declared {
        sections: &[&WRONG],
        codes: Codes {
            not_toml: CODE,
            unknown: CODE,
            value: CODE,
            range: CODE,
            missing: CODE,
            limit: CODE,
            later: CODE,
        },
        limits: Limits { text_bytes: 9, elements: 9, entries: 9 },
        later: &[],
        service: "",
    };
    static TWICE: Declared = FAULTY;
    let faults = TWICE.faults();
    assert!(faults[0].contains("`watts` is declared twice"), "{faults:?}");
    // A sample with a key twice is no TOML, so that the default is not looked at any more.
    assert!(faults[1].contains("duplicate key"), "{faults:?}");
    static OUT_OF_RANGE: Section =
        Section { name: "lamp", form: Form::Table, text: "A lamp.", keys: &[KEY] };
    static OUT: Declared = Declared { sections: &[&OUT_OF_RANGE], ..FAULTY };
    assert!(OUT.faults()[0].contains("`watts` cannot be 6"), "{:?}", OUT.faults());
}
