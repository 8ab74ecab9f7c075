//! The rules one by one, and against a plain reading of the same lists.

use super::*;

fn rule(access: Access, topic: &str) -> Rule {
    Rule::topic(access, TopicFilter::parse(topic).expect("a valid filter"))
}

fn pattern(access: Access, topic: &str) -> Rule {
    Rule::pattern(access, TopicFilter::parse(topic).expect("a valid filter"))
}

fn permissions(acl: Acl, username: Option<&str>, client_id: &str) -> Box<Permissions> {
    let identity = Identity { username: username.map(Arc::from), ..Identity::default() };
    Permissions::of(&identity, &client_id.into(), Some(&Arc::new(acl))).expect("there is an ACL")
}

fn of_user(rules: &[(Access, &str)]) -> Box<Permissions> {
    let topics = rules.iter().map(|(access, topic)| (Some("u"), rule(*access, topic)));
    permissions(Acl::new(topics, []), Some("u"), "c")
}

fn of_patterns(
    rules: &[(Access, &str)],
    username: Option<&str>,
    client_id: &str,
) -> Box<Permissions> {
    let patterns = rules.iter().map(|(access, topic)| pattern(*access, topic));
    permissions(Acl::new([], patterns), username, client_id)
}

#[test]
fn what_no_rule_allows_is_denied() {
    let client =
        of_user(&[(Access::Read, "in/#"), (Access::Write, "out/+"), (Access::ReadWrite, "x")]);
    assert!(client.allow(Access::Read, "in/a/b") && client.allow(Access::Read, "in"));
    assert!(!client.allow(Access::Write, "in/a"));
    assert!(client.allow(Access::Write, "out/a"));
    assert!(!client.allow(Access::Write, "out/a/b") && !client.allow(Access::Read, "out/a"));
    assert!(client.allow(Access::Read, "x") && client.allow(Access::Write, "x"));
    assert!(!client.allow(Access::Read, "y"));
}

#[test]
fn deny_goes_before_the_rules_that_stand_above_it() {
    let client = of_user(&[(Access::ReadWrite, "a/#"), (Access::Deny, "a/secret/#")]);
    assert!(client.allow(Access::Read, "a/open"));
    assert!(!client.allow(Access::Read, "a/secret") && !client.allow(Access::Write, "a/secret/b"));
}

#[test]
fn each_user_has_a_list_and_clients_without_a_name_have_one() {
    let topics = [(None, rule(Access::Read, "open")), (Some("a"), rule(Access::Read, "of/a"))];
    let acl = Acl::new(topics, []);
    let nobody = permissions(acl.clone(), None, "c");
    assert!(nobody.allow(Access::Read, "open") && !nobody.allow(Access::Read, "of/a"));
    let a = permissions(acl.clone(), Some("a"), "c");
    assert!(a.allow(Access::Read, "of/a") && !a.allow(Access::Read, "open"));
    let b = permissions(acl, Some("b"), "c");
    assert!(!b.allow(Access::Read, "of/a") && !b.allow(Access::Read, "open"));
}

#[test]
fn patterns_stand_for_the_names_of_the_client() {
    let rules = [(Access::ReadWrite, "dev/%c/#"), (Access::Read, "home/%u/in-%u%c")];
    let client = of_patterns(&rules, Some("ann"), "c1");
    assert!(client.allow(Access::Write, "dev/c1/x") && !client.allow(Access::Write, "dev/c2/x"));
    assert!(client.allow(Access::Read, "home/ann/in-annc1"));
    assert!(!client.allow(Access::Read, "home/ann/in-annc2"));
    // Without a name the rules about names do not hold.
    let nobody = of_patterns(&rules, None, "c1");
    assert!(nobody.allow(Access::Write, "dev/c1/x") && !nobody.allow(Access::Read, "home//in-c1"));
}

