//! Every example in `config/rules` compiles and passes the tests that stand in it.

use std::path::Path;
use std::{env, fs};

use weir_rules::{Source, TableFile, compile, run_cases};

#[test]
fn every_example_passes_its_own_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/rules");
    let mut sources: Vec<Source> = fs::read_dir(folder)
        .expect("the examples are part of the repository")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let text = fs::read_to_string(&path).expect("the example can be read");
            let name = format!("config/rules/{}", name.unwrap_or_default());
            let mut source = Source::new(name, text);
            for name in source.table_names() {
                let text = fs::read_to_string(path.with_file_name(&name));
                let content = Ok(text.expect("the table can be read"));
                let path = format!("config/rules/{name}");
                source.tables.push(TableFile { name, path, content });
            }
            source
        })
        .collect();
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    assert!(sources.len() >= 28);
    let report = run_cases(&sources).unwrap_or_else(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", texts.join("\n"));
    });
    assert!(report.passed(), "{report}");
    for source in &sources {
        let plan = compile(std::slice::from_ref(source)).expect("each file stands alone");
        assert!(plan.warnings().is_empty(), "{}: {}", source.path, plan.warnings()[0]);
        for rule in plan.rules() {
            let tested = report.cases.iter().any(|case| case.rule == rule.name);
            assert!(tested, "rule {} has no test", rule.name);
            assert!(!rule.about.is_empty(), "rule {} has no about", rule.name);
        }
    }
}
