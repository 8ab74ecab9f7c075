//! What a load says about files that are wrong, and what it makes of files that are right.

mod amqp;
mod durability;
mod fleet;
mod kafka;
mod nats;
mod overrides;
mod priorities;
mod upstreams;

use std::{fs, path::PathBuf, time::Duration};

use super::{
    ConfigError, DurabilityConfig, DurabilityLevel, HistoryConfig, JwtKey, Loaded, Overrides,
    QueueFull, ShareStrategy, load,
};

/// A directory with a `weir.toml`, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("weir.toml"), text).unwrap();
        Self(path)
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        load(Some(&self.0.join("weir.toml")), &Overrides::default())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn set(texts: &[&str]) -> Overrides {
    Overrides { set: texts.iter().map(|text| (*text).to_owned()).collect(), ..Default::default() }
}

fn environment(variables: &[(&str, &str)]) -> Overrides {
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Overrides { environment: owned.collect(), ..Default::default() }
}

/// Every problem as text, without the directory of the file.
fn problems(result: Result<Loaded, ConfigError>) -> String {
    let Err(ConfigError::Invalid { problems }) = result else {
        panic!("expected an invalid configuration")
    };
    problems.iter().map(ToString::to_string).collect()
}

/// The first lines of every problem of a file.
fn messages(name: &str, text: &str) -> Vec<String> {
    let all = problems(Folder::new(name, text).load());
    all.lines().filter(|line| line.starts_with("error")).map(str::to_owned).collect()
}

fn warnings(name: &str, text: &str) -> Vec<String> {
    let loaded = Folder::new(name, text).load().unwrap();
    loaded.warnings.iter().map(|warning| warning.message().to_owned()).collect()
}

#[test]
fn a_full_file_is_read() {
    let folder = Folder::new(
        "full",
        r#"
        data_dir = "data"
        persistence = false
        [[listener]]
        address = "127.0.0.1:1884"
        [auth]
        allow_anonymous = true
        [store]
        cache_bytes = 4_194_304
        [limits]
        queue_full = "drop_old"
        shared_subscription_strategy = "least_inflight"
        max_qos = 1
        global_max_connections = 5
        persistent_client_expiration = "0s"
        [upstream.cloud]
        address = "mqtt.example.org:1883"
        forward = [{ from = "agg/#" }]
        receive = [{ from = "cmd/#", to = "in/{rest}", qos = 2 }]
        topics = ["sensors/# out 1 local/ remote/"]
        restart_timeout = "1s 2m"
        password_file = "secret"
        "#,
    );
    fs::write(folder.0.join("secret"), "hunter2\n").unwrap();
    let config = folder.load().unwrap().config;
    assert_eq!(config.data_dir, folder.0.join("data"));
    assert_eq!(config.listeners[0].address.port(), Some(1884));
    assert_eq!(config.store.cache_bytes, 4_194_304);
    assert_eq!(config.limits.queue_full, QueueFull::DropOld);
    assert_eq!(config.limits.shared_subscription_strategy, ShareStrategy::LeastInflight);
    assert_eq!((config.limits.max_qos, config.limits.max_topic_alias_broker), (1, 10));
    assert!(config.limits.retain_available && config.limits.response_information.is_none());
    assert_eq!(config.limits.global_max_connections, Some(5));
    assert_eq!(config.limits.persistent_client_expiration, None);
    let cloud = &config.upstreams[0];
    assert_eq!(cloud.name, "cloud");
    assert_eq!(cloud.restart_timeout.max, Duration::from_secs(120));
    assert_eq!(cloud.password.as_ref().unwrap().reveal(), "hunter2");
    assert_eq!(cloud.forward[0].to.render("agg/a", "agg/#"), "agg/a");
    assert_eq!(cloud.forward[1].from, "local/sensors/#");
    assert_eq!(cloud.receive[0].qos, 2);
}

#[test]
fn what_a_listener_does_not_say_is_left_to_the_limits_for_all() {
    let folder = Folder::new(
        "own",
        "[[listener]]\naddress = \"127.0.0.1:1884\"\nmax_queued_bytes = 0\nmax_byte_rate = \"1KB\"\n\
         max_inflight_messages = 7\nupgrade_outgoing_qos = false\nmax_connect_rate = 9\n\
         [limits]\nupgrade_outgoing_qos = true\nmax_inflight_bytes = \"8KB\"\n",
    );
    let config = folder.load().unwrap().config;
    let (own, all) = (&config.listeners[0], &config.limits);
    assert_eq!((own.max_queued_bytes, own.max_queued_messages), (Some(0), None));
    assert_eq!((own.max_inflight_messages, own.max_inflight_bytes), (Some(7), None));
    assert_eq!((own.max_byte_rate, own.max_message_rate), (Some(1024), None));
    assert_eq!((own.upgrade_outgoing_qos, own.max_connect_rate), (Some(false), 9));
    assert!(all.upgrade_outgoing_qos && all.max_byte_rate == 0);
    assert_eq!(all.max_inflight_bytes, Some(8192));
}

