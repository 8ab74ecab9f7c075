//! What is wrong with an alert is said at its place.

use crate::{check, diagnose, rule};

#[test]
fn alerts_are_checked() {
    check(
        &rule("[rule.r.alert]\nfor = \"5m\"\nmesage = \"x\""),
        r#"
error[R002]: unknown key `mesage`
  --> r.toml:6:1
6 | mesage = "x"
  | ^^^^^^ not a key of `alert`
  = help: did you mean `message`?

error[R003]: `for` needs a `when`
  --> r.toml:5:7
5 | for = "5m"
  |       ^^^^ there is no condition

error[R003]: `alert` needs a condition
  --> r.toml:4:9
4 | [rule.r.alert]
  |         ^^^^^ no `when` and no `silent`
  = help: for example when = "temperature > 30", or silent = "5m"
"#,
    );
    check(
        &rule(
            "select = { since = \"t\" }\nlimits = { expire = \"1m\" }\n[rule.r.alert]\n\
             when = \"t + 1\"\nrepeat = \"1ms\"\nsilent = \"5m\"\nmessage = \"{t} of {t > tmp + topic}\"",
        ),
        r#"
error[R004]: `repeat` is too short
  --> r.toml:8:10
8 | repeat = "1ms"
  |          ^^^^^ at least 1s

error[R006]: `since` is already an entry of the result
  --> r.toml:4:12
4 | select = { since = "t" }
  |            ^^^^^ choose another name

error[R004]: a key expires before it counts as silent
  --> r.toml:9:10
9 | silent = "5m"
  |          ^^^^ longer than `limits.expire`, which is 1m

error[R013]: expected true or false, found a number
  --> r.toml:7:9
7 | when = "t + 1"
  |         ^^^^^ gives a number

error[R013]: `+` needs a number
   --> r.toml:10:30
10 | message = "{t} of {t > tmp + topic}"
   |                              ^^^^^ this is a text
   = help: texts are joined with concat(a, b)
"#,
    );
    let text = "[rule.r]\nfrom = \"a/{x}/{y}\"\nby = [\"x\"]\nto = \"alerts/{y}/{t}\"\n\
        [rule.r.alert]\nwhen = \"t > 1\"\nrepeat = \"1h\"\n[[rule.r.test]]\nname = \"n\"\n\
        play = [{ at = \"0s\", topic = \"a/b/c\", payload = {} }]\nexpect = [{ times = 0 }]\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R003]: a test of an alert with `repeat` needs `until`
  --> r.toml:9:8
9 | name = "n"
  |        ^^^ reminders never end
  = help: say how far the clock goes, for example until = "3h"

error[R008]: `{y}` has no value
  --> r.toml:4:14
4 | to = "alerts/{y}/{t}"
  |              ^^^ an alert outlasts its messages
  = help: add "y" to `by`: then there is one alert for each y

error[R008]: `{t}` has no value
  --> r.toml:4:18
4 | to = "alerts/{y}/{t}"
  |                  ^^^ the topic of an alert is made from what is in `by`
  = help: names here: x
"#,
    );
}

#[test]
fn an_alert_is_sent_as_json_each_time_and_at_once() {
    let text = "[rule.r]\nfrom = \"a/{x}\"\nby = [\"x\"]\n\
        to = [{ topic = \"b/{x}\", format = \"number\" }, { topic = \"c\", value = \"v\" }]\n\
        change = { field = \"v\" }\ndedupe = { key = \"v\", within = \"1m\", keep = \"last\" }\n\
        [rule.r.alert]\nwhen = \"v > 1\"\n";
    check(
        &diagnose(&[("r.toml", text)]),
        r#"
error[R010]: `keep = "last"` and `change` do not go together
  --> r.toml:6:45
6 | dedupe = { key = "v", within = "1m", keep = "last" }
  |                                             ^^^^^^ the last message is known only when its time is over
  = help: use keep = "first"

error[R010]: `keep = "last"` and `alert` do not go together
  --> r.toml:6:45
6 | dedupe = { key = "v", within = "1m", keep = "last" }
  |                                             ^^^^^^ the last message is known only when its time is over
  = help: use keep = "first"

error[R004]: `change` and `alert` do not go together
  --> r.toml:5:1
5 | change = { field = "v" }
  | ^^^^^^ an alert is sent when it begins and when it ends, not for each result
  = help: leave it out, or put the alert into a rule that reads this one

error[R004]: an alert is sent as a JSON object
  --> r.toml:4:35
4 | to = [{ topic = "b/{x}", format = "number" }, { topic = "c", value = "v" }]
  |                                   ^^^^^^^^ this form has no place for its state
  = help: for one value add a rule that reads this one: from = "rule:NAME"

error[R004]: an alert is sent as a JSON object
  --> r.toml:4:70
4 | to = [{ topic = "b/{x}", format = "number" }, { topic = "c", value = "v" }]
  |                                                                      ^^^ this form has no place for its state
  = help: for one value add a rule that reads this one: from = "rule:NAME"
"#,
    );
}
