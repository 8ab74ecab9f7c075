//! `lookup` from the file to what is sent, and tables that change while the rules run.

mod common;

use common::START;
use weir_rules::{Engine, Event, Source, TableFile, Timestamp, compile, run_cases};

const RULE: &str = r#"[rule.tagged]
from   = "plc/{tag}"
let    = { celsius = "(value - meter.offset) * meter.gain" }
where  = "meter.enabled"
select = { name = "meter.name", celsius = "celsius" }
to     = "plant/{meter.area}/{tag}"
[rule.tagged.lookup.meter]
file = "meters.csv"
key  = "tag"
"#;

const TABLE: &str = "tag,offset,gain,enabled,name,area\n\
                     t1,10,2,true,Boiler,north\n\
                     t2,0,1,false,Spare,south\n";

fn source(rule: &str, table: &str) -> Source {
    let mut source = Source::new("rules/tags.toml", rule);
    source.tables.push(TableFile {
        name: "meters.csv".to_owned(),
        path: "rules/meters.csv".to_owned(),
        content: Ok(table.to_owned()),
    });
    source
}

fn engine(rule: &str, table: &str) -> Engine {
    Engine::new(compile(&[source(rule, table)]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<String>())
    }))
}

/// Topics and payloads that come of a number.
fn send(engine: &mut Engine, topic: &str, payload: &str) -> Vec<String> {
    let (arrived, payload) = (Timestamp(START), payload.as_bytes());
    let event = Event { topic, payload, qos: 1, retain: false, client: "c", arrived };
    let mut out = Vec::new();
    engine.handle(arrived, &event, &mut out);
    let text = |emission: &weir_rules::Emission| {
        let payload = String::from_utf8_lossy(&emission.payload);
        let error = emission.error.as_ref();
        let why = error.map_or(String::new(), |why| format!("{}: {} ", why.code, why.message));
        format!("{why}{} {payload}", emission.topic)
    };
    out.iter().map(text).collect()
}

