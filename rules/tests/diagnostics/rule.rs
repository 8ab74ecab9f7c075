//! What a user reads when a rule is wrong: exact texts.

use weir_rules::{Severity, Source, compile};

use crate::{check, diagnose, rule};

#[test]
fn all_problems_of_all_files_are_reported_at_once() {
    let first = "[rule.a]\nform = \"x/#\"\nto = \"y\"\n";
    let second = "[rule.b]\nfrom = \"x/#\"\nto = \"agg/{site}\"\nwindow = \"tumbling 1x\"\n\
        select = { m = \"avrg(temperature)\", n = \"count()\" }\n";
    let found = diagnose(&[("one.toml", first), ("two.toml", second)]);
    check(
        &found,
        r#"
error[R003]: rule `a` has no `from`
  --> one.toml:1:7
1 | [rule.a]
  |       ^ which topics does it read?

error[R002]: unknown key `form`
  --> one.toml:2:1
2 | form = "x/#"
  | ^^^^ not a key of a rule
  = help: did you mean `from`?

error[R009]: `1x` is not a duration
  --> two.toml:4:20
4 | window = "tumbling 1x"
  |                    ^^ unknown unit `x`; units are ms, s, m, h, d, w

error[R014]: unknown function `avrg`
  --> two.toml:5:17
5 | select = { m = "avrg(temperature)", n = "count()" }
  |                 ^^^^ not a function
  = help: did you mean `avg`?

error[R008]: `{site}` has no value
  --> two.toml:3:11
3 | to = "agg/{site}"
  |           ^^^^^^ no capture, key or output has this name
  = help: names here: m, n
"#,
    );
}

#[test]
fn what_is_not_toml_is_said_as_such() {
    check(
        &diagnose(&[("r.toml", "[rule.r]\nfrom = \"a\nto = \"b\"\n")]),
        r#"
error[R001]: not TOML: invalid basic string, expected `"`
  --> r.toml:2:10
2 | from = "a
  |          ^ here
"#,
    );
}

