use proptest::prelude::*;

use super::*;
use crate::payload::{FieldTree, read_json};
use crate::value::{Texts, Value};

/// Compiles for a JSON message; the locals are one capture named `room`.
fn check(source: &str) -> Result<(Program, FieldTree, String), Vec<Problem>> {
    let (mut fields, mut constants) = (FieldTree::default(), String::new());
    let kind = Type::Text;
    let room = Name { text: "room".into(), slot: 0, kind, after_key: false, role: "capture" };
    let mut scope = Scope {
        stage: Stage::Json,
        message_stage: Stage::Json,
        message: &[room],
        result: &[],
        fields: &mut fields,
        known: None,
        linked: None,
        joins: &mut Vec::new(),
        constants: &mut constants,
        aggregates: None,
        no_aggregates: "no window",
        mentions: None,
        prev: None,
        locals: &mut 1,
    };
    let program = compile_expression(source, Type::Any, &mut scope)?;
    Ok((program, fields, constants))
}

const PAYLOAD: &str = r#"{"t":21.5,"n":-4,"ok":true,"off":false,"name":"Hall","none":null,
    "odd name":7,"deep":{"a":[1,{"b":2}]},"list":[1]}"#;

fn eval_in(source: &str, payload: &str) -> Result<String, String> {
    let (program, fields, constants) = match check(source) {
        Ok(compiled) => compiled,
        Err(problems) => return Err(problems[0].message.clone()),
    };
    let mut slots = vec![Value::Null; fields.len()];
    let mut arena = String::new();
    let _ = read_json(payload, &fields, &mut slots, &mut arena);
    let room =
        Value::Text(crate::value::Text { place: crate::value::Place::Topic, start: 2, len: 4 });
    let mut texts = Texts { arena, client: "c1", constants: &constants, payload, topic: "a/hall" };
    let inputs = Inputs { fields: &slots, locals: &[room], qos: 1, retain: true, now: 1000 };
    match evaluate(&program, &inputs, &mut texts, &mut Vec::new()) {
        Err(fault) => Err(fault.message),
        Ok(Value::Text(text)) => Ok(texts.resolve(text).to_owned()),
        Ok(Value::Number(number)) => Ok(number.to_string()),
        Ok(Value::Bool(yes)) => Ok(yes.to_string()),
        Ok(Value::Null) => Ok("null".to_owned()),
        Ok(Value::Json(text)) => Ok(texts.resolve(text).to_owned()),
        Ok(Value::Composite) => Ok("composite".to_owned()),
    }
}

fn eval(source: &str) -> String {
    eval_in(source, PAYLOAD).unwrap_or_else(|error| format!("error: {error}"))
}

fn problem(source: &str) -> (String, Range<usize>) {
    let problems = check(source).unwrap_err();
    (problems[0].message.clone(), problems[0].span.clone())
}

#[test]
fn operators_bind_as_usual() {
    assert_eq!(eval("1 + 2 * 3 - 4 / 2"), "5");
    assert_eq!(eval("(1 + 2) * 3 % 4"), "1");
    assert_eq!(eval("-2 * -3"), "6");
    assert_eq!(eval("1 < 2 && 2 < 3 || false"), "true");
    assert_eq!(eval("1 < 2 and not 2 >= 3"), "true");
    assert_eq!(eval("missing ?? 0 > 5"), "false");
    assert_eq!(eval("true ? 1 : false ? 2 : 3"), "1");
    assert_eq!(eval("1_000 + 1e3 + 0.5"), "2000.5");
}

#[test]
fn names_are_fields_captures_and_parts_of_the_message() {
    assert_eq!(eval("t"), "21.5");
    assert_eq!(eval("payload[\"odd name\"]"), "7");
    assert_eq!(eval("deep.a[1].b + deep.a[0]"), "3");
    assert_eq!(eval("payload.t"), "21.5");
    assert_eq!(eval("room"), "hall");
    assert_eq!(eval("concat(topic, client, qos, retain, now)"), "a/hallc11true1000");
}

#[test]
fn null_propagates_but_does_not_decide() {
    assert_eq!(eval("missing + 1"), "null");
    assert_eq!(eval("none == null"), "true");
    assert_eq!(eval("missing != 3"), "true");
    assert_eq!(eval("missing > 3"), "null");
    assert_eq!(eval("missing && false"), "false");
    assert_eq!(eval("missing && true"), "null");
    assert_eq!(eval("missing || true"), "true");
    assert_eq!(eval("missing ? 1 : 2"), "null");
    assert_eq!(eval("!missing"), "null");
    assert_eq!(eval("coalesce(missing, none, 3, 4)"), "3");
    assert_eq!(eval("abs(missing)"), "null");
    assert_eq!(eval("1 / 0"), "null");
}