#[test]
fn all_problems_are_shown_at_once_in_the_order_of_the_file() {
    let folder = Folder::new(
        "all",
        "persistance = true\n[limits]\nmax_inflight_messages = 0\nqueue_full = \"drop_newest\"\n\
         connect_timeout = \"10\"\n[[listener]]\naddress = \"localhost\"\n[upstream.cloud]\n",
    );
    let text = problems(folder.load()).replace(&format!("{}/", folder.0.display()), "");
    assert_eq!(
        text,
        r#"error[C002]: unknown key `persistance` at the top of the file
  --> weir.toml:1:1
1 | persistance = true
  | ^^^^^^^^^^^ no such key
  = help: did you mean `persistence`?
error[C004]: `max_inflight_messages` cannot be 0
  --> weir.toml:3:25
3 | max_inflight_messages = 0
  |                         ^ must be 1 to 65535 messages
error[C003]: `queue_full` cannot be `drop_newest`
  --> weir.toml:4:14
4 | queue_full = "drop_newest"
  |              ^^^^^^^^^^^^^ must be one of "drop_new", "drop_old", "disconnect"
  = help: did you mean `drop_new`?
error[C003]: `connect_timeout` cannot be `10`
  --> weir.toml:5:19
5 | connect_timeout = "10"
  |                   ^^^^ must be a duration
  = help: a number and a unit, for example "5s"; units: ms, s, m, h, d, w
error[C003]: `localhost` is not an address
  --> weir.toml:7:11
7 | address = "localhost"
  |           ^^^^^^^^^^^ the port is missing
  = help: write it as "host:port", for example "127.0.0.1:1883"
error[C005]: `address` is missing
  --> weir.toml:8:11
8 | [upstream.cloud]
  |           ^^^^^ needs `address`
  = help: for example address = ["mqtt.example.org:1883"]
"#
    );
}

#[test]
fn a_memory_limit_leaves_something_for_clients() {
    for text in ["[limits]\nmemory_limit = \"32MB\"\n", "[store]\ncache_bytes = \"200MB\"\n"] {
        let told = problems(Folder::new("memory", text).load());
        assert!(told.contains("error[C004]") && told.contains("leaves nothing for clients"));
    }
    for (text, left) in [
        ("[limits]\nmemory_limit = \"64MB\"\n", Some(34_720_256)),
        ("[limits]\nmemory_limit = 0\n", None),
    ] {
        let config = Folder::new("memory", text).load().unwrap().config;
        assert_eq!(config.limits.memory_for_clients(config.store.cache_bytes), left);
        let queued = left.map_or(config.limits.queued_memory, |left| left.min(64_000_000));
        assert_eq!(config.limits.memory_for_queues(config.store.cache_bytes), queued);
    }
}

#[test]
fn passwords_permissions_and_tokens_are_read_and_their_files_checked() {
    let text = "[auth]\npassword_file = \"passwords\"\nacl_file = \"acl\"\nmax_failures = 0\n\
                jwt = { secret_file = \"secret\", acl_claim = \"acl\" }\n";
    let folder = Folder::new("auth", text);
    let told = problems(folder.load());
    assert_eq!(told.matches("error[A001]: cannot read").count(), 3, "{told}");
    fs::write(folder.0.join("passwords"), "ann:secret\n").unwrap();
    fs::write(folder.0.join("acl"), "user ann\ntopic read a\n").unwrap();
    fs::write(folder.0.join("secret"), "short\n").unwrap();
    let told = problems(folder.load());
    assert!(told.contains("error[A003]") && told.contains("error[A006]"), "{told}");
    fs::write(folder.0.join("passwords"), "# nobody\n").unwrap();
    fs::write(folder.0.join("secret"), "s".repeat(32)).unwrap();
    let auth = folder.load().unwrap().config.auth;
    assert_eq!((auth.max_failures, auth.ban), (None, Duration::from_secs(600)));
    let jwt = auth.jwt.unwrap();
    assert_eq!(jwt.key, JwtKey::Secret(folder.0.join("secret")));
    assert_eq!((jwt.username_claim.as_str(), jwt.acl_claim.as_deref()), ("sub", Some("acl")));
    // A table of its own and an override mean the same.
    fs::write(folder.0.join("weir.toml"), "[auth.jwt]\nissuer = \"ca\"\n").unwrap();
    assert!(problems(folder.load()).contains("tokens need a key"));
    let set = set(&[&format!("auth.jwt.secret_file={}", folder.0.join("secret").display())]);
    let loaded = load(Some(&folder.0.join("weir.toml")), &set).unwrap();
    assert_eq!(loaded.config.auth.jwt.unwrap().issuer.as_deref(), Some("ca"));
    let both = "[auth.jwt]\nkey_file = \"secret\"\nsecret_file = \"secret\"\n";
    fs::write(folder.0.join("weir.toml"), both).unwrap();
    assert!(problems(folder.load()).contains("both `key_file` and `secret_file`"));
}

