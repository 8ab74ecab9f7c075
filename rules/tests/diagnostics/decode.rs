//! What a user reads when a payload cannot be read as a rule says: exact texts.

use crate::{check, diagnose_one, rule};

#[test]
fn decoders_that_cannot_be_read_say_what_they_want() {
    let lines = [
        "decode = \"msgpac\"",
        "decode = \"bytes:f32@4\"",
        "decode = { csv = [\"a\", \"b\", \"a\"], separator = \"1\" }",
        "decode = { bytes = { t = \"i16be@0\", low = \"bool@3\" } }",
        "decode = { csv = \"first\", seperator = \";\" }",
        "decode = { separator = \";\" }",
    ];
    let found: Vec<String> = lines.iter().map(|line| rule(line)).collect();
    check(
        &found.join("\n"),
        r#"
error[R004]: unknown decode `msgpac`
  --> r.toml:4:10
4 | decode = "msgpac"
  |          ^^^^^^^^ not one of the choices
  = help: did you mean `msgpack`? choices: json, number, text, bool, cbor, msgpack, influx, csv, sparkplug, bytes:TYPE@BYTE

error[R004]: `f32@4` is not a place in a payload
  --> r.toml:4:17
4 | decode = "bytes:f32@4"
  |                 ^^^^^ say le or be: which byte comes first
  = help: for example f32le@4, u16be@0 or bool@3.7

error[R006]: column `a` is named twice
  --> r.toml:4:29
4 | decode = { csv = ["a", "b", "a"], separator = "1" }
  |                             ^^^ second time

error[R004]: this cannot separate columns
  --> r.toml:4:47
4 | decode = { csv = ["a", "b", "a"], separator = "1" }
  |                                               ^^^ this is part of numbers

error[R004]: `bool@3` is not a place in a payload
  --> r.toml:4:44
4 | decode = { bytes = { t = "i16be@0", low = "bool@3" } }
  |                                            ^^^^^^ write the bit as bool@0.7
  = help: for example f32le@4, u16be@0 or bool@3.7

error[R004]: `csv` must be a list of columns, or "header" if the first row names them
  --> r.toml:4:18
4 | decode = { csv = "first", seperator = ";" }
  |                  ^^^^^^^ this is a text

error[R002]: unknown key `seperator`
  --> r.toml:4:27
4 | decode = { csv = "first", seperator = ";" }
  |                           ^^^^^^^^^ not a key of `decode`
  = help: did you mean `separator`?

error[R003]: `decode` is a word, or a table with `csv` or `bytes`
  --> r.toml:4:10
4 | decode = { separator = ";" }
  |          ^^^^^^^^^^^^^^^^^^^ one of the two
  = help: for example decode = { csv = ["time", "temp"] }
"#,
    );
}

#[test]
fn fields_that_a_decoder_does_not_give_are_found_when_the_rule_is_loaded() {
    check(
        &rule(
            "decode = { bytes = { temp = \"i16be@0\", low = \"bool@2.0\" } }\n\
             where = \"tmp > 5 && low.bit && temp\"\nselect = { a = \"payload.low + 1\" }",
        ),
        r#"
error[R012]: unknown name `tmp`
  --> r.toml:5:10
5 | where = "tmp > 5 && low.bit && temp"
  |          ^^^ not a field that `decode` gives
  = help: did you mean `temp`? fields here: temp, low

error[R013]: `low` is one value, it has no fields
  --> r.toml:5:21
5 | where = "tmp > 5 && low.bit && temp"
  |                     ^^^^^^^ not an object

error[R013]: `&&` needs true or false
  --> r.toml:5:32
5 | where = "tmp > 5 && low.bit && temp"
  |                                ^^^^ this is a number

error[R013]: `+` needs a number
  --> r.toml:6:17
6 | select = { a = "payload.low + 1" }
  |                 ^^^^^^^^^^^ this is true or false
"#,
    );
}

#[test]
fn rules_that_read_metrics_need_topics_that_have_some_and_a_select() {
    let text = "[rule.r]\nfrom = [\"spBv1.0/g/DDATA/n\", \"spBv1.0/g/DATA/n/d\", \"spBv1.0/+/+/n/#\"]\n\
        decode = \"sparkplug\"\nto = \"o\"\nwhere = \"name == 'x'\"\n";
    check(
        &diagnose_one(text),
        r#"
error[R003]: rule `r` reads metrics, but has no `select`
  --> r.toml:1:7
1 | [rule.r]
  |       ^ what is sent of each metric?
  = help: for example select = { metric = "metric", value = "value" }

error[R007]: `spBv1.0/g/DDATA/n` matches no topic of Sparkplug metrics
  --> r.toml:2:9
2 | from = ["spBv1.0/g/DDATA/n", "spBv1.0/g/DATA/n/d", "spBv1.0/+/+/n/#"]
  |         ^^^^^^^^^^^^^^^^^^^ group, kind of message, node, and for D... the device
  = help: for example spBv1.0/{group}/DDATA/{node}/{device} or spBv1.0/{group}/NDATA/{node}

error[R007]: `spBv1.0/g/DATA/n/d` matches no topic of Sparkplug metrics
  --> r.toml:2:30
2 | from = ["spBv1.0/g/DDATA/n", "spBv1.0/g/DATA/n/d", "spBv1.0/+/+/n/#"]
  |                              ^^^^^^^^^^^^^^^^^^^^ group, kind of message, node, and for D... the device
  = help: for example spBv1.0/{group}/DDATA/{node}/{device} or spBv1.0/{group}/NDATA/{node}

error[R012]: unknown name `name`
  --> r.toml:5:10
5 | where = "name == 'x'"
  |          ^^^^ not a field that `decode` gives
  = help: fields here: alias, datatype, is_historical, is_null, metric, timestamp, value
"#,
    );
}

#[test]
fn payloads_of_tests_are_one_and_can_be_read() {
    check(
        &rule(
            "[[rule.r.test]]\nname = \"n\"\nplay = [\n  { at = \"0s\", topic = \"a/b\", payload_hex = \"0g\" },\n\
             { at = \"0s\", topic = \"a/b\", payload = \"x\", payload_base64 = \"QQ==\" },\n\
             { at = \"0s\", topic = \"a/b\", payload_base64 = \"QQ\" },\n\
             { at = \"0s\", topic = \"a/b\", payload_hex = \"00\", jitter = 1 },\n]\n\
             expect = [{ times = 1 }]",
        ),
        r#"
error[R004]: these are not the bytes of a payload
  --> r.toml:7:45
7 |   { at = "0s", topic = "a/b", payload_hex = "0g" },
  |                                             ^^^^ must be two digits for each byte

error[R006]: a message has one payload
  --> r.toml:8:61
8 | { at = "0s", topic = "a/b", payload = "x", payload_base64 = "QQ==" },
  |                                                             ^^^^^^ second one

error[R004]: these are not the bytes of a payload
  --> r.toml:9:46
9 | { at = "0s", topic = "a/b", payload_base64 = "QQ" },
  |                                              ^^^^ must be base64 with its padding

error[R004]: `jitter` needs a payload that is a text
   --> r.toml:10:49
10 | { at = "0s", topic = "a/b", payload_hex = "00", jitter = 1 },
   |                                                 ^^^^^^ these are bytes
"#,
    );
}