fn problems(rule: &str, table: &str) -> String {
    let list = compile(&[source(rule, table)]).expect_err("it is wrong");
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn columns_are_values_of_the_message() {
    let mut engine = engine(RULE, TABLE);
    let expected = r#"plant/north/t1 {"name":"Boiler","celsius":30}"#;
    assert_eq!(send(&mut engine, "plc/t1", "25"), [expected]);
    assert_eq!(send(&mut engine, "plc/t2", "25"), [""; 0]);
}

#[test]
fn message_without_a_row_is_a_dead_letter_or_what_the_rule_says() {
    let with = |miss: &str| format!("{RULE}miss = \"{miss}\"\n");
    let mut error = engine(RULE, TABLE);
    let expected = "R122: no row for `t9` in meters.csv $rules/tagged/errors 25";
    assert_eq!(send(&mut error, "plc/t9", "25"), [expected]);
    let mut drop = engine(&with("drop"), TABLE);
    assert_eq!(send(&mut drop, "plc/t9", "25"), [""; 0]);
    assert_eq!(drop.status()[0].filtered, 1);
    let rule = with("null").replace("\"meter.enabled\"", "\"meter.enabled ?? true\"");
    let mut null = engine(&rule.replace("plant/{meter.area}", "plant"), TABLE);
    assert_eq!(send(&mut null, "plc/t9", "25"), [r#"plant/t9 {"name":null,"celsius":null}"#]);
}

#[test]
fn windows_group_and_compute_with_columns() {
    let rule = "[rule.r]\nfrom = \"plc/{tag}\"\nby = { area = \"meter.area\" }\n\
                window = \"tumbling 1m\"\nselect = { sum = \"sum(value * meter.gain)\" }\n\
                to = { topic = \"area/{area}\", format = \"number\" }\n\
                [rule.r.lookup.meter]\nfile = \"meters.csv\"\nkey = \"tag\"\n";
    let mut engine = engine(rule, TABLE);
    send(&mut engine, "plc/t1", "1");
    send(&mut engine, "plc/t1", "2");
    send(&mut engine, "plc/t2", "5");
    let mut out = Vec::new();
    common::finish(&mut engine, &mut out);
    let mut sent: Vec<String> = out
        .iter()
        .map(|one| format!("{} {}", one.topic, String::from_utf8_lossy(&one.payload)))
        .collect();
    sent.sort();
    assert_eq!(sent, ["area/north 6", "area/south 5"]);
}

#[test]
fn alerts_compare_with_columns_and_name_them() {
    let rule = "[rule.r]\nfrom = \"plc/{tag}\"\nby = [\"tag\"]\n\
                dedupe = { key = [\"number\"], within = \"5m\" }\nto = \"alerts/{tag}\"\n\
                [rule.r.lookup.meter]\nfile = \"meters.csv\"\nkey = \"tag\"\n\
                [rule.r.alert]\nwhen = \"meter.offset < t\"\nmessage = \"{meter.name} at {t}\"\n";
    let mut engine = engine(rule, TABLE);
    assert_eq!(send(&mut engine, "plc/t1", r#"{"number":1,"t":9}"#).len(), 0);
    let sent = send(&mut engine, "plc/t1", r#"{"number":2,"t":11}"#);
    let end = r#""value":11,"message":"Boiler at 11"}"#;
    assert!(sent.len() == 1 && sent[0].ends_with(end), "{sent:?}");
    // It comes again, and is not looked at.
    assert_eq!(send(&mut engine, "plc/t1", r#"{"number":1,"t":9}"#).len(), 0);
    let sent = send(&mut engine, "plc/t1", r#"{"number":3,"t":9}"#);
    assert!(sent.len() == 1 && sent[0].contains("resolved"), "{sent:?}");
}

#[test]
fn tables_are_found_by_joined_values_but_not_called_like_a_join() {
    let rule = "[rule.r]\nfrom = \"plc/{tag}\"\nselect = { name = \"meter.name\" }\n\
                to = \"out\"\n[rule.r.join.alias]\ntopic = \"alias/{tag}\"\n\
                decode = \"text\"\n[rule.r.lookup.meter]\nfile = \"meters.csv\"\n\
                key = \"alias.value\"\n";
    let mut engine = engine(rule, TABLE);
    assert_eq!(send(&mut engine, "alias/x", "t2").len(), 0);
    assert_eq!(send(&mut engine, "plc/x", "{}"), ["out {\"name\":\"Spare\"}"]);
    let found = problems(&rule.replace("lookup.meter", "lookup.alias"), TABLE);
    assert!(found.contains("`alias` is already the name of a join"), "{found}");
}

#[test]
fn another_table_takes_over_and_the_state_stays() {
    let rule = RULE.replace("celsius = \"celsius\"", "celsius = \"celsius\", was = \"prev.value\"");
    let mut engine = engine(&rule, TABLE);
    send(&mut engine, "plc/t1", "25");
    // Columns in another order, and one more.
    let table = "tag,note,area,name,enabled,gain,offset\nt1,x,west,Kiln,true,1,0\n";
    let plan = compile(&[source(&rule, table)]).expect("it compiles");
    assert_eq!(engine.exchange(plan), []);
    let expected = r#"plant/west/t1 {"name":"Kiln","celsius":26,"was":25}"#;
    assert_eq!(send(&mut engine, "plc/t1", "26"), [expected]);
}

#[test]
fn tests_of_rule_files_read_the_table() {
    let rule = format!(
        "{RULE}[[rule.tagged.test]]\nname = \"n\"\n\
         play = [{{ at = \"0s\", topic = \"plc/t1\", payload = \"25\" }}]\n\
         expect = [{{ topic = \"plant/north/t1\", where = \"celsius == 30\", times = 1 }}]\n"
    );
    let report = run_cases(&[source(&rule, TABLE)]).expect("it compiles");
    assert!(report.passed(), "{report}");
}

#[test]
fn what_is_wrong_with_a_table_is_told_with_its_line() {
    let found = problems(RULE, "tag,offset\nt1,1\nt1,2\nt2\n");
    let expected = r#"error[R040]: two rows have the key `t1`
  --> rules/meters.csv:3:1
3 | t1,2
  | ^^ second time

error[R040]: the row has 1 cells, the header has 2
  --> rules/meters.csv:4:1
4 | t2
  | ^^ not like the header
"#;
    assert_eq!(found, expected);
}

#[test]
fn column_that_is_not_there_is_told_with_the_one_that_was_meant() {
    let rule = RULE.replace("meter.name\"", "meter.nmae\"");
    let found = problems(&rule, TABLE);
    let expected = r#"error[R012]: unknown column `meter.nmae`
  --> rules/tags.toml:5:20
5 | select = { name = "meter.nmae", celsius = "celsius" }
  |                    ^^^^^^^^^^ not in the file
  = help: did you mean `meter.name`? columns: tag, offset, gain, enabled, name, area
"#;
    assert_eq!(found, expected);
    let rule = RULE.replace("\"meter.enabled\"", "\"meter\"");
    assert!(problems(&rule, TABLE).starts_with("error[R012]: `meter` is a table\n"));
}

#[test]
fn table_that_was_not_read_is_told_with_the_reason() {
    let mut source = source(RULE, "");
    source.tables[0].content = Err("No such file or directory (os error 2)".to_owned());
    let list = compile(&[source.clone()]).expect_err("it is wrong");
    let expected = r#"error[R040]: cannot read the table `meters.csv`
  --> rules/tags.toml:8:8
8 | file = "meters.csv"
  |        ^^^^^^^^^^^^ No such file or directory (os error 2)
  = help: relative names start at the directory of the rule file
"#;
    assert_eq!(list[0].to_string(), expected);
    source.tables.clear();
    assert_eq!(compile(&[source]).expect_err("it is wrong")[0].code(), "R040");
}

#[test]
fn lookup_says_what_it_needs() {
    let rule = "[rule.r]\nfrom = \"a/{tag}\"\nto = \"b\"\n[rule.r.lookup.m]\nmiss = \"zero\"\n\
                [rule.r.lookup.\"a b\"]\nfile = \"meters.csv\"\nkey = \"tag\"\n";
    let list = compile(&[source(rule, TABLE)]).expect_err("it is wrong");
    let told: Vec<String> =
        list.iter().map(|one| format!("{} {}", one.code(), one.message())).collect();
    let expected = [
        "R004 unknown miss `zero`",
        "R003 lookup `m` has no `file`",
        "R003 lookup `m` has no `key`",
        "R004 `a b` cannot be used in expressions",
    ];
    assert_eq!(told, expected);
}