#[test]
fn functions_compute() {
    for (source, expected) in [
        ("abs(n)", "4"),
        ("min_of(3, 1, 2)", "1"),
        ("max_of(3, 1, 2)", "3"),
        ("round(2.5)", "3"),
        ("round(-2.345, 2)", "-2.35"),
        ("round(1234, -2)", "1200"),
        ("floor(-1.5)", "-2"),
        ("ceil(1.2)", "2"),
        ("sqrt(9)", "3"),
        ("sqrt(-1)", "null"),
        ("pow(2, 10)", "1024"),
        ("clamp(15, 0, 10)", "10"),
        ("lower(name)", "hall"),
        ("upper(name)", "HALL"),
        ("len(\"größe\")", "5"),
        ("contains(name, 'al')", "true"),
        ("starts_with(name, \"Ha\")", "true"),
        ("concat(name, ' ', t, ok)", "Hall 21.5true"),
        ("number(\" 4.5 \")", "4.5"),
        ("number('x')", "null"),
        ("number(ok)", "1"),
        ("text(t)", "21.5"),
        ("if(ok, 1, 2)", "1"),
        ("if(off, 1)", "null"),
        ("trunc(-1.7)", "-1"),
        ("sign(n) + sign(0)", "-1"),
        ("round(exp(1), 6)", "2.718282"),
        ("ln(exp(2))", "2"),
        ("ln(0)", "null"),
        ("log10(1000) + log2(8)", "6"),
        ("round(sin(radians(30)), 6)", "0.5"),
        ("round(degrees(atan2(1, -1)), 6)", "135"),
        ("round(cos(0) + tan(0) + asin(1) + acos(1) + atan(0), 6)", "2.570796"),
        ("acos(2)", "null"),
        ("between(t, 21, 21.5)", "true"),
        ("between(t, 22, 30)", "false"),
        ("in(name, 'Room', 'Hall')", "true"),
        ("in(n, 1, 2, 'x', true)", "false"),
        ("in(missing, 1)", "null"),
        ("bit(5, 2)", "true"),
        ("bit(5, 1)", "false"),
        ("bit(-1, 40)", "true"),
        ("bit(1.5, 0)", "null"),
        ("bits(48879, 4, 8)", "238"),
        ("bits(48879, 60, 8)", "null"),
        ("hex(48879)", "beef"),
        ("hex(10, 4)", "000a"),
        ("hex(-1)", "null"),
        ("from_hex('0xBEEF')", "48879"),
        ("from_hex('beeg')", "null"),
        ("from_hex('ffffffffffffffffffff')", "null"),
        ("round(distance_m(52.52, 13.405, 48.137, 11.575) / 1000)", "504"),
        ("distance_m(0, 0, 0, 180) > 20000000", "true"),
        ("round(dew_point(25, 50), 1)", "13.9"),
        ("dew_point(25, 0)", "null"),
        ("trim('  a b ')", "a b"),
        ("substr('größer', 2, 2)", "öß"),
        ("substr('größer', -3)", "ßer"),
        ("substr('abc', 5)", ""),
        ("substr('abc', -9, 2)", "ab"),
        ("replace('a-b-c', '-', '/')", "a/b/c"),
        ("replace('abc', '', 'x')", "abc"),
        ("split_part('a/bb/c', '/', 1)", "bb"),
        ("split_part('a/bb/c', '/', -1)", "c"),
        ("split_part('a/bb/c', '/', 3)", "null"),
        ("split_part('a', '', 0)", "null"),
        ("ends_with(name, 'll')", "true"),
        ("matches(name, 'H?l*')", "true"),
        ("matches('plant7/press12', '*/press??')", "true"),
        ("matches('plant7/press1', '*/press??')", "false"),
        ("matches('aXbXc', 'a*X*c')", "true"),
        ("matches('größe', 'gr??e')", "true"),
        ("pad_left(7, 3, '0')", "007"),
        ("pad_right('ab', 4)", "ab  "),
        ("pad_left('größer', 2)", "größer"),
        ("format('{:.1} C in {}', t, name)", "21.5 C in Hall"),
        ("format('{{{:6.2}}}', n)", "{ -4.00}"),
        ("format('{:06.1}|{:<6}|{:>6}', n, n, name)", "-004.0|-4    |  Hall"),
        ("format('{:.1}', -0.04)", "0.0"),
        ("format('{}', missing)", "null"),
        ("hour(1000 * 3600 * 26)", "2"),
        ("hour('2026-06-01T12:30:00Z', 'Europe/Berlin')", "14"),
        ("minute('2026-06-01T12:30:45Z') + second('2026-06-01T12:30:45Z')", "75"),
        ("weekday(0)", "4"),
        ("weekday('2026-11-29T23:30:00Z')", "7"),
        ("weekday('2026-11-29T23:30:00Z', 'Europe/Berlin')", "1"),
        ("date('2026-12-31T23:30:00Z', 'Europe/Berlin')", "2027-01-01"),
        ("day(0) + month(0) + year(0)", "1972"),
        ("time_text(now)", "1970-01-01T00:00:01.000Z"),
        ("time_text('2026-06-01T12:30:00Z', 'America/St_Johns')", "2026-06-01T10:00:00.000-02:30"),
        ("time_text(1e300)", "null"),
        ("parse_time('2026-01-01T00:00:00+01:00')", "1767222000000"),
        ("parse_time('yesterday')", "null"),
        ("duration('1h30m')", "5400000"),
        ("name == 'Hall' ? 'yes' : 'no'", "yes"),
        ("'a\\n\\'b' == \"a\\n'b\"", "true"),
    ] {
        assert_eq!(eval(source), expected, "{source}");
    }
}

