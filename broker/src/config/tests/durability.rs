//! How durable topics are, and which of their messages are kept for a while.

use super::*;

#[test]
fn levels_of_durability_are_read_in_their_order() {
    let text = "[store]\ndurability = \"relaxed\"\nflush_interval = \"250ms\"\n\
                [[durability]]\nfilter = \"alarms/#\"\nlevel = \"commit\"\n\
                [[durability]]\nlevel = \"none\"\nfilter = \"+/live/#\"\n";
    let loaded = Folder::new("levels", text).load().unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.store.durability, DurabilityLevel::Relaxed);
    assert_eq!(config.store.flush_interval, Duration::from_millis(250));
    let expected = [("alarms/#", DurabilityLevel::Commit), ("+/live/#", DurabilityLevel::None)];
    let expected = expected.map(|(filter, level)| DurabilityConfig::new(filter, level));
    assert_eq!(config.durability, expected);
}

#[test]
fn histories_are_read_in_their_order() {
    let text = "[[history]]\nfilter = \"alarms/#\"\nmax_age = \"30d\"\n\
                [[history]]\nmax_bytes = \"1MB\"\nfilter = \"#\"\n";
    let loaded = Folder::new("histories", text).load().unwrap();
    assert_eq!(loaded.warnings, []);
    let day = Duration::from_secs(86_400);
    let expected = [
        HistoryConfig { max_age: 30 * day, ..HistoryConfig::new("alarms/#") },
        HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("#") },
    ];
    assert_eq!(loaded.config.history, expected);
    assert_eq!((expected[0].max_bytes, expected[1].max_age), (64 << 20, day));
}

#[test]
fn a_history_that_cannot_be_is_shown_with_its_place() {
    let long = "x".repeat(256);
    let folder = Folder::new(
        "wrong-histories",
        &format!(
            "persistence = false\n\
             [[history]]\nmax_bytes = \"1GB\"\n\
             [[history]]\nfilter = \"a/#/b\"\n\
             [[history]]\nfilter = \"$SYS/#\"\n\
             [[history]]\nfilter = \"$share/g/d\"\n\
             [[history]]\nfilter = \"e/+\"\nmax_bytes = \"1KB\"\n\
             [[history]]\nfilter = \"e/+\"\n\
             [[history]]\nfilter = \"e/f\"\n\
             [[history]]\nfilter = \"{long}\"\n"
        ),
    );
    let text = problems(folder.load());
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with(['e', 'w'])).collect();
    let long = format!("error[C008]: `{long}` cannot have a history");
    let expected = [
        "error[C005]: `filter` is missing",
        "error[C008]: `a/#/b` cannot have a history",
        "error[C008]: `$SYS/#` cannot have a history",
        "error[C008]: `$share/g/d` cannot have a history",
        "error[C006]: a history needs a store on disk",
        "error[C004]: `max_bytes` cannot be 1KB",
        "error[C006]: `e/+` has a history already",
        long.as_str(),
        "warning[C006]: the history of `e/f` stays empty",
    ];
    assert_eq!(heads, expected, "{text}");
    assert!(text.contains("= help: write \"d\""), "{text}");
}

#[test]
fn a_level_of_durability_that_cannot_count_is_shown_with_its_place() {
    let folder = Folder::new(
        "wrong-levels",
        "[[durability]]\nfilter = \"a/#/b\"\nlevel = \"none\"\n\
         [[durability]]\nfilter = \"b\"\nlevel = \"relaxd\"\n\
         [[durability]]\nfilter = \"c\"\n\
         [[durability]]\nfilter = \"$share/g/d\"\nlevel = \"none\"\n\
         [[durability]]\nfilter = \"$delayed/5/d\"\nlevel = \"none\"\n\
         [[durability]]\nfilter = \"e/+\"\nlevel = \"none\"\n\
         [[durability]]\nfilter = \"e/+\"\nlevel = \"relaxed\"\n",
    );
    let text = problems(folder.load()).replace(&format!("{}/", folder.0.display()), "");
    assert_eq!(
        text,
        r#"error[C008]: `a/#/b` is not a filter of topics
  --> weir.toml:2:10
2 | filter = "a/#/b"
  |          ^^^^^^^ # must be alone in the last level
error[C003]: `level` cannot be `relaxd`
  --> weir.toml:6:9
6 | level = "relaxd"
  |         ^^^^^^^^ must be one of "commit", "relaxed", "upstream", "none"
  = help: did you mean `relaxed`?
error[C005]: `level` is missing
  --> weir.toml:7:1
7 | [[durability]]
  | ^^^^^^^^^^^^^^ needs `level`
  = help: for example level = "relaxed"
error[C008]: `$share/g/d` is not a filter of topics
   --> weir.toml:10:10
10 | filter = "$share/g/d"
   |          ^^^^^^^^^^^^ a shared subscription is one way to read topics
   = help: write "d"
error[C008]: `$delayed/5/d` is not a filter of topics
   --> weir.toml:13:10
13 | filter = "$delayed/5/d"
   |          ^^^^^^^^^^^^^^ a message with a delay has the level of its topic
   = help: write the topic without `$delayed/<seconds>/`
error[C006]: `e/+` has a level of durability already
   --> weir.toml:19:10
19 | filter = "e/+"
   |          ^^^^^ twice the same
   = help: keep one of them
"#
    );
    let text = "durability = \"relaxed\"\n";
    assert_eq!(messages("no-list", text), ["error[C003]: `durability` is a list"]);
    let text = "[store]\nflush_interval = \"20ms\"\ngroup_commit_max_delay = \"50ms\"\n";
    let expected = "error[C006]: `flush_interval` is shorter than `group_commit_max_delay`";
    assert_eq!(messages("pace", text), [expected]);
}

#[test]
fn a_level_that_waits_for_no_upstream_is_warned_about() {
    let text = "[upstream.cloud]\naddress = \"a:1883\"\nforward = [{ from = \"up/+/x\" }]\n\
                [[durability]]\nfilter = \"up/#\"\nlevel = \"upstream\"\n\
                [[durability]]\nfilter = \"down/#\"\nlevel = \"upstream\"\n\
                [[durability]]\nfilter = \"left/#\"\nlevel = \"none\"\n";
    assert_eq!(warnings("no-upstream", text), ["no upstream gets what `down/#` matches"]);
    let text = "[store]\ndurability = \"upstream\"\n";
    assert_eq!(warnings("none-at-all", text), ["no upstream gets what `#` matches"]);
}

#[test]
fn a_level_of_durability_behind_a_wider_one_is_warned_about() {
    let text = "[[durability]]\nfilter = \"a/+/c\"\nlevel = \"none\"\n\
                [[durability]]\nfilter = \"a/#\"\nlevel = \"relaxed\"\n\
                [[durability]]\nfilter = \"a/b/+\"\nlevel = \"commit\"\n";
    assert_eq!(warnings("behind", text), ["the level of `a/b/+` never counts"]);
}
