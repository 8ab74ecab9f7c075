//! What assignments and the environment say in the place of the file.

use super::*;

#[test]
fn assignments_go_before_the_environment_and_both_before_the_file() {
    let folder = Folder::new("order", "[limits]\nmax_topic_alias = 1\ntopic_levels = 2\n");
    let overrides = Overrides {
        environment: vec![
            ("WEIR_LIMITS__MAX_TOPIC_ALIAS".into(), "3".into()),
            ("WEIR_LIMITS__TOPIC_LEVELS".into(), "4".into()),
            ("WEIR_LOG".into(), "debug".into()),
        ],
        set: vec!["limits.topic_levels=5".into()],
    };
    let limits = load(Some(&folder.0.join("weir.toml")), &overrides).unwrap().config.limits;
    assert_eq!((limits.max_topic_alias, limits.topic_levels), (3, 5));
}

#[test]
fn an_override_needs_no_quotes() {
    let texts = [
        "limits.max_packet_size=1MB",
        "data_dir=/tmp/weir data",
        "listener=[{ address = \"127.0.0.1:0\" }]",
        "upstream.cloud.address=localhost:1884",
        "upstream.cloud.password=12345",
    ];
    let config = load(None, &set(&texts)).unwrap().config;
    assert_eq!(config.limits.max_packet_size, 1 << 20);
    assert_eq!(config.data_dir, PathBuf::from("/tmp/weir data"));
    assert_eq!(config.listeners[0].address.port(), Some(0));
    assert_eq!(config.upstreams[0].password.as_ref().unwrap().reveal(), "12345");
}

#[test]
fn problems_of_overrides_have_their_place_too() {
    let text = problems(load(None, &set(&["limits.max_paket_size=1MB", "log.level=loud", "x"])));
    assert!(text.contains("1 | limits.max_paket_size=1MB\n  |        ^^^^^^^^^^^^^^"), "{text}");
    assert!(text.contains("did you mean `max_packet_size`?"), "{text}");
    assert!(text.contains("1 | log.level=loud\n  |           ^^^^ must be one of"), "{text}");
    assert!(text.contains("`--set` needs a value"), "{text}");
    let text = problems(load(None, &environment(&[("WEIR_LIMITS__TOPIC_LEVELS", "[1]")])));
    assert!(text.contains("1 | WEIR_LIMITS__TOPIC_LEVELS=[1]"), "{text}");
    assert!(text.contains("  |                           ^^^ must be a whole number"), "{text}");
}

#[test]
fn a_variable_that_is_not_ours_for_certain_is_a_warning() {
    let loaded = load(None, &environment(&[("WEIR_PORT", "tcp://10.0.0.1:1883")])).unwrap();
    assert_eq!(loaded.warnings[0].message(), "`WEIR_PORT` is not used");
}