#[test]
fn columns_are_right_behind_escapes_and_wide_characters() {
    check(
        &rule(r#"where = "x == \"ü\" && tmp + topic > 1""#),
        r#"
error[R013]: `+` needs a number
  --> r.toml:4:30
4 | where = "x == \"ü\" && tmp + topic > 1"
  |                              ^^^^^ this is a text
  = help: texts are joined with concat(a, b)
"#,
    );
    check(
        &rule("where = '''\n  qos >\n  topic'''"),
        r#"
error[R013]: `>` compares a number with a text
  --> r.toml:6:3
6 |   topic'''
  |   ^^^^^ this is a text
"#,
    );
}

#[test]
fn constant_arguments_of_aggregates_are_checked() {
    check(
        &rule(
            r#"window = "tumbling 1m"
select = {
    a = "ewma(t, '5 parsecs')",
    b = "integral(t, 'days')",
    c = "collect(t, n)",
    d = "argmax(t)",
    e = "collect(t, 3) + 1",
    f = "rate(t, 'h')",
}"#,
        ),
        r#"
error[R009]: `5 parsecs` is not a duration
  --> r.toml:6:18
6 |     a = "ewma(t, '5 parsecs')",
  |                  ^^^^^^^^^^^ unknown unit `parsecs`; units are ms, s, m, h, d, w

error[R014]: `days` is not a unit of time
  --> r.toml:7:22
7 |     b = "integral(t, 'days')",
  |                      ^^^^^^ one of ms, s, m, h, d

error[R014]: how many values must be known when the rule is loaded
  --> r.toml:8:21
8 |     c = "collect(t, n)",
  |                     ^ a whole number from 1 to 1000

error[R014]: wrong number of arguments for `argmax`
  --> r.toml:9:10
9 |     d = "argmax(t)",
  |          ^^^^^^^^^ called here
  = help: it is used as argmax(x, y)

error[R013]: `+` needs a number
   --> r.toml:10:10
10 |     e = "collect(t, 3) + 1",
   |          ^^^^^^^^^^^^^ this is a list

error[R014]: wrong number of arguments for `rate`
   --> r.toml:11:10
11 |     f = "rate(t, 'h')",
   |          ^^^^^^^^^^^^ called here
   = help: it is used as rate(x)
"#,
    );
}

#[test]
fn aggregates_stand_only_in_results_of_windows() {
    check(
        &rule("select = { t = \"max(t)\" }"),
        r#"
error[R015]: aggregate `max` cannot stand here
  --> r.toml:4:17
4 | select = { t = "max(t)" }
  |                 ^^^^^^ an aggregate needs a `window`
  = help: the max of several values of one message is max_of
"#,
    );
    check(
        &rule("window = \"tumbling 1m\"\nwhere = \"t > avg(t)\"\nselect = { t = \"t + 1\" }"),
        r#"
error[R015]: aggregate `avg` cannot stand here
  --> r.toml:5:14
5 | where = "t > avg(t)"
  |              ^^^^^^ this is computed for each message; aggregates stand in `select` and `having`

error[R012]: unknown name `t`
  --> r.toml:6:17
6 | select = { t = "t + 1" }
  |                 ^ a result has only keys, outputs and aggregates
  = help: for a field of the last message write last(t)
"#,
    );
}

#[test]
fn captures_of_windows_must_be_grouped_by() {
    let text = "[rule.r]\nfrom = \"site/{site}/t\"\nwindow = \"tumbling 1m\"\n\
        select = { n = \"count()\" }\nto = \"agg/{site}/{sit}\"\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R008]: `{site}` has no value
  --> r.toml:5:11
5 | to = "agg/{site}/{sit}"
  |           ^^^^^^ a result is made from many messages
  = help: add "site" to `by`: then there is one window for each site

error[R008]: `{sit}` has no value
  --> r.toml:5:18
5 | to = "agg/{site}/{sit}"
  |                  ^^^^^ no capture, key or output has this name
  = help: names here: n
"#,
    );
}

#[test]
fn a_mistyped_capture_is_suspected() {
    let text = "[rule.r]\nfrom = \"site/{site}/t\"\nto = \"agg/{sites}\"\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
warning[R008]: `{sites}` is not a capture, it is read from the payload
  --> r.toml:3:11
3 | to = "agg/{sites}"
  |           ^^^^^^^ a payload field
  = help: did you mean `{site}`?
"#,
    );
}

#[test]
fn windows_are_checked() {
    let window = |text: &str| rule(&format!("window = \"{text}\"\nselect = {{ n = \"count()\" }}"));
    check(
        &window("sliding 1d every 7s"),
        r#"
error[R010]: the window needs 86400 panes of 1s, at most 4096 are possible
  --> r.toml:4:10
4 | window = "sliding 1d every 7s"
  |          ^^^^^^^^^^^^^^^^^^^^^ step and length have too small a common divisor
  = help: choose a longer step, or one that divides the length
"#,
    );
    check(
        &window("slidng 5m every 10s"),
        r#"
error[R010]: unknown window `slidng`
  --> r.toml:4:11
4 | window = "slidng 5m every 10s"
  |           ^^^^^^ not a window
  = help: did you mean `sliding`? windows: tumbling D, sliding D every D, sliding D, count N every N, session D max D, while EXPRESSION
"#,
    );
    check(
        &window("sliding 10s every 1m"),
        r#"
error[R010]: the step is longer than the window
  --> r.toml:4:10
4 | window = "sliding 10s every 1m"
  |          ^^^^^^^^^^^^^^^^^^^^^^ messages between two windows would be lost
"#,
    );
    check(
        &window("sliding 5m every"),
        r#"
error[R009]: a duration is missing
  --> r.toml:4:27
4 | window = "sliding 5m every"
  |                           ^ expected here
"#,
    );
}

#[test]
fn rules_that_feed_themselves_are_shown_with_their_way() {
    let text = "[rule.one]\nfrom = \"a/{x}\"\nto = \"b/{x}\"\n\
        [rule.two]\nfrom = \"b/#\"\nto = \"c\"\n\
        [rule.three]\nfrom = \"c\"\nto = [\"d\", \"a/again\"]\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R019]: these rules feed each other without end
  --> r.toml:9:12
9 | to = ["d", "a/again"]
  |            ^^^^^^^^^ is read by `one`
  = help: the loop is `one` -> `two` -> `three` -> `one`; write to a topic that none of them reads
"#,
    );
    let own = "[rule.self]\nfrom = \"a/{x}\"\nto = \"a/{x}\"\n";
    assert!(diagnose(&[("r.toml", own)]).contains("rule `self` feeds itself"));
    let upstream =
        "[rule.up]\nfrom = \"a/{x}\"\nto = { topic = \"a/{x}\", upstream = \"cloud\" }\n";
    assert_eq!(diagnose(&[("r.toml", upstream)]), "");
}

#[test]
fn one_retained_topic_has_one_writer() {
    let text = "[rule.one]\nfrom = \"a/{x}\"\nto = { topic = \"out/{x}\", retain = true }\n\
        [rule.two]\nfrom = \"b/{y}\"\nto = { topic = \"out/{y}\", retain = true }\n\
        [rule.three]\nfrom = \"c\"\nto = { topic = \"out/c\", retain = true }\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R018]: rule `one` writes this retained topic, too
  --> r.toml:6:16
6 | to = { topic = "out/{y}", retain = true }
  |                ^^^^^^^^^ each would overwrite the value of the other
  = help: give each rule a topic of its own

warning[R018]: rule `one` may write the same retained topic
  --> r.toml:9:16
9 | to = { topic = "out/c", retain = true }
  |                ^^^^^^^ each would overwrite the value of the other
  = help: give each rule a topic of its own
"#,
    );
}

#[test]
fn memory_is_forecast() {
    let text = "[rule.r]\nfrom = \"a/{x}\"\nby = [\"x\"]\nwindow = \"sliding 1h every 10s\"\n\
        select = { m = \"avg(t)\" }\nto = \"b\"\nlimits = { keys = 5000, memory = \"16 MiB\" }\n";
    let found = diagnose(&[("r.toml", text)]);
    assert!(found.starts_with("error[R017]: 5000 keys of about 11."), "{found}");
    assert!(found.contains("7 | limits = { keys = 5000"), "{found}");
}

#[test]
fn unit_that_is_not_given_is_noted() {
    let text = "[rule.r]\nfrom = \"a\"\ntime = \"ts\"\nwindow = \"tumbling 1m\"\n\
        select = { n = \"count()\" }\nto = \"b\"\n";
    let plan = compile(&[Source::new("r.toml", text)]).expect("it is only a note");
    assert_eq!(plan.warnings()[0].severity(), Severity::Note);
    check(
        &plan.warnings()[0].to_string(),
        r#"
note[R020]: the unit of `ts` is guessed for each message
  --> r.toml:3:8
3 | time = "ts"
  |        ^^^^ s, ms, us or ns by its size
  = help: say it with unit = "s", "ms", "us", "ns" or "rfc3339"
"#,
    );
}

#[test]
fn names_are_used_once() {
    check(
        &rule("by = [\"x\"]\nlet = { x = \"1\", topic = \"2\" }\nselect = { x = \"1\" }"),
        r#"
error[R006]: `x` is already the name of a capture
  --> r.toml:5:9
5 | let = { x = "1", topic = "2" }
  |         ^ choose another name

error[R006]: `topic` already has a meaning
  --> r.toml:5:18
5 | let = { x = "1", topic = "2" }
  |                  ^^^^^ choose another name

error[R006]: `x` is already the name of a key
  --> r.toml:6:12
6 | select = { x = "1" }
  |            ^ choose another name
"#,
    );
}

#[test]
fn values_of_the_wrong_kind_are_named() {
    check(
        &rule(
            "enabled = \"yes\"\nemit = { late = \"updat\" }\nlimits = { keys = 0, memory = \"lots\" }",
        ),
        r#"
error[R004]: `enabled` must be true or false
  --> r.toml:4:11
4 | enabled = "yes"
  |           ^^^^^ this is a text

error[R004]: unknown late `updat`
  --> r.toml:5:17
5 | emit = { late = "updat" }
  |                 ^^^^^^^ not one of the choices
  = help: did you mean `update`? choices: drop, topic, update

error[R004]: `keys` must be a whole number from 1 to 16777216
  --> r.toml:6:19
6 | limits = { keys = 0, memory = "lots" }
  |                   ^ this is a TOML integer

error[R009]: `lots` is not a size
  --> r.toml:6:31
6 | limits = { keys = 0, memory = "lots" }
  |                               ^^^^^^ write it like 512 KiB, 16 MiB or 1 GiB
"#,
    );
}

#[test]
fn change_says_what_it_cannot_do() {
    check(
        &rule(
            "change = { field = [], by = -1, at_most_every = \"0s\", every = \"1s\" }\n\
             select = { v = \"v\" }",
        ),
        r#"
error[R004]: `field` must be a field or a list of 1 to 64 fields
  --> r.toml:4:20
4 | change = { field = [], by = -1, at_most_every = "0s", every = "1s" }
  |                    ^^ this is a TOML array

error[R004]: `by` must be a number, 0 or more
  --> r.toml:4:29
4 | change = { field = [], by = -1, at_most_every = "0s", every = "1s" }
  |                             ^^ this is a TOML integer

error[R004]: `at_most_every` must be longer than 0
  --> r.toml:4:49
4 | change = { field = [], by = -1, at_most_every = "0s", every = "1s" }
  |                                                 ^^^^ no time at all

error[R002]: unknown key `every`
  --> r.toml:4:55
4 | change = { field = [], by = -1, at_most_every = "0s", every = "1s" }
  |                                                       ^^^^^ not a key of `change`
  = help: keys of `change`: field, by, or_percent, at_least_every, at_most_every
"#,
    );
    check(
        &rule("change = { by = 1 }"),
        r#"
error[R003]: `change` needs a field
  --> r.toml:4:1
4 | change = { by = 1 }
  | ^^^^^^ which value decides?
  = help: for example change = { field = "temperature", by = 0.5 }
"#,
    );
    check(
        &rule(
            "change = { field = \"n\", at_most_every = \"1m\", at_least_every = \"1s\" }\n\
             window = \"tumbling 1m\"\nselect = { n = \"count()\" }\n\
             time = { field = \"ts\", unit = \"ms\" }\nemit = { late = \"update\" }",
        ),
        r#"
error[R010]: `at_most_every` is for rules without window
  --> r.toml:4:41
4 | change = { field = "n", at_most_every = "1m", at_least_every = "1s" }
  |                                         ^^^^ this rule has a window
  = help: a window says itself how often: `sliding 5m every 10s`

error[R010]: `late = "update"` and `change` do not go together
  --> r.toml:8:17
8 | emit = { late = "update" }
  |                 ^^^^^^^^ a correction would be compared with a later window

error[R004]: `at_least_every` is shorter than `at_most_every`
  --> r.toml:4:64
4 | change = { field = "n", at_most_every = "1m", at_least_every = "1s" }
  |                                                                ^^^^ both cannot be
"#,
    );
    check(
        &rule("change = { field = \"x\", by = 1 }"),
        r#"
error[R013]: expected a number, found a text
  --> r.toml:4:21
4 | change = { field = "x", by = 1 }
  |                     ^ gives a text
"#,
    );
}

#[test]
fn dedupe_says_what_it_needs() {
    check(
        &rule("dedupe = { keep = \"latest\" }"),
        r#"
error[R004]: unknown keep `latest`
  --> r.toml:4:19
4 | dedupe = { keep = "latest" }
  |                   ^^^^^^^^ not one of the choices
  = help: did you mean `last`? choices: first, last

error[R003]: `dedupe` needs `key`
  --> r.toml:4:1
4 | dedupe = { keep = "latest" }
  | ^^^^^^ no `key`
  = help: for example dedupe = { key = ["device", "number"], within = "5m" }

error[R003]: `dedupe` needs `within`
  --> r.toml:4:1
4 | dedupe = { keep = "latest" }
  | ^^^^^^ no `within`
  = help: for example dedupe = { key = ["device", "number"], within = "5m" }
"#,
    );
    check(
        &rule(
            "dedupe = { key = \"n\", within = \"0s\", keep = \"last\" }\n\
             window = \"tumbling 1m\"\nselect = { n = \"count()\" }",
        ),
        r#"
error[R004]: `within` must be longer than 0
  --> r.toml:4:32
4 | dedupe = { key = "n", within = "0s", keep = "last" }
  |                                ^^^^ no time at all

error[R010]: `keep = "last"` and `window` do not go together
  --> r.toml:4:45
4 | dedupe = { key = "n", within = "0s", keep = "last" }
  |                                             ^^^^^^ the last message is known only when its time is over
  = help: use keep = "first"
"#,
    );
}