#[test]
fn a_service_is_read_with_all_its_addresses_and_what_it_needs_for_them() {
    let text = "[auth.http]\nurl = [\"http://localhost:8080/a\", \"https://auth.example\"]\n\
                ca_file = \"ca.pem\"\nttl = \"1m\"\ngrace = \"0s\"\n";
    let folder = Folder::new("service", text);
    let told = problems(folder.load());
    assert!(told.contains("ca.pem"), "{told}");
    fs::write(folder.0.join("ca.pem"), "nothing\n").unwrap();
    assert!(problems(folder.load()).contains("there are none"));
    fs::write(folder.0.join("weir.toml"), text.replace("\nca_file = \"ca.pem\"", "")).unwrap();
    let told = problems(folder.load());
    assert!(told.contains("no certificate of the service would be believed"), "{told}");
    let text = "[auth.http]\nurl = \"http://127.0.0.1:8080/mqtt\"\n";
    fs::write(folder.0.join("weir.toml"), text).unwrap();
    let loaded = folder.load().unwrap();
    assert!(loaded.warnings.is_empty());
    let http = loaded.config.auth.http.unwrap();
    assert_eq!(http.url[0].to_string(), "http://127.0.0.1:8080/mqtt");
    assert_eq!((http.timeout, http.ttl), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!((http.grace, http.cache_size), (Duration::from_secs(300), 10_000));
    for (text, part) in [
        ("url = \"localhost:80\"", "it must begin with http://"),
        ("url = []", "an empty list"),
        ("url = \"http://me:hunter2@h/\"", "a user name cannot stand there"),
        ("ttl = \"1m\"", "nobody is asked without an address"),
        ("url = \"http://localhost\"\nttl = \"0s\"", "`ttl` cannot be 0s"),
    ] {
        let told = problems(Folder::new("wrong-service", &format!("[auth.http]\n{text}\n")).load());
        assert!(told.contains(part), "{part}: {told}");
        assert_eq!(told.matches("error[").count(), 1, "{told}");
    }
    let far = Folder::new("far-service", "[auth.http]\nurl = \"http://auth.example/\"\n");
    let warnings = far.load().unwrap().warnings;
    assert!(warnings[0].to_string().contains("passwords go to http://auth.example:80/"));
}

#[test]
fn a_key_in_the_wrong_section_is_sent_to_the_right_one() {
    let text = problems(Folder::new("section", "max_packet_size = \"1MB\"\n").load());
    assert!(text.contains("`max_packet_size` belongs in [limits]"), "{text}");
}

#[test]
fn a_key_of_a_later_version_is_called_so() {
    let text = "[auth]\nhook = \"x\"\n";
    assert_eq!(messages("later", text), ["error[C011]: `auth.hook` is not there yet"]);
}

#[test]
fn what_is_not_toml_is_shown_without_what_follows_from_it() {
    assert_eq!(messages("toml", "[limits\nx = 1\n"), ["error[C001]: this is not TOML"]);
}

#[test]
fn two_listeners_cannot_share_an_address() {
    let text = "[[listener]]\naddress = \"a:1\"\n[[listener]]\naddress = \"a:1\"\n\
                [auth]\nallow_anonymous = true\n";
    assert_eq!(
        messages("twice", text),
        ["error[C006]: another listener has the address a:1 already"]
    );
}

#[test]
fn lists_that_must_hold_something_cannot_be_empty() {
    let text = "listener = []\n[upstream.cloud]\naddress = []\n";
    let found = messages("empty", text);
    assert_eq!(found[0], "error[C003]: without a listener nobody can connect");
    assert_eq!(found[1], "error[C003]: `address` cannot be an empty list");
}

#[test]
fn an_open_listener_is_a_warning() {
    let open = "[[listener]]\naddress = \"0.0.0.0:1883\"\n[auth]\nallow_anonymous = true\n";
    assert_eq!(warnings("open", open), ["everybody who reaches 0.0.0.0:1883 may connect"]);
    let closed = "[[listener]]\naddress = \"0.0.0.0:1883\"\n";
    assert_eq!(
        warnings("closed", closed),
        ["no client can connect: anonymous clients are not allowed"]
    );
    assert_eq!(warnings("local", "#\n"), Vec::<String>::new());
}

#[test]
fn anonymous_clients_are_allowed_only_while_no_listener_is_configured() {
    assert!(load(None, &Overrides::default()).unwrap().config.auth.allow_anonymous);
    let folder = Folder::new("listener", "[[listener]]\naddress = \"127.0.0.1:0\"\n");
    assert!(!folder.load().unwrap().config.auth.allow_anonymous);
}

#[test]
fn rules_are_found_beside_the_file() {
    let folder = Folder::new("rules", "rules = [\"*.rules\", \"b.rules\"]\n");
    fs::write(folder.0.join("b.rules"), "#\n").unwrap();
    fs::write(folder.0.join("a.rules"), "#\n").unwrap();
    let config = folder.load().unwrap().config;
    let names: Vec<_> = config.rules.iter().map(|rule| rule.path.clone()).collect();
    let path = |name: &str| folder.0.join(name).display().to_string();
    assert_eq!(names, [path("a.rules"), path("b.rules")]);
    let missing = Folder::new("rules2", "rules = \"nothing/*.toml\"\n");
    assert!(problems(missing.load()).contains("cannot read the rules"));
}