#[test]
fn kinds_are_checked_when_rules_are_loaded() {
    assert_eq!(problem("topic + 1"), ("`+` needs a number".into(), 0..5));
    assert_eq!(problem("t > (qos == 1)"), ("`>` compares numbers or texts".into(), 5..13));
    assert_eq!(problem("room == 1"), ("`==` compares a text with a number".into(), 8..9));
    assert_eq!(problem("1 && true"), ("`&&` needs true or false".into(), 0..1));
    assert_eq!(problem("room.x"), ("`room` is a capture, it has no fields".into(), 0..6));
    assert_eq!(problem("avg(t)"), ("aggregate `avg` cannot stand here".into(), 0..6));
    assert_eq!(problem("rund(t)"), ("unknown function `rund`".into(), 0..4));
    assert_eq!(problem("substr(name, 'x')"), ("`substr()` needs a number".into(), 13..16));
    assert_eq!(problem("hour(ok == true)"), ("`hour()` needs a time".into(), 5..15));
    assert_eq!(problem("hour(t, name)").0, "a time zone must be known when the rule is loaded");
    assert_eq!(
        problem("hour(t, 'Europe/Berlim')"),
        ("unknown time zone `Europe/Berlim`".into(), 8..23)
    );
    assert_eq!(problem("format(name)").0, "the pattern must be known when the rule is loaded");
    assert_eq!(
        problem("matches(name, name)").0,
        "the pattern must be known when the rule is loaded"
    );
    assert_eq!(problem("ewma(t, '1h')"), ("`ewma` cannot stand here".into(), 0..13));
    for (pattern, reason) in [
        ("'{} {}', t", "it has 2 places for 1 values"),
        ("'{', t", "a brace is not closed"),
        ("'}', t", "a brace that stands for itself is written twice"),
        ("'{:x}', t", "`{:x}` is not a place for a value; write {}, {:.1} or {:05.1}"),
        ("'{:.101}', t", "`{:.101}` is not a place for a value; write {}, {:.1} or {:05.1}"),
    ] {
        let problems = check(&format!("format({pattern})")).unwrap_err();
        assert_eq!(problems[0].label, reason);
    }
    assert_eq!(problem("pow(t)"), ("wrong number of arguments for `pow`".into(), 0..6));
}

#[test]
fn kinds_are_checked_for_each_message() {
    let error = |source| eval_in(source, PAYLOAD).unwrap_err();
    assert_eq!(error("name * 2 + 1"), "`*` cannot take a text and a number in `name * 2`");
    assert_eq!(error("t && true"), "`&&` cannot take a number and true or false in `t && true`");
    assert_eq!(error("t ? 1 : 2"), "expected true or false, found a number in `t`");
    assert_eq!(error("1 + round(name)"), "round() cannot take a text in `round(name)`");
    assert_eq!(error("-ok"), "`-` cannot take true or false in `-ok`");
    assert_eq!(error("list + 1"), "`+` cannot take an object or array and a number in `list + 1`");
}

