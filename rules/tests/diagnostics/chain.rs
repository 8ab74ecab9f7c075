//! What is wrong with rules that read rules, and with joins, is said at its place.

use crate::{check, diagnose};

#[test]
fn chains_of_rules_are_checked() {
    let text = "[rule.mean]\nfrom = \"a/{x}\"\nby = [\"x\"]\nwindow = \"tumbling 1m\"\n\
        select = { temp = \"avg(t)\" }\n\
        [rule.one]\nfrom = \"rule:maen\"\nto = \"o\"\n\
        [rule.two]\nfrom = [\"b/{y}\", \"rule:mean\"]\nto = \"o\"\n\
        [rule.three]\nfrom = \"rule:mean\"\nwhere = \"tmp > 5\"\nto = \"o/{y}\"\n\
        [rule.four]\nfrom = \"rule:mean\"\ndecode = \"number\"\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R012]: there is no rule `maen`
  --> r.toml:7:8
7 | from = "rule:maen"
  |        ^^^^^^^^^^^ not a rule
  = help: did you mean `rule:mean`?

error[R004]: results of rule `mean` are JSON
   --> r.toml:17:8
17 | from = "rule:mean"
   |        ^^^^^^^^^^^ leave out `decode`

error[R003]: rule `four` has no `to`
   --> r.toml:16:7
16 | [rule.four]
   |       ^^^^ where do results go?

error[R008]: `{y}` has no value in results of a rule
   --> r.toml:10:18
10 | from = ["b/{y}", "rule:mean"]
   |                  ^^^^^^^^^^^ all of `from` must capture the same names
   = help: read them in two rules, or write + instead of the name

error[R012]: unknown field `tmp`
   --> r.toml:14:10
14 | where = "tmp > 5"
   |          ^^^ not in the results of the rule that is read
   = help: did you mean `temp`? fields: x, temp, window

error[R008]: `{y}` has no value
   --> r.toml:15:9
15 | to = "o/{y}"
   |         ^^^ no capture, key or output has this name
   = help: names here: none
"#,
    );
    let off =
        "[rule.off]\nenabled = false\nfrom = \"a\"\n[rule.r]\nfrom = \"rule:off\"\nto = \"b\"\n";
    check(
        &diagnose(&[("r.toml", off)]),
        r#"
warning[R012]: rule `off` is not enabled
  --> r.toml:5:8
5 | from = "rule:off"
  |        ^^^^^^^^^^ nothing comes from it
"#,
    );
}

#[test]
fn rules_that_wait_for_themselves_are_shown_with_their_way() {
    let text = "[rule.one]\nfrom = [\"a\", \"rule:three\"]\n[rule.two]\nfrom = \"rule:one\"\nto = \"c\"\n\
        [rule.three]\nfrom = \"c\"\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R019]: these rules feed each other without end
  --> r.toml:2:14
2 | from = ["a", "rule:three"]
  |              ^^^^^^^^^^^^ reads `three`
  = help: the loop is `one` -> `two` -> `three` -> `one`; a rule cannot wait for itself
"#,
    );
    let letters = "[rule.dead]\nfrom = \"$rules/+/errors\"\nto = \"dead\"\n";
    check(
        &diagnose(&[("r.toml", letters)]),
        r#"
error[R019]: rule `dead` feeds itself
  --> r.toml:2:8
2 | from = "$rules/+/errors"
  |        ^^^^^^^^^^^^^^^^^ reads what `dead` could not use
  = help: the loop is `dead` -> `dead`; give `errors` a topic that none of them reads
"#,
    );
    let elsewhere = format!("{letters}errors = \"dead/dead\"\n");
    assert_eq!(diagnose(&[("r.toml", &elsewhere)]), "");
}

#[test]
fn joins_are_checked() {
    let text = "[rule.r]\nfrom = \"t/{room}\"\ndecode = \"number\"\n\
        let = { room = \"1\", limit = \"2\" }\n\
        where = \"value > set && value > set.point\"\n\
        select = { a = \"config.low\" }\nto = \"o\"\n\
        [rule.r.join.set]\ntopic = \"set/{rom}\"\ndecode = \"number\"\n\
        [rule.r.join.config]\ntopic = \"config/{room}\"\nmaxage = \"1h\"\n\
        [rule.r.join.limit]\ntopic = \"limit/#/x\"\n[rule.r.join.none]\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R002]: unknown key `maxage`
   --> r.toml:13:1
13 | maxage = "1h"
   | ^^^^^^ not a key of a join
   = help: did you mean `max_age`?

error[R003]: join `none` has no `topic`
   --> r.toml:16:14
16 | [rule.r.join.none]
   |              ^^^^ whose last value?

error[R008]: `{rom}` has no value in messages of this rule
  --> r.toml:9:14
9 | topic = "set/{rom}"
  |              ^^^^^ captured by no filter of `from`
  = help: names here: room, value

error[R007]: `#` must be the last level
   --> r.toml:15:16
15 | topic = "limit/#/x"
   |                ^ matches the rest of the topic

error[R006]: `room` is already the name of a capture
  --> r.toml:4:9
4 | let = { room = "1", limit = "2" }
  |         ^^^^ choose another name

error[R006]: `limit` is already the name of a join
  --> r.toml:4:21
4 | let = { room = "1", limit = "2" }
  |                     ^^^^^ choose another name

error[R012]: join `set` is not one value by itself
  --> r.toml:5:18
5 | where = "value > set && value > set.point"
  |                  ^^^ its payload is one value
  = help: write set.value

error[R012]: join `set` is not one value by itself
  --> r.toml:5:33
5 | where = "value > set && value > set.point"
  |                                 ^^^^^^^^^ its payload is one value
  = help: write set.value
"#,
    );
    let text = "[rule.r]\nfrom = \"t/{room}\"\nto = \"o\"\n\
        [rule.r.join.set]\ntopic = \"set/{rooms}\"\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
warning[R008]: `{rooms}` is not captured by `from`, it is read from the payload
  --> r.toml:5:14
5 | topic = "set/{rooms}"
  |              ^^^^^^^ a payload field
  = help: did you mean `{room}`?

warning[R012]: join `set` is not used
  --> r.toml:4:14
4 | [rule.r.join.set]
  |              ^^^ nothing names it
  = help: its fields are set.NAME
"#,
    );
}
