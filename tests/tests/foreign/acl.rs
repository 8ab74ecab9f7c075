//! The same ACL file in mosquitto and in Weir: the same messages are taken, and the same ones are
//! delivered, live and retained.
//!
//! Files, clients and subscriptions are random; a failure prints its seed and the file, and
//! `WEIR_ACL_SEED` repeats it. `WEIR_ACL_SEEDS=500` runs more. What differs on purpose stands in
//! `docs/security.md`.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use weir_mqtt::{
    Connect, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter,
    SubscribeProperties, SubscriptionOptions, TopicFilter, Version,
};
use weir_tests::harness::client::{Client, Received};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::mosquitto::Mosquitto;
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::Weir;
use weir_tests::sim::random::Random;

const SEEDS: u64 = 20;
/// May do everything, and sees what comes of it.
const ROOT: &str = "root";
/// `mosquitto_passwd -H sha512` made it of [`PASSWORD`].
const HASH: &str = "$6$QDkKdWh6h93NAeY8$RcDt2JDMmgIiG1VKFXx8CW1x+vPADspikiplnLG+u9ihrS2IsibcuSkH\
                    /0jhJg1iNsSYhl+h4tY4hJ2FQPA5cg==";
const PASSWORD: &[u8] = b"secret";
const USERS: [&str; 5] = ["ann", "bob", "c1", "a+b", ROOT];
const CLIENTS: [(Option<&str>, &str); 7] = [
    (None, "c1"),
    (None, "a/b"),
    (Some("ann"), "c1"),
    (Some("ann"), "c2"),
    (Some("bob"), "ann"),
    (Some("c1"), "bob"),
    (Some("a+b"), "c3"),
];
const TOPICS: [&str; 20] = [
    "a", "a/b", "a/", "/a", "a//b", "a/b/c1", "a/ann", "a/bob", "ann", "ann/b", "ann/c1", "ann-c1",
    "b/ann/c2", "c1", "c1/a", "xc1/a", "$x", "$x/a", "$x/ann", "$SYS/a",
];
const LEVELS: [&str; 7] = ["a", "b", "ann", "bob", "c1", "", "+"];
const TEMPLATES: [&str; 4] = ["%u", "%c", "%u-%c", "x%c"];

/// A client and what it subscribes to.
struct Person {
    username: Option<&'static str>,
    client_id: &'static str,
    filters: Vec<String>,
}

/// What a client could do.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    /// Its messages that somebody else got.
    published: BTreeSet<String>,
    /// What it got while it was there.
    delivered: BTreeSet<String>,
    /// What it got when it subscribed once more.
    retained: BTreeSet<String>,
}

#[test]
fn mosquitto_and_weir_allow_the_same() {
    let Some(mosquitto) = program("mosquitto_and_weir_allow_the_same", "mosquitto") else { return };
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("WEIR_ACL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WEIR_ACL_SEEDS").unwrap_or(SEEDS),
    };
    let messages: usize = seeds.map(|seed| compare(&mosquitto, seed)).sum();
    println!("{messages} messages were allowed");
}

/// Answers how many messages were allowed.
fn compare(mosquitto: &Path, seed: u64) -> usize {
    let mut random = Random::new(seed);
    let acl = acl_file(&mut random);
    let people: Vec<Person> = CLIENTS.map(|client| person(client, &mut random)).into();
    let folder = Folder::new("acl");
    let passwords: String = USERS.iter().map(|user| format!("{user}:{HASH}\n")).collect();
    let passwords = folder.write("passwords", passwords);
    let acl_path = folder.write("acl", &acl);

    // Without a limit of its queue it closes connections whose messages it refuses.
    let files = format!(
        "password_file {}\nacl_file {}\nset_tcp_nodelay true\nmax_queued_messages 1000",
        passwords.display(),
        acl_path.display()
    );
    let theirs = Mosquitto::start(mosquitto.to_owned(), &folder, &files);
    let config = folder.write(
        "weir.toml",
        "persistence = false\n[[listener]]\naddress = \"127.0.0.1:0\"\n[auth]\n\
         allow_anonymous = true\npassword_file = \"passwords\"\nacl_file = \"acl\"\n",
    );
    let ours = Weir::start(&config);

    let (theirs, ours) = (try_out(theirs.address(), &people), try_out(ours.address(), &people));
    let mut messages = 0;
    for (person, (theirs, ours)) in people.iter().zip(theirs.iter().zip(&ours)) {
        if is_odd(person, &acl) {
            continue;
        }
        let Person { username, client_id, filters } = person;
        assert_eq!(
            ours, theirs,
            "WEIR_ACL_SEED={seed}: {username:?} as {client_id}, subscribed to {filters:?}, \
             ours and theirs, with\n{acl}"
        );
        messages += theirs.published.len() + theirs.delivered.len();
    }
    messages
}

/// What patterns do for a client with a wildcard or a separator in a name differs on purpose.
/// Weir ignores them all if one has that name in it. mosquitto 2.0.11 does so as soon as there is
/// any pattern, and lets a separator through.
fn is_odd(person: &Person, acl: &str) -> bool {
    let mut patterns = acl.lines().filter(|line| line.starts_with("pattern")).peekable();
    let has_patterns = patterns.peek().is_some();
    let text: String = patterns.collect();
    let is_odd = |name: &str, template| {
        name.contains('/') || (name.contains(['+', '#']) && !text.contains(template))
    };
    has_patterns
        && (is_odd(person.username.unwrap_or_default(), "%u") || is_odd(person.client_id, "%c"))
}