#[test]
fn mistakes_of_form_say_where() {
    assert_eq!(problem("1 +"), ("expected a value, found the end".into(), 3..3));
    assert_eq!(problem("a b"), ("unexpected `b`".into(), 2..3));
    assert_eq!(problem("(a"), ("expected `)`, found the end".into(), 2..2));
    assert_eq!(problem("a < b < c"), ("comparisons cannot be chained".into(), 6..7));
    assert_eq!(problem("a = b"), ("unexpected `=`".into(), 2..3));
    assert_eq!(problem("'abc"), ("the text does not end".into(), 0..1));
    assert_eq!(problem("5x"), ("this is neither a number nor a name".into(), 0..2));
    assert_eq!(problem(""), ("expected a value, found the end".into(), 0..0));
    assert_eq!(problem("1e999"), ("number out of range".into(), 0..5));
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = "(".repeat(100) + "1" + &")".repeat(100);
    assert_eq!(problem(&deep).0, "expression is nested too deep");
    let path = "a".to_owned() + &".b".repeat(60);
    assert_eq!(problem(&path).0, "path has too many steps");
    let long = "1+".repeat(600) + "1";
    assert_eq!(problem(&long).0, "expression of 1202 words is too long");
    assert_eq!(problem(&"1".repeat(5000)).0, "expression of 5000 bytes is too long");
    assert_eq!(eval(&("1+".repeat(500) + "1")), "501");
    let doubled = "concat(".repeat(20) + "name" + &", name)".repeat(20);
    assert_eq!(eval(&doubled).len(), 4 * 21);
}

/// Words that make many texts that are nearly expressions.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("1"),
        Just("t"),
        Just("name"),
        Just("deep.a[1].b"),
        Just("+"),
        Just("-"),
        Just("*"),
        Just("("),
        Just(")"),
        Just("?"),
        Just(":"),
        Just("??"),
        Just("&&"),
        Just("<"),
        Just("=="),
        Just("!"),
        Just("not"),
        Just("'x'"),
        Just("max_of("),
        Just("concat("),
        Just(","),
        Just("null"),
        Just("ok"),
        Just("if("),
        Just("pow("),
        Just("round("),
        Just("list"),
        Just("text("),
        Just("number("),
        Just("coalesce("),
        Just("upper("),
        Just("format("),
        Just("hour("),
        Just("since("),
        Just("changed("),
        Just("ewma("),
        Just("substr("),
        Just("'{:.1}'"),
        Just("'1h'"),
        Just("missing"),
    ];
    proptest::collection::vec(word, 0..30).prop_map(|words| words.join(" "))
}

/// An argument of any kind; the constants are those that some functions want.
fn argument() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,20}(\\.[0-9]{1,3})?(e-?[0-9]{1,2})?",
        Just("t".to_owned()),
        Just("n".to_owned()),
        Just("ok".to_owned()),
        Just("list".to_owned()),
        Just("missing".to_owned()),
        Just("1e308".to_owned()),
        Just("-9007199254740992".to_owned()),
        Just("253402300799999".to_owned()),
        "'[a-zäß/*?{}:.0-9 -]{0,8}'",
        Just("'Asia/Kolkata'".to_owned()),
        Just("'10m'".to_owned()),
        Just("'2026-02-29T00:00:00Z'".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn arbitrary_values_through_every_function_never_panic(
        which: prop::sample::Index, arguments in proptest::collection::vec(argument(), 0..6),
    ) {
        let names: Vec<&str> = names_of_functions().collect();
        let _ = eval_in(&format!("{}({})", which.get(&names), arguments.join(", ")), PAYLOAD);
    }

    #[test]
    fn patterns_fit_like_their_plain_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        fn fits(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern, text) {
                ([], _) => text.is_empty(),
                ([b'*', rest @ ..], _) => {
                    fits(rest, text) || (!text.is_empty() && fits(pattern, &text[1..]))
                }
                ([sign, rest @ ..], [first, others @ ..]) => {
                    (*sign == b'?' || sign == first) && fits(rest, others)
                }
                _ => false,
            }
        }
        let expected = fits(pattern.as_bytes(), text.as_bytes()).to_string();
        prop_assert_eq!(eval(&format!("matches('{text}', '{pattern}')")), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn arbitrary_texts_never_panic(source in "\\PC{0,60}") {
        let _ = eval_in(&source, PAYLOAD);
    }

    #[test]
    fn near_expressions_never_panic_and_problems_have_a_place(source in words()) {
        if let Err(problems) = check(&source) {
            for problem in problems {
                prop_assert!(problem.span.start <= problem.span.end);
                prop_assert!(source.get(problem.span.clone()).is_some(), "{problem:?}");
            }
        }
        let _ = eval_in(&source, PAYLOAD);
    }

    #[test]
    fn arithmetic_is_that_of_the_machine(a in -1e6f64..1e6, b in -1e6f64..1e6) {
        let payload = format!("{{\"a\":{a:?},\"b\":{b:?}}}");
        let found = eval_in("(a + b) * a - b / 3", &payload).unwrap();
        prop_assert_eq!(found, ((a + b) * a - b / 3.0).to_string());
    }
}
