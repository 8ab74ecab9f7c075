use crate::case::run_cases;
use crate::code;
use crate::compile::compile;
use crate::expression::names_of_functions;
use crate::source::{Source, TableFile};

const GUIDE: &str = include_str!("../../../docs/rules.md");

/// The TOML blocks of the guide.
fn blocks() -> Vec<Source> {
    let parts = GUIDE.split("```toml\n").skip(1).enumerate();
    let block = |text: &str| text.split("```").next().unwrap_or_default().to_owned();
    let table = block(GUIDE.split("```csv\n").nth(1).expect("the guide shows a table"));
    let source = |(number, text): (usize, &str)| {
        let mut source = Source::new(format!("block {number}"), block(text));
        let file = |name: String| {
            let (path, content) = (name.clone(), Ok(table.clone()));
            TableFile { name, path, content }
        };
        source.tables = source.table_names().into_iter().map(file).collect();
        source
    };
    parts.map(source).collect()
}

#[test]
fn failed_expectation_says_what_was_sent_instead() {
    let text = r#"[rule.r]
from = "t/{k}"
to = "o/{k}"
decode = "number"
[[rule.r.test]]
name = "wrong on purpose"
play = [
    { at = "0s", topic = "t/a", payload = "x" },
    { at = "1s", topic = "t/a", payload = "1" },
]
expect = [
    { topic = "o/b" },
    { topic = "o/a", times = 1 },
]
"#;
    let report = run_cases(&[Source::new("r.toml", text)]).expect("it compiles");
    assert!(!report.passed());
    let expected = r#"r: wrong on purpose ... FAILED
error[R030]: expected at least once, was sent never
   --> r.toml:12:5
12 |     { topic = "o/b" },
   |     ^^^^^^^^^^^^^^^^^ not met
   = help: was sent: $rules/r/errors x (R101: payload is not a number)
   = help: was sent: o/a 1
"#;
    assert_eq!(report.to_string(), expected);
}

#[test]
fn mistakes_in_expectations_are_diagnostics() {
    let text = "[rule.r]\nfrom = \"t\"\nto = \"o\"\n[[rule.r.test]]\nname = \"n\"\n\
        play = [{ at = \"0s\", topic = \"t\", payload = {} }]\n\
        expect = [{ topic = \"a/#/b\", where = \"x >\" }]\n";
    let problems = run_cases(&[Source::new("r.toml", text)]).unwrap_err();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code()).collect();
    assert_eq!(codes, ["R007", "R011"]);
    assert_eq!(problems[1].position(), Some((7, 42)));
}

#[test]
fn examples_of_the_guide_compile_and_pass_their_tests() {
    let blocks = blocks();
    assert!(blocks.len() >= 5);
    for block in &blocks {
        let plan = compile(std::slice::from_ref(block)).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<String>())
        });
        assert!(plan.warnings().is_empty(), "{}", plan.warnings()[0]);
    }
    let report = run_cases(&blocks).expect("they compile");
    assert!(report.passed(), "{report}");
}

#[test]
fn guide_names_every_function_and_aggregate() {
    for name in names_of_functions() {
        assert!(GUIDE.contains(&format!("{name}(")), "{name} is not in the guide");
    }
}

#[test]
fn guide_explains_every_code() {
    let codes = include_str!("../code.rs").split('"').filter(|part| part.starts_with('R'));
    let mut count = 0;
    for code in codes {
        assert!(GUIDE.contains(&format!("| {code} |")), "{code} is not in the guide");
        count += 1;
    }
    assert!(count > 25);
    assert_eq!(code::CASE, "R030");
}

mod fuzz {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Engine;
    use crate::message::{Event, Timestamp};

    /// Pieces of rule files, some of them wrong.
    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("from = \"a/{x}\"".to_owned()),
            Just("to = \"b/{x}\"".to_owned()),
            Just("by = [\"x\"]".to_owned()),
            "window = \"(tumbling|sliding|count|hopping) [0-9]{1,3}(s|m|h|)( every [0-9](s|x))?\"",
            "window = \"(while [a-z] > [0-9]|session [0-9]s( max [0-9]{2}s)?|tumbling 1(d|w|mo|y) at (mon |)0?[0-9]:00( UTC)?)\"",
            "decode = \"(json|number|text|bool|cbor)\"",
            "select = \\{ [a-c] = \"(avg|count|sum|p9|foo)\\((t|x|)\\)( [+*] [a-z1])?\" \\}",
            "where = \"[a-z<>=()0-9 .'&|?:]{0,20}\"",
            "let = \\{ [a-d] = \"prev\\.[a-d]( [+] 1)?\" \\}",
            "time = (\"ts\"|\\{ field = \"ts\", late = \"[0-9](s|m|)\" \\})",
            "emit = \\{ (late = \"update\"|late = \"topic\"|empty = true|early = \"[0-9]s\") \\}",
            "limits = \\{ (keys = [0-9]{1,4}|memory = \"[0-9]{1,3} KiB\"|expire = \"[0-9]{1,3}s\") \\}",
            "[a-z]{1,6} = ([0-9]|true|\"[a-z{}]*\"|\\{\\})",
        ]
    }

    proptest! {
        #[test]
        fn arbitrary_files_never_panic(text in "\\PC{0,200}") {
            let _ = run_cases(&[Source::new("f", text)]);
        }

        #[test]
        fn near_rules_never_panic(
            lines in proptest::collection::vec(line(), 1..8),
            payloads in proptest::collection::vec("\\PC{0,12}|[0-9]{1,3}|\\{\"(t|x|ts)\":[0-9]{1,4}\\}", 0..10),
        ) {
            let text = format!("[rule.r]\n{}\n", lines.join("\n"));
            if let Ok(plan) = compile(&[Source::new("f", text)]) {
                let mut engine = Engine::new(plan);
                let mut out = Vec::new();
                for (number, payload) in payloads.iter().enumerate() {
                    let arrived = Timestamp(number as i64 * 700);
                    let (topic, qos, retain, client) = ("a/b", 0, false, "c");
                    let payload = payload.as_bytes();
                    let event = Event { topic, payload, qos, retain, client, arrived };
                    engine.handle(arrived, &event, &mut out);
                    engine.take_delta(&mut Vec::new());
                }
            }
        }
    }
}