fn acl_file(random: &mut Random) -> String {
    let mut text = String::new();
    let mut lines = |text: &mut String, word, max| {
        for _ in 0..random.below(max) {
            let access = pick(&["", "read ", "write ", "readwrite ", "deny "], random);
            writeln!(text, "{word} {access}{}", filter(word == "pattern", random)).unwrap();
        }
    };
    lines(&mut text, "topic", 6);
    for user in ["ann", "bob", "c1", "a+b"] {
        writeln!(text, "user {user}").unwrap();
        lines(&mut text, "topic", 6);
    }
    lines(&mut text, "pattern", 6);
    write!(text, "user {ROOT}\ntopic #\ntopic $x/#\n").unwrap();
    text
}

fn person(
    (username, client_id): (Option<&'static str>, &'static str),
    random: &mut Random,
) -> Person {
    let filters = (0..1 + random.below(3)).map(|_| filter(false, random)).collect();
    Person { username, client_id, filters }
}

fn filter(has_templates: bool, random: &mut Random) -> String {
    let mut levels = Vec::new();
    if random.chance(15) {
        levels.push(pick(&["$x", "$SYS"], random));
    }
    for _ in 0..random.below(3) {
        let template = has_templates && random.chance(40);
        levels.push(if template { pick(&TEMPLATES, random) } else { pick(&LEVELS, random) });
    }
    if random.chance(50) {
        levels.push("#");
    }
    let filter = levels.join("/");
    if filter.is_empty() { "#".to_owned() } else { filter }
}

fn pick(choices: &[&'static str], random: &mut Random) -> &'static str {
    choices[usize::try_from(random.below(choices.len() as u64)).unwrap()]
}

/// What each of the clients can do at a broker.
fn try_out(address: SocketAddr, people: &[Person]) -> Vec<Done> {
    let mut reader = connect(address, Some(ROOT), "reader");
    subscribe(&mut reader, &["#".to_owned(), "$x/#".to_owned()]);
    let mut writer = connect(address, Some(ROOT), "writer");
    let try_one = |person: &Person| {
        let mut client = connect(address, person.username, person.client_id);
        let allowed = TOPICS.iter().filter(|topic| publish(&mut client, topic, false));
        let allowed: BTreeSet<String> = allowed.map(|topic| (*topic).to_owned()).collect();
        let published = messages(&mut reader);
        assert_eq!(allowed, published, "what is acknowledged is passed on, and nothing else");
        subscribe(&mut client, &person.filters);
        for topic in TOPICS.iter().filter(|topic| !topic.starts_with("$SYS")) {
            assert!(publish(&mut writer, topic, true), "{topic}");
        }
        let delivered = messages(&mut client);
        subscribe(&mut client, &person.filters);
        let retained = messages(&mut client);
        messages(&mut reader);
        Done { published, delivered, retained }
    };
    people.iter().map(try_one).collect()
}

fn connect(address: SocketAddr, username: Option<&str>, client_id: &str) -> Client {
    let mut connect = Connect::new(Version::V5, client_id);
    connect.username = username;
    connect.password = username.map(|_| PASSWORD);
    let (client, accepted) = Client::connect(address, connect).unwrap();
    assert_eq!(accepted.reason, ReasonCode::Success, "{username:?}");
    client
}

/// Whether the message is taken.
fn publish(client: &mut Client, topic: &str, retain: bool) -> bool {
    let publish = Publish {
        qos: QoS::AtLeastOnce,
        packet_id: PacketId::new(1),
        retain,
        ..Publish::new(topic, b"x")
    };
    client.send(&Packet::Publish(publish)).unwrap();
    match client.receive(LIMIT) {
        Received::Packet(Packet::Puback(puback)) => match puback.reason {
            ReasonCode::Success | ReasonCode::NoMatchingSubscribers => true,
            ReasonCode::NotAuthorized => false,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?} instead of PUBACK for {topic}"),
    }
}

/// Subscribes, whether that is granted or not: mosquitto grants all, also what brings nothing.
fn subscribe(client: &mut Client, filters: &[String]) {
    let filters: Vec<SubscribeFilter<'_>> = filters
        .iter()
        .map(|filter| SubscribeFilter {
            filter: TopicFilter::parse(filter).unwrap(),
            options: SubscriptionOptions::default(),
        })
        .collect();
    let packet_id = PacketId::new(1).unwrap();
    let properties = SubscribeProperties::default();
    let subscribe = Subscribe { packet_id, properties, filters: filters.as_slice().into() };
    client.send(&Packet::Subscribe(subscribe)).unwrap();
}

/// The topics of what has come, without those that the broker writes itself.
fn messages(client: &mut Client) -> BTreeSet<String> {
    client.send(&Packet::Pingreq).unwrap();
    let mut topics = BTreeSet::new();
    loop {
        match client.receive(LIMIT) {
            Received::Packet(Packet::Publish(publish)) => topics.insert(publish.topic.to_owned()),
            Received::Packet(Packet::Suback(_)) => continue,
            Received::Packet(Packet::Pingresp) => break,
            other => panic!("{other:?}"),
        };
    }
    topics.retain(|topic| TOPICS.contains(&topic.as_str()));
    topics
}
