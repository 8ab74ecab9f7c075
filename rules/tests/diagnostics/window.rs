//! What a user reads when a window cannot be: exact texts.

use crate::{check, rule};

#[test]
fn windows_of_messages_and_of_the_calendar_say_what_is_wrong() {
    let window = |text: &str| rule(&format!("window = \"{text}\"\nselect = {{ n = \"count()\" }}"));
    check(
        &window("count ten every 0"),
        r#"
error[R009]: `ten` is not a number of messages
  --> r.toml:4:17
4 | window = "count ten every 0"
  |                 ^^^ a whole number from 1 to 1000000000
"#,
    );
    check(
        &window("session 5m max 1m"),
        r#"
error[R010]: a session is longer than the silence that ends it
  --> r.toml:4:26
4 | window = "session 5m max 1m"
  |                          ^^ at least 5m
"#,
    );
    check(
        &window("while power >"),
        r#"
error[R011]: expected a value, found the end
  --> r.toml:4:24
4 | window = "while power >"
  |                        ^ a value is missing here
"#,
    );
    check(
        &window("tumbling 5d at 06:00"),
        r#"
error[R010]: `5d` is no length of the calendar
  --> r.toml:4:20
4 | window = "tumbling 5d at 06:00"
  |                    ^^ 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d, 1w, 1mo, 2mo, 3mo, 4mo, 6mo or 1y
"#,
    );
    check(
        &window("tumbling 1d at 06:00 Europe/Berlni"),
        r#"
error[R010]: unknown time zone `Europe/Berlni`
  --> r.toml:4:32
4 | window = "tumbling 1d at 06:00 Europe/Berlni"
  |                                ^^^^^^^^^^^^^ not a name of the IANA database
  = help: did you mean `Europe/Berlin`?
"#,
    );
    check(
        &window("tumbling 1d at 25:00"),
        r#"
error[R010]: `25:00` is not a time of day
  --> r.toml:4:26
4 | window = "tumbling 1d at 25:00"
  |                          ^^^^^ for example 06:00
"#,
    );
    check(
        &window("tumbling 1d at monday 06:00"),
        r#"
error[R010]: only a window of a week begins on a day of the week
  --> r.toml:4:26
4 | window = "tumbling 1d at monday 06:00"
  |                          ^^^^^^ leave it out
"#,
    );
}

#[test]
fn what_a_window_cannot_emit_is_said() {
    let emit = |window: &str, emit: &str| {
        rule(&format!("window = \"{window}\"\nemit = {emit}\nselect = {{ n = \"count()\" }}"))
    };
    check(
        &emit("session 1m", "{ empty = true }"),
        r#"
error[R010]: `empty = true` needs windows that begin and end by the clock
  --> r.toml:5:18
5 | emit = { empty = true }
  |                  ^^^^ messages decide when this window ends
  = help: for example window = "sliding 5m every 10s"
"#,
    );
    check(
        &emit("sliding 1m", "{ early = \"1s\" }"),
        r#"
error[R010]: `early` needs a window that stays open for a while
  --> r.toml:5:18
5 | emit = { early = "1s" }
  |                  ^^^^ this one gives a result for each message anyway
"#,
    );
    check(
        &emit("tumbling 1m", "{ early = \"5ms\", late_topic = \"late\" }"),
        r#"
error[R009]: `early` is too short
  --> r.toml:5:18
5 | emit = { early = "5ms", late_topic = "late" }
  |                  ^^^^^ at least 100ms

error[R003]: `late_topic` needs `late = "topic"`
  --> r.toml:5:38
5 | emit = { early = "5ms", late_topic = "late" }
  |                                      ^^^^^^ nothing is sent there
"#,
    );
    check(
        &emit("tumbling 1m", "{ late = \"topic\" }"),
        r#"
error[R010]: `late = "topic"` needs a `time` field
  --> r.toml:5:17
5 | emit = { late = "topic" }
  |                 ^^^^^^^ by arrival, nothing is late
"#,
    );
}
