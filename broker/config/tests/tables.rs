//! Tables of every form, laid over each other, and names that are not declared.

mod home;

use home::{DECLARED, FAR, LAMP, LIMITS, TOP, problem, read, right, source};
use weir_config::{Assignment, Places, Problems, Tree, Values};

#[test]
fn later_source_goes_before_an_earlier_one() {
    let tree = right(&[
        "[limits]\nwatts = 1\nshare = 0.25\n[[lamp]]\nname = \"a\"\n[[lamp]]\nname = \"b\"\n\
         [far.x]\naddress = \"1\"\npassword = \"p\"\ntls = { cafile = \"ca\" }\n",
        "[limits]\nwatts = 2\n[[lamp]]\nname = \"c\"\n[far.x]\naddress = \"2\"\n\
         tls = { insecure = true }\n[far.y]\naddress = \"3\"\n",
    ]);
    let limits = tree.table(&LIMITS);
    assert_eq!((limits.whole::<u8>("watts"), limits.number("share")), (2, 0.25));
    assert_eq!(limits.origin("watts").map(|at| at.source), Some(1));
    // A list takes the place of a list: nobody could say which entry is which.
    let names: Vec<String> = tree.list(&LAMP).iter().map(|lamp| lamp.text("name")).collect();
    assert_eq!(names, ["c"]);
    let far = tree.named(&FAR);
    assert_eq!(far.keys().collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!((far["x"].text("address"), far["x"].text("password")), ("2".into(), "p".into()));
    let tls = far["x"].table("tls").expect("it was given");
    assert!(tls.flag("insecure") && tls.path("cafile").ends_with("ca"));
}

#[test]
fn empty_list_is_one_that_was_given() {
    let tree = right(&["lamp = []\n"]);
    assert!(tree.list(&LAMP).is_empty());
    assert_eq!(tree.place_of_list(&LAMP).map(|at| at.span.clone()), Some(7..9));
}

#[test]
fn what_a_table_must_have_is_asked_for_at_its_header() {
    let (_, told) =
        read(&["[limits]\n[[lamp]]\nway = [{ qos = 1 }]\n[[lamp.rule]]\n[far.x]\n[far.x.tls]\n"]);
    let told: Vec<String> = told.iter().map(|told| told.lines().take(2).collect()).collect();
    assert_eq!(
        told,
        [
            "error[H5]: `name` is missing  --> home.toml:2:1",
            "error[H5]: `from` is missing  --> home.toml:3:8",
            "error[H5]: `from` is missing  --> home.toml:4:1",
            "error[H5]: `address` is missing  --> home.toml:5:6",
            "error[H5]: `cafile` is missing  --> home.toml:6:8",
        ]
    );
    let told = problem("[[lamp]]\n");
    assert!(
        told.ends_with("^^^^^^^^ needs `name`\n  = help: for example name = \"hall\"\n"),
        "{told}"
    );
}

#[test]
fn value_that_was_refused_is_not_missing() {
    let told = problem("[[lamp]]\nname = 5\n");
    assert!(told.starts_with("error[H3]"), "{told}");
}

#[test]
fn table_of_another_form_is_told_how_it_is_written() {
    for (text, expected) in [
        ("limits = 5\n", "write `[limits]` on a line of its own"),
        ("[lamp]\nname = \"a\"\n", "write `[[lamp]]` with two brackets"),
        ("lamp = [5]\n", "write `[[lamp]]` on a line of its own"),
        ("far = 5\n", "a far end needs a name"),
        ("[far]\naddress = \"x\"\n", "write `[far.NAME]`, for example `[far.cloud]`"),
        ("[far.\"a b\"]\naddress = \"x\"\n", "` ` cannot be part of the name of a far end"),
        ("[far.a]\naddress = \"x\"\ntls = 5\n", "write `tls = { … }`"),
        ("[[lamp]]\nname = \"a\"\nway = 5\n", "write a list of { from, qos = 1 }"),
        ("[[lamp]]\nname = \"a\"\nway = [5]\n", "write `way = { … }`"),
        ("[[lamp]]\nname = \"a\"\nrule = { from = \"x\" }\n", "write `[[lamp.rule]]` with two"),
    ] {
        let told = problem(text);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn more_tables_than_a_list_may_have_are_refused() {
    let told = problem(&"[[lamp]]\nname = \"a\"\n".repeat(3));
    assert!(told.starts_with("error[H6]: more than 2 tables [[lamp]]"), "{told}");
}

#[test]
fn name_that_is_not_declared_is_told_where_it_belongs_and_what_is_near() {
    for (text, expected) in [
        (
            "dat_dir = \"x\"\n",
            "unknown key `dat_dir` at the top of the file|did you mean `data_dir`?",
        ),
        ("[lmits]\n", "unknown table `lmits`|did you mean `limits`?"),
        ("[[lmap]]\n", "unknown table `lmap`|did you mean `lamp`?"),
        ("watts = 5\n", "unknown key `watts` at the top|`watts` belongs in [limits]"),
        ("[limits]\nname = \"a\"\n", "unknown key `name` in [limits]|`name` belongs in [[lamp]]"),
        ("[limits]\ndata_dir = \"a\"\n", "in [limits]|`data_dir` belongs above the first table"),
        ("[limits]\ncafile = \"a\"\n", "in [limits]|`cafile` belongs in [far.NAME.tls]"),
        (
            "[limits.night]\nsecrets = \"a\"\nfrom = 5\n",
            "unknown key `secrets` in [limits.night]|did you mean `secret`?",
        ),
        ("[limits.night]\nzzzzz = 5\n", "in [limits.night]|possible here: `secret`, `dimmed`"),
        (
            "[far.a]\naddress = \"x\"\ntls = { cafile = \"a\", insecur = true }\n",
            "unknown key `insecur` in [far.NAME.tls]|did you mean `insecure`?",
        ),
        (
            "[[lamp]]\nname = \"a\"\nway = [{ from = \"a\", qso = 1 }]\n",
            "unknown key `qso` in `way`|did you mean `qos`?",
        ),
        ("[limits]\nsoon = 5\n", "error[H7]: `limits.soon` is not there yet|remove the key"),
    ] {
        let (_, told) = read(&[text]);
        let (message, help) = expected.split_once('|').expect("it has two parts");
        assert!(told[0].contains(message) && told[0].contains(help), "{}", told[0]);
    }
    // Both, where both could be meant.
    let told = problem("[[lamp]]\nname = \"a\"\nwarm = true\n");
    assert!(told.contains("did you mean `way`? `warm` belongs in [limits]\n"), "{told}");
}

#[test]
fn text_that_is_not_toml_is_not_looked_at_any_further() {
    let told = problem("[limits\nx = 1\n");
    assert!(told.starts_with("error[H1]: this is not TOML"), "{told}");
}

/// One value, as an argument would set it.
fn assigned(text: &str) -> (Tree, Vec<String>) {
    let (left, value) = text.split_once('=').expect("it has a value");
    let mut start = 0;
    let mut path = Vec::new();
    for part in left.split('.') {
        path.push((part.to_owned(), start..start + part.len()));
        start += part.len() + 1;
    }
    let source = source(text);
    let (mut tree, mut problems) = (Tree::new(&DECLARED), Problems::default());
    let assignment = Assignment { path, value, value_start: left.len() + 1 };
    tree.assign(0, &source, assignment, &mut problems);
    (tree, problems.into_diagnostics(&[source]).iter().map(ToString::to_string).collect())
}

#[test]
fn assigned_value_needs_no_quotes() {
    let limits = |text: &str| assigned(text).0.table(&LIMITS).clone();
    assert_eq!(limits("limits.watts=5").whole::<u8>("watts"), 5);
    assert_eq!(limits("limits.memory=64KB").size("memory"), 65_536);
    assert_eq!(
        assigned("data_dir=/a b").0.table(&TOP).path("data_dir"),
        "/a b".as_ref() as &std::path::Path
    );
    // A secret of digits is a text, also in a table that has a name or is within another.
    let (tree, _) = assigned("far.a.password=12345");
    assert_eq!(tree.named(&FAR)["a"].text("password"), "12345");
    let (tree, _) = assigned("limits.night.secret=12345");
    let night = tree.tables().find(|values| values.section().name == "limits.night");
    assert_eq!(
        night.and_then(|night| night.optional("secret", Values::text)),
        Some("12345".into())
    );
    let (tree, _) = assigned("lamp=[{ name = \"a\" }]");
    assert_eq!(tree.list(&LAMP).len(), 1);
}

#[test]
fn problem_of_an_assigned_value_has_its_place() {
    let (_, told) = assigned("limits.watts=[1]");
    assert!(told[0].contains("1 | limits.watts=[1]\n  |              ^^^ must be"), "{}", told[0]);
    let (_, told) = assigned("limits.wats=1");
    assert!(told[0].contains("  |        ^^^^ no such key"), "{}", told[0]);
}

#[test]
fn each_value_has_the_line_where_it_was_written_last() {
    let sources = [
        source(
            "[limits]\nwatts = 1\n[[lamp]]\nname = \"a\"\n[[lamp]]\nname = \"b\"\n\
                way = [\n{ from = \"x\" },\n{ from = \"y\" },\n]\n[far.x]\naddress = \"1\"\n\
                tls = { cafile = \"ca\" }\n",
        ),
        source("limits.watts=2"),
    ];
    let (mut tree, mut problems) = (Tree::new(&DECLARED), Problems::default());
    for (number, source) in sources.iter().enumerate() {
        tree.lay(number, source, &mut problems);
    }
    let places = Places::of(&tree, &sources, 1);
    let line = |key: &str| places.get(key).map(|place| place.line);
    for (key, expected) in [
        ("limits", 1),
        ("lamp[0]", 3),
        ("lamp[1].name", 6),
        ("lamp[1].way", 7),
        ("lamp[1].way[0]", 8),
        ("lamp[1].way[1].from", 9),
        ("far.x", 11),
        ("far.x.tls.cafile", 13),
    ] {
        assert_eq!(line(key), Some(Some(expected)), "{key}");
    }
    assert_eq!(line("limits.watts"), Some(None), "the second source is no file");
    assert_eq!(line("limits.share"), None, "it has its default");
    assert_eq!((places.count("lamp[1].way"), places.count("lamp")), (2, 2));
}
