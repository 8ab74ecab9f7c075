//! A configuration with a table of each form and a key of each kind.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::time::Duration;

use weir_config::{
    Codes, Declared, Form, Given, Initial, Key, Kind, Limits, Notation, Problems, Refusal, Section,
    Source, Tree,
};

pub(crate) static DECLARED: Declared = Declared {
    sections: &[&TOP, &LIMITS, &LIMITS_NIGHT, &LAMP, &LAMP_RULE, &FAR, &FAR_TLS],
    codes: Codes {
        not_toml: "H1",
        unknown: "H2",
        value: "H3",
        range: "H4",
        missing: "H5",
        limit: "H6",
        later: "H7",
    },
    limits: Limits { text_bytes: 20, elements: 3, entries: 2 },
    later: &["limits.soon"],
    service: "home.service",
};

pub(crate) static TOP: Section = Section {
    name: "",
    form: Form::Top,
    text: "The house.",
    keys: &[
        key("data_dir", Kind::Path, Initial::Default("\"data\"")),
        key("files", Kind::List { of: &Kind::Glob, least: 0 }, unset("[\"*.toml\"]")),
    ],
};
pub(crate) static LIMITS: Section = Section {
    name: "limits",
    form: Form::Table,
    text: "What it may take.",
    keys: &[
        key("watts", Kind::Whole { min: 1, max: 100, unit: "W" }, Initial::Default("8")),
        key("share", Kind::Number { min: 0.0, max: 1.0, unit: "" }, Initial::Default("0.5")),
        key("memory", Kind::Size { min: 1024, max: 1 << 20 }, Initial::Default("\"64KB\"")),
        key("pause", Kind::Duration { min: ms(1), max: ms(5_000) }, Initial::Default("\"1s\"")),
        key("every_s", Kind::Seconds { min: 0.1, max: 60.0 }, Initial::Default("1.5")),
        key("warm", Kind::Flag, Initial::Default("true")),
        key("bounds", Kind::Bounds("room"), unset("{ hall = [0, 5] }")),
        key("offset", Kind::Numbers("room"), unset("{ hall = -0.5 }")),
    ],
};
pub(crate) static LIMITS_NIGHT: Section = Section {
    name: "limits.night",
    form: Form::Table,
    text: "What it may take at night.",
    keys: &[key("secret", Kind::Secret, unset("\"x\"")), key("dimmed", Kind::Flag, unset("true"))],
};
pub(crate) static LAMP: Section = Section {
    name: "lamp",
    form: Form::List,
    text: "A lamp.",
    keys: &[
        key("name", Kind::Notation(&LOWER), Initial::Required { example: "\"hall\"" }),
        key("colour", Kind::Choice(&["red", "green", "false"]), Initial::Default("false")),
        key("modes", Kind::List { of: &Kind::Choice(&["a", "b"]), least: 1 }, unset("[\"a\"]")),
        key("tags", Kind::List { of: &Kind::Text, least: 0 }, unset("\"a\"")),
        key("rule", Kind::Tables(&LAMP_RULE), unset("[{ from = \"a\" }]")),
        key("way", Kind::Tables(&WAY), unset("[{ from = \"a\" }]")),
    ],
};
pub(crate) static LAMP_RULE: Section = Section {
    name: "lamp.rule",
    form: Form::WithinList,
    text: "When it is on.",
    keys: &[key("from", Kind::Text, Initial::Required { example: "\"door\"" })],
};
/// Without a header of its own.
static WAY: Section = Section {
    name: "way",
    form: Form::WithinList,
    text: "A way.",
    keys: &[
        key("from", Kind::Text, Initial::Required { example: "\"a\"" }),
        key("qos", Kind::Whole { min: 0, max: 2, unit: "" }, Initial::Default("1")),
    ],
};
pub(crate) static FAR: Section = Section {
    name: "far",
    form: Form::Named { what: "a far end", example: "cloud" },
    text: "Somebody far away.",
    keys: &[
        key("address", Kind::Text, Initial::Required { example: "\"x:1\"" }),
        key("password", Kind::Secret, unset("\"x\"")),
        key("tls", Kind::Table(&FAR_TLS), unset("{}")),
    ],
};
pub(crate) static FAR_TLS: Section = Section {
    name: "far.tls",
    form: Form::Within,
    text: "TLS to it.",
    keys: &[
        key("cafile", Kind::Path, Initial::Required { example: "\"ca.pem\"" }),
        key("insecure", Kind::Flag, Initial::Default("false")),
    ],
};

static LOWER: Notation = Notation { range: "small letters", read: lower };

fn lower(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    match text.chars().all(|c| c.is_ascii_alphabetic()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(given.refuse_text(text).help("for example \"hall\"")),
    }
}

const fn key(name: &'static str, kind: Kind, initial: Initial) -> Key {
    Key { name, text: "It is.", kind, initial }
}

const fn unset(example: &'static str) -> Initial {
    Initial::Unset { example, meaning: "nothing" }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A text, as one source.
pub(crate) fn source(text: &str) -> Source {
    Source { name: "home.toml".into(), text: text.to_owned(), folder: "/etc/home".into() }
}

/// Reads texts over each other.
pub(crate) fn read(texts: &[&str]) -> (Tree, Vec<String>) {
    let sources: Vec<Source> = texts.iter().map(|text| source(text)).collect();
    let (mut tree, mut problems) = (Tree::new(&DECLARED), Problems::default());
    for (number, source) in sources.iter().enumerate() {
        tree.lay(number, source, &mut problems);
    }
    tree.check_required(&mut problems);
    (tree, problems.into_diagnostics(&sources).iter().map(ToString::to_string).collect())
}

/// Reads a text that is right.
#[track_caller]
pub(crate) fn right(texts: &[&str]) -> Tree {
    let (tree, problems) = read(texts);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    tree
}

/// The one problem of a text.
#[track_caller]
pub(crate) fn problem(text: &str) -> String {
    let (_, problems) = read(&[text]);
    assert_eq!(problems.len(), 1, "{}", problems.join("\n"));
    problems.into_iter().next().unwrap_or_default()
}