#[test]
fn a_name_does_not_widen_a_pattern() {
    for name in ["+", "#", "a/b", "a+", "#x"] {
        let client = of_patterns(&[(Access::Read, "home/%u/#")], Some(name), "c");
        assert!(!client.allow(Access::Read, &format!("home/{name}/x")), "{name}");
        assert!(!client.allow(Access::Read, "home/other/x"), "{name}");
        assert!(!client.allow_subscription("home/#"), "{name}");
        let client = of_patterns(&[(Access::Read, "dev/%c/#")], Some("u"), name);
        assert!(!client.allow(Access::Read, &format!("dev/{name}/x")), "{name}");
        // Patterns in which it does not stand hold.
        let client = of_patterns(&[(Access::Read, "open/#")], Some(name), name);
        assert!(client.allow(Access::Read, "open/x"), "{name}");
    }
    let client = of_patterns(&[(Access::Read, "home/%u")], Some("%c"), "c");
    assert!(client.allow(Access::Read, "home/%c") && !client.allow(Access::Read, "home/c"));
    let client = of_patterns(&[(Access::Read, "%u/#")], Some("$SYS"), "c");
    assert!(!client.allow(Access::Read, "$SYS/broker/uptime"));
}

#[test]
fn a_list_of_the_user_goes_before_the_patterns() {
    let topics = [(Some("u"), rule(Access::Read, "a/b")), (Some("u"), rule(Access::Deny, "p/x"))];
    let patterns = [pattern(Access::Deny, "a/#"), pattern(Access::ReadWrite, "p/#")];
    let client = permissions(Acl::new(topics, patterns), Some("u"), "c");
    assert!(client.allow(Access::Read, "a/b") && !client.allow(Access::Read, "a/c"));
    assert!(client.allow(Access::Write, "p/y") && !client.allow(Access::Write, "p/x"));
}

#[test]
fn topics_of_the_broker_need_a_rule_that_names_them() {
    let client = of_user(&[(Access::ReadWrite, "#"), (Access::ReadWrite, "+/broker/uptime")]);
    assert!(!client.allow(Access::Read, "$SYS/broker/uptime"));
    assert!(!client.allow_subscription("$SYS/#"));
    let client = of_user(&[(Access::Read, "$SYS/#")]);
    assert!(
        client.allow(Access::Read, "$SYS/broker/uptime") && client.allow_subscription("$SYS/#")
    );
    assert!(!client.allow_subscription("#"));
}

#[test]
fn rules_of_the_credentials_hold_besides_those_of_the_file() {
    let own: Arc<[Rule]> = Arc::new([rule(Access::Read, "own"), rule(Access::Deny, "file/secret")]);
    let identity = Identity { username: Some("u".into()), rules: Some(own), ..Identity::default() };
    let alone = Permissions::of(&identity, &"c".into(), None).expect("it is restricted");
    assert!(alone.allow(Access::Read, "own") && !alone.allow(Access::Read, "file/x"));
    let acl = Arc::new(Acl::new([(Some("u"), rule(Access::Read, "file/#"))], []));
    let both = Permissions::of(&identity, &"c".into(), Some(&acl)).expect("it is restricted");
    assert!(both.allow(Access::Read, "own") && both.allow(Access::Read, "file/x"));
    assert!(!both.allow(Access::Read, "file/secret"));
    assert!(Permissions::of(&Identity::default(), &"c".into(), None).is_none());
}

/// Every list of rules from a small alphabet, read plainly: the topics are listed, and each is
/// looked up rule by rule as mosquitto's documentation says.
#[test]
fn decisions_agree_with_a_plain_reading() {
    let mut chance = Chance(1);
    let topics: Vec<String> = all_topics();
    for round in 0..1000 {
        let rules: Vec<(Access, String)> =
            (0..1 + chance.below(4)).map(|_| (chance.access(), chance.filter())).collect();
        let own = chance.below(rules.len() as u64 + 1) as usize;
        let (own, patterns) = rules.split_at(own);
        let topic_rules = own.iter().map(|(access, topic)| (Some("u"), rule(*access, topic)));
        let pattern_rules = patterns.iter().map(|(access, topic)| pattern(*access, topic));
        let client = permissions(Acl::new(topic_rules, pattern_rules), Some("u"), "c");
        for topic in &topics {
            for wanted in [Access::Read, Access::Write] {
                let expected = plainly(own, topic, wanted)
                    .or_else(|| plainly(patterns, topic, wanted))
                    .unwrap_or(false);
                let found = client.allow(wanted, topic);
                assert_eq!(found, expected, "round {round}: {rules:?} {wanted:?} {topic}");
            }
        }
        let filter = chance.filter();
        let parsed = TopicFilter::parse(&filter).expect("a valid filter");
        let mut matching = topics.iter().filter(|topic| parsed.matches(topic)).peekable();
        let all = matching.clone().all(|topic| client.allow(Access::Read, topic));
        let any = matching.clone().any(|topic| client.allow(Access::Read, topic));
        assert!(matching.peek().is_some(), "the topics have one for each filter: {filter}");
        // Both may be wrong in the direction that costs a check for each delivery, never in
        // the one that shows or hides a message.
        assert!(!client.allow_whole(&filter) || all, "round {round}: {rules:?} {filter}");
        assert!(client.allow_subscription(&filter) || !any, "round {round}: {rules:?} {filter}");
        if !parsed.has_wildcards() {
            assert_eq!(client.allow_whole(&filter), all, "round {round}: {rules:?} {filter}");
            assert_eq!(client.allow_subscription(&filter), any, "round {round}: {filter}");
        }
    }
}

fn plainly(rules: &[(Access, String)], topic: &str, wanted: Access) -> Option<bool> {
    let matching = |access: fn(Access, Access) -> bool| {
        rules.iter().any(|(rule, filter)| {
            access(*rule, wanted) && TopicFilter::parse(filter).expect("valid").matches(topic)
        })
    };
    if matching(|rule, _| rule == Access::Deny) {
        Some(false)
    } else if matching(|rule, wanted| rule == wanted || rule == Access::ReadWrite) {
        Some(true)
    } else {
        None
    }
}

fn all_topics() -> Vec<String> {
    let levels = ["a", "b", "", "$x"];
    let mut topics: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
    let mut last = topics.clone();
    for _ in 0..3 {
        let longer = last.iter().flat_map(|topic| levels.map(|level| format!("{topic}/{level}")));
        last = longer.collect();
        topics.extend(last.iter().cloned());
    }
    topics.retain(|topic| !topic.is_empty());
    topics
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn access(&mut self) -> Access {
        [Access::Deny, Access::Read, Access::ReadWrite, Access::Write][self.below(4) as usize]
    }

    fn filter(&mut self) -> String {
        let mut levels = Vec::new();
        for _ in 0..1 + self.below(3) {
            levels.push(["a", "b", "+", "+", "", "$x"][self.below(6) as usize]);
        }
        if self.below(3) == 0 {
            levels.push("#");
        }
        let filter = levels.join("/");
        if filter.is_empty() { "a".to_owned() } else { filter }
    }
}

#[test]
fn the_line_that_decides_is_told() {
    let topics = [
        (Some("u"), rule(Access::ReadWrite, "a/#").at_line(2)),
        (Some("u"), rule(Access::Deny, "a/secret").at_line(3)),
    ];
    let acl = Arc::new(Acl::new(topics, [pattern(Access::Write, "of/%c/+").at_line(7)]));
    let identity = Identity { username: Some("u".into()), ..Identity::default() };
    let ruling = |client_id: &str, wanted, topic: &str| {
        let ruling = acl.rule_on(&identity, client_id, wanted, topic);
        (ruling.is_allowed, ruling.line)
    };
    assert_eq!(ruling("c", Access::Write, "a/b"), (true, Some(2)));
    assert_eq!(ruling("c", Access::Write, "a/secret"), (false, Some(3)));
    // Messages on a/secret will not come, but others will.
    assert_eq!(ruling("c", Access::Read, "a/+"), (true, Some(2)));
    assert_eq!(ruling("c", Access::Read, "a/secret"), (false, Some(3)));
    assert_eq!(ruling("c", Access::Write, "of/c/x"), (true, Some(7)));
    assert_eq!(ruling("c/d", Access::Write, "of/c/d"), (false, None));
    assert!(acl.patterns_apply(Some("u"), "c") && !acl.patterns_apply(Some("u"), "c/d"));
    assert_eq!(ruling("c", Access::Read, "of/c/x"), (false, None));
}
